"""Look at a whole data set before anything is trained on it: what is there, what is wrong, what to do.

Every case is read, in parallel, by the readers that the workflow uses; nothing stops at the first mistake. An
error is what `prepare` or a training would refuse, a warning what a person should look at.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from tqdm import tqdm

from cyclemix import gallery, suspicions
from cyclemix.config import BACKGROUND, UNLABELLED, Grid
from cyclemix.data import autogrid
from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset
from cyclemix.data.native import DataError, load_volume, read_native, reference_path, to_classes
from cyclemix.data.prepare import affine_distance, prepare_case
from cyclemix.data.scribbles import CONTRADICTION, DENSE_LOOKING
from cyclemix.data.spec import DatasetSpec, Kind
from cyclemix.layout import data_dir
from cyclemix.strict import ConfigError

log = logging.getLogger(__name__)

LEAVE_OUT = "repair the file or add the case to `exclude`"

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd.

    Attributes:
        case: the case, empty for the whole data set.
        remedy: what to do about it.
    """

    severity: Literal["error", "warning"]
    case: str
    text: str
    remedy: str


@dataclass
class Case:
    """What one case holds; None and empty where it could not be read."""

    name: str
    subject: str
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    grey: tuple[float, float, float] | None = None
    """1st percentile, median, 99th percentile."""
    values: dict[str, list[int]] = field(default_factory=dict)
    """Stored values by kind (label, scribble)."""
    volume_ml: dict[str, float] = field(default_factory=dict)
    """Dense labels: volume of each structure."""
    strokes: dict[str, float] = field(default_factory=dict)
    """Scribbles: share of the pixels that marks background and each structure."""
    extent: autogrid.Extent | None = None
    digest: str = ""
    findings: list[Finding] = field(default_factory=list)
    pictures: list[gallery.Picture] = field(default_factory=list)

    @property
    def dense(self) -> bool:
        """Whether it has a dense label that could be read."""
        return bool(self.volume_ml)

    @property
    def broken(self) -> bool:
        """Whether it has an error."""
        return any(finding.severity == "error" for finding in self.findings)

    def find(self, severity: Literal["error", "warning"], text: str, remedy: str) -> None:
        """Note a finding of this case."""
        self.findings.append(Finding(severity, self.name, text, remedy))


@dataclass(frozen=True)
class Report:
    """All that `check` found."""

    spec: DatasetSpec
    cases: list[Case]
    grid: Grid | None
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """Findings that make the data set unusable as it is."""
        return [finding for finding in self.findings if finding.severity == "error"]


def find_file(name: str, folder: Path = Path("config/datasets")) -> Path:
    """The YAML file that a name or a path means.

    Raises:
        ConfigError: there is none; names those that there are.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{path}: no such data set; {folder} has {known}; `cyclemix init` drafts a new one")
    return path


def run(dataset_file: Path, results: Path, threads: int) -> Report:
    """Read everything and judge it.

    Args:
        dataset_file: ``config/datasets/NAME.yaml``.
        results: where downloaded files and a derived grid lie.
        threads: cases read at once.

    Raises:
        ConfigError: the YAML file itself is wrong.
    """
    spec = load_dataset(dataset_file)
    folder = data_dir(results, spec.data_label)
    entries, findings = _entries(spec, folder / "raw")
    cases = _parallel(lambda entry: read_case(spec, folder / "raw", entry), entries, threads, "reading")
    grid, more = _grid(spec, data_dir(results, spec.label), cases)
    findings += more
    if grid is not None:
        whole = [(case, entry) for case, entry in zip(cases, entries, strict=True) if not case.broken]
        _parallel(lambda pair: _rehearse(spec, folder / "raw", *pair, grid), whole, threads, "preparing")
    findings += suspicions.judge(spec, cases, grid)
    findings += [finding for case in cases for finding in case.findings]
    findings.sort(key=lambda finding: (finding.severity, finding.case != "", finding.case))
    return Report(spec, cases, grid, findings)


def read_case(spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any]) -> Case:
    """Read a case's files, each on its own, so that one that is damaged hides nothing of the others."""
    case = Case(entry["case"], entry["subject"])
    image: np.ndarray | None = None
    try:
        image, case.spacing_mm, _ = read_native(spec, raw_dir, entry, "image")
        _describe_image(case, image)
    except DataError as error:
        case.find("error", str(error), LEAVE_OUT)
    labels: dict[Kind, np.ndarray] = {}
    for kind in ("label", "scribble"):
        if entry.get(kind):
            try:
                labels[kind] = _read_label(spec, raw_dir, entry, kind, case)
            except DataError as error:
                case.find("error", str(error), LEAVE_OUT)
    if image is None or case.spacing_mm is None:
        return case
    _, dy, dx = case.spacing_mm
    fitting = [label for label in labels.values() if label.shape == image.shape]
    case.extent = autogrid.extent_of((image.shape[1], image.shape[2]), (dy, dx), fitting)
    _compare(case, labels)
    case.pictures = gallery.pictures(image, labels.get("label"), labels.get("scribble"), spec, (dy, dx))
    return case


def _entries(spec: DatasetSpec, raw_dir: Path) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Every case that is there, and what is wrong with those that are not."""
    entries, findings = [], []
    for part in spec.official or ["all"]:
        try:
            listed = list_cases(spec, part, raw_dir)
        except ConfigError as error:
            findings.append(Finding("error", "", str(error), "correct the YAML file or the folder"))
            continue
        there = [entry for entry in listed if not spec.upstream or _fetched(raw_dir, entry)]
        if len(there) < len(listed):
            text = f"{len(listed) - len(there)} of {len(listed)} cases of {part} are not downloaded"
            findings.append(Finding("warning", "", text, "run `snakemake data` for a study that needs them"))
        entries += there
    return entries, findings


def _fetched(raw_dir: Path, entry: Mapping[str, Any]) -> bool:
    kinds: tuple[Kind, ...] = ("image", "label", "scribble")
    names = [reference_path(raw_dir, entry, kind) for kind in kinds if entry.get(kind)]
    return all(Path(name.partition("::")[0]).is_file() for name in names)


def _describe_image(case: Case, image: np.ndarray) -> None:
    depth, height, width = image.shape
    case.shape = (depth, height, width)
    low, middle, high = np.percentile(image, (1, 50, 99))
    case.grey = (float(low), float(middle), float(high))
    content = str(image.shape).encode() + np.ascontiguousarray(image).tobytes()
    case.digest = hashlib.sha256(content).hexdigest()[:32]
    flat = np.flatnonzero(image.min(axis=(1, 2)) == image.max(axis=(1, 2)))
    if flat.size == depth:
        case.find("error", "the image is constant", LEAVE_OUT)
    elif flat.size:
        text = f"{flat.size} of {depth} slices are constant ({_numbers(flat)})"
        case.find("warning", text, "cut empty slices off, from image and labels alike")


def _read_label(
    spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any], kind: Kind, case: Case
) -> np.ndarray:
    """Class values of a label file; what it holds is noted in ``case``."""
    where = reference_path(raw_dir, entry, kind)
    array, _ = load_volume(raw_dir, entry, kind)
    values, counts = np.unique(array, return_counts=True)
    case.values[kind] = [int(value) for value in values[:50] if np.isfinite(value)]
    if case.shape is not None and array.shape != case.shape:
        text = f"{where}: {kind} has shape {array.shape} (D,H,W), the image {case.shape}"
        raise DataError(text)
    classes = to_classes(array, spec, kind, where)
    if case.spacing_mm is not None and (apart := affine_distance(spec, raw_dir, entry, kind)) is not None:
        text = f"the {kind}'s affine places it {apart:.1f} mm from the image (same grid: the image's is used)"
        case.find("warning", text, "look at the overlay; where it does not fit, export the label again")
    if kind == "label" and case.spacing_mm is not None:
        voxel_ml = float(np.prod(case.spacing_mm)) / 1000
        names = enumerate(spec.classes, 1)
        case.volume_ml = {name: float((classes == value).sum()) * voxel_ml for value, name in names}
        if not any(case.volume_ml.values()):
            case.find("error", f"{where}: dense label without any structure", LEAVE_OUT)
    if kind == "scribble":
        both = enumerate(["background", *spec.classes])
        case.strokes = {name: float((classes == value).mean()) for value, name in both}
    return classes


def _compare(case: Case, labels: Mapping[Kind, np.ndarray]) -> None:
    """What is odd about a scribble, alone and beside the dense label."""
    scribble, label = labels.get("scribble"), labels.get("label")
    if scribble is None:
        return
    marked = scribble != UNLABELLED
    drawn = marked & (scribble != BACKGROUND)
    if not drawn.any():
        what = "only background is marked" if marked.any() else "no pixel is marked"
        case.find("error", f"empty scribble: {what}", "draw strokes, correct scribble_values, or `exclude` it")
        return
    if marked.mean() > DENSE_LOOKING:
        text = f"{100 * marked.mean():.0f} % of the pixels are marked, much for a scribble"
        case.find("warning", text, "check which value scribble_values names `unlabelled`")
    bare = np.flatnonzero(drawn.any(axis=(1, 2)) & ~(scribble == BACKGROUND).any(axis=(1, 2)))
    if bare.size:
        text = f"{bare.size} of {len(scribble)} slices have strokes, but none of background ({_numbers(bare)})"
        case.find("warning", text, "add a background stroke, or check the background value in scribble_values")
    if label is not None and label.shape == scribble.shape:
        known = marked & (label != UNLABELLED)
        wrong = float((scribble != label)[known].mean()) if known.any() else 0.0
        if wrong > CONTRADICTION:
            text = f"{100 * wrong:.0f} % of the strokes contradict the dense label"
            case.find("warning", text, "check that both tables name the values alike, and look at the overlay")


def _grid(spec: DatasetSpec, kept_in: Path, cases: Sequence[Case]) -> tuple[Grid | None, list[Finding]]:
    """The grid that studies use, and a word where the data have moved away from it."""
    if isinstance(spec.grid, Grid):
        return spec.grid, []
    extents = [case.extent for case in cases if case.extent is not None]
    kept = autogrid.kept_grid(spec.grid, kept_in)
    if not extents:
        return kept, []
    derived = autogrid.derive(spec.grid, extents)
    if kept is None:
        if any(case.broken for case in cases):
            return derived, []  # not kept: the broken cases may change it
        return autogrid.keep(spec, kept_in, derived, len(cases)), []
    if kept == derived:
        return kept, []
    text = f"grid: {kept.name} was derived from earlier cases and is used; these would give {derived.name}"
    remedy = f"nothing, or delete {kept_in / 'grid.json'} to train everything on the new grid"
    return kept, [Finding("warning", "", text, remedy)]


def _rehearse(spec: DatasetSpec, raw_dir: Path, case: Case, entry: Mapping[str, Any], grid: Grid) -> None:
    """Prepare the case as the workflow will, so that what passes here passes there."""
    try:
        prepare_case(spec, raw_dir, entry, grid)
    except DataError as error:
        case.find("error", str(error), LEAVE_OUT)


def _parallel(
    work: Callable[[_Item], _Result], items: Sequence[_Item], threads: int, title: str
) -> list[_Result]:
    with ThreadPoolExecutor(max(1, threads)) as pool:
        return list(tqdm(pool.map(work, items), title, len(items), unit="case", disable=None))


def _numbers(places: np.ndarray) -> str:
    """Slice numbers as people count them."""
    shown = ", ".join(str(place + 1) for place in places[:8])
    return shown + (", ..." if len(places) > 8 else "")
