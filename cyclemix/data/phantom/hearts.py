"""Anatomy of the synthetic hearts: random parameters in millimetres, rendered slice by slice."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from cyclemix.data.phantom.strokes import around

RV, MYO, LV = 1, 2, 3
ED_FRAME = "frame01"

HEART_MM = 46.0
"""Radius around the heart's centre without distractors."""

LOOK_ALIKES = (("lv", 7.0, 17.0), ("rv", 0.0, 18.0), ("lv", 0.0, 14.0), ("myo", 0.0, 18.0), ("lv", 5.0, 12.0))
"""Tissue, width of the dark wall around it in mm (0 = none), radius in mm."""


@dataclass(frozen=True)
class Plane:
    """Pixel centres of one slice in mm, (H,W) each, origin at the image centre."""

    y: np.ndarray
    x: np.ndarray

    def polar(self, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Distance in mm and angle of every pixel from ``centre`` (y, x)."""
        dy, dx = self.y - centre[0], self.x - centre[1]
        return np.hypot(dy, dx), np.arctan2(dy, dx)


@dataclass(frozen=True)
class Wobble:
    """A smooth closed outline: radius factor 1 + sum of harmonics."""

    amplitudes: np.ndarray
    phases: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, size: float) -> Wobble:
        """Harmonics 2..5 with decreasing amplitudes; ``size`` is the standard deviation of the first."""
        return cls(rng.normal(0, size, 4) / np.arange(1, 5), rng.uniform(0, 2 * np.pi, 4))

    def at(self, angle: np.ndarray) -> np.ndarray:
        """Radius factor by angle."""
        turns = np.linspace(-np.pi, np.pi, 721)  # interpolated from a table: 5 times as fast, equal to 1e-5
        waves = self.amplitudes[:, None] * np.cos(np.arange(2, 6)[:, None] * turns + self.phases[:, None])
        return 1.0 + np.interp(angle, turns, waves.sum(axis=0))


@dataclass(frozen=True)
class LookAlike:
    """A distractor: a tube through the slices with a structure's intensity, possibly with a dark wall."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    turn: float
    tissue: str
    ring_mm: float
    drift: tuple[float, float]
    outline: Wobble


@dataclass(frozen=True)
class Subject:
    """Parameters shared by both frames of a heart; lengths in mm."""

    spacing: tuple[float, float, float]
    shape: tuple[int, int, int]
    centre: tuple[float, float]
    drift: tuple[float, float]
    septum: float
    radius: float
    wall: float
    rv_width: float
    rv_height: float
    outline: Wobble
    grey: dict[str, float]
    chest: tuple[float, float]
    look_alikes: list[LookAlike] = field(default_factory=list)
    frames: tuple[str, str] = (ED_FRAME, "frame10")


def draw_subject(rng: np.random.Generator) -> Subject:
    """A random heart and chest."""
    pixel = float(rng.choice([0.7, 0.8, 0.95, 1.1, 1.25, 1.4, 1.55, 1.7, 1.9]))
    depth = int(rng.integers(5, 9))
    thickness = float(np.clip(rng.uniform(42, 62) / depth, 5.0, 10.0))
    side = rng.uniform(195, 255), rng.uniform(195, 255)
    shape = depth, round(side[0] / pixel), round(side[1] / pixel)
    centre = rng.uniform(-14, 14), rng.uniform(-10, 18)
    blood = rng.uniform(0.66, 0.86)
    grey = {
        "lv": blood,
        "rv": blood * rng.uniform(0.86, 1.0),
        "myo": rng.uniform(0.26, 0.38),
        "soft": rng.uniform(0.36, 0.5),
        "fat": rng.uniform(0.85, 1.05),
        "lung": rng.uniform(0.05, 0.12),
    }
    chest = rng.uniform(84, 94), rng.uniform(104, 120)
    septum = rng.uniform(-0.5, 0.5) + np.pi  # RV on the left of the image
    return Subject(
        spacing=(round(thickness, 2), pixel, pixel),
        shape=shape,
        centre=centre,
        drift=(rng.uniform(2, 10), rng.uniform(4, 14)),
        septum=septum,
        radius=rng.uniform(29, 35),
        wall=rng.uniform(8.0, 10.5),
        rv_width=rng.uniform(24, 31),
        rv_height=rng.uniform(30, 37),
        outline=Wobble.draw(rng, 0.03),
        grey=grey,
        chest=chest,
        look_alikes=_draw_look_alikes(rng, (centre[0], centre[1] - 12.0), chest),
        frames=(ED_FRAME, f"frame{int(rng.integers(8, 14)):02d}"),
    )


def _draw_look_alikes(
    rng: np.random.Generator, heart: tuple[float, float], chest: tuple[float, float]
) -> list[LookAlike]:
    """Tubes in the chest with the heart's intensities and sizes, away from it and its background stroke."""
    found: list[LookAlike] = []
    for tissue, ring, size in LOOK_ALIKES:
        for _ in range(300):
            spot = rng.uniform(-chest[0], chest[0]), rng.uniform(-chest[1], chest[1])
            radii = size * rng.uniform(0.85, 1.2), size * rng.uniform(0.65, 1.0)
            apart = [np.hypot(spot[0] - o.centre[0], spot[1] - o.centre[1]) - max(o.radii) for o in found]
            clear = np.hypot(spot[0] - heart[0], spot[1] - heart[1]) > HEART_MM + size + ring
            within = (spot[0] / chest[0]) ** 2 + (spot[1] / chest[1]) ** 2 < 0.75
            if clear and within and min(apart, default=99.0) > 0.9 * size:
                drift = rng.uniform(-6, 6), rng.uniform(-6, 6)
                outline = Wobble.draw(rng, 0.05)
                found.append(LookAlike(spot, radii, rng.uniform(0, np.pi), tissue, ring, drift, outline))
                break
    return found


def render_label(subject: Subject, plane: Plane, level: float, systole: bool) -> np.ndarray:
    """Dense label (H,W) of one slice; ``level`` is 0 at the base, 1 at the apex."""
    distance, angle = plane.polar(_centre(subject, level))
    outer, inner = (r * subject.outline.at(angle) for r in _lv_radii(subject, level, systole))
    label = np.zeros(plane.y.shape, np.uint8)
    shrink = np.sqrt(max(0.0, 1.0 - (level / 0.92) ** 2)) * (0.82 if systole else 1.0)
    if shrink > 0.25:
        label[_rv_region(subject, plane, level, shrink) & (distance > outer)] = RV
    label[distance <= outer] = MYO
    label[distance <= inner] = LV
    return label


def _centre(subject: Subject, level: float) -> tuple[float, float]:
    return subject.centre[0] + subject.drift[0] * level, subject.centre[1] + subject.drift[1] * level


def _lv_radii(subject: Subject, level: float, systole: bool) -> tuple[float, float]:
    """Epicardial and endocardial radius, mm; contraction roughly preserves the area of the wall."""
    taper = np.sqrt(1.0 - 0.82 * level**2)
    outer, wall = subject.radius * taper, subject.wall * (1.0 - 0.15 * level)
    if systole:
        outer, wall = outer * 0.93, wall * 1.4
    return outer, max(outer - wall, 3.5)


def _rv_region(subject: Subject, plane: Plane, level: float, shrink: float) -> np.ndarray:
    """Ellipse beside the LV; the caller removes the LV from it, which leaves a crescent."""
    outer = _lv_radii(subject, level, systole=False)[0]
    reach = outer + 0.12 * subject.rv_width
    cy, cx = _centre(subject, level)
    cy, cx = cy + reach * np.sin(subject.septum) * 0.9, cx + reach * np.cos(subject.septum) * 0.9
    along, across = _rotated(plane, (cy, cx), subject.septum)
    return (along / (subject.rv_width * shrink)) ** 2 + (across / (subject.rv_height * shrink)) ** 2 <= 1


def _rotated(plane: Plane, centre: tuple[float, float], turn: float) -> tuple[np.ndarray, np.ndarray]:
    dy, dx = plane.y - centre[0], plane.x - centre[1]
    return dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)


def render_image(
    subject: Subject, plane: Plane, label: np.ndarray, level: float, rng: np.random.Generator
) -> np.ndarray:
    """Noise-free intensities (H,W) of one slice."""
    grey = subject.grey
    image = _chest(subject, plane)
    for item in subject.look_alikes:
        _paint_look_alike(image, item, plane, level, grey)
    window = around(label > 0, subject.spacing[1:], 8.0)
    for region, reach, value in ((label > 0, 6.0, 1.1 * grey["soft"]), (label == RV, 2.5, grey["myo"])):
        if region.any():  # pericardium, then the thin wall of the RV
            away = ndimage.distance_transform_edt(~region[window], sampling=subject.spacing[1:])
            image[window][away < reach] = value
    for value, tissue in ((RV, "rv"), (MYO, "myo"), (LV, "lv")):
        image[label == value] = grey[tissue]
    if label.any():
        _paint_muscles(image, subject, plane, label, level, rng)
    texture = ndimage.gaussian_filter(rng.normal(0, 1, image.shape), 3.0 / subject.spacing[1])
    image = image * (1.0 + 0.08 * texture / texture.std())
    return ndimage.gaussian_filter(image, 0.7 / subject.spacing[1])


def _chest(subject: Subject, plane: Plane) -> np.ndarray:
    """Air, fat, muscle, lungs, liver and spine around the heart."""
    grey, (high, wide) = subject.grey, subject.chest
    image = np.full(plane.y.shape, 0.03)
    body = (plane.y / high) ** 2 + (plane.x / wide) ** 2
    image[body <= 1] = grey["fat"]
    image[body <= 0.86] = grey["soft"]
    for side in (-1, 1):
        lung = ((plane.y - 8) / (0.62 * high)) ** 2 + ((plane.x - side * 0.48 * wide) / (0.33 * wide)) ** 2
        image[lung <= 1] = grey["lung"]
    liver = ((plane.y - 0.62 * high) / 30) ** 2 + ((plane.x + 0.42 * wide) / 48) ** 2
    image[(liver <= 1) & (body <= 0.8)] = 0.9 * grey["soft"]
    spine = ((plane.y - 0.66 * high) / 15) ** 2 + ((plane.x - 6) / 17) ** 2
    image[spine <= 1] = 1.25 * grey["soft"]
    return image


def _paint_look_alike(
    image: np.ndarray, item: LookAlike, plane: Plane, level: float, grey: dict[str, float]
) -> None:
    centre = item.centre[0] + item.drift[0] * level, item.centre[1] + item.drift[1] * level
    reach = 1.3 * (max(item.radii) + item.ring_mm)
    rows = np.abs(plane.y[:, 0] - centre[0]) < reach
    columns = np.abs(plane.x[0] - centre[1]) < reach
    window = np.ix_(rows, columns)
    along, across = _rotated(Plane(plane.y[window], plane.x[window]), centre, item.turn)
    outline = item.outline.at(np.arctan2(across, along))
    inside = np.hypot(along / item.radii[0], across / item.radii[1]) / outline
    part = image[window]
    if item.ring_mm:
        part[inside <= 1 + item.ring_mm / item.radii[1]] = grey["myo"]
    part[inside <= 1] = grey[item.tissue]
    image[window] = part


def _paint_muscles(
    image: np.ndarray,
    subject: Subject,
    plane: Plane,
    label: np.ndarray,
    level: float,
    rng: np.random.Generator,
) -> None:
    """Papillary muscles (two dark spots) and trabeculae (along the walls), labelled as blood."""
    grey, centre = subject.grey, _centre(subject, level)
    inner = float(np.sqrt((label == LV).sum() * subject.spacing[1] * subject.spacing[2] / np.pi))
    if 0.15 < level < 0.85 and inner > 9:
        for angle in (subject.septum + 2.0, subject.septum - 2.2):
            spot = centre[0] + 0.62 * inner * np.sin(angle), centre[1] + 0.62 * inner * np.cos(angle)
            image[(plane.polar(spot)[0] < 0.17 * inner) & (label == LV)] = 1.1 * grey["myo"]
    window = around(label > 0, subject.spacing[1:], 2.0)
    flecks = ndimage.gaussian_filter(rng.normal(0, 1, label[window].shape), 1.0 / subject.spacing[1])
    for value in (LV, RV):
        depth = ndimage.distance_transform_edt(label[window] == value, sampling=subject.spacing[1:])
        rim = (depth > 0) & (depth < 3.0) & (flecks > 1.1 * flecks.std())
        image[window][rim] = 0.5 * (grey["myo"] + image[window][rim])
