"""Images per second of a training step, and the time of each phase.

Random slices and scribbles; the whole step: draw, augment, losses, backward, optimizer, average.

    python benchmarks/throughput.py                                  # CUDA where there is one, else the CPU
    python benchmarks/throughput.py --networks unet unet_paper --batch-sizes 4 32 --image-px 212
    python benchmarks/throughput.py --rows all --image-px 96 --batch-sizes 16    # what `cyclemix plan` reads
    python benchmarks/throughput.py --jobs 1 2 4                     # trainings side by side on one device
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lib import record
from torch.profiler import ProfilerActivity, profile

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid, Recipe, RunConfig
from cyclemix.config.study import load_methods
from cyclemix.methods import cyclemix as cyclemix_module
from cyclemix.methods.base import Slices
from cyclemix.ops import graphcut, occlusion, rotation, transport
from cyclemix.training import engine as engine_module
from cyclemix.training.engine import Engine, State

PHASES: dict[str, list[tuple[Any, str]]] = {
    "augment": [(engine_module, "augment")],
    "saliency": [(torch.autograd, "grad"), (cyclemix_module, "saliency")],
    "graphcut": [(graphcut, "solve")],
    "transport": [(transport, "plan"), (transport, "apply")],
    "components": [(cyclemix_module, "cycle_target")],
    "occlusion": [(occlusion, "random_squares")],
    "rotation": [(rotation, "rotate"), (rotation, "valid_mask")],
    "average": [(engine_module, "move_towards")],
}
"""Functions by phase; what is left is the network's forward and backward pass, the losses, the optimizer."""


def cpu_seconds() -> float:
    """The clock on a CPU. With one thread it is the process's own time, which other work hardly changes."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


class Clock:
    """Milliseconds per phase, by CUDA events on a GPU (no waiting in between) and by the clock on a CPU."""

    def __init__(self, device: str) -> None:
        self.cuda = device == "cuda"
        self.marks: dict[str, list[tuple[Any, Any]]] = defaultdict(list)

    def now(self) -> Any:
        if not self.cuda:
            return cpu_seconds()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def totals(self) -> dict[str, float]:
        if self.cuda:
            torch.cuda.synchronize()
            return {name: sum(a.elapsed_time(b) for a, b in marks) for name, marks in self.marks.items()}
        return {name: 1e3 * sum(b - a for a, b in marks) for name, marks in self.marks.items()}

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = self.now()
            result = function(*args, **kwargs)
            self.marks[name].append((start, self.now()))
            return result

        return timed


@contextmanager
def phases_timed(clock: Clock) -> Iterator[None]:
    """Time every function of `PHASES`."""
    before = [(module, name, getattr(module, name)) for pairs in PHASES.values() for module, name in pairs]
    for phase, pairs in PHASES.items():
        for module, name in pairs:
            setattr(module, name, clock.around(phase, getattr(module, name)))
    try:
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


BLOCKS = load_methods(record.ROOT / "config" / "methods.yaml")


def make_engine(label: str, network: str, options: argparse.Namespace, batch_size: int) -> Engine:
    """A row's engine on random slices: smooth images, about 5 % of the pixels scribbled."""
    side, device = options.image_px, torch.device(options.device)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn((256, 1, side // 8, side // 8), generator=generator)
    image = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    labelled = torch.rand((256, side, side), generator=generator) < 0.05
    classes = torch.randint(0, 4, (256, side, side), generator=generator)
    block = BLOCKS[label]
    target = torch.where(labelled | (block.supervision == "full"), classes, UNLABELLED).to(torch.uint8)
    masks = classes.to(torch.uint8).to(device) if block.supervision == "scribble+masks" else None
    settings = RunConfig(
        label=label,
        dataset="random",
        method=block.method,
        supervision=block.supervision,
        classes=["RV", "MYO", "LV"],
        grid=Grid(spacing_mm=1.37, crop_px=side),
        config=methods.load(block.method).Config(**block.config).model_dump(mode="json"),
        training=Recipe(
            network=network_of(label, network),
            base_filters=options.base_filters,
            batch_size=batch_size,
            precision=block.training.get("precision", "auto")
            if options.precision == "auto"
            else options.precision,
            compile=options.compile,
        ),
    )
    return Engine(settings, 0, Slices(image.to(device), target.to(device), ["random"] * 256, masks))


def network_of(label: str, network: str) -> str:
    """``network``, or where it is ``own`` the row's."""
    return BLOCKS[label].training.get("network", "unet") if network == "own" else network


def seconds_per_step(engine: Engine, steps: int, cuda: bool) -> float:
    """Mean over ``steps`` (a multiple of four: the mixing grids alternate) after as many to warm up."""
    state = State(digest="benchmark")
    clock = time.perf_counter if cuda else cpu_seconds
    for count in (steps, steps):
        start = clock()
        for _ in range(count):
            engine.step(state)
        if cuda:
            torch.cuda.synchronize()
        elapsed = clock() - start
    return elapsed / steps


def convolution_ms(engine: Engine, steps: int, cuda: bool) -> float:
    """Milliseconds per step in convolutions, forward and backward: a lower bound of the step time.

    Up-convolutions, which are matrix products (`cyclemix.networks.unet`), are not among them.
    """
    state = State(digest="benchmark")
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            engine.step(state)
        if cuda:
            torch.cuda.synchronize()
    events = [event for event in profiler.key_averages() if "conv" in event.key.lower()]
    times = [event.self_device_time_total if cuda else event.self_cpu_time_total for event in events]
    return sum(times) / 1e3 / steps


def measure(label: str, network: str, batch_size: int, options: argparse.Namespace) -> dict[str, object]:
    """One row: the median of repeated runs without the clock, then one run with it for the phases."""
    cuda = options.device == "cuda"
    engine = make_engine(label, network, options, batch_size)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times = sorted(seconds_per_step(engine, options.steps, cuda) for _ in range(options.repeats))
    seconds = times[len(times) // 2]
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else float("nan")
    clock, state = Clock(options.device), State(digest="benchmark")
    with phases_timed(clock):
        for _ in range(options.steps):
            engine.step(state)
        totals = clock.totals()
    return {
        "row": label,
        "network": network_of(label, network),
        "precision": engine.precision,
        "batch_size": batch_size,
        "image_px": options.image_px,
        "base_filters": options.base_filters,
        "images_per_s": round(batch_size / seconds, 1),
        "ms_per_step": round(1e3 * seconds, 2),
        "peak_gib": round(peak, 2),
        "jobs": 1,
        "convolution_ms": round(convolution_ms(engine, options.steps, cuda), 2),
        **{f"{phase}_ms": round(totals.get(phase, 0.0) / options.steps, 2) for phase in PHASES},
    }


def one_job(options: argparse.Namespace, start: Any, results: Any) -> None:
    """A training among several: runs steps for some seconds, reports its images per second."""
    engine = make_engine(options.rows[0], options.networks[0], options, options.batch_sizes[0])
    seconds_per_step(engine, options.steps, options.device == "cuda")
    start.wait()
    begin, state, count = time.perf_counter(), State(digest="benchmark"), 0
    while time.perf_counter() - begin < options.seconds:
        engine.step(state)
        count += 1
        if options.device == "cuda" and count % 8 == 0:
            torch.cuda.synchronize()
    results.put(count * options.batch_sizes[0] / (time.perf_counter() - begin))


def side_by_side(jobs: int, options: argparse.Namespace) -> dict[str, object]:
    """One row: total images per second of ``jobs`` trainings that share the device."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(jobs), context.Queue()
    workers = [context.Process(target=one_job, args=(options, start, results)) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    total = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return {
        "row": options.rows[0],
        "network": network_of(options.rows[0], options.networks[0]),
        "precision": options.precision,
        "batch_size": options.batch_sizes[0],
        "image_px": options.image_px,
        "base_filters": options.base_filters,
        "images_per_s": round(total, 1),
        "jobs": jobs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cuda = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if cuda else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rows", nargs="+", default=["unet_pce", "cyclemix"], help="labels, or all")
    parser.add_argument("--networks", nargs="+", default=["own"], help="own = the row's")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[32] if cuda else [8])
    parser.add_argument("--image-px", type=int, default=212 if cuda else 128)
    parser.add_argument("--base-filters", type=int, default=32 if cuda else 16)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=40 if cuda else 4, help="a multiple of four")
    parser.add_argument("--repeats", type=int, default=5 if cuda else 3)
    parser.add_argument("--jobs", nargs="+", type=int, default=[], help="also this many trainings at once")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run side by side")
    options = parser.parse_args()
    if options.rows == ["all"]:
        options.rows = [label for label, block in BLOCKS.items() if block.grid is None]
    for label in options.rows:
        for network in options.networks:
            for batch_size in options.batch_sizes:
                record.save("throughput", [measure(label, network, batch_size, options)], options.device)
    for jobs in options.jobs:
        record.save("throughput", [side_by_side(jobs, options)], options.device)


if __name__ == "__main__":
    main()
