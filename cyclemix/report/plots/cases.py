"""Which cases and slices the overlays show, read from upstream files and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cyclemix.config.labels import UNLABELLED
from cyclemix.data.datasets import DatasetSpec, cardiac_phase, source_parts
from cyclemix.data.readers import nifti
from cyclemix.data.readers.native import read_native
from cyclemix.data.receipts import read_receipt
from cyclemix.data.store import move_slices
from cyclemix.evaluation.statistics import AVERAGE, patient_means
from cyclemix.files import layout
from cyclemix.report.plots.overlays import Group, Panel, crop_box, pick_slices
from cyclemix.report.runs import Runs


@dataclass(frozen=True)
class Source:
    """Upstream files of some cases."""

    spec: DatasetSpec
    raw: Path
    entries: Mapping[str, Mapping[str, Any]]
    """By case, as in ``raw_{part}.json``."""

    def read(self, case: str, kind: str) -> NDArray[Any] | None:
        """A volume (D,H,W) on its native grid; None if the case has no such file."""
        entry = self.entries[case]
        return read_native(self.spec, self.raw, entry, kind)[0] if entry.get(kind) else None  # type: ignore[arg-type]

    def spacing(self, case: str) -> tuple[float, float]:
        """(dy,dx) in mm."""
        _, (_, dy, dx), _ = read_native(self.spec, self.raw, self.entries[case], "image")
        return dy, dx

    def case_of(self, subject: str) -> str:
        """The subject's case: end-diastole where the data set names it, else the first by name."""
        own = [entry for entry in self.entries.values() if entry["subject"] == subject]
        phase = {e["case"]: cardiac_phase(self.spec, subject, str(e.get("frame", ""))) for e in own}
        return min(phase, key=lambda case: (phase[case] != "ED", case))


def open_source(runs: Runs, part: str) -> Source:
    """Upstream files of an official list (or ``all``); empty where they were not downloaded."""
    folder = layout.data_dir(runs.results, runs.spec.data_label)
    receipts = [folder / f"raw_{name}.json" for name in source_parts(runs.spec, part)]
    return Source(runs.spec, folder / "raw", read_receipts([path for path in receipts if path.is_file()]))


def read_receipts(paths: Sequence[Path]) -> dict[str, Mapping[str, Any]]:
    """Entries of ``raw_{part}.json`` files by case."""
    return {entry["case"]: entry for path in paths for entry in read_receipt(path)["cases"]}


def pick_subjects(per_case: pd.DataFrame, judge: str) -> dict[str, str]:
    """Median, best and worst patient by the average Dice of the method ``judge``; fewer where they coincide.

    Of an even number the lower median. Equal scores are distinguished by name.
    """
    means = patient_means(per_case[per_case["method"] == judge]).xs(AVERAGE, level="structure")["dice"]
    ranked = means.droplevel("method").reset_index().sort_values(["dice", "subject"])["subject"].tolist()
    wanted = {"median": ranked[(len(ranked) - 1) // 2], "best": ranked[-1], "worst": ranked[0]}
    seen: set[str] = set()
    return {k: v for k, v in wanted.items() if not (v in seen or seen.add(v))}  # type: ignore[func-returns-value]


def evaluated_groups(runs: Runs, per_case: pd.DataFrame, labels: Sequence[str]) -> list[Group]:
    """The chosen patients with the predictions of ``labels``: first seed, the fold that evaluates them."""
    source = open_source(runs, runs.protocol.evaluated_part)
    groups = []
    for title, subject in pick_subjects(per_case, runs.judge).items():
        fold = int(per_case.loc[per_case["subject"] == subject, "fold"].iloc[0])
        folders = {label: runs.folder(label, fold, runs.seeds[label][0]) / "predictions" for label in labels}
        groups.append(group_of(source, subject, title, folders))
    return groups


def group_of(source: Source, subject: str, title: str, predictions: Mapping[str, Path]) -> Group:
    """Base, middle and apex of a patient.

    Args:
        title: role of the patient, e.g. ``median``.
        predictions: label -> folder of ``{case}.nii.gz``.
    """
    case = source.case_of(subject)
    image, truth, scribble = (source.read(case, kind) for kind in ("image", "label", "scribble"))
    if image is None or truth is None:
        raise ValueError(
            f"case {case}: an overlay needs image and dense label; {source.spec.label} gives it neither"
        )
    predicted = {
        label: read_labels(folder / f"{case}.nii.gz", source.spec.slice_axis)
        for label, folder in predictions.items()
    }
    spacing = source.spacing(case)
    box = crop_box((truth > 0) & (truth != UNLABELLED), spacing)
    panels = [
        Panel(
            title=f"{name}\nslice {z + 1}",
            image=image[z][box],
            aspect=spacing[0] / spacing[1],
            truth=truth[z][box],
            scribble=None if scribble is None else scribble[z][box],
            predictions={label: volume[z][box] for label, volume in predicted.items()},
        )
        for name, z in pick_slices(truth).items()
    ]
    rest = case.removeprefix(subject).strip("_- ")
    return Group("\n".join(filter(None, (title, subject, rest))), panels)


def read_labels(path: Path, slice_axis: int = 3) -> NDArray[np.integer]:
    """A predicted volume (D,H,W), slices first.

    Raises:
        ValueError: it is not there.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such prediction; run `predict` for this method, fold and seed first")
    return move_slices(np.asarray(nifti.read_prediction(path).dataobj).T, slice_axis)


def training_strip(runs: Runs, count: int) -> list[Panel]:
    """One slice with its scribble of up to ``count`` training patients, spread over the list.

    Shown where evaluated cases have no scribbles; empty where no training case has any.
    """
    source = open_source(runs, "train" if runs.protocol.kind == "official" else "all")
    subjects = sorted({str(e["subject"]) for e in source.entries.values() if e.get("scribble")})
    places = np.linspace(0, len(subjects) - 1, min(count, len(subjects))).round().astype(int)
    panels = []
    for subject in (subjects[place] for place in dict.fromkeys(places.tolist())):
        case = source.case_of(subject)
        image, scribble = source.read(case, "image"), source.read(case, "scribble")
        if image is None or scribble is None:
            continue
        strokes = (scribble > 0) & (scribble != UNLABELLED)
        # most structures, then most pixels
        z = max(range(len(image)), key=lambda z: (len(np.unique(scribble[z][strokes[z]])), strokes[z].sum()))
        spacing = source.spacing(case)
        box = crop_box(strokes, spacing)
        panels.append(
            Panel(f"{case}, slice {z + 1}", image[z][box], spacing[0] / spacing[1], scribble=scribble[z][box])
        )
    return panels
