"""`make audit` tells what is clean from what could not be looked up."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from scripts import load_script

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    return load_script("envs/audit.py")


CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
FLAW = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
BAD = {"name": "old", "version": "1.0", "vulns": [FLAW, {"id": "PYSEC-2", "fix_versions": []}]}
UNKNOWN = {"name": "private", "skip_reason": "Dependency not found"}


def test_flaws_are_listed_with_their_cure(audit: ModuleType) -> None:
    assert audit.report("a.lock", [CLEAN, BAD, UNKNOWN]).splitlines() == [
        "a.lock: old 1.0: PYSEC-1, fixed in 1.1",
        "a.lock: old 1.0: PYSEC-2, fixed in no version yet",
        "a.lock: 2 known vulnerabilities in 2 packages (not looked up: private)",
    ]


def test_a_service_that_knows_nothing_is_no_good_news(audit: ModuleType) -> None:
    assert "NOT AUDITED, the service knows none of 2 packages" in audit.report("a.lock", [UNKNOWN, UNKNOWN])


def test_a_service_that_does_not_answer_is_told(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = tmp_path / "pip-audit"
    silent.write_text(f"#!{sys.executable}\nimport sys; sys.exit('ERROR: no route to host')\n")
    silent.chmod(0o755)
    (tmp_path / "requirements.lock").write_text("numpy==2.0\n")
    monkeypatch.setattr(audit, "ENVS", tmp_path)
    audit.main(str(silent))
    assert capsys.readouterr().out == (
        "requirements.lock: NOT AUDITED, the service did not answer: ERROR: no route to host\n"
    )
