"""Findings of `cyclemix verify`: problems, remedies and the report."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field

from cyclemix.provenance.records import HASHES, METRICS, SCORES


def remedy(results: str, file: str, witness: str, kind: str) -> str:
    """Remedy for a file written by a stage.

    Snakemake does not recreate a missing file if its results exist, hence the target and ``--force``.

    Args:
        results: the results folder as the user names it.
        file: below the results folder; absolute outside.
        witness: the record or receipt that names it, likewise; the file itself where it is a record.
    """
    if file == HASHES:
        return "put back the data that the runs were made from, or collect runs made from these"
    target = shlex.quote(f"{results}/{target_of(file, witness)}")
    if file.startswith("/"):
        return f"put it back, or take the one that is there: `snakemake --force {target}`, then `snakemake`"
    first = "" if kind in ("missing", "unrecorded") else "delete it, then "
    return f"{first}`snakemake --force {target}` and `snakemake`"


def target_of(file: str, witness: str) -> str:
    """The declared output, below the results folder, of the job that makes ``file``."""
    parts = file.split("/")
    if file.startswith("/") or (parts[0] == "data" and parts[2] == "raw"):
        return witness
    if parts[0] == "data" and parts[2] == "prepared":
        name = witness.rpartition("/")[2]
        part = name.removeprefix("provenance_").removesuffix(".json") if "provenance_" in name else "*"
        return "/".join([*parts[:4], f"index_{part}.csv"])
    if parts[0] == "tables":
        return f"tables/{parts[1]}/summary.csv"
    if parts[0] == "runs" and len(parts) > 4:
        outputs = {"predictions": "predictions"} | dict.fromkeys((*SCORES, METRICS), "metrics.csv")
        return "/".join([*parts[:4], outputs.get(parts[4], "model.pt")])
    return file


@dataclass(frozen=True)
class Problem:
    """One file that differs from the records.

    Attributes:
        file: below the results folder, or absolute where it lies outside.
        kind: ``altered``, ``missing``, ``stale``, ``foreign`` or ``unrecorded``.
        found: what is wrong.
        remedy: what to do.
    """

    file: str
    kind: str
    found: str
    remedy: str


@dataclass
class Report:
    """Outcome of `verify.run`.

    Attributes:
        records, files, bytes: how many were checked.
        problems: at most one per file, sorted by file.
        notes: remarks that are not problems.
        roots: sha256 of each data set's record of tables, which covers everything that it was made from.
    """

    results: str
    records: int = 0
    files: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    roots: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        """All fields."""
        return json.dumps(asdict(self), indent=1)

    def as_text(self) -> str:
        """Text for the terminal: problems with their remedies first, then what was checked."""
        lines = [f"{p.kind:10} {p.file}\n           {p.found}; {p.remedy}" for p in self.problems]
        lines += [f"note       {note}" for note in self.notes]
        for dataset, root in self.roots.items():
            lines.append(f"{dataset}: sha256 of the tables' record, which covers all their sources: {root}")
        checked = f"{self.records} records, {self.files} files, {self.bytes / 1e6:.1f} MB"
        lines.append(f"{self.results}: {checked}: {len(self.problems) or 'no'} problems")
        return "\n".join(lines)
