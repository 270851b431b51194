"""Simulation of an annotator's scribbles from dense labels with any number of classes.

A ring (a structure around another) gets one to three strokes along its middle line; any other structure a
stroke along its skeleton or inside its border, as in ACDC's scribbles. The background is one curve around all
structures. The defaults were fitted to ACDC's scribbles by the measures of `strokes`; see
``docs/reference/data.md``.

Randomness depends only on (seed, case, slice, class), not on order or threads. The phantom has its own
simulation (`cyclemix.data.phantom.strokes`), on which recorded results depend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import contourpy
import numpy as np
from scipy import ndimage

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.data.scribbles.geodesic import longest_path
from cyclemix.data.scribbles.keep import generator
from cyclemix.data.scribbles.strokes import ADJACENT, thin

STEP = 0.4
"""Distance between a stroke's points, pixels; small enough for connected strokes."""

SMALL_PART = 0.2
"""Components smaller than this fraction of the largest one get no stroke."""

LEVELS = (0.35, 0.65)
"""Depth of a stroke along the border, as a fraction of the largest depth, uniform in this range."""

RING_SHARE = (0.5, 1.0)
"""Fraction of a ring that is drawn, uniform in this range."""

RING_PIECES = (0.4, 0.45, 0.15)
"""Probabilities of drawing a ring in one, two, three strokes."""

TURNS = (0.6, 1.8)
"""Number of turns inside the border of a structure; beyond one turn the stroke continues deeper inside."""

LINE_CHANCE = 0.4
"""Probability that a long structure that is not a ring is drawn along its skeleton."""

LONG = 3.0
"""Ratio of skeleton length to largest depth above which a structure is long."""

LINE_SHARE = (0.6, 1.0)
"""Fraction of the skeleton that is drawn, uniform in this range."""

BACKGROUND_MM = (15.5, 0.5)
"""Distance of the background curve from the structures: median, mm, and standard deviation of the log."""

BACKGROUND_SHARE = (0.9, 1.0)
"""Fraction of the background curve that is drawn, uniform in this range."""


@dataclass(frozen=True)
class AnnotatorStyle:
    """Width and length of strokes.

    Attributes:
        width_px: width of a stroke, pixels, at least 1.
        length: factor on the default length of the structures' strokes, limited by the whole line.
        widths_px, lengths: overrides by class value (0 = background).
        background: draw a background scribble.
    """

    width_px: float = 1.0
    length: float = 1.0
    widths_px: Mapping[int, float] = field(default_factory=dict)
    lengths: Mapping[int, float] = field(default_factory=dict)
    background: bool = True


def simulate_volume(
    label: np.ndarray,
    spacing_yx: tuple[float, float],
    case: str,
    seed: int = 0,
    style: AnnotatorStyle | None = None,
) -> np.ndarray:
    """Scribbles of a volume.

    Args:
        label: (D,H,W) integers: 0 background, other values classes, 255 unknown.
        spacing_yx: pixel size, mm.
        case: name of the case, which with ``seed`` determines all random numbers.
        seed: seed.
        style: width and length of strokes.

    Returns:
        (D,H,W) like ``label``: class values on strokes, 255 elsewhere. Every class of a slice gets a stroke;
        a slice without structures gets the background curve of the nearest slice with structures.
    """
    style = style or AnnotatorStyle()
    drawn = np.full_like(label, UNLABELLED)
    structures = (label != BACKGROUND) & (label != UNLABELLED)
    shown = np.flatnonzero(structures.any(axis=(1, 2)))
    for number, dense in enumerate(label):
        classes = [int(v) for v in np.unique(dense) if v not in (BACKGROUND, UNLABELLED)]
        for value in classes:
            region = dense == value
            rng = generator(seed, case, number, value)
            length = style.lengths.get(value, style.length)
            width = style.widths_px.get(value, style.width_px)
            drawn[number][_structure(region, length, width, rng)] = value
        if style.background and len(shown):
            rng = generator(seed, case, number, BACKGROUND)
            width = style.widths_px.get(BACKGROUND, style.width_px)
            length = style.lengths.get(BACKGROUND, 1.0)
            nearest = structures[shown[np.argmin(np.abs(shown - number))]]
            curve = _around(nearest, dense == BACKGROUND, spacing_yx, length, width, rng)
            drawn[number][curve] = BACKGROUND
    return drawn


def _structure(region: np.ndarray, length: float, width: float, rng: np.random.Generator) -> np.ndarray:
    """Strokes (H,W) bool inside ``region``, at least one pixel."""
    parts, count = ndimage.label(region, ADJACENT)
    sizes = ndimage.sum_labels(region, parts, range(1, count + 1))
    drawn, windows = np.zeros_like(region), ndimage.find_objects(parts)
    for number in np.flatnonzero(sizes >= SMALL_PART * sizes.max()) + 1:
        window = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in windows[number - 1])
        part = parts[window] == number
        depth = ndimage.distance_transform_edt(part)
        strokes = [_wavering(line, rng, depth.max() / 4) for line in _lines(part, depth, length, rng)]
        painted = _paint(strokes, part.shape, width) & part
        if not painted.any():
            painted[np.unravel_index(int(depth.argmax()), depth.shape)] = True
        drawn[window] |= painted
    return drawn


def _lines(part: np.ndarray, depth: np.ndarray, length: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Lines that an annotator would draw in a connected structure: (N,2) row, column."""
    filled = ndimage.binary_fill_holes(part)
    hole = filled & ~part
    if hole.sum() > 1:
        middle = ndimage.distance_transform_edt(filled) - ndimage.distance_transform_edt(~hole)
        share, count = length * rng.uniform(*RING_SHARE), 1 + int(rng.choice(3, p=RING_PIECES))
        return _pieces(_contour(middle, 0.0), share, count, rng)
    spine = longest_path(thin(part))
    if _length(spine) > LONG * depth.max() and rng.random() < LINE_CHANCE:
        return _pieces(spine, length * rng.uniform(*LINE_SHARE), 1, rng)
    level = rng.uniform(*LEVELS)
    turns = length * rng.uniform(*TURNS)
    outer = _contour(depth, level * depth.max())
    if turns <= 1 or len(outer) < 2:
        return _pieces(outer, turns, 1, rng)
    first = _pieces(outer, 1.0, 1, rng)[0]
    inner = _contour(depth, (level + 0.55 * (1 - level)) * depth.max())
    if len(inner) < 2:
        return [first]
    inner = np.roll(inner, -int(np.argmin(np.hypot(*(inner - first[-1]).T))), axis=0)
    rest = min(1.0, (turns - 1) * _length(outer) / max(_length(inner), 1.0))
    return [np.concatenate([first, inner[: max(1, round(rest * len(inner)))]])]


def _around(
    structures: np.ndarray,
    allowed: np.ndarray,
    spacing_yx: tuple[float, float],
    length: float,
    width: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The background curve (H,W) bool: around all structures at a varying distance, within ``allowed``."""
    away = ndimage.distance_transform_edt(~structures, sampling=spacing_yx)
    middle = np.argwhere(structures).mean(axis=0)
    rows, columns = np.indices(structures.shape)
    angle = np.arctan2(rows - middle[0], columns - middle[1])
    waves = [rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (1, 2, 3)]
    median, spread = BACKGROUND_MM
    distance = median * np.exp(spread * rng.normal() + sum(waves))
    curve = _contour(distance - ndimage.gaussian_filter(away, 3.0 / np.asarray(spacing_yx)), 0.0)
    strokes = _pieces(curve, length * rng.uniform(*BACKGROUND_SHARE), 1, rng)
    drawn = _paint([_wavering(line, rng, 1.0) for line in strokes], structures.shape, width) & allowed
    if not drawn.any() and allowed.any():  # structures fill the image: the pixel farthest from them
        drawn[np.unravel_index(int(np.where(allowed, away, -1).argmax()), away.shape)] = True
    return drawn


def _contour(values: np.ndarray, level: float) -> np.ndarray:
    """The longest contour line of ``values`` at ``level``: (N,2) row, column; empty if there is none."""
    lines = contourpy.contour_generator(z=values, line_type=contourpy.LineType.Separate).lines(level)
    return max((np.asarray(line)[:, ::-1] for line in lines), key=_length, default=np.empty((0, 2)))


def _length(line: np.ndarray) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum()) if len(line) > 1 else 0.0


def _pieces(line: np.ndarray, share: float, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """``share`` of a line's length in ``count`` pieces with gaps; a closed line has a random start."""
    if len(line) < 2 or _length(line) < 2 * count:
        return [line] if len(line) else []
    even, closed = _even(line), np.hypot(*(line[0] - line[-1])) < 2
    share = min(share, 1.0)
    kept, gap = round(share * len(even)), len(even) - round(share * len(even))
    cuts = np.sort(rng.uniform(0, 1, count - 1)) if count > 1 else np.empty(0)
    ends = np.concatenate([[0.0], 0.5 / count + cuts * (1 - 1 / count), [1.0]]) * kept
    gaps = rng.dirichlet(np.ones(count)) * gap
    if closed:
        even = np.roll(even, -int(rng.integers(len(even))), axis=0)
        offset = 0.0
    else:
        offset = rng.uniform(0, gaps[-1])
    found = []
    for number in range(count):
        start = int(offset + ends[number] + gaps[:number].sum())
        found.append(even[start : max(start + 1, int(start + ends[number + 1] - ends[number]))])
    return found


def _even(line: np.ndarray) -> np.ndarray:
    """Resample a line to one point per ``STEP`` pixels."""
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0.0, walked[-1], max(2, int(walked[-1] / STEP)))
    return np.stack([np.interp(at, walked, line[:, axis]) for axis in (0, 1)], axis=1)


def _wavering(line: np.ndarray, rng: np.random.Generator, size_px: float) -> np.ndarray:
    """Add smoothed noise of about ``size_px`` to a line."""
    if len(line) < 2:
        return line
    even = ndimage.gaussian_filter1d(_even(line), 1.5 / STEP, axis=0, mode="nearest")
    walk = ndimage.gaussian_filter1d(rng.normal(size=even.shape), 4.0 / STEP, axis=0, mode="wrap")
    return even + min(size_px, 2.0) * walk / max(float(walk.std()), 1e-6) * 0.5


def _paint(strokes: list[np.ndarray], shape: tuple[int, ...], width: float) -> np.ndarray:
    """Lines as pixels (H,W) bool, ``width`` pixels wide."""
    drawn = np.zeros(shape, bool)
    for line in strokes:
        even = _even(line) if len(line) > 1 else line
        rows, columns = np.rint(even).astype(int).T
        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        drawn[rows[inside], columns[inside]] = True
    if not drawn.any():
        return drawn
    line_only = thin(drawn)
    return ndimage.distance_transform_edt(~line_only) <= (width - 1) / 2 if width > 1 else line_only
