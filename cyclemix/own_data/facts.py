"""Results of reading a data set: cases, findings, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from cyclemix.config.models import Grid
from cyclemix.data.autogrid import Extent
from cyclemix.data.spec import DatasetSpec
from cyclemix.own_data.gallery import Picture

Severity = Literal["error", "warning"]


def some(names: Sequence[object], most: int = 4) -> str:
    """The first ``most`` names of a list, with ``...`` if there are more."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


@dataclass(frozen=True)
class Finding:
    """One error or warning.

    Attributes:
        case: the case, empty for the whole data set.
        remedy: what to do.
    """

    severity: Severity
    case: str
    text: str
    remedy: str


@dataclass
class Case:
    """Properties of one case; None or empty if it could not be read."""

    name: str
    subject: str
    folder: str = ""
    """Folder of its image."""
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    grey: tuple[float, float, float] | None = None
    """1st percentile, median, 99th percentile."""
    values: dict[str, list[int]] = field(default_factory=dict)
    """Stored values by kind (label, scribble)."""
    volume_ml: dict[str, float] = field(default_factory=dict)
    """Dense labels: volume of each structure."""
    strokes: dict[str, float] = field(default_factory=dict)
    """Scribbles: fraction of the pixels labelled background and each structure."""
    extent: Extent | None = None
    reach_mm: float = 0.0
    """As in ``extent``, but of structures only."""
    digest: str = ""
    findings: list[Finding] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def dense(self) -> bool:
        """Whether it has a readable dense label."""
        return bool(self.volume_ml)

    @property
    def broken(self) -> bool:
        """Whether it has an error."""
        return any(finding.severity == "error" for finding in self.findings)

    def find(self, severity: Severity, text: str, remedy: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, self.name, text, remedy))


@dataclass(frozen=True)
class Report:
    """Result of `check`."""

    spec: DatasetSpec
    cases: list[Case]
    grid: Grid | None
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """Findings of severity error."""
        return [finding for finding in self.findings if finding.severity == "error"]
