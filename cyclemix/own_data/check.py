"""Check a whole data set before training.

Every case is read in parallel by the workflow's readers, continuing after errors. Errors are what `prepare`
or a training would refuse, warnings what the user should review.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclemix.config.models import Grid
from cyclemix.config.strict import ConfigError
from cyclemix.data import autogrid
from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset
from cyclemix.data.prepare import prepare_case
from cyclemix.data.readers.native import DataError, reference_path
from cyclemix.data.spec import DatasetSpec
from cyclemix.data.spec_blocks import KINDS
from cyclemix.files.layout import data_dir
from cyclemix.files.parallel import parallel
from cyclemix.own_data import judge
from cyclemix.own_data.facts import Case, Finding, Report
from cyclemix.own_data.read_case import LEAVE_OUT, read_case

log = logging.getLogger(__name__)


def find_file(name: str, folder: Path = Path("config/datasets")) -> Path:
    """The YAML file of a data set, by name or path.

    Raises:
        ConfigError: no such file; lists the available ones.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"{path}: no such data set; {folder} has {known}; `cyclemix init` drafts a new one")
    return path


def run(dataset_file: Path, results: Path, threads: int) -> Report:
    """Read and check all cases.

    Args:
        results: results folder, with downloaded files and a derived grid.

    Raises:
        ConfigError: invalid YAML file.
    """
    spec = load_dataset(dataset_file)
    folder = data_dir(results, spec.data_label)
    entries, findings = _entries(spec, folder / "raw")
    cases = parallel(
        lambda entry: read_case(spec, folder / "raw", entry), entries, threads, "reading", "case"
    )
    grid, more = _grid(spec, data_dir(results, spec.label), cases)
    findings += more
    if grid is not None:
        whole = [(case, entry) for case, entry in zip(cases, entries, strict=True) if not case.broken]
        logger = logging.getLogger("cyclemix.data")
        level = logger.level
        logger.setLevel(logging.ERROR)  # warnings are reported as findings
        try:
            parallel(
                lambda pair: _rehearse(spec, folder / "raw", *pair, grid), whole, threads, "preparing", "case"
            )
        finally:
            logger.setLevel(level)
    findings += judge.judge(spec, cases, grid)
    findings += [finding for case in cases for finding in case.findings]
    findings.sort(key=lambda finding: (finding.severity, finding.case != "", finding.case))
    return Report(spec, cases, grid, findings)


def _entries(spec: DatasetSpec, raw_dir: Path) -> tuple[list[dict[str, Any]], list[Finding]]:
    """All available cases, and findings about missing ones."""
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
    names = [reference_path(raw_dir, entry, kind) for kind in KINDS if entry.get(kind)]
    return all(Path(name.partition("::")[0]).is_file() for name in names)


def _grid(spec: DatasetSpec, kept_in: Path, cases: Sequence[Case]) -> tuple[Grid | None, list[Finding]]:
    """The grid that studies use, with a warning if the data would now give another one."""
    if isinstance(spec.grid, Grid):
        return spec.grid, []
    extents = [case.extent for case in cases if case.extent is not None]
    kept = autogrid.kept_grid(spec.grid, kept_in)
    if not extents:
        return kept, []
    derived = autogrid.derive(spec.grid, extents)
    if kept is None:
        if any(case.broken for case in cases):
            return derived, []  # not saved: the broken cases may change it
        return autogrid.keep(spec, kept_in, derived, len(cases)), []
    if kept == derived:
        return kept, []
    text = f"grid: {kept.name} was derived from earlier cases and is used; these would give {derived.name}"
    remedy = f"nothing, or delete {kept_in / 'grid.json'} to train everything on the new grid"
    return kept, [Finding("warning", "", text, remedy)]


def _rehearse(spec: DatasetSpec, raw_dir: Path, case: Case, entry: Mapping[str, Any], grid: Grid) -> None:
    """Prepare the case as the workflow does, to find errors of that stage."""
    try:
        scribble = prepare_case(spec, raw_dir, entry, grid)[0].scribble
        drawn = {value: name for value, name in enumerate(case.strokes) if case.strokes[name] > 0}
        cut = [
            name for value, name in drawn.items() if scribble is not None and not (scribble == value).any()
        ]
        if cut:
            text = f"the strokes of {', '.join(cut)} lie wholly outside the crop"
            case.find("warning", text, "raise grid.crop_px, or draw strokes nearer to the image's middle")
    except DataError as error:
        case.find("error", str(error), LEAVE_OUT)
