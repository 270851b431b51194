"""Our `cyclemix` step beside the network passes of one step of the released code, on the same cores in turn.

The released step makes three forward and two backward passes of its network on 212 pixels, padded to
396; its mixing, on the CPU, comes on top, so the passes alone are a lower bound of it.

    python benchmarks/official_step.py              # appends to benchmarks/results/official_step.csv
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from lib import record
from throughput import make_engine

from cyclemix.config.models import Recipe
from cyclemix.networks.registry import build_network
from cyclemix.training.engine import State

IMAGE_PX, BATCH = 212, 4
"""Side of the released code's crop, which its network pads to 396, and its batch size."""


def official_passes(net: torch.nn.Module, image: torch.Tensor) -> float:
    """Seconds of three forward and two backward passes."""
    began = time.perf_counter()
    for _ in range(2):
        net(image).square().mean().backward()
    net(image)
    net.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-px", type=int, default=96)
    parser.add_argument("--base-filters", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    options.device, options.precision, options.compile = "cpu", "auto", False
    engine, state = make_engine("cyclemix", "own", options, options.batch_size), State(digest="benchmark")
    net = build_network(Recipe(network="unet_paper"), 4).train()
    image = torch.randn((BATCH, 1, IMAGE_PX, IMAGE_PX), generator=torch.Generator().manual_seed(0))
    seconds: dict[str, list[float]] = {"ours": [], "official": []}
    for _ in range(options.repeats):
        began = time.perf_counter()
        for _ in range(4):  # the mixing grids take turns
            engine.step(state)
        seconds["ours"].append((time.perf_counter() - began) / 4)
        seconds["official"].append(official_passes(net, image))
    rows: list[dict[str, object]] = []
    for who, network, images, side in (
        ("ours", f"unet, {options.base_filters} filters", options.batch_size, options.image_px),
        ("official", "unet_paper", BATCH, IMAGE_PX),
    ):
        taken = median(seconds[who])
        rows.append(
            {
                "step": who,
                "network": network,
                "precision": engine.precision if who == "ours" else "fp32",
                "batch_size": images,
                "image_px": side,
                "seconds": round(taken, 3),
                "ms_per_image": round(1e3 * taken / images, 1),
                "ns_per_pixel": round(1e9 * taken / (images * side**2), 1),
            }
        )
    record.save("official_step", rows, "cpu")


if __name__ == "__main__":
    main()
