"""A page of tables as HTML, Markdown and LaTeX, from the templates of this room.

The HTML is one self-contained file: no network, light and dark, phone and paper.
"""

from __future__ import annotations

import math
from itertools import accumulate
from pathlib import Path

from cyclemix.files.templates import render
from cyclemix.report.page import Page, Row, Table

TEMPLATES = Path(__file__).with_name("templates")

TEXT_LENGTH = 24
"""Columns with cells of more characters hold sentences: set to the left and wrapped."""

MOST_COLUMNS = 12
"""Tables of more columns scroll sideways in their frame on wide screens too."""

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # a bracket after \\ would be read as its argument
    "±": r"\ensuremath{\pm}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "×": r"\ensuremath{\times}",
    "–": "--",
    "—": "---",
    "é": r"\'e",
    "†": r"\ensuremath{\dagger}",
}


def html(page: Page) -> str:
    """One HTML document."""
    return render(
        TEMPLATES / "comparison.html",
        title=page.title,
        page=page,
        column_classes=_column_classes,
        scale=_scale,
        x=_x,
        most_columns=MOST_COLUMNS,
    )


def markdown(page: Page) -> str:
    """GitHub-flavoured Markdown; groups are bold lines, column groups prefixes of their names."""
    return render(TEMPLATES / "comparison.md.jinja", page=page, md=_markdown_text)


def latex(page: Page) -> str:
    """A LaTeX file of booktabs tables, shrunk to the line, that compiles alone and inside a paper.

    ``@nodocument``, which the template tests, is defined only inside a document.
    """
    return render(TEMPLATES / "comparison.tex.jinja", page=page, tex=latex_text, spans=_spans)


def _rows(table: Table) -> list[Row]:
    return [row for group in table.groups for row in group.rows]


def _column_classes(table: Table) -> list[str | None]:
    """The CSS classes of each column but the first.

    ``gap`` where a titled group of columns, or what follows it, begins; ``text`` for columns with sentences.
    """
    starts = [i == 0 and len(table.columns) > 1 for group in table.columns for i in range(len(group.names))]
    texts = {i for row in _rows(table) for i, cell in enumerate(row.cells) if len(cell.text) > TEXT_LENGTH}
    return [" ".join(["gap"] * start + ["text"] * (i in texts)) or None for i, start in enumerate(starts)]


def _scale(table: Table) -> float:
    """Left end of the drawn intervals: the lowest bound of our rows, rounded down to a tenth.

    Published rows below it are drawn at that end; where there are no others, they set the scale.
    """
    rows = _rows(table)
    ours = [row for row in rows if row.kind != "published"]
    drawn = [cell.interval for row in ours or rows for cell in row.cells if cell.interval]
    bounds = [low if low is not None else mean for low, mean, _ in drawn]
    return min(0.9, math.floor(max(0.0, min(bounds)) * 10) / 10) if bounds else 0.0


def _x(value: float, left: float) -> str:
    """Position of a value on the rail from 4 to 80 px, which shows ``left`` to 1."""
    return f"{4 + 76 * (min(max(value, left), 1.0) - left) / (1 - left):.1f}"


def _markdown_text(text: str) -> str:
    for character in "\\*_|#<>":
        text = text.replace(character, f"\\{character}")
    return text


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def _spans(table: Table) -> list[tuple[int, int]]:
    """First and last column of each titled group, counted from 1."""
    ends = list(accumulate((len(group.names) for group in table.columns), initial=1))
    places = zip(table.columns, ends, ends[1:], strict=False)
    return [(before + 1, end) for group, before, end in places if group.title]
