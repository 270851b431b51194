"""The studies in benchmarks/studies: their summaries follow from their scores, their records hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import load_script

from cyclemix.provenance import verify

ROOT = Path(__file__).resolve().parents[2]


def test_a_study_recorded_again_has_the_same_summaries_and_its_records_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = load_script("docs/record.py")
    kept = recording.STUDIES
    monkeypatch.setattr(recording, "STUDIES", tmp_path)
    for study in sorted(path.name for path in kept.iterdir()):
        files = ["config.yaml"] if study == "phantom" else ["paper_cpu.yaml"]
        if (kept / study / "summaries" / study / "efficiency.csv").is_file():
            files.append("sensitivity.yaml")
        for file in files:
            recording.record(kept / study, ROOT / "config" / file)
        assert verify.run(tmp_path / study).problems == []
        for path in sorted((kept / study / "summaries" / study).iterdir()):
            assert (tmp_path / study / "summaries" / study / path.name).read_text() == path.read_text(), path
