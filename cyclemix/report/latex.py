"""A page of tables as LaTeX."""

from __future__ import annotations

from cyclemix.report.page import Cell, Page, Row, Table

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


# Compiles alone and can be \input into a paper that loads booktabs and graphicx: \@nodocument is \relax only
# inside a document.
_LATEX_HEAD = r"""% Compiles alone; inside a paper use \input{comparison} with \usepackage{booktabs,graphicx}.
\makeatletter
\let\cyclemixend\relax
\ifx\@nodocument\relax\else
  \documentclass[10pt]{article}
  \usepackage{booktabs,graphicx}
  \usepackage[a4paper,landscape,margin=15mm]{geometry}
  \def\cyclemixend{\end{document}}
  \begin{document}
\fi
\makeatother
"""


def latex(page: Page) -> str:
    """A LaTeX file of booktabs tables that compiles alone and inside a paper."""
    return _LATEX_HEAD + "\n\n".join(latex_table(table) for table in page.tables) + "\n\n\\cyclemixend\n"


def latex_table(table: Table) -> str:
    """One ``table`` environment, shrunk to the line where it is wider."""
    width = len(table.names)
    lines = [r"\begin{table}[htbp]", r"\centering", r"\footnotesize", r"\setlength{\tabcolsep}{3.5pt}"]
    warning = rf"\textbf{{{latex_text(table.warning)}}} " if table.warning else ""
    title, caption = latex_text(table.title), latex_text(table.caption)
    lines.append(rf"\caption{{{title}. {warning}{caption}}}\label{{tab:{table.key}}}")
    lines.append(r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%")
    lines += [rf"\begin{{tabular}}{{l{'r' * width}}}", r"\toprule", *_latex_heads(table), r"\midrule"]
    for position, group in enumerate(table.groups):
        lines += [r"\midrule"] if position else []
        if group.title:
            lines.append(rf"\multicolumn{{{width + 1}}}{{l}}{{\textit{{{latex_text(group.title)}}}}} \\")
        lines += [_latex_row(row, width) for row in group.rows]
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [rf"\par\smallskip\raggedright {latex_text(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"])


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_heads(table: Table) -> list[str]:
    heads, rules, start = [""], [], 2
    for group in table.columns:
        heads.append(rf"\multicolumn{{{len(group.names)}}}{{c}}{{{latex_text(group.title)}}}")
        end = start + len(group.names) - 1
        rules += [rf"\cmidrule(lr){{{start}-{end}}}"] if group.title else []
        start = end + 1
    names = " & ".join([latex_text(table.first_column), *map(latex_text, table.names)]) + r" \\"
    return [" & ".join(heads) + r" \\", " ".join(rules), names] if rules else [names]


def _latex_row(row: Row, width: int) -> str:
    tags = rf" \textit{{({latex_text(', '.join(row.tags))})}}" if row.tags else ""
    mark = rf"\textsuperscript{{{latex_text(row.mark)}}}" if row.mark else ""
    source = latex_text(f" [{row.source}]") if row.source else ""
    name = latex_text(row.name) + mark + source + tags
    if row.reason:
        return rf"{name} & \multicolumn{{{width}}}{{l}}{{n/a: {latex_text(row.reason)}}} \\"
    return " & ".join([name, *[_latex_cell(cell) for cell in row.cells]]) + r" \\"


def _latex_cell(cell: Cell) -> str:
    text = latex_text(cell.value)
    text = rf"\textbf{{{text}}}" if cell.bold else text
    mark = rf"\textsuperscript{{{latex_text(cell.mark)}}}" if cell.mark else ""
    note = rf" {{\scriptsize {latex_text(cell.note)}}}" if cell.note else ""
    return text + mark + note
