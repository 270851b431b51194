"""Slices with outlines on one axes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from cyclemix.report.plots.canvas import Canvas

LIMITS = np.array([0.0, 1.0])


@pytest.fixture
def canvas() -> Canvas:
    return Canvas(Figure(figsize=(8, 4)))


@pytest.mark.parametrize(
    ("shape", "aspect", "extent"),
    [
        ((10, 10), 1.0, (1.0, 3.0, 2.5, 0.5)),
        ((10, 20), 1.0, (1.0, 3.0, 2.0, 1.0)),  # a wide slice is centred
        ((10, 10), 2.0, (1.5, 2.5, 2.5, 0.5)),  # tall pixels make a tall slice
    ],
)
def test_a_slice_fills_its_square_in_its_own_shape(
    canvas: Canvas, shape: tuple[int, int], aspect: float, extent: tuple[float, ...]
) -> None:
    box = canvas.slice(np.zeros(shape), aspect, LIMITS, 1.0, 0.5, 2.0)
    assert box.extent == pytest.approx(extent)
    (image,) = canvas.axes.images
    assert image.get_extent() == pytest.approx(extent)
    assert (canvas.axes.get_xlim(), canvas.axes.get_ylim()) == ((0, 8), (4, 0))


def test_an_outline_runs_along_the_border_of_its_pixels(canvas: Canvas) -> None:
    labels = np.zeros((10, 10), int)
    labels[2:5, 6:9] = 3
    box = canvas.slice(np.zeros((10, 10)), 1.0, LIMITS, 1.0, 0.0, 2.0)  # 0.2 inches per pixel
    canvas.outline(box, labels, {"LV": 3, "RV": 1}, {"LV": "#ff0000", "RV": "#00ff00"})
    lines = [found for found in canvas.axes.collections if isinstance(found, LineCollection)]
    (line,) = [path.vertices for found in lines for path in found.get_paths()]
    assert line.min(axis=0) == pytest.approx([1.0 + 6 * 0.2, 2 * 0.2])
    assert line.max(axis=0) == pytest.approx([1.0 + 9 * 0.2, 5 * 0.2])
    fill = canvas.axes.images[1].get_array()
    assert fill[3, 7].tolist() == pytest.approx([1, 0, 0, 0.22])
    assert fill[0, 0, 3] == 0


def test_text_is_placed_from_the_lower_left_corner_of_its_slice(canvas: Canvas) -> None:
    box = canvas.slice(np.zeros((10, 10)), 1.0, LIMITS, 1.0, 0.5, 2.0)
    canvas.text(box, 0.25, 0.1, "87")
    assert canvas.axes.texts[0].get_position() == pytest.approx((1.5, 2.3))
