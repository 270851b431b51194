"""The Snakemake report, opened as a file and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from watch import Chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOST_BYTES = 20e6
STRUCTURES = ["Avg", "LV", "MYO", "RV"]


@pytest.fixture
def report(chromium: Chromium, results: Path) -> Iterator[Page]:
    """The report, freshly opened; every request but that for the file itself is an error."""
    address = (results / "report.html").as_uri()
    with chromium.page(address, offline=True, viewport={"width": 1500, "height": 1000}) as page:
        page.goto(address)
        page.get_by_role("heading", name="Segmenting the heart from scribbles").wait_for()
        yield page


def open_category(page: Page, *names: str) -> None:
    """Click through the menu at the left."""
    for name in names:
        page.locator("nav").get_by_text(name, exact=True).last.click()


def shown_image(page: Page) -> str:
    """Address of the one image that the report shows, once it has a size."""
    page.wait_for_function("document.querySelector('.p-3 > img')?.naturalWidth > 0")
    return str(page.locator(".p-3 > img").get_attribute("src"))


def row(page: Page, name: str) -> None:
    """Open the result whose line holds ``name``."""
    page.locator("nav tbody tr").filter(has_text=name).locator("a").first.click()


def test_the_report_is_small(results: Path) -> None:
    assert (results / "report.html").stat().st_size < MOST_BYTES


def test_the_overview_answers_first(report: Page, summaries: dict[str, pd.DataFrame], pictures: Path) -> None:
    overview = report.locator(".prose")
    assert overview.locator(".system-message").count() == 0  # what docutils could not read
    assert overview.locator("img[alt]").count() == 2 * len(summaries)
    for table, summary in zip(overview.locator("table").all(), summaries.values(), strict=True):
        assert table.locator("th").first.inner_text() == "Method"
        dice = summary[(summary["metric"] == "dice") & (summary["structure"] == "Avg")]
        for method, mean in zip(dice["method"], dice["mean"], strict=True):
            line = table.locator("tr").filter(has=report.get_by_text(method, exact=True))
            assert f"{mean:.3f}" in line.inner_text()
    for term in ("Dice", "HD95", "Missed", "n/a"):
        assert overview.locator("dt", has_text=term).count() == 1
    title = report.get_by_role("heading", name="Segmenting the heart from scribbles").bounding_box()
    assert title is not None
    assert 0 <= title["y"] < 100  # not scrolled out of reach
    report.screenshot(path=pictures / "report.png")


def test_structures_are_switched_between_and_data_sets_toggled(
    report: Page, summaries: dict[str, pd.DataFrame]
) -> None:
    open_category(report, "Scores by structure")
    lines = [line.split()[0] for line in report.locator("nav tbody tr").all_inner_texts()]
    assert lines == STRUCTURES
    images = set()
    for structure in STRUCTURES:
        row(report, structure)
        report.wait_for_timeout(100)
        images.add(shown_image(report))
    assert len(images) == len(STRUCTURES)
    toggle = report.locator("fieldset")
    if len(summaries) != 2:  # the report makes toggles of two values only
        assert toggle.count() == 0
        return
    assert toggle.locator("span").first.inner_text().lower() == "data set"
    before = shown_image(report)
    toggle.locator("label").last.click()
    report.wait_for_timeout(100)
    assert shown_image(report) != before


def test_every_method_has_its_runs(report: Page, summaries: dict[str, pd.DataFrame]) -> None:
    dataset, summary = next(iter(summaries.items()))
    open_category(report, dataset)
    for method in summary["method"].unique():
        assert report.get_by_text(f"Method {method}", exact=True).count() == 1
    open_category(report, "Method cyclemix")
    row(report, "fold 0, seed 0")
    segmentations = shown_image(report)
    report.locator("fieldset label", has_text="training curves").click()
    report.wait_for_timeout(100)
    assert shown_image(report) != segmentations


def test_captions_speak_of_their_data_set_and_run(report: Page, summaries: dict[str, pd.DataFrame]) -> None:
    dataset = next(iter(summaries))
    open_category(report, dataset, "Method cyclemix")
    report.locator("nav tbody tr").first.locator("a").last.click()
    caption = report.locator(".prose-invert").inner_text()
    assert "cyclemix" in caption
    assert "fold 0, seed 0" in " ".join(caption.split())
    assert dataset in caption
    assert "{{" not in caption


def test_the_comparison_opens_inside_the_report(report: Page, summaries: dict[str, pd.DataFrame]) -> None:
    open_category(report, next(iter(summaries)), "All methods: tables")
    row(report, "comparison with published numbers")
    frame = report.frame_locator("iframe")
    frame.locator("#scores tbody tr").first.wait_for()
    assert frame.locator("#scores tbody tr", has_text="cyclemix").count() == 1


def test_rule_graph_and_run_times_are_drawn(report: Page) -> None:
    drawn = "document.querySelectorAll('.vega-embed canvas, .vega-embed svg').length >= {}"
    report.wait_for_function(drawn.format(1))
    graph = report.locator("script#rulegraph").text_content() or ""
    for rule in ("download", "prepare", "split", "train", "predict", "evaluate", "run_figures", "figures"):
        assert f'"{rule}"' in graph
    open_category(report, "Statistics")
    report.wait_for_function(drawn.format(2))  # run times and the time of day of each job
    times = report.locator("script#runtimes").text_content() or ""
    assert all(f'"{rule}"' in times for rule in ("train", "predict", "evaluate"))
