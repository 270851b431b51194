"""Slices per second and seconds per patient of prediction: network, views, native grid, components.

python benchmarks/inference.py          # CUDA where there is one, else the CPU
"""

from __future__ import annotations

import argparse
import time

import torch
from lib import record

from cyclemix.config.models import Inference, Recipe
from cyclemix.data.store import Geometry
from cyclemix.inference.predictor import segment_volume
from cyclemix.networks.registry import build_network

SLICES, NATIVE = 10, (10, 256, 216)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--networks", nargs="+", default=["unet"])
    parser.add_argument("--image-px", type=int, default=212)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    scale = NATIVE[1] / options.image_px
    geometry = Geometry(NATIVE, (10.0, 1.37 / scale, 1.37 / scale), (0.0, 0.0), (scale, scale), b"\0" * 348)
    image = torch.randn(SLICES, 1, options.image_px, options.image_px, device=options.device)
    rows: list[dict[str, object]] = []
    for network in options.networks:
        net = build_network(Recipe(network=network), 4).to(options.device).eval()
        for test_time_augmentation in (False, True):
            inference, times = Inference(test_time_augmentation=test_time_augmentation), []
            for _ in range(options.repeats + 1):
                start = time.perf_counter()
                segment_volume(net, image, geometry, inference, "auto")
                times.append(time.perf_counter() - start)
            seconds = sorted(times[1:])[len(times[1:]) // 2]
            rows.append(
                {
                    "network": network,
                    "image_px": options.image_px,
                    "test_time_augmentation": test_time_augmentation,
                    "slices_per_s": round(SLICES / seconds, 2),
                    "s_per_patient": round(seconds, 3),
                }
            )
    record.save("inference", rows, options.device)


if __name__ == "__main__":
    main()
