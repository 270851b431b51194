"""MLflow's pages of a study on a real server: the table of runs, the charts, the comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pandas as pd
import pytest
from watch import Chromium

if TYPE_CHECKING:
    from mlflow.entities import Run
    from playwright.sync_api import Page

TOLERATED = {
    "ResizeObserver loop completed": "the browser says that a layout took another frame; nothing is lost",
    "/mlflow/users/current": "the page asks who is logged in; a server without logins answers 404",
}
QUIET = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
"""
"""The page's assistant opens itself once in every new browser."""

HIDDEN = "[data-assistant-ui] { visibility: hidden }"
DICE = ("cv/dice_LV", "cv/dice_MYO", "cv/dice_RV", "cv/dice_mean")
DATASET = "phantom"


@contextmanager
def opened(chromium: Chromium, server: str, route: str, height: int = 1000) -> Iterator[Page]:
    """A page of MLflow's interface."""
    size = {"width": 1400, "height": height}
    with chromium.page(server, tolerated=TOLERATED, viewport=size) as page:
        page.add_init_script(QUIET)
        page.goto(f"{server}/#{route}")
        page.add_style_tag(content=HIDDEN)
        yield page


def runs_page(experiment: str, stage: str, mode: str = "") -> str:
    """The address that docs/how-to/mlflow.md gives."""
    key = {"summary": "cv", "train": "test"}[stage]
    wanted = {
        "searchFilter": f"tags.stage = '{stage}'",
        "orderByKey": f"metrics.`{key}/dice_mean`",
        "orderByAsc": "false",
        **({"compareRunsMode": mode} if mode else {}),
        "workflowType": "machine_learning",
    }
    return f"/experiments/{experiment}/runs?{urlencode(wanted, quote_via=quote)}"


@pytest.fixture(scope="module")
def experiment(server: str) -> str:
    """Id of the phantom's experiment."""
    from mlflow import MlflowClient

    found = MlflowClient(server).get_experiment_by_name(f"cyclemix-{DATASET}")
    assert found is not None
    return str(found.experiment_id)


@pytest.fixture(scope="module")
def runs(server: str, experiment: str) -> list[Run]:
    """Summary runs, best first."""
    from mlflow import MlflowClient

    order = ["metrics.`cv/dice_mean` DESC"]
    return list(MlflowClient(server).search_runs([experiment], "tags.stage = 'summary'", order_by=order))


def names(page: Page) -> list[str]:
    """Names of the runs in the table, top to bottom."""
    page.locator("a[href*='/runs/']").first.wait_for()
    return page.locator("[role=row] a[href*='/runs/']").all_inner_texts()


def test_the_experiment_lists_every_training(
    chromium: Chromium, server: str, experiment: str, summaries: dict[str, pd.DataFrame]
) -> None:
    methods = summaries[DATASET]["method"].unique()
    with opened(chromium, server, runs_page(experiment, "train")) as page:
        shown = names(page)
        assert sorted(shown) == sorted(f"{method}-{DATASET}-f0-s0" for method in methods)
        assert page.get_by_text("Compare methods: search").is_visible()  # the experiment's note


def test_the_charts_show_every_method_in_every_structure(
    chromium: Chromium, server: str, experiment: str, runs: list[Run], pictures: Path
) -> None:
    with opened(chromium, server, runs_page(experiment, "summary", "CHART"), height=1080) as page:
        assert names(page) == [run.info.run_name for run in runs]
        for metric in DICE:
            page.get_by_text(metric, exact=True).first.wait_for()
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot .bars .point').length >= 12")
        bars = page.locator(".js-plotly-plot", has=page.locator(".bars")).first.locator(".bars .point")
        assert bars.count() == len(runs)
        page.screenshot(path=pictures / "mlflow.png")


def test_the_comparison_tells_which_method_is_best_and_where(
    chromium: Chromium, server: str, experiment: str, runs: list[Run], pictures: Path
) -> None:
    wanted = {
        "runs": json.dumps([run.info.run_id for run in runs]),
        "experiments": json.dumps([experiment]),
        "workflowType": "machine_learning",
    }
    route = f"/compare-runs?{urlencode(wanted, quote_via=quote)}"
    with opened(chromium, server, route, height=1220) as page:
        page.get_by_text("Metrics:").wait_for()
        picker = page.locator("[class*=select-selector]").nth(1)
        for metric in DICE[1:]:  # the page starts with the first one alone
            picker.click()
            picker.locator("input").fill(metric)
            page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        axes = page.locator(".js-plotly-plot .axis-title")
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot .axis-title').length >= 5")
        assert set(DICE) <= set(axes.all_text_contents())
        for metric in DICE:
            assert page.locator("a[title='Plot chart']", has_text=metric).count() == 1
            for run in runs:
                value = f"{run.data.metrics[metric]:.3f}".rstrip("0").rstrip(".")
                assert page.get_by_text(value, exact=True).count() >= 1, (run.info.run_name, metric)
        fold(page, "Run details", "Artifacts", "Tags")
        page.get_by_label("Parameters - Show diff only").click()
        for run in runs:
            assert page.get_by_text(run.data.params["label"], exact=True).count() >= 1
        page.get_by_role("heading", name=f"Comparing {len(runs)} Runs").scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        page.screenshot(path=pictures / "mlflow_compare.png")


def fold(page: Page, *sections: str) -> None:
    """Close sections of the comparison page."""
    for section in sections:
        page.get_by_text(section, exact=True).first.click()
