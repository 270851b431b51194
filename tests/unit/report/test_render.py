"""Markdown, LaTeX and HTML of a small page."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from cyclemix.report.page import EMPTY, Cell, Columns, Group, Page, Row, Table
from cyclemix.report.render import html, latex, latex_text, markdown
from cyclemix.report.wording import duration, p_words

VALUE = Cell("0.812", "0.034", "[0.7, 0.9]", bold=True, mark="*", interval=(0.7, 0.812, 0.9))
TABLE = Table(
    key="scores",
    title="Scores & <more>",
    caption="5 % of all",
    first_column="Method",
    columns=(Columns("Dice", ("LV",)), Columns("", ("Missed",))),
    groups=(
        Group("Scribbles", (Row("my_net", (VALUE, Cell("0")), "own", ("reference",), "words", mark="†"),)),
        Group(
            "Dense labels", (Row("full|net", reason="no labels"), Row("Paper", (EMPTY, EMPTY), source="1"))
        ),
    ),
    warning="Not comparable",
    notes=("[1] Somewhere.",),
)
PAGE = Page("Toy", (("Split", "official"),), (TABLE,))


class Balance(HTMLParser):
    """Fails where a tag is closed that is not the last one opened."""

    VOID = ("meta", "line", "circle", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.widths: list[int] = []

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.widths.append(0)
        if tag in ("td", "th"):
            self.widths[-1] += int(dict(attrs).get("colspan", 1))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_markdown():
    lines = markdown(PAGE).splitlines()
    assert lines[0] == "# Toy"
    assert "> **Not comparable**" in lines
    assert "| Method | Dice LV | Missed |" in lines
    assert "| **Scribbles** |  |  |" in lines
    assert "| my\\_net† *(reference)* | **0.812 ± 0.034**\\*<br><sub>[0.7, 0.9]</sub> | 0 |" in lines
    assert "| full\\|net | n/a: no labels |  |" in lines
    assert "| Paper [1] | – | – |" in lines


def test_latex_escapes_and_balances():
    text = latex(PAGE)
    name = r"my\_net\textsuperscript{\ensuremath{\dagger}} \textit{(reference)}"
    assert name + r" & \textbf{0.812 \ensuremath{\pm} 0.034}\textsuperscript{*}" in text
    assert r"\multicolumn{2}{l}{n/a: no labels}" in text
    assert r"\caption{Scores \& \textless{}more\textgreater{}. \textbf{Not comparable} 5 \% of all}" in text
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    assert text.count("{") == text.count("}")
    assert all(line.count("&") <= 2 for line in text.splitlines() if line.endswith(r"\\"))


def test_latex_text_is_ascii():
    assert latex_text("a_b 5% ± ≤ – # $ {x} ~^\\").isascii()


def test_html_is_balanced_escaped_and_rectangular():
    text = html(PAGE)
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert set(parser.widths) == {3}
    assert "Scores &amp; &lt;more&gt;" in text
    assert "<b>0.812</b><sup>*</sup><small>± 0.034</small><small>[0.7, 0.9]</small>" in text
    assert '<p class="warning">Not comparable</p>' in text


def test_html_marks_rows_and_scopes_heads():
    text = html(PAGE)
    assert '<th class="name" scope="row">my_net<sup>†</sup><span' in text
    assert '<th colspan="1" scope="colgroup" class="gap span">Dice</th><td colspan="1"></td>' in text
    assert text.count("<tbody>") == 2  # what a heading of a group speaks for
    assert '<a href="#scores">Scores &amp; &lt;more&gt;</a>' in text


def test_html_sets_a_column_with_a_sentence_to_the_left():
    cells = [Cell("worse"), Cell("no significant difference")]
    rows = tuple(Row(str(i), (cell,)) for i, cell in enumerate(cells))
    text = html(
        Page("Toy", (), (replace(TABLE, columns=(Columns("", ("Claim",)),), groups=(Group("", rows),)),))
    )
    assert '<th scope="col" class="text">Claim</th>' in text
    assert '<td class="text">worse</td>' in text


def test_html_scale_starts_at_our_lowest_row():
    published = Row("Paper", (Cell("0.1", interval=(None, 0.1, None)), EMPTY), "published")
    text = html(Page("Toy", (), (replace(TABLE, groups=(*TABLE.groups, Group("", (published,)))),)))
    assert 'aria-label="0.812 on a scale from 0.7 to 1"' in text
    assert 'class="hollow" cx="4.0"' in text  # drawn at the left end


def test_html_draws_the_interval_on_a_scale_that_starts_at_a_tenth():
    text = html(PAGE)
    assert 'aria-label="0.812 on a scale from 0.7 to 1"' in text
    # 76 px of rail from x = 4: the mean lies at (.812 - .7) / .3 of it
    assert f'cx="{4 + 76 * 0.112 / 0.3:.1f}"' in text


def test_words():
    assert [duration(seconds) for seconds in (42.4, 150, 7200)] == ["42 s", "2.5 min", "2.0 h"]
    assert [p_words(p) for p in (0.0004, 0.0625)] == ["< 0.001", "0.062"]
