"""Slices with outlines, many per figure: all on one axes in inches, as an axes per slice takes far longer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import contourpy
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """Place of a slice, inches from the figure's top left corner."""

    left: float
    top: float
    width: float
    height: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top, as ``imshow`` takes them."""
        return self.left, self.left + self.width, self.top + self.height, self.top

    def at(self, across: float, up: float) -> tuple[float, float]:
        """A point by its fractions of width and height, from the lower left corner."""
        return self.left + across * self.width, self.top + (1 - up) * self.height


class Canvas:
    """Draws slices, outlines and texts anywhere on a figure."""

    def __init__(self, figure: Figure) -> None:
        width, height = figure.get_size_inches()
        self.axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()

    def slice(
        self, image: NDArray[Any], aspect: float, limits: NDArray[Any], left: float, top: float, side: float
    ) -> Box:
        """Draw a slice (H,W) in grey, centred in a square.

        Args:
            aspect: height of a pixel divided by its width.
            limits: black and white.
            left, top, side: the square, inches from the figure's top left corner.

        Returns:
            The slice's place, for what is drawn on it.
        """
        size = np.array([image.shape[1], image.shape[0] * aspect])
        width, height = side * size / size.max()
        box = Box(left + (side - width) / 2, top + (side - height) / 2, width, height)
        white = max(limits[1], limits[0] + 1e-6)
        self._show(box, image, "bilinear", cmap="gray", vmin=limits[0], vmax=white)
        return box

    def fill(self, box: Box, labels: NDArray[np.integer], paint: Mapping[int, tuple[str, float]]) -> None:
        """Colour pixels of a slice's labels (H,W).

        Args:
            paint: colour and opacity by class value; others are transparent.
        """
        pixels = np.zeros((*labels.shape, 4))
        for value, (colour, opacity) in paint.items():
            pixels[labels == value] = to_rgba(colour, opacity)
        self._show(box, pixels, "nearest")

    def outline(
        self, box: Box, labels: NDArray[np.integer], structures: Mapping[str, int], colours: Mapping[str, str]
    ) -> None:
        """Each structure of ``labels`` (H,W) as a thin line on its border over a light fill.

        Args:
            structures: name -> class value.
            colours: by name.
        """
        self.fill(box, labels, {value: (colours[name], 0.22) for name, value in structures.items()})
        pixel = np.array([box.width / labels.shape[1], box.height / labels.shape[0]])
        line_pt = 0.3 + 0.45 * max(box.width, box.height)  # thinner in small panels
        for name, value in structures.items():
            padded = np.pad((labels == value).astype(float), 1)
            lines = contourpy.contour_generator(z=padded, line_type=contourpy.LineType.Separate).lines(0.5)
            places = [(np.asarray(line) - 0.5) * pixel + (box.left, box.top) for line in lines]
            self.axes.add_collection(
                LineCollection(places, colors=colours[name], linewidths=line_pt), autolim=False
            )

    def text(self, box: Box, across: float, up: float, text: str, **style: Any) -> None:
        """Write at fractions of a slice's width and height, from its lower left corner."""
        self.axes.text(*box.at(across, up), text, **style)

    def shade(self, box: Box, height: float) -> None:
        """A dark strip along the lower edge of a slice, for text; ``height``: fraction of the slice's."""
        size = box.width, height * box.height
        style: dict[str, Any] = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "zorder": 3}
        self.axes.add_patch(Rectangle(box.at(0, height), *size, **style))

    def _show(self, box: Box, pixels: NDArray[Any], interpolation: str, **style: Any) -> None:
        self.axes.imshow(pixels, aspect="auto", extent=box.extent, interpolation=interpolation, **style)
