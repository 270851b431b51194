"""A page of tables as data, before it is rendered as Markdown, LaTeX or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["own", "reference", "published", "na"]


@dataclass(frozen=True)
class Cell:
    """One value.

    Attributes:
        text: the value, formatted.
        spread: standard deviation, formatted; empty where there is none.
        note: a smaller line below, such as an interval.
        bold: best of its column.
        mark: superscript that the table's notes explain.
        interval: (low, mean, high) to draw where a renderer can; bounds may be None.
    """

    text: str
    spread: str = ""
    note: str = ""
    bold: bool = False
    mark: str = ""
    interval: tuple[float | None, float, float | None] | None = None

    @property
    def value(self) -> str:
        """The value and its spread on one line."""
        return f"{self.text} ± {self.spread}" if self.spread else self.text


EMPTY = Cell("–")


@dataclass(frozen=True)
class Row:
    """One line: a name, its cells, and the kind of line.

    Attributes:
        tags: short words beside the name, such as ``unverified``.
        detail: what the name means.
        source: number of the source among the table's notes.
        mark: superscript of the name that the table's notes explain.
        reason: why there are no values; the row then has no cells.
    """

    name: str
    cells: Sequence[Cell] = ()
    kind: Kind = "own"
    tags: Sequence[str] = ()
    detail: str = ""
    source: str = ""
    mark: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Group:
    """Rows under a common heading."""

    title: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Columns:
    """Neighbouring columns under a common heading; an empty title for columns that stand alone."""

    title: str
    names: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table with all that is needed to read it alone.

    Attributes:
        key: name for anchors and labels, ASCII letters and hyphens.
        caption: split, patients, inference and precision that its numbers hold for.
        warning: why its numbers are not comparable with other tables; empty if they are.
        notes: footnotes.
    """

    key: str
    title: str
    caption: str
    first_column: str
    columns: Sequence[Columns]
    groups: Sequence[Group]
    warning: str = ""
    notes: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """Names of all columns but the first."""
        return [name for group in self.columns for name in group.names]


@dataclass(frozen=True)
class Page:
    """All tables of a data set.

    Attributes:
        facts: facts about the whole page, as (name, text).
    """

    title: str
    facts: Sequence[tuple[str, str]]
    tables: Sequence[Table]
