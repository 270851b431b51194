"""Copy finished runs from other results folders, e.g. of a cluster, into one.

A run is copied only if its files match its records, and if row configuration, code and data equal those of
the runs already there. ``collected.json`` lists what was not copied (images always; models and predictions
unless requested), so that `cyclemix verify` does not expect it. The hashes of data files are moved from the
records of the runs, which share them, to one list: ``data_hashes.json``.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from cyclemix.files.atomic import write_text
from cyclemix.files.layout import data_dir
from cyclemix.provenance import records, rows
from cyclemix.study.plan import Plan

log = logging.getLogger(__name__)

ON_REQUEST = {"models": "model.pt", "predictions": "predictions/**/*.nii.gz"}


@dataclass
class Collected:
    """Outcome of `run`: copied and present runs by folder, and one message per refused run."""

    taken: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def run(
    sources: Sequence[Path], into: Path, also: Sequence[str] = (), dataset: str | None = None
) -> Collected:
    """Copy the finished runs of ``sources`` into the results folder ``into``; idempotent.

    Args:
        into: results folder, created if missing.
        also: ``models`` and/or ``predictions``, copied in addition to configuration, scores and records.
        dataset: copy the runs of this data set only.

    Raises:
        ValueError: a source without finished runs, or an unknown name in ``also``.
    """
    unknown = sorted(set(also) - set(ON_REQUEST))
    if unknown:
        raise ValueError(f"--also: expected {' or '.join(ON_REQUEST)}, got {', '.join(unknown)}")
    found = [(source, folder) for source in sources for folder in _finished(source, dataset or "*")]
    outcome = Collected()
    for source, folder in tqdm(found, unit="run", disable=None):
        name = folder.relative_to(source).as_posix()
        try:
            new = _take(source, folder, into, also)
        except (ValueError, OSError) as error:
            outcome.refused.append(f"{folder}: {error}")
            continue
        (outcome.taken if new else outcome.present).append(name)
    runs = list(into.glob("runs/*/*/fold*_seed*"))
    lacking = [kind for kind, files in ON_REQUEST.items() if not all(any(run.glob(files)) for run in runs)]
    write_text(into / records.COLLECTED, json.dumps({"left_out": ["data", *lacking]}) + "\n")
    return outcome


def _finished(results: Path, dataset: str) -> list[Path]:
    """Folders of the evaluated runs of a data set, or of all for ``*``."""
    pattern = f"runs/{dataset}/*/fold*_seed*/metrics.csv"
    found = sorted(path.parent for path in results.glob(pattern))
    if not found:
        raise ValueError(f"{results}: expected a results folder, found no {pattern}")
    return found


def _take(source: Path, folder: Path, into: Path, also: Sequence[str]) -> bool:
    """Check and copy one run; False if it is already there."""
    name = folder.relative_to(source)
    target = into / name
    files = list(_files(folder, also))
    for record in records.OF_A_RUN:
        records.read(folder / record)
    records.check([folder / record for record in records.OF_A_RUN], files)
    dataset = name.parts[1]
    _check_equal(folder.parent / "config.json", target.parent / "config.json", "another recipe")
    folds = data_dir(source, dataset) / "folds.json", data_dir(into, dataset) / "folds.json"
    _check_equal(*folds, "other folds")
    contents = {path.relative_to(folder): _content(source, path) for path in files}
    new = [place for place in contents if not (target / place).is_file()]
    for place in contents.keys() - set(new):
        if contents[place] != _content(into, target / place):
            raise ValueError(f"{target} has another {place} of this run; delete one of them")
    if new:
        _check_row(source, folder, into, target)
    _add_data(into, _data_hashes(source, folder))
    _copy(folder.parent / "config.json", target.parent / "config.json")
    _copy(*folds)
    _copy_run(target, {place: contents[place] for place in new})
    return bool(new)


def _content(results: Path, path: Path) -> bytes:
    """A file as it is copied: records without the hashes of data files."""
    if path.name not in (records.NAME, records.METRICS):
        return path.read_bytes()
    record = records.read(path)
    for name, _ in rows.data_places(results, path, record):
        del record["inputs"][name]
    return records.text(record).encode()


def _data_hashes(results: Path, folder: Path) -> dict[str, str]:
    """sha256 of the data files that a run has read, of all runs where ``results`` was collected."""
    found = records.data_hashes(results)
    for path in (folder / name for name in records.OF_A_RUN):
        record = records.read(path)
        found |= {place: record["inputs"][name] for name, place in rows.data_places(results, path, record)}
    return found


def _add_data(into: Path, hashes: Mapping[str, str]) -> None:
    """Add hashes of data files to the list of ``into``; raise ValueError if a file has another there."""
    there = records.data_hashes(into)
    for place in sorted(there.keys() & hashes.keys()):
        if there[place] != hashes[place]:
            known = f"{there[place][:16]} in {into / records.HASHES}"
            raise ValueError(f"{place} is {hashes[place][:16]}, but {known}; expected equal ones")
    write_text(into / records.HASHES, json.dumps({**there, **hashes}, indent=1, sort_keys=True) + "\n")


def _files(folder: Path, also: Sequence[str]) -> Iterator[Path]:
    for name in (*records.OF_A_RUN, *records.SCORES, "history.csv"):
        if not (folder / name).is_file():
            raise ValueError(f"no {name}; expected a run that was trained, predicted and evaluated")
        yield folder / name
    for kind in also:
        yield from sorted(folder.glob(ON_REQUEST[kind]))


def _check_equal(path: Path, other: Path, what: str) -> None:
    """Raise ValueError, naming the keys, if a JSON file differs from the existing one."""
    if not other.is_file():
        return
    read = (pd.json_normalize(json.loads(file.read_text())) for file in (other, path))
    ours, theirs = (flat.to_dict("records")[0] for flat in read)  # nested values by dotted key
    odd = sorted(str(key) for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if odd:
        shown = "; ".join(f"{key}: {theirs.get(key)!r}, there {ours.get(key)!r}" for key in odd[:3])
        raise ValueError(f"{what} than {other}: {shown}" + (f"; {len(odd) - 3} more" if len(odd) > 3 else ""))


def _check_row(source: Path, folder: Path, into: Path, target: Path) -> None:
    """Raise ValueError if code or data of a run differ from those of the existing runs."""
    made = rows.made_from(source, folder)
    for other in sorted(target.parent.parent.glob("*/fold*_seed*")):
        if other == target:
            continue
        theirs = rows.made_from(into, other)
        same_row = other.parent == target.parent
        keys = {key for key in made.keys() & theirs.keys() if same_row or key.startswith("data/")}
        odd = sorted(key for key in keys if made[key] != theirs[key])
        if odd:
            key = odd[0]
            raise ValueError(
                f"{key} is {made[key]}, but {theirs[key]} in {other}; expected equal ones per table"
            )


def _copy(path: Path, target: Path) -> None:
    if not target.is_file():
        write_text(target, path.read_text())


def _copy_run(target: Path, contents: Mapping[Path, bytes]) -> None:
    """Write a new run's folder atomically; add files to an existing one one by one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
        for place, content in contents.items():
            copy = Path(scratch) / "run" / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        if not target.exists():
            (Path(scratch) / "run").rename(target)
            return
        for place in contents:
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            (Path(scratch) / "run" / place).replace(target / place)


def described(plan: Plan, dataset: str, results: Path) -> dict[str, Any]:
    """The study as read by ``tabulate`` and ``figures``, with the seeds that have runs in ``results``.

    A row without runs is ``n/a``, not run yet.
    """
    study: dict[str, Any] = json.loads(plan.table_json(dataset))
    for label, row in study["methods"].items():
        if row["reason"]:
            continue
        found = [path.name for path in (results / "runs" / dataset / label).glob("fold*_seed*")]
        seeds = {int(name.partition("_seed")[2]) for name in found}
        whole = [s for s in sorted(seeds) if all(f"fold{f}_seed{s}" in found for f in study["folds"])]
        row |= {"seeds": whole} if whole else {"reason": "not run yet"}
    return study
