"""What `cyclemix verify` found: problems, what to do about each, and the report."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch

AGAIN = "run the study again"
REMEDIES = (
    ("data/*/raw/*", f"delete it and the receipts raw_*.json beside raw/, and {AGAIN}: it alone is fetched"),
    ("data/*/raw_*.json", f"delete it and {AGAIN}: files that are there and right are kept"),
    ("data/*/prepared/*", f"delete it and the index_*.csv beside it, and {AGAIN}"),
    ("data/*/folds.json", f"delete it and {AGAIN}"),
    ("runs/*/config.json", f"delete it and {AGAIN}"),
    ("runs/*/predictions/*", f"delete the folder predictions, and {AGAIN}"),
    ("runs/*/metrics*", f"delete metrics.csv beside it, and {AGAIN}"),
    (
        "runs/*",
        f"delete model.pt beside it, and {AGAIN}: training ends at once where its checkpoint is whole",
    ),
    ("tables/*", f"delete summary.csv beside it, and {AGAIN}"),
    ("*", f"put it back, or {AGAIN} with what is there now"),
)
"""What to do about an altered or missing file; the first pattern that fits."""


def remedy(file: str) -> str:
    """What to do about a file, given below the results folder."""
    return next(text for pattern, text in REMEDIES if fnmatch(file, pattern))


@dataclass(frozen=True)
class Problem:
    """One file that is not as the records say.

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
        problems: at most one a file, by file.
        notes: what is worth knowing and not wrong.
        roots: sha256 of each data set's record of tables, which stands for all that it was made from.
    """

    results: str
    records: int = 0
    files: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    roots: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self), indent=1)

    def as_text(self) -> str:
        """For people: problems with their remedies first, then what was checked."""
        lines = [f"{p.kind:10} {p.file}\n           {p.found}; {p.remedy}" for p in self.problems]
        lines += [f"note       {note}" for note in self.notes]
        size = f"{self.files} files, {self.bytes / 1e6:.1f} MB"
        lines.append(f"{self.results}: {self.records} records, {size}: {len(self.problems) or 'no'} problems")
        lines += [
            f"{dataset}: sha256 of tables and all behind them {root}" for dataset, root in self.roots.items()
        ]
        return "\n".join(lines)
