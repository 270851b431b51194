"""Time of the surface metrics against MONAI and a distance transform, and their agreement.

Three structures of a made-up heart in a 512x512x15 volume (0.7 mm, 10 mm slices): Dice, HD, HD95 and ASSD.

    python benchmarks/metrics.py            # needs monai (a development dependency)
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
from lib import record
from scipy.ndimage import binary_erosion, distance_transform_edt

from cyclemix.metrics import dice, surface_metrics

SPACING = (10.0, 0.7, 0.7)
SHAPE = (15, 512, 512)
Masks = list[tuple[np.ndarray, np.ndarray]]
Scores = list[tuple[float, float, float, float]]


def heart(shift: float, scale: float, seed: int) -> list[np.ndarray]:
    """RV, MYO and LV as bool (D, H, W); the outline wobbles by ``seed``."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]].astype(np.float32)
    masks = [np.zeros(SHAPE, dtype=bool) for _ in range(3)]
    for z in range(2, SHAPE[0] - 2):
        size = scale * (1.0 - 0.6 * (z / SHAPE[0]) ** 2)
        wobble = 1 + 0.03 * np.sin(np.arctan2(y - 256, x - 256) * rng.integers(3, 9) + rng.uniform(0, 6))
        centre = np.hypot(y - 256 - shift, x - 256) / wobble
        right = np.hypot((y - 256) / 1.4, x - 205 - shift) / wobble
        lumen, wall = centre < 38 * size, centre < 54 * size
        masks[0][z], masks[1][z], masks[2][z] = (right < 42 * size) & ~wall, wall & ~lumen, lumen
    return masks


def ours(pairs: Masks) -> Scores:
    found = []
    for pred, truth in pairs:
        distances = surface_metrics(pred, truth, SPACING)
        found.append((dice(pred, truth), distances["hd_mm"], distances["hd95_mm"], distances["assd_mm"]))
    return found


def by_transform(pairs: Masks) -> Scores:
    """The plain recipe: erosion and distance transform of the joint bounding box."""
    found = []
    for pred, truth in pairs:
        corners = np.argwhere(pred | truth)
        crop = tuple(slice(a, b + 1) for a, b in zip(corners.min(0), corners.max(0), strict=True))
        first, second = (mask[crop] & ~binary_erosion(mask[crop]) for mask in (pred, truth))
        forward = distance_transform_edt(~second, sampling=SPACING)[first]
        backward = distance_transform_edt(~first, sampling=SPACING)[second]
        overlap = 2 * (pred & truth).sum() / (pred.sum() + truth.sum())
        hd95 = max(np.percentile(forward, 95), np.percentile(backward, 95))
        pooled = np.concatenate([forward, backward]).mean()
        found.append((overlap, max(forward.max(), backward.max()), hd95, pooled))
    return found


def by_monai(pairs: Masks) -> Scores:
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    torch.set_num_threads(1)
    pred, truth = (torch.from_numpy(np.stack(masks))[None] for masks in zip(*pairs, strict=True))
    keep = {"include_background": True}
    distance = keep | {"spacing": SPACING}
    columns = [
        compute_dice(pred, truth, **keep)[0],
        compute_hausdorff_distance(pred, truth, **distance)[0],
        compute_hausdorff_distance(pred, truth, percentile=95, **distance)[0],
        compute_average_surface_distance(pred, truth, symmetric=True, **distance)[0],
    ]
    return [tuple(float(column[i]) for column in columns) for i in range(len(pairs))]


def fastest(function: Callable[[Masks], Scores], pairs: Masks, repeats: int = 5) -> tuple[float, Scores]:
    """Smallest wall time in seconds of ``repeats`` calls after one to warm up, and the scores."""
    scores, seconds = function(pairs), []
    for _ in range(repeats):
        start = time.perf_counter()
        function(pairs)
        seconds.append(time.perf_counter() - start)
    return min(seconds), scores


def main() -> None:
    warnings.filterwarnings("ignore")
    pairs = list(zip(heart(2.0, 1.03, 0), heart(0.0, 1.0, 1), strict=True))
    own_seconds, own = fastest(ours, pairs)
    rows: list[dict[str, object]] = [{"what": "cyclemix", "ms": round(own_seconds * 1e3, 1)}]
    for name, function in (("distance transform", by_transform), ("MONAI", by_monai)):
        seconds, scores = fastest(function, pairs)
        difference = np.abs(np.array(scores) - np.array(own)).max()
        rows.append(
            {
                "what": name,
                "ms": round(seconds * 1e3, 1),
                "times_cyclemix": round(seconds / own_seconds, 1),
                "largest_difference": float(difference),
            }
        )
    record.save("metrics", rows, "cpu")


if __name__ == "__main__":
    main()
