"""comparison.html on a desk, on a phone and on paper, of a small study and with 35 rows."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from long_study import ROWS, long_page
from watch import PHONE, Chromium, overflow, pdf_pages

from cyclemix.report.render import html

HEADS = [
    "Method",
    *("LV", "MYO", "RV", "Avg"),
    "Avg",
    *("LV", "MYO", "RV", "Avg"),
    "Avg",
    "Missed",
    "Training",
]
BACKGROUND = {"light": "rgb(246, 247, 249)", "dark": "rgb(16, 19, 23)"}


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 35 rows."""
    path = tmp_path_factory.mktemp("long") / "comparison.html"
    path.write_text(html(long_page()))
    return path


def test_every_method_of_the_study_has_its_row(
    chromium: Chromium, results: Path, summaries: dict[str, pd.DataFrame]
) -> None:
    for dataset, summary in summaries.items():
        address = (results / "tables" / dataset / "comparison.html").as_uri()
        with chromium.page(address) as page:
            page.goto(address)
            scores = page.locator("#scores")
            assert scores.locator("thead tr").last.locator("th").all_inner_texts() == HEADS
            dice = summary[(summary["metric"] == "dice") & (summary["structure"] == "Avg")]
            for row in dice.to_dict("records"):
                shown = scores.locator("tbody tr").filter(has_text=row["method"]).first.inner_text()
                assert f"{row['mean']:.3f}" in shown
                assert f"[{row['ci_low']:.3f}, {row['ci_high']:.3f}]" in shown
            assert scores.locator("svg[role=img][aria-label]").count() >= len(dice)
            assert overflow(page) <= 0


def test_a_long_table_on_a_desk(chromium: Chromium, long: Path) -> None:
    with chromium.page(long.as_uri()) as page:
        page.goto(long.as_uri())
        own = page.locator("#scores tbody tr:not(.group):not(.published)")
        assert own.count() == ROWS
        assert page.locator("#scores tr.group").all_inner_texts() == [
            "Scribbles",
            "Scribbles and unpaired masks",
            "Dense labels",
        ]
        assert own.filter(has_text="n/a: ").count() == 3
        assert own.locator("th sup", has_text="†").count() == 8  # every fourth row has no source
        assert page.locator("#scores .notes", has_text="† No published code").count() == 1
        assert page.locator("#scores tr.published .tag.unverified").count() > 0
        assert overflow(page) <= 0
        own.last.scroll_into_view_if_needed()
        head = page.locator("#scores thead").bounding_box()
        assert head is not None
        assert head["y"] == pytest.approx(0, abs=1)  # the names of the columns stay in sight


INSIDE = """() => [...document.querySelectorAll('section td, section th')].filter(cell => {
    const outside = cell.scrollWidth > cell.clientWidth + 1;
    const frame = cell.closest('section').getBoundingClientRect();
    return outside || cell.getBoundingClientRect().right > frame.right;
}).map(cell => cell.innerText)"""


def test_no_number_leaves_its_cell_and_no_table_its_frame(chromium: Chromium, long: Path) -> None:
    with chromium.page(long.as_uri()) as page:
        page.goto(long.as_uri())
        assert page.evaluate(INSIDE) == []


def test_a_long_table_on_a_phone(chromium: Chromium, long: Path) -> None:
    with chromium.page(long.as_uri(), viewport=PHONE, is_mobile=True, device_scale_factor=2) as page:
        page.goto(long.as_uri())
        assert overflow(page) <= 0
        frame = page.locator("#scores .scroll")
        frame.scroll_into_view_if_needed()
        frame.evaluate("frame => frame.scrollTo(200, 900)")
        left = frame.evaluate("frame => frame.getBoundingClientRect().left")
        for part in ("thead .name >> nth=-1", "tbody tr:nth-child(12) th.name >> nth=0"):
            box = frame.locator(part).bounding_box()
            assert box is not None
            assert box["x"] == pytest.approx(left, abs=1), part  # names stay while numbers move
        assert (
            page.evaluate("parseFloat(getComputedStyle(document.querySelector('#scores td')).fontSize)") >= 12
        )


def test_a_long_table_on_paper(chromium: Chromium, long: Path) -> None:
    with chromium.page(long.as_uri()) as page:
        page.goto(long.as_uri())
        page.emulate_media(media="print", color_scheme="dark")
        assert 4 <= pdf_pages(page) <= 14
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.locator("nav").is_visible()
        frame = page.locator("#scores .scroll")
        assert frame.evaluate("frame => frame.scrollHeight <= frame.clientHeight + 1")  # nothing is cut off


@pytest.mark.parametrize("scheme", BACKGROUND)
def test_text_is_legible_in_a_bright_and_in_a_dark_room(chromium: Chromium, long: Path, scheme: str) -> None:
    with chromium.page(long.as_uri(), color_scheme=scheme) as page:
        page.goto(long.as_uri())
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == BACKGROUND[scheme]
        pairs = page.evaluate(
            """() => [...document.querySelectorAll('p, td, th, dd, dt, small, .tag, a, li')].map(node => {
                const colour = part => getComputedStyle(part).backgroundColor;
                let back = node;
                while (colour(back) === 'rgba(0, 0, 0, 0)') back = back.parentElement;
                return getComputedStyle(node).color + ' on ' + colour(back);
            }).filter((pair, i, all) => all.indexOf(pair) === i)"""
        )
        for pair in pairs:
            assert contrast(pair) >= 4.5, pair  # WCAG 2.1, level AA


def test_a_screen_reader_can_tell_rows_and_columns(chromium: Chromium, long: Path) -> None:
    with chromium.page(long.as_uri()) as page:
        page.goto(long.as_uri())
        assert page.locator("html[lang=en]").count() == 1
        assert page.locator("th:not([scope])").count() == 0
        assert page.locator("svg:not([role=img][aria-label]), img:not([alt])").count() == 0
        assert page.locator("section:not([aria-labelledby])").count() == 0
        assert page.get_by_role("region").count() == 2 * page.locator("section").count()
        assert page.locator("#scores tr.published").count() == page.locator("#scores .tag.published").count()


def contrast(pair: str) -> float:
    """WCAG's contrast of ``rgb(..) on rgb(..)``."""
    front, back = (luminance(colour) for colour in pair.split(" on "))
    return (max(front, back) + 0.05) / (min(front, back) + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_of_black_on_white_is_21() -> None:
    assert contrast("rgb(0, 0, 0) on rgb(255, 255, 255)") == pytest.approx(21)
