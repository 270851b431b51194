"""Labels of the training grid on the native grid, for tests of how exactly they are resampled."""

from __future__ import annotations

import numpy as np

from cyclemix.config.labels import UNLABELLED
from cyclemix.data.store import Geometry


def label_to_native(label: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Nearest value back: uint8 (D,size,size) -> native (D,H,W); 255 where the square does not reach."""
    picks: list[np.ndarray] = []
    for axis in (0, 1):
        native = np.arange(geometry.native_shape[1 + axis])
        picks.append(
            np.floor((native - geometry.origin_yx[axis]) / geometry.scale_yx[axis] + 0.5).astype(int)
        )
    size = label.shape[1:]
    clipped = [np.clip(pick, 0, n - 1) for pick, n in zip(picks, size, strict=True)]
    out = label[:, clipped[0]][:, :, clipped[1]]
    reach = [(pick >= 0) & (pick < n) for pick, n in zip(picks, size, strict=True)]
    out[:, ~(reach[0][:, None] & reach[1])] = UNLABELLED
    return out
