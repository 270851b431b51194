"""docs/wording.py finds wordings that the project avoids, and finds none in the repository."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from scripts import load_script


@pytest.fixture
def wording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script("docs/wording.py")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def test_each_finding_has_file_line_and_advice(wording: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("It writes one line\na case.\nTwo kinds are told apart.\nOne line per case is fine.\n")
    assert sorted(wording.findings(page)) == [
        "page.md:1: 'one line a case': write `one X per Y`",
        "page.md:3: 'are told': write `is reported` or `is stated`",
        "page.md:3: 'told apart': write `distinguished`",
    ]


def test_a_marked_line_is_kept(wording: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text('"""A row more."""  # wording: keep\n')
    assert list(wording.findings(page)) == []
