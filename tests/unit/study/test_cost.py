"""What a study costs and how far it is, by hand from two speeds and one finished training."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from cyclemix.files import locks
from cyclemix.files.layout import run_dir
from cyclemix.study.cost import Speed, describe, load_speeds, progress
from cyclemix.study.plan import Plan, plan

ROOT = Path(__file__).resolve().parents[3]
HEAD = "device,row,image_px,base_filters,images_per_s,jobs\n"


def study(results: Path, folder: Path = ROOT, **changes: object) -> Plan:
    values = {
        "datasets": ["mscmr"],
        "methods": ["unet_pce", "cyclemix"],
        "seeds": [0, 1],
        "grid": {"spacing_mm": 2.0, "crop_px": 128},
        "training": {"base_filters": 16, "batch_size": 10, "max_steps": 1000},
        "results": str(results),
    }
    return plan({**values, **changes}, folder)


def test_seconds_grow_with_the_pixels_and_the_square_of_the_filters() -> None:
    speed = Speed(20.0, 64, 16, "a processor")
    assert speed.seconds(100, 64, 16) == 5.0
    assert speed.seconds(100, 128, 32) == 5.0 * 4 * 4


def test_the_newest_measurement_on_one_thread_counts(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks" / "results" / "throughput.csv"
    file.parent.mkdir(parents=True)
    rows = ["P (1 threads),a,96,16,10,1", "P (1 threads),a,96,16,12,1", "P (2 threads),a,96,16,20,1"]
    file.write_text(HEAD + "\n".join([*rows, "P (1 threads),a,96,16,19,2", "A GPU,a,212,32,700,1"]))
    assert load_speeds(tmp_path) == {"a": Speed(12.0, 96, 16, "P")}
    assert load_speeds(tmp_path / "elsewhere") == {}


def test_estimates_leave_finished_trainings_out_and_learn_from_them(tmp_path: Path) -> None:
    made = study(tmp_path)
    folder = run_dir(tmp_path, "mscmr", "unet_pce", 0, 0)
    folder.mkdir(parents=True)
    (folder / "model.pt").touch()
    origin = {"device": "cpu", "cpu_seconds": 800, "training_seconds": 1900}
    (folder / "provenance.json").write_text(json.dumps(origin))
    # 10 000 images: 500 s for unet_pce, which took 800 of a core, and 1000 s for cyclemix, two seeds each.
    found = progress(
        made, "mscmr", {"unet_pce": Speed(20, 128, 16, "P"), "cyclemix": Speed(10, 128, 16, "P")}
    )
    assert (found.trainings, found.done, found.running) == (4, 1, 0)
    assert (found.seconds, found.left) == (3000 * 1.6, 2500 * 1.6)
    shorter = progress(study(tmp_path, at_most_steps=500), "mscmr", {"cyclemix": Speed(10, 128, 16, "P")})
    assert (shorter.seconds, shorter.unknown) == (1000, ["unet_pce"])


def test_a_training_that_holds_its_folder_is_running(tmp_path: Path) -> None:
    folder = run_dir(tmp_path, "mscmr", "cyclemix", 0, 1)
    folder.mkdir(parents=True)
    with locks.exclusive(folder):
        assert progress(study(tmp_path), "mscmr", {}).running == 1
    assert progress(study(tmp_path), "mscmr", {}).running == 0


def test_the_lines_say_trainings_hours_and_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)
    for part in ("config", "workflow"):
        shutil.copytree(ROOT / part, tmp_path / part)
    file = tmp_path / "benchmarks" / "results" / "throughput.csv"
    file.parent.mkdir(parents=True)
    file.write_text(HEAD + "P (1 threads),unet_pce,128,16,0.5,1\n")
    lines = describe(study(tmp_path / "results", tmp_path), 2, now=0.0)
    # 2 x 10 000 images at 0.5 a second: 40 000 s on one core, 20 000 s = 5:33 on two.
    assert lines == [
        "mscmr: 2 rows, 4 trainings (0 done, 0 running), 11.1 core hours to go",
        "in all 4 trainings, 5.6 h on 2 cores, 5.6 h to go; if it runs from now on, it ends on Thu 05:33",
        "not counted, as no speed was measured: cyclemix",
        "estimated from speeds measured on P; another machine differs",
    ]
