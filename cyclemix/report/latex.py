"""A page of tables as LaTeX."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

from cyclemix.files.templates import render
from cyclemix.report.page import Page, Table

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


def latex(page: Page) -> str:
    """A LaTeX file of booktabs tables, shrunk to the line, that compiles alone and inside a paper.

    ``@nodocument``, which the template tests, is defined only inside a document.
    """
    template = Path(__file__).with_name("templates") / "comparison.tex.jinja"
    return render(template, page=page, tex=latex_text, spans=_spans)


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def _spans(table: Table) -> list[tuple[int, int]]:
    """First and last column of each titled group, counted from 1."""
    ends = list(accumulate((len(group.names) for group in table.columns), initial=1))
    places = zip(table.columns, ends, ends[1:], strict=False)
    return [(before + 1, end) for group, before, end in places if group.title]
