"""What a study says it will fetch, by the manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyclemix.data.datasets import load_dataset
from cyclemix.data.manifests import remote_files
from cyclemix.study.fetching import announce
from cyclemix.study.plan import plan

ROOT = Path(__file__).resolve().parents[3]


def lines(folder: Path, **changes: Any) -> list[str]:
    study = {"datasets": ["mscmr"], "methods": ["unet_pce"], "results": str(folder), **changes}
    return announce(plan(study, ROOT))


def size_mb(*parts: str) -> float:
    files = remote_files(load_dataset(ROOT / "config" / "datasets" / "mscmr.yaml")).values()
    return sum(file.bytes for file in files if file.path.split("/")[1] in parts) / 1e6


def test_files_and_megabytes_of_the_lists_that_are_needed(tmp_path: Path) -> None:
    whole = size_mb("train", "val", "TestSet")
    assert lines(tmp_path) == [f"mscmr: 90 files to fetch from upstream, {whole:.1f} MB"]
    some = size_mb("train", "val")
    found = lines(tmp_path, protocol={"evaluate_on": "val"}, mirror="copy")
    assert found == [f"mscmr: 60 files to fetch from the mirror, {some:.1f} MB"]


def test_what_is_there_is_not_counted(tmp_path: Path) -> None:
    files = remote_files(load_dataset(ROOT / "config" / "datasets" / "mscmr.yaml"))
    for number, file in enumerate(files.values()):
        path = tmp_path / "data" / "mscmr" / "raw" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        with path.open("r+b") as stream:
            stream.truncate(file.bytes if number else file.bytes - 1)  # the first was cut off
    assert [line.split(" to ")[0] for line in lines(tmp_path)] == ["mscmr: 1 file"]


def test_generated_data_and_shared_sources(tmp_path: Path) -> None:
    assert lines(tmp_path, datasets=["phantom"]) == []
    (line,) = lines(tmp_path, datasets=["acdc", "acdc70"])
    assert line.startswith("acdc: 201 files to fetch")
