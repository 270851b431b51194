"""Cost and progress of a study: number of trainings, and hours estimated from measured speeds."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from cyclemix.files import locks
from cyclemix.files.layout import run_dir
from cyclemix.study.plan import Plan

SPEEDS = Path("benchmarks/results/throughput.csv")
"""Images per second by row on one CPU thread, from benchmarks/throughput.py."""


@dataclass(frozen=True)
class Speed:
    """A row's measured training speed and the settings of the measurement."""

    images_per_s: float
    image_px: int
    base_filters: int
    processor: str

    def seconds(self, images: int, crop_px: int, base_filters: int) -> float:
        """Estimated seconds: proportional to images, pixels, and the square of filters (convolutions)."""
        work = (crop_px / self.image_px) ** 2 * (base_filters / self.base_filters) ** 2
        return images * work / self.images_per_s


@dataclass(frozen=True)
class Progress:
    """Progress of a study's trainings on one data set.

    Attributes:
        trainings: rows x folds x seeds.
        done: finished trainings; running: trainings in progress.
        seconds: estimate for all trainings on one core; left: for the unfinished ones. Both are scaled by the
            median of measured over estimated seconds of the finished ones.
        unknown: labels of rows without a measured speed, not in the estimates.
    """

    trainings: int
    done: int
    running: int
    seconds: float
    left: float
    unknown: list[str]


def load_speeds(folder: Path) -> dict[str, Speed]:
    """The newest measurement of each row on one CPU thread, by label; empty if the file is missing."""
    path, found = folder / SPEEDS, {}
    if path.is_file():
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream):
                if row["jobs"] == "1" and row["device"].endswith("(1 threads)"):
                    processor = row["device"].removesuffix(" (1 threads)")
                    numbers = int(row["image_px"]), int(float(row["base_filters"]))
                    found[row["row"]] = Speed(float(row["images_per_s"]), *numbers, processor)
    return found


def progress(plan: Plan, dataset: str, speeds: dict[str, Speed]) -> Progress:
    """Progress of the trainings on a data set, from the files of the results folder."""
    done, running, total, left, ratios, unknown = 0, 0, 0.0, 0.0, [], []
    runs = list(_runs(plan, dataset))
    for label, folder in runs:
        name = label if label not in plan.points else plan.points[label].method
        recipe, speed = plan.training(label), speeds.get(name)
        steps = min(recipe.max_steps, plan.study.at_most_steps or recipe.max_steps)
        images = steps * recipe.batch_size
        seconds = (
            speed.seconds(images, plan.grid(dataset, label).crop_px, recipe.base_filters) if speed else 0.0
        )
        unknown += [label] if speed is None else []
        record = folder / "provenance.json"
        finished = record.is_file() and (folder / "model.pt").is_file()
        done += finished
        running += not finished and locks.held(folder / "train.lock")
        total, left = total + seconds, left + seconds * (not finished)
        if finished and seconds:
            ratios.append(_spent(json.loads(record.read_text())) / seconds)
    ratio = median(ratios) if ratios else 1.0
    return Progress(len(runs), done, running, total * ratio, left * ratio, sorted(set(unknown)))


def _spent(origin: dict[str, Any]) -> float:
    """Seconds of a training: on a CPU the processor's own, which other work beside it hardly changes."""
    return float(origin["cpu_seconds" if origin["device"] == "cpu" else "training_seconds"])


def _runs(plan: Plan, dataset: str) -> Iterator[tuple[str, Path]]:
    for label in plan.labels(dataset):
        for fold in plan.study.protocol.selected_folds:
            for seed in plan.seeds(label):
                yield label, run_dir(plan.study.results, dataset, label, fold, seed)


def describe(plan: Plan, cores: int, now: float | None = None) -> list[str]:
    """Report lines: trainings, hours and the expected end.

    Args:
        cores: number of parallel trainings, one core each.
        now: current time, seconds since the epoch; None = the clock.
    """
    speeds = load_speeds(plan.folder)
    found = {dataset: progress(plan, dataset, speeds) for dataset in plan.study.datasets}
    lines = []
    for dataset, part in found.items():
        rows = len(plan.labels(dataset))
        lines.append(
            f"{dataset}: {rows} rows, {part.trainings} trainings ({part.done} done, {part.running} running), "
            f"{part.left / 3600:.1f} core hours to go"
        )
    total = sum(part.trainings for part in found.values())
    left = sum(part.left for part in found.values())
    whole = sum(part.seconds for part in found.values())
    end = time.strftime("%a %H:%M", time.localtime((time.time() if now is None else now) + left / cores))
    lines.append(
        f"in all {total} trainings, {whole / cores / 3600:.1f} h on {cores} cores, "
        f"{left / cores / 3600:.1f} h to go; if it runs from now on, it ends on {end}"
    )
    unknown = sorted({label for part in found.values() for label in part.unknown})
    if unknown:
        lines.append(f"not counted, as no speed was measured: {', '.join(unknown)}")
    processors = sorted({speed.processor for speed in speeds.values()})
    if processors:
        done = any(part.done for part in found.values())
        source = "scaled by this study's finished trainings" if done else "another machine differs"
        lines.append(f"estimated from speeds measured on {'; '.join(processors)}; {source}")
    return lines
