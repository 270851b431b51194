"""The tables of the pages are those that ``docs/tables.py`` writes from the recorded studies."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("page_tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_table_of_a_page_has_drifted_from_its_recorded_study(tables: ModuleType) -> None:
    stale = [
        page.name for page in tables.pages() if tables.rewritten(page.read_text(), "") != page.read_text()
    ]
    assert stale == [], "run `make tables`"


def test_the_readme_shows_the_scores_of_the_default_study(tables: ModuleType) -> None:
    match = tables.TABLE.search((ROOT / "README.md").read_text())
    assert match is not None
    assert match.group(2, 3) == ("phantom", "scores")


def test_a_changed_digit_is_found_and_corrected(tables: ModuleType) -> None:
    right = tables.rewritten("<!-- table: phantom scores -->\n<!-- /table -->", "page")
    assert "| `cyclemix` | scribbles |" in right
    wrong = right.replace("0.9", "0.8")
    assert wrong != right
    assert tables.rewritten(wrong, "page") == right


def test_an_unknown_study_is_named(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"page\.md: table none scores: expected one of .*phantom"):
        tables.rewritten("<!-- table: none scores -->\n<!-- /table -->", "page.md")
