"""A page of tables as one self-contained HTML file: no network, light and dark, phone and paper."""

from __future__ import annotations

import math
from html import escape

from cyclemix.report.page import Cell, Page, Row, Table

STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--soft:#5c6675;--line:#e2e6ec;--paper:#fff;--back:#f6f7f9;
--group:#f0f3f7;--accent:#2f6f8f;--own:#fff;--warn:#8a5a00;--warn-back:#fff6e0}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa5b4;--line:#2c333d;--paper:#171b21;
--back:#101317;--group:#1e242c;--accent:#7fc1de;--own:#171b21;--warn:#f0c674;--warn-back:#2b2415}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-size:16px}
main{max-width:1240px;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.6rem;font-weight:650;letter-spacing:-.01em;margin:0 0 1.25rem;line-height:1.25}
h2{font-size:1.15rem;font-weight:650;margin:0 0 .35rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.25rem;margin:0 0 2rem;font-size:.9rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:1.25rem 1.25rem 1rem;
margin:0 0 1.5rem}
.caption{color:var(--soft);font-size:.86rem;margin:0 0 .9rem;max-width:75rem}
.warning{background:var(--warn-back);color:var(--warn);border-radius:6px;padding:.5rem .75rem;font-weight:600;
font-size:.9rem;margin:.5rem 0 .75rem}
.scroll{overflow:auto;max-height:88vh;margin:0 -1.25rem;padding:0 1.25rem}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.25rem;list-style:none;margin:0 0 1.5rem;padding:0;
font-size:.9rem}
a{color:var(--accent)}section{scroll-margin-top:1rem}
.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:.45rem .6rem;text-align:right;white-space:nowrap;vertical-align:top;
border-bottom:1px solid var(--line)}
thead{position:sticky;top:0;z-index:2}
thead th,thead td{background:var(--paper)}
thead th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--soft);vertical-align:bottom}
thead tr.heads th,thead tr.heads td{border-bottom:0;text-align:center;padding-bottom:0}
thead tr.heads th.span{border-bottom:1px solid var(--line);color:var(--ink)}
.name{position:sticky;left:0;background:var(--own);text-align:left;font-weight:600;z-index:1;min-width:13rem;
max-width:19rem;white-space:normal;overflow-wrap:anywhere;box-shadow:1px 0 0 var(--line)}
th.name small{display:block;font-weight:400;color:var(--soft);line-height:1.35;font-size:.9em}
td.gap,th.gap{border-left:1px solid var(--line)}
tr.group th{background:var(--group);color:var(--soft);text-align:left;font-weight:600;font-size:.93em;
letter-spacing:.01em}
tr.group th span{position:sticky;left:.6rem}
tr.published td,tr.published th.name{color:var(--soft)}
tr.published th.name{font-weight:500}
.source{font-weight:400;font-size:.9em}
tbody:last-child tr:last-child th,tbody:last-child tr:last-child td{border-bottom:0}
td b{color:var(--ink);font-weight:750}
td small{display:block;color:var(--soft);font-size:.88em}
td.text,thead th.text{text-align:left;white-space:normal}
td.text{min-width:12rem}
sup{line-height:0}
.tag{display:inline-block;border:1px solid var(--line);color:var(--soft);border-radius:99px;padding:0 .5em;
font-size:.81em;font-weight:500;margin-left:.4em;vertical-align:.08em;white-space:nowrap}
.tag.unverified,.tag.secondary{border-color:currentColor;color:var(--warn)}
svg{float:left;margin:.3rem .6rem 0 0}
@media (min-width:1200px){.fits{overflow:visible;max-height:none}}
svg .rail{stroke:var(--line)}svg .bar{stroke:var(--accent)}svg .dot{fill:var(--accent)}
svg .hollow{fill:var(--paper);stroke:var(--soft)}
ul.notes{margin:.8rem 0 0;padding-left:1.1rem;color:var(--soft);font-size:.8rem}
@media (max-width:640px){main{padding:1.25rem .75rem 2.5rem}section{padding:1rem .85rem .75rem}
.scroll{margin:0 -.85rem;padding:0}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}
th.name{min-width:7.5rem;max-width:10.5rem;padding-left:.85rem}th.name small{display:none}
tr.group th span{left:.85rem}svg{float:none;display:block;margin:0 0 .15rem auto}}
@media print{:root{--ink:#000;--soft:#444;--line:#ccc;--paper:#fff;--back:#fff;--group:#eee;--own:#fff;
--accent:#000;--warn:#000;--warn-back:#fff;color-scheme:light}body{font-size:10pt}
main{max-width:none;padding:0}section{border:0;padding:0;break-inside:auto}tr{break-inside:avoid}tr.group{break-after:avoid}
h2,.warning,.caption{break-after:avoid}nav,svg{display:none}thead{position:static}
.scroll{overflow:visible;max-height:none;margin:0;padding:0}table{font-size:7.6pt}
th,td{padding:.12rem .25rem}.name{position:static;min-width:0;max-width:15rem;box-shadow:none}
td.text{min-width:0}@page{size:A4 landscape;margin:12mm}}
"""

TEXT_LENGTH = 24
"""Columns with cells of more characters hold sentences: set to the left and wrapped."""

MOST_COLUMNS = 12
"""Tables of more columns scroll sideways in their frame on wide screens too."""

_WIDTH, _HEIGHT = 84, 10


def html(page: Page) -> str:
    """The whole page as one HTML document."""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in page.facts)
    links = "".join(f'<li><a href="#{table.key}">{escape(table.title)}</a></li>' for table in page.tables)
    sections = "\n".join(_section(table) for table in page.tables)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(page.title)}</h1>\n<dl>{facts}</dl>\n"
        f'<nav aria-label="Tables"><ul>{links}</ul></nav>\n{sections}\n</main>\n</body>\n</html>\n'
    )


def _section(table: Table) -> str:
    warning = f'<p class="warning">{escape(table.warning)}</p>\n' if table.warning else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    low = _scale(table)
    body = "\n".join(
        f"<tbody>\n{_group_head(group.title, len(table.names))}"
        + "\n".join(_row(row, table, low) for row in group.rows)
        + "\n</tbody>"
        for group in table.groups
    )
    fits = "scroll fits" if len(table.names) <= MOST_COLUMNS else "scroll"
    title = escape(table.title)
    return (
        f'<section id="{table.key}" aria-labelledby="{table.key}-title">\n'
        f'<h2 id="{table.key}-title">{title}</h2>\n'
        f'{warning}<p class="caption">{escape(table.caption)}</p>\n'
        f'<div class="{fits}" tabindex="0" role="region" aria-labelledby="{table.key}-title">\n'
        f"<table>\n<thead>{_heads(table)}</thead>\n{body}\n</table>\n</div>\n"
        f'<ul class="notes">{notes}</ul>\n</section>'
    )


def _heads(table: Table) -> str:
    titled = _classes("gap", "span")
    spans = "".join(
        f'<th colspan="{len(group.names)}" scope="colgroup"{titled}>{escape(group.title)}</th>'
        if group.title
        else f'<td colspan="{len(group.names)}"></td>'
        for group in table.columns
    )
    starts = _starts(table)
    texts = _text_columns(table)
    names = "".join(
        f'<th scope="col"{_classes(*_column_classes(i, starts, texts))}>{escape(name)}</th>'
        for i, name in enumerate(table.names)
    )
    upper = (
        f'<tr class="heads"><td class="name"></td>{spans}</tr>' if any(g.title for g in table.columns) else ""
    )
    return f'{upper}<tr><th class="name" scope="col">{escape(table.first_column)}</th>{names}</tr>'


def _column_classes(position: int, starts: set[int], texts: set[int]) -> list[str]:
    return ["gap"] * (position in starts) + ["text"] * (position in texts)


def _text_columns(table: Table) -> set[int]:
    """Positions of columns that hold sentences, which are set to the left."""
    rows = [row for group in table.groups for row in group.rows]
    return {i for row in rows for i, cell in enumerate(row.cells) if len(cell.text) > TEXT_LENGTH}


def _starts(table: Table) -> set[int]:
    """Positions where a titled group of columns, or what follows it, begins."""
    starts, position = set(), 0
    for group in table.columns:
        if len(table.columns) > 1:
            starts.add(position)
        position += len(group.names)
    return starts


def _group_head(title: str, width: int) -> str:
    if not title:
        return ""
    head = f'<th colspan="{width + 1}" scope="rowgroup"><span>{escape(title)}</span></th>'
    return f'<tr class="group">{head}</tr>\n'


def _row(row: Row, table: Table, low: float) -> str:
    tags = "".join(f'<span class="tag {escape(tag.split()[0])}">{escape(tag)}</span>' for tag in row.tags)
    detail = f"<small>{escape(row.detail)}</small>" if row.detail else ""
    source = f' <span class="source">[{escape(row.source)}]</span>' if row.source else ""
    mark = f"<sup>{escape(row.mark)}</sup>" if row.mark else ""
    name = f'<th class="name" scope="row">{escape(row.name)}{mark}{source}{tags}{detail}</th>'
    if row.reason:
        return f'<tr>{name}<td class="text" colspan="{len(table.names)}">n/a: {escape(row.reason)}</td></tr>'
    starts, texts = _starts(table), _text_columns(table)
    cells = "".join(
        _cell(cell, _column_classes(i, starts, texts), row.kind == "published", low)
        for i, cell in enumerate(row.cells)
    )
    return f"<tr{_classes(row.kind)}>{name}{cells}</tr>"


def _cell(cell: Cell, classes: list[str], published: bool, low: float) -> str:
    value = f"<b>{escape(cell.text)}</b>" if cell.bold else escape(cell.text)
    mark = f"<sup>{escape(cell.mark)}</sup>" if cell.mark else ""
    spread = f"<small>± {escape(cell.spread)}</small>" if cell.spread else ""
    note = f"<small>{escape(cell.note)}</small>" if cell.note else ""
    return f"<td{_classes(*classes)}>{_drawing(cell, published, low)}{value}{mark}{spread}{note}</td>"


def _scale(table: Table) -> float:
    """Left end of the drawn intervals: the lowest bound of our rows, rounded down to a tenth.

    Published rows below it are drawn at that end; where there are no others, they set the scale.
    """
    rows = [row for group in table.groups for row in group.rows]
    ours = [row for row in rows if row.kind != "published"]
    drawn = [cell.interval for row in ours or rows for cell in row.cells if cell.interval]
    bounds = [low if low is not None else mean for low, mean, _ in drawn]
    return min(0.9, math.floor(max(0.0, min(bounds)) * 10) / 10) if bounds else 0.0


def _drawing(cell: Cell, published: bool, left: float) -> str:
    """A dot and its interval on a rail from ``left`` to 1."""
    if cell.interval is None:
        return ""
    low, mean, high = cell.interval

    def x(value: float) -> str:
        return f"{4 + (_WIDTH - 8) * (min(max(value, left), 1.0) - left) / (1 - left):.1f}"

    middle = _HEIGHT / 2
    rail = f'<line class="rail" x1="4" x2="{_WIDTH - 4}" y1="{middle}" y2="{middle}"/>'
    bar = ""
    if low is not None and high is not None:
        bar = f'<line class="bar" stroke-width="3" x1="{x(low)}" x2="{x(high)}" y1="{middle}" y2="{middle}"/>'
    dot = f'<circle class="{"hollow" if published else "dot"}" cx="{x(mean)}" cy="{middle}" r="3.5"/>'
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    label = f"{mean:.3f} on a scale from {left:.1f} to 1"
    return f'<svg {size} role="img" aria-label="{label}">{rail}{bar}{dot}</svg>'


def _classes(*names: str) -> str:
    return f' class="{" ".join(names)}"' if names else ""
