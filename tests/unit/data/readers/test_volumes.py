"""The one listing of users' folders: what it leaves out and what it follows."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_files import write_own
from typer.testing import CliRunner

from cyclemix.cli.main import app
from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.volumes import files_in
from cyclemix.inference.segment import find_images


def test_hidden_files_are_left_out_and_links_followed_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path / "elsewhere"
    for path in ("scans/b/p1.nii", "scans/.cache/p2.nii", "scans/._p1.nii", "elsewhere/p3.nii"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    scans = tmp_path / "scans"
    (scans / "linked").symlink_to(elsewhere)
    (scans / "again").symlink_to(scans / "b")
    (scans / "b" / "loop").symlink_to(scans)
    (scans / "p4.nii").symlink_to(elsewhere / "p3.nii")
    (scans / "gone.nii").symlink_to(tmp_path / "nothing")
    found = [path.relative_to(scans).as_posix() for path in files_in(scans)]
    assert found == ["b/p1.nii", "linked/p3.nii", "p4.nii"]
    assert [path.name for path in files_in(scans, deep=False)] == ["p4.nii"]
    assert "gone.nii: broken link, skipped; restore its target or delete it" in caplog.text


def test_all_commands_see_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init`, the patterns of a YAML file, `segment`: hidden files and links to folders."""
    spec_file = write_own(tmp_path, ("a1", "a2"))
    images = tmp_path / "scans" / "images"
    (images / "._a1.nii.gz").write_bytes(b"AppleDouble")
    images.rename(tmp_path / "moved")
    images.symlink_to(tmp_path / "moved")
    assert [case["case"] for case in list_cases(load_dataset(spec_file), "all", tmp_path)] == ["a1", "a2"]
    assert [path.name for path in find_images([images])] == ["a1.nii.gz", "a2.nii.gz"]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "scans", "--name", "again"])
    assert done.exit_code == 0, done.output
    assert "2 images of 2 subjects" in (tmp_path / "config" / "datasets" / "again.yaml").read_text()
