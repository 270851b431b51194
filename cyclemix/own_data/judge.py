"""What is suspicious about a data set as a whole, and about a case among the others."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from statistics import median

from cyclemix.config.models import Grid
from cyclemix.data.spec import DatasetSpec
from cyclemix.own_data.case_names import SEPARATORS
from cyclemix.own_data.facts import Case, Finding, some

SPACING_FACTOR = 1.6
SIZE_FACTOR = 1.6
CONTRAST_FACTOR = 30.0
"""Factors from the median of all cases beyond which a case gets a warning."""

VOLUME_FACTOR = 8.0
"""The same for the volume of a structure."""

FEWEST = 4
"""Smallest number of cases for a comparison with the median."""

ANISOTROPY = 2.0
"""Ratio of voxel sizes above which another axis is assumed to be the slice axis."""

ALNUM = string.ascii_letters + string.digits

MOST_VIEWS = 4
"""Largest number of subjects assumed to be one person; larger groups are assumed to be sites or studies."""

LEAST_GROUPS = 2
"""Smallest number of folders or prefixes for which each may be a person."""

LEAST_DENSE = 3
"""Densely labelled subjects needed by k-fold: one each for test, validation and training."""


def judge(spec: DatasetSpec, cases: Sequence[Case], grid: Grid | None) -> list[Finding]:
    """Findings of the whole data set; findings of single cases are added to the cases."""
    for case in cases:
        _judge_axes(spec, case)
        if grid is not None:
            _judge_crop(case, grid)
    _judge_outliers(cases)
    return [
        *_duplicates(spec, cases),
        *_same_person(spec, cases),
        *_supervision(spec, cases),
        *_classes(spec, cases),
        *_values(spec, cases),
    ]


def _judge_axes(spec: DatasetSpec, case: Case) -> None:
    if case.spacing_mm is None or case.shape is None:
        return
    if set(case.spacing_mm) == {1.0}:
        text = "every voxel is 1 x 1 x 1 mm, which few scanners make"
        case.find("warning", text, "check that the export kept the voxel size; distances in mm depend on it")
    rest = [axis for axis in (3, 2, 1) if axis != spec.slice_axis]
    axes = dict(zip([spec.slice_axis, *rest], zip(case.spacing_mm, case.shape, strict=True), strict=True))
    coarse = max(axes, key=lambda axis: axes[axis][0])
    (here_mm, here_n), (coarse_mm, coarse_n) = axes[spec.slice_axis], axes[coarse]
    if coarse_mm >= ANISOTROPY * here_mm and coarse_n < here_n:
        text = (
            f"slices seem to lie along axis {coarse} of the file ({coarse_n} of {coarse_mm:g} mm), "
            f"not along axis {spec.slice_axis} ({here_n} of {here_mm:g} mm)"
        )
        remedy = f"set `slice_axis: {coarse}`; where cases differ, store all of them alike"
        case.find("error", text, remedy)


def _judge_crop(case: Case, grid: Grid) -> None:
    side = grid.spacing_mm * grid.crop_px
    if 2 * case.reach_mm > side + grid.spacing_mm:
        text = f"structures reach {case.reach_mm:.0f} mm from the middle, the crop {side / 2:.0f} mm"
        need = 4 * -(-2 * case.reach_mm // (4 * grid.spacing_mm))
        case.find(
            "warning", text, f"raise grid.crop_px to {need:.0f} or more: what lies outside is never found"
        )


def _judge_outliers(cases: Sequence[Case]) -> None:
    """Cases far from the median of all cases in pixel size, slice distance, size, contrast or volume."""
    measures: dict[str, tuple[dict[str, float], float]] = {
        "pixel size (mm)": ({c.name: c.spacing_mm[1] for c in cases if c.spacing_mm}, SPACING_FACTOR),
        "slice distance (mm)": ({c.name: c.spacing_mm[0] for c in cases if c.spacing_mm}, SPACING_FACTOR),
        "height (mm)": ({c.name: c.extent.size_mm[0] for c in cases if c.extent}, SIZE_FACTOR),
        "width (mm)": ({c.name: c.extent.size_mm[1] for c in cases if c.extent}, SIZE_FACTOR),
        "grey range": ({c.name: c.grey[2] - c.grey[0] for c in cases if c.grey}, CONTRAST_FACTOR),
    }
    for structure in sorted({name for case in cases for name in case.volume_ml}):
        found = {c.name: c.volume_ml[structure] for c in cases if c.volume_ml.get(structure)}
        measures[f"volume of {structure} (ml)"] = (found, VOLUME_FACTOR)
    for what, (values, factor) in measures.items():
        usual = median(values.values()) if len(values) >= FEWEST else 0.0
        for case in cases:
            value = values.get(case.name, 0.0)
            if usual > 0 and value > 0 and not usual / factor < value < usual * factor:
                text = f"{what} is {value:.3g}, the median of all cases {usual:.3g}"
                case.find(
                    "warning", text, "look at the overlay; `exclude` the case if it does not belong here"
                )


def _duplicates(spec: DatasetSpec, cases: Sequence[Case]) -> Iterator[Finding]:
    same = defaultdict(list)
    for case in cases:
        if case.digest:
            same[case.digest].append(case)
    for group in same.values():
        if len(group) < 2:
            continue
        names = ", ".join(case.name for case in group)
        if len({spec.person(case.subject) for case in group}) > 1:
            remedy = (
                "`exclude` all but one, or name the subjects under `same_person`: folds must not share images"
            )
            yield Finding("error", "", f"{names} hold the same image under different subjects", remedy)
        else:
            yield Finding("warning", "", f"{names} hold the same image", "`exclude` all but one")


def _same_person(spec: DatasetSpec, cases: Sequence[Case]) -> Iterator[Finding]:
    """Subjects that may be one person: few subjects with a common folder or a common prefix."""
    folders: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        folders[case.folder].add(case.subject)
    beginnings = _beginnings({case.subject for case in cases})
    kinds = (("lie in one folder", folders), ("begin with one name", beginnings))
    for what, groups in kinds:
        persons = {key: {spec.person(subject) for subject in names} for key, names in groups.items()}
        several = {key: sorted(names) for key, names in groups.items() if len(persons[key]) > 1}
        few = max((len(names) for names in several.values()), default=0) <= MOST_VIEWS
        if not several or not few or len(groups) < LEAST_GROUPS:
            continue
        key, names = min(several.items())
        more = f", and so in {len(several) - 1} more" if len(several) > 1 else ""
        text = f"the subjects {some(names, 5)} {what}, {Path(key).name}{more}"
        remedy = (
            "if they are one person, correct `case` and `files` so that {subject} is the person, or name "
            "them under `same_person`: folds must not share persons"
        )
        yield Finding("warning", "", text, remedy)


def _beginnings(subjects: Collection[str]) -> dict[str, set[str]]:
    """Subjects by prefix: the name without its last part, or another subject's whole name."""
    groups: dict[str, set[str]] = defaultdict(set)
    for subject in subjects:
        start = subject.rstrip(ALNUM).rstrip(SEPARATORS)
        counted = subject[len(start) :].strip(SEPARATORS).isdigit() and not any(map(str.isdigit, start))
        if start and not counted:  # `scan 1` and `scan 2` are two persons, `p1_1` and `p1_2` perhaps one
            groups[start].add(subject)
        for place, letter in enumerate(subject):
            if letter in SEPARATORS and subject[:place] in subjects:
                groups[subject[:place]] |= {subject[:place], subject}
    return groups


def _supervision(spec: DatasetSpec, cases: Sequence[Case]) -> Iterator[Finding]:
    """Which supervision the data set as a whole supports."""
    dense = {case.subject for case in cases if case.dense}
    broken = sum(case.broken for case in cases)
    if cases and not dense and broken == len(cases):
        remedy = "solve the errors of the cases first; then `check` can judge what can be trained"
        yield Finding("error", "", f"all {broken} cases have errors", remedy)
        return
    if cases and not dense:
        text = "no dense label anywhere: nothing selects a model and nothing can be scored"
        yield Finding("error", "", text, f"label at least {LEAST_DENSE} subjects densely")
    elif cases and not spec.official and len(dense) < LEAST_DENSE:
        text = f"dense labels of {len(dense)} subjects; k-fold needs {LEAST_DENSE}"
        yield Finding("error", "", text, "label more subjects densely, or give lists under `official`")
    if cases and not any(case.strokes for case in cases):
        text = "no scribbles: only fully supervised rows (unet_full) can run"
        yield Finding("warning", "", text, "draw scribbles, or simulate them: cyclemix scribble --help")


def _classes(spec: DatasetSpec, cases: Sequence[Case]) -> Iterator[Finding]:
    """Structures without strokes or dense labels."""
    scribbled, dense = [case for case in cases if case.strokes], [case for case in cases if case.dense]
    for name in spec.classes:
        without = [case.name for case in scribbled if not case.strokes[name]]
        if scribbled and len(without) == len(scribbled):
            remedy = "draw it, correct scribble_values, or take it out of `classes`"
            yield Finding("error", "", f"{name} has no stroke in any scribble", remedy)
        elif without:
            text = f"{name} has no stroke in {len(without)} of {len(scribbled)} scribbles: {some(without, 5)}"
            yield Finding("warning", "", text, "none if the structure is absent; otherwise draw it")
        if dense and not any(case.volume_ml[name] for case in dense):
            remedy = "correct label_values, or take it out of `classes`"
            yield Finding("error", "", f"{name} is in no dense label", remedy)
    if scribbled and not any(case.strokes["background"] for case in scribbled):
        remedy = (
            "draw background strokes, and name their value in scribble_values: without them all is structure"
        )
        yield Finding("warning", "", "no scribble marks background", remedy)


def _values(spec: DatasetSpec, cases: Sequence[Case]) -> Iterator[Finding]:
    """Values in the tables that no file has."""
    for kind, table in (("label", spec.label_values), ("scribble", spec.scribble_values)):
        found = {value for case in cases for value in case.values.get(kind, [])}
        absent = [str(value) for value in table if value not in found]
        if found and absent:
            text = f"{kind}_values names {', '.join(absent)}, which no {kind} file holds"
            yield Finding("warning", "", text, "check the table")
