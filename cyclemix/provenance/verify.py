"""Check a results folder against its records: every hash, every link of the chain, every mean.

A record has the hashes of the files that a stage wrote and read. The writer's hash is authoritative; a reader
with another hash is out of date. Only records with a correct checksum are used, and only receipts with the
hash that their readers recorded, so that an altered record causes no findings about other files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cyclemix.config.models import modules_of
from cyclemix.provenance import recompute, records
from cyclemix.provenance.digests import code_digest
from cyclemix.provenance.findings import Problem, Report, remedy

RECORDS = (
    "data/*/prepared/*/provenance_*.json",
    f"runs/*/*/fold*_seed*/{records.NAME}",
    f"runs/*/*/fold*_seed*/predictions/{records.NAME}",
    f"runs/*/*/fold*_seed*/{records.METRICS}",
    f"tables/*/{records.NAME}",
)

RECEIPTS = ("data/*/raw_*.json",)

RECORDED: tuple[tuple[str, Callable[[Path], Path]], ...] = (
    ("data/*/prepared/*/index_*.csv", records.prepared),
    ("runs/*/*/fold*_seed*/model.pt", lambda path: path.with_name(records.NAME)),
    ("runs/*/*/fold*_seed*/predictions", lambda path: path / records.NAME),
    ("runs/*/*/fold*_seed*/metrics.csv", lambda path: path.with_name(records.METRICS)),
    ("tables/*/summary.csv", lambda path: path.with_name(records.NAME)),
)
"""Files that must have a record, and the path of that record."""

CLOSED = ("data/*/raw", "data/*/prepared/*", "runs/*/*/fold*_seed*/predictions", "tables/*")
"""Folders in which every file must be in a record or receipt."""

Record = dict[str, Any]
Hashes = Mapping[Path, str | None]


@dataclass
class Claims:
    """What records say of one file: sha256 -> the records, of those that wrote and of those that read it."""

    wrote: dict[str, list[Path]] = field(default_factory=dict)
    read: dict[str, list[Path]] = field(default_factory=dict)


def run(results: Path) -> Report:
    """Check everything with a record in a results folder, and list what should have one.

    Raises:
        ValueError: there is no such folder, or nothing in it to check.
    """
    named, results = results.as_posix(), results.absolute()
    found, receipts = _find(results, RECORDS), _find(results, RECEIPTS)
    checker = _Checker(results, named)
    checker.unrecorded()
    if not found and not checker.problems:
        raise ValueError(f"{results}: neither a record nor a result below it; name a study's results folder")
    intact = checker.read_records(found)
    claims = _claims(results, intact)
    hashes = _hash({*claims, *receipts})
    checker.compare(claims, hashes, intact=intact)
    raw = checker.read_receipts(receipts)
    hashes |= _hash(raw)
    checker.compare(raw, hashes)
    checker.foreign({*claims, *raw, *found})
    tables = [path for path in intact if path.parent.parent == results / "tables"]
    for path in tables:
        checker.recompute(path, intact[path])
    size = sum(path.stat().st_size for path, sha256 in hashes.items() if sha256)
    return Report(
        results=named,
        records=len(found),
        files=len(hashes),
        bytes=size,
        problems=sorted(checker.problems.values(), key=lambda problem: problem.file),
        notes=_notes(intact),
        roots={path.parent.name: records.sha256(path) for path in tables},
    )


class _Checker:
    """Collects problems, at most one per file: the first."""

    def __init__(self, results: Path, named: str) -> None:
        self.results, self.named = results, named
        self.problems: dict[Path, Problem] = {}

    def add(self, path: Path, kind: str, found: str, witness: Path | None = None, advice: str = "") -> None:
        name = self._name(path)
        advice = advice or remedy(self.named, name, self._name(witness or path), kind)
        self.problems.setdefault(path, Problem(name, kind, found, advice))

    def unrecorded(self) -> None:
        """Results whose record is not there."""
        for pattern, record_of in RECORDED:
            for path in self.results.glob(pattern):
                if not record_of(path).is_file():
                    text = f"no record of {path.name}: it was deleted, or an older version made the results"
                    self.add(record_of(path), "unrecorded", text)

    def read_records(self, paths: Iterable[Path]) -> dict[Path, Record]:
        """The records whose checksum is right."""
        intact = {}
        for path in paths:
            try:
                intact[path] = records.read(path)
            except records.NoChecksum as error:
                self.add(path, "unrecorded", str(error).removeprefix(f"{path}: "))
            except ValueError as error:
                self.add(path, "altered", str(error).removeprefix(f"{path}: "))
        return intact

    def read_receipts(self, paths: Iterable[Path]) -> dict[Path, Claims]:
        """Add the raw files of all unaltered receipts."""
        found: dict[Path, Claims] = {}
        for path in paths:
            if path in self.problems:
                continue
            try:
                files = json.loads(path.read_bytes())["files"]
                stated = {path.parent / "raw" / entry["path"]: entry["sha256"] for entry in files}
            except (ValueError, KeyError, TypeError) as error:
                self.add(path, "altered", f"not a receipt ({error})")
                continue
            for file, sha256 in stated.items():
                found.setdefault(file, Claims()).wrote.setdefault(sha256, []).append(path)
        return found

    def compare(self, claims: Mapping[Path, Claims], hashes: Hashes, intact: Container[Path] = ()) -> None:
        """Compare files with the records; a file in ``intact`` is a record whose own checksum is right."""
        for path, claim in claims.items():
            actual, expected_by = hashes[path], claim.wrote or claim.read
            witness = next(iter(expected_by.values()))[0]
            by = self._name(witness)
            if actual is None and records.is_left_out(self.results, path):
                continue
            if actual is None:
                self.add(path, "missing", f"{by} names it, but it is not there", witness)
            elif actual not in expected_by and path not in intact:
                expected = " or ".join(f"{sha256[:16]}..." for sha256 in expected_by)
                text = f"its sha256 is {actual[:16]}..., {by} says {expected}"
                self.add(path, "altered", text, witness)
            else:
                others = [record for sha256, who in claim.read.items() if sha256 != actual for record in who]
                for record in others:
                    text = f"made from another version of {self._name(path)} than the one that is there"
                    self.add(record, "stale", text)

    def foreign(self, known: set[Path]) -> None:
        """Files in closed folders that are in no record; skipped if a record or receipt is damaged."""
        broken = {path.parent for path in self.problems if path.suffix == ".json"}
        for folder in _find(self.results, CLOSED):
            if (folder.parent if folder.name == "raw" else folder) in broken:
                continue
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path not in known and not path.name.startswith("."):
                    text = "no stage that finished names it"
                    self.add(path, "foreign", text, advice="finish the study or move it away")

    def recompute(self, path: Path, record: Record) -> None:
        """Recompute the numbers of a data set's tables; ``path`` is their record."""
        sources = [records.locate(path, name) for name in record["inputs"]]
        for suffix in ("", "_as_predicted"):
            metrics = [source for source in sources if source.name == f"metrics{suffix}.csv"]
            per_case = path.with_name(f"per_case{suffix}.csv")
            summary = path.with_name(f"summary{suffix}.csv")
            self._check(per_case, metrics, partial(recompute.rows, per_case, metrics))
            self._check(summary, [per_case], partial(recompute.means, summary, per_case))

    def _check(self, table: Path, sources: Iterable[Path], differences: Callable[[], str]) -> None:
        """Report a table that differs from its sources, unless one of them has been reported already."""
        if self.problems.keys() & {table, *sources}:
            return
        try:
            text = differences()
        except (ValueError, KeyError) as error:
            text = f"its numbers cannot be recomputed ({type(error).__name__}: {error})"
        if text:
            self.add(table, "altered", text)

    def _name(self, path: Path) -> str:
        return (path.relative_to(self.results) if path.is_relative_to(self.results) else path).as_posix()


def _find(results: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted(path for pattern in patterns for path in results.glob(pattern))


def _claims(results: Path, intact: Mapping[Path, Record]) -> dict[Path, Claims]:
    """Hashes of every file according to the records, and of the data files of collected runs."""
    found: dict[Path, Claims] = {}
    for path, record in intact.items():
        for role, names in (("wrote", record["outputs"]), ("read", record["inputs"])):
            for name, sha256 in names.items():
                claim = found.setdefault(records.locate(path, name), Claims())
                getattr(claim, role).setdefault(sha256, []).append(path)
    for place, sha256 in records.data_hashes(results).items():
        claim = found.setdefault(results / place, Claims())
        claim.read.setdefault(sha256, []).append(results / records.HASHES)
    return found


def _hash(paths: Iterable[Path]) -> dict[Path, str | None]:
    """sha256 of every file, None for one that is not there; several at once, with a progress bar."""
    sizes = {path: path.stat().st_size if path.is_file() else 0 for path in sorted(paths)}
    found: dict[Path, str | None] = {}
    with (
        ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0)))) as pool,
        tqdm(total=sum(sizes.values()), unit="B", unit_scale=True, desc="hashing", disable=None) as bar,
    ):
        hashes = pool.map(lambda path: records.sha256(path) if path.is_file() else None, sizes)
        for path, sha256 in zip(sizes, hashes, strict=True):
            found[path] = sha256
            bar.update(sizes[path])
    return found


def _notes(intact: Mapping[Path, Record]) -> list[str]:
    """Trainings of other code than this, and rows that were allowed to be mixed."""
    notes, other = [], 0
    for path, record in intact.items():
        if record["stage"] == "train":
            other += record["code_digest"] != _code_now(path)
        if mixed := record.get("settings", {}).get("mixed"):
            notes.append(f"tables of {path.parent.name}: rows of mixed runs were allowed: {', '.join(mixed)}")
    if other:
        notes.append(f"{other} trainings were made by other code than this; their `commit` names it")
    return notes


def _code_now(record: Path) -> str | None:
    """Current code digest of a training; None if its config is damaged or its method no longer exists."""
    try:
        config = json.loads((record.parent.parent / "config.json").read_bytes())
        return code_digest(
            "cyclemix.training.train", modules_of(config["method"], config["training"]["network"])
        )
    except (OSError, ValueError, KeyError):
        return None
