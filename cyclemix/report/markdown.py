"""A page of tables as Markdown."""

from __future__ import annotations

from pathlib import Path

from cyclemix.files.templates import render
from cyclemix.report.page import Page


def markdown(page: Page) -> str:
    """GitHub-flavoured Markdown; groups are bold lines, column groups prefixes of their names."""
    template = Path(__file__).with_name("templates") / "comparison.md.jinja"
    return render(template, page=page, md=_markdown_text)


def _markdown_text(text: str) -> str:
    for character in "\\*_|#<>":
        text = text.replace(character, f"\\{character}")
    return text
