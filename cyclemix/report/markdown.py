"""A page of tables as Markdown."""

from __future__ import annotations

from cyclemix.report.page import Cell, Page, Row, Table


def markdown(page: Page) -> str:
    """GitHub-flavoured Markdown: a heading, the facts, then every table with caption and notes."""
    blocks = [f"# {page.title}", "\n".join(f"- **{name}**: {text}" for name, text in page.facts)]
    blocks += [markdown_table(table) for table in page.tables]
    return "\n\n".join(blocks) + "\n"


def markdown_table(table: Table) -> str:
    """One table; groups become bold lines, column groups prefixes of their names."""
    names = [f"{group.title} {name}".strip() for group in table.columns for name in group.names]
    lines = [_pipe([table.first_column, *names]), _pipe(["---", *["---:"] * len(names)])]
    for group in table.groups:
        if group.title:
            lines.append(_pipe([f"**{group.title}**", *[""] * len(names)]))
        lines += [_markdown_row(row, len(names)) for row in group.rows]
    parts = [f"## {table.title}"]
    parts += [f"> **{table.warning}**"] if table.warning else []
    parts += [table.caption, "\n".join(lines), "\n".join(f"- {_markdown_text(note)}" for note in table.notes)]
    return "\n\n".join(part for part in parts if part)


def _markdown_row(row: Row, width: int) -> str:
    tags = f" *({', '.join(row.tags)})*" if row.tags else ""
    name = _markdown_text(row.name) + row.mark + (f" [{row.source}]" if row.source else "") + tags
    stated = f"<br><sub>{_markdown_text(row.detail)}</sub>" if row.kind == "published" else ""
    if row.reason:
        return _pipe([name, f"n/a: {_markdown_text(row.reason)}", *[""] * (width - 1)])
    return _pipe([name + stated, *[_markdown_cell(cell) for cell in row.cells]])


def _markdown_cell(cell: Cell) -> str:
    text = _markdown_text(cell.value)
    text = f"**{text}**" if cell.bold else text
    note = f"<br><sub>{_markdown_text(cell.note)}</sub>" if cell.note else ""
    return f"{text}{_markdown_text(cell.mark)}{note}"


def _markdown_text(text: str) -> str:
    for character in "\\*_|#<>":
        text = text.replace(character, f"\\{character}")
    return text


def _pipe(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
