"""Time and energy of the batched graph cut against max-flow and, when installed, the official solver.

Random energies of Puzzle Mix's kind on every grid, and the recorded instances where they are there (the
folder in CYCLEMIX_REFERENCE, else ../shared/reference). PyMaxflow gives the exact minimum by Ishikawa's
graph; gco-wrapper runs the alpha-beta swap of the official code, on costs rounded to integers.

    python benchmarks/graphcut.py           # needs PyMaxflow (a development dependency)
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lib import record

from cyclemix.ops import graphcut
from cyclemix.ops.puzzlemix import PuzzleSettings, arcsine, puzzle_energies
from cyclemix.ops.saliency import distribution

sys.path.insert(0, str(record.ROOT / "tests" / "helpers"))
BLOCKS, BATCH, REPEATS = 64, 16, 7
Terms = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def random_terms(grid: int, seed: int = 0) -> Terms:
    """Energies of 256 px images with smooth saliency and a random mixing ratio."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2 * BATCH, 1, BLOCKS // 4, BLOCKS // 4)
    coarse = torch.rand(shape, generator=generator) ** 6
    saliency = distribution(torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")[:, 0])
    means = torch.rand((2 * BATCH, 1, BLOCKS, BLOCKS), generator=generator)
    ratio = arcsine(BATCH, generator, "cpu")
    first, second = saliency.chunk(2)
    return puzzle_energies(first, second, *means.chunk(2), ratio, grid, PuzzleSettings())


def recorded_terms() -> dict[str, Terms]:
    """The recorded instances by grid and number of labels; empty where the file is not there."""
    folder = Path(os.environ.get("CYCLEMIX_REFERENCE", record.ROOT.parent / "shared" / "reference"))
    path = folder / "puzzlemix_graphcut.npz"
    if not path.is_file():
        return {}
    found: dict[str, Terms] = {}
    with np.load(path) as stored:
        names = [f"{item['id']:03d}" for item in json.loads(str(stored["meta"]))]
        for shape in sorted({stored[f"{name}/unary"].shape for name in names}):
            same = [name for name in names if stored[f"{name}/unary"].shape == shape]
            unary, down, right = (
                torch.tensor(np.stack([stored[f"{name}/{key}"] for name in same])).double()
                for key in ("unary", "wx", "wy")
            )
            table = torch.tensor(stored[f"{same[0]}/V"]).double()
            found[f"recorded {shape[0]}x{shape[1]}x{shape[2]}"] = (unary, down, right, table)
    return found


def timed(run: Callable[[], torch.Tensor], device: str, repeats: int = REPEATS) -> tuple[torch.Tensor, float]:
    """Result and median milliseconds."""
    labels, times = run(), []
    for _ in range(repeats):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        labels = run()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return labels.cpu(), 1e3 * float(np.median(times))


def captured(terms: Terms) -> Callable[[], torch.Tensor]:
    """The solver as one CUDA graph: what a training that captures its step pays."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        graphcut.solve(*terms)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        labels = graphcut.solve(*terms)

    def run() -> torch.Tensor:
        graph.replay()
        return labels

    return run


def by_maxflow(terms: Terms) -> torch.Tensor:
    from ishikawa import exact_labels

    unary, down, right, table = (term.double().numpy() for term in terms)
    every = [exact_labels(*sample, table) for sample in zip(unary, down, right, strict=True)]
    return torch.from_numpy(np.stack(every))


def by_gco(terms: Terms) -> torch.Tensor:
    """Alpha-beta swap with the official scaling, without its overflow at 16 blocks."""
    import gco

    unary, down, right, table = (term.double().numpy() for term in terms)
    scale = 1000 * unary.shape[1] ** 2
    return torch.from_numpy(
        np.stack(
            [
                gco.cut_grid_graph(u * scale, table, x * scale, y * scale, algorithm="swap").reshape(
                    u.shape[:2]
                )
                for u, x, y in zip(unary, down, right, strict=True)
            ]
        )
    ).long()


def measure(name: str, terms: Terms) -> list[dict[str, object]]:
    """One row per solver and device."""
    exact_terms: Terms = tuple(term.double() for term in terms)  # type: ignore[assignment]
    single: Terms = tuple(term.float() for term in terms)  # type: ignore[assignment]
    runs: list[tuple[str, str, Callable[[], torch.Tensor], int]] = [
        ("max-flow (exact)", "cpu", lambda: by_maxflow(exact_terms), 1),
        ("cyclemix", "cpu", lambda: graphcut.solve(*single), REPEATS),
    ]
    if importlib.util.find_spec("gco"):
        runs.append(("gco swap", "cpu", lambda: by_gco(exact_terms), 1))
    if torch.cuda.is_available():
        on_device: Terms = tuple(term.cuda() for term in single)  # type: ignore[assignment]
        runs.append(("cyclemix", "cuda", lambda: graphcut.solve(*on_device), REPEATS))
        runs.append(("cyclemix, captured", "cuda", captured(on_device), REPEATS))
    rows, least = [], torch.zeros(0)
    for solver, device, run, repeats in runs:
        labels, milliseconds = timed(run, device, repeats)
        energy = graphcut.energy(*exact_terms, labels)
        least = energy if solver.startswith("max-flow") else least
        ratio = energy / least
        rows.append(
            {
                "instances": name,
                "batch": len(energy),
                "solver": solver,
                "on": device,
                "ms": round(milliseconds, 3),
                "energy_over_exact": round((energy.sum() / least.sum()).item(), 7),
                "worst_over_exact": round(ratio.max().item(), 7),
                "exact": int((ratio <= 1 + 1e-6).sum()),
            }
        )
    return rows


def main() -> None:
    if not importlib.util.find_spec("maxflow"):
        raise SystemExit("benchmarks/graphcut.py compares with PyMaxflow: pip install PyMaxflow")
    instances = {f"random {grid}x{grid}x3": random_terms(grid) for grid in (2, 4, 8, 16)} | recorded_terms()
    rows = [row for name, terms in instances.items() for row in measure(name, terms)]
    record.save("graphcut", rows, "cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main()
