"""Runs of several results folders in one: what is taken over, what is refused, what the tables then say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import tiny_study

from cyclemix.files.layout import run_dir, table_dir
from cyclemix.provenance import records, verify
from cyclemix.report import figures, tables
from cyclemix.study import collect

RUN = "runs/tiny/row/fold0_seed0"


@pytest.fixture(scope="module")
def seeds(phantom_prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Results folders of one row, one seed each; read only."""
    folder = tmp_path_factory.mktemp("seeds")
    return [tiny_study.study(phantom_prepared, folder / f"seed{seed}", seed) for seed in (0, 1)]


@pytest.fixture
def other(seeds: list[Path], tmp_path: Path) -> Path:
    """A copy of the second folder, to be altered."""
    return Path(shutil.copytree(seeds[1], tmp_path / "other", symlinks=True))


def rewrite(record: Path, **changes: object) -> None:
    """A record with other content and the checksum that fits it."""
    content = json.loads(record.read_text()) | changes
    content["checksum"] = records.checksum(content)
    record.write_text(json.dumps(content))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_folders_become_one_table_without_images(
    seeds: list[Path], phantom_prepared: Path, tmp_path: Path
) -> None:
    into = tmp_path / "all"
    outcome = collect.run(seeds, into)
    assert outcome.taken == [RUN, RUN.replace("seed0", "seed1")]
    assert outcome.refused == []
    assert not list(into.rglob("*.nii.gz")) + list(into.rglob("*.npz")) + list(into.rglob("model.pt"))
    study = tiny_study.described(seeds=[0, 1])
    tables.run(into, phantom_prepared / "tiny.yaml", study, table_dir(into, "tiny"))
    assert set(pd.read_csv(table_dir(into, "tiny") / "per_case.csv")["seed"]) == {0, 1}
    figures.run(into, phantom_prepared / "tiny.yaml", study, tmp_path / "figures")
    assert (tmp_path / "figures" / "boxplot.png").is_file()
    assert not (tmp_path / "figures" / "overlays.png").exists()
    assert verify.run(into).problems == []


def test_a_second_call_changes_nothing(seeds: list[Path], tmp_path: Path) -> None:
    collect.run(seeds, tmp_path)
    before = contents(tmp_path)
    outcome = collect.run(seeds, tmp_path)
    assert (outcome.taken, len(outcome.present), outcome.refused) == ([], 2, [])
    assert contents(tmp_path) == before


def test_data_files_are_listed_once_for_all_runs(seeds: list[Path], tmp_path: Path) -> None:
    collect.run(seeds, tmp_path / "all")
    listed = json.loads((tmp_path / "all" / "data_hashes.json").read_text())
    assert listed == {place: records.sha256(seeds[0] / place) for place in listed}
    assert {Path(place).name for place in listed} >= {"folds.json", "heart001_frame01.npz"}
    for record in (tmp_path / "all").rglob("*provenance.json"):
        assert not [name for name in records.read(record)["inputs"] if "/data/" in name], record


def test_listed_data_files_are_verified_where_they_are(seeds: list[Path], tmp_path: Path) -> None:
    collect.run(seeds, tmp_path)
    shutil.copytree(seeds[0] / "data", tmp_path / "data", dirs_exist_ok=True)
    assert verify.run(tmp_path).problems == []
    listed = tmp_path / "data_hashes.json"
    hashes = json.loads(listed.read_text())
    changed = next(place for place in hashes if place.endswith("heart001_frame01.npz"))
    listed.write_text(json.dumps(hashes | {changed: "3" * 64}))
    (problem,) = verify.run(tmp_path).problems
    assert (problem.file, problem.kind) == ("data_hashes.json", "stale")
    assert problem.found == f"made from another version of {changed} than the one that is there"
    assert problem.remedy == "put back the data that the runs were made from, or collect runs made from these"
    listed.write_text("{")
    with pytest.raises(
        ValueError, match=r"data_hashes.json: not JSON .*; delete it and collect the runs again"
    ):
        verify.run(tmp_path)


def test_a_collected_folder_is_collected_again_unchanged(seeds: list[Path], tmp_path: Path) -> None:
    collect.run(seeds, tmp_path / "all")
    assert len(collect.run([tmp_path / "all"], tmp_path / "again").taken) == 2
    assert contents(tmp_path / "again") == contents(tmp_path / "all")


def test_models_and_predictions_come_on_request(seeds: list[Path], tmp_path: Path) -> None:
    collect.run(seeds[:1], tmp_path)
    collect.run(seeds[:1], tmp_path, ["models", "predictions"])
    assert (tmp_path / RUN / "model.pt").is_file()
    assert len(list((tmp_path / RUN / "predictions").rglob("*.nii.gz"))) == 4  # 2 frames, both ways
    with pytest.raises(ValueError, match="--also: expected models or predictions, got images"):
        collect.run(seeds[:1], tmp_path, ["images"])


def test_a_file_altered_after_it_was_written_is_refused(other: Path, tmp_path: Path) -> None:
    metrics = run_dir(other, "tiny", "row", 0, 1) / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("heart005", "heart006"))
    (message,) = collect.run([other], tmp_path / "all").refused
    assert "metrics.csv: damaged or altered since `evaluate` wrote it" in message


def test_another_recipe_is_refused_and_its_key_named(seeds: list[Path], other: Path, tmp_path: Path) -> None:
    config = other / "runs" / "tiny" / "row" / "config.json"
    config.write_text(config.read_text().replace('"max_steps": 4', '"max_steps": 5'))
    outcome = collect.run([seeds[0], other], tmp_path / "all")
    assert outcome.taken == [RUN]
    assert "another recipe than" in outcome.refused[0]
    assert "training.max_steps: 5, there 4" in outcome.refused[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code_digest": "0" * 16}, "code_digest of train is 0000000000000000, but"),
        ({"lock_digest": "1" * 16}, "lock_digest of train is 1111111111111111, but"),
    ],
)
def test_other_code_of_a_row_is_refused(
    seeds: list[Path], other: Path, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    rewrite(run_dir(other, "tiny", "row", 0, 1) / "provenance.json", **changes)
    assert message in collect.run([seeds[0], other], tmp_path / "all").refused[0]


def test_runs_in_another_precision_are_taken_but_not_of_another_inference(
    seeds: list[Path], other: Path, tmp_path: Path
) -> None:
    """``precision: auto`` chooses by processor; how labels are cleaned is a setting of the row."""
    record = run_dir(other, "tiny", "row", 0, 1) / "predictions" / "provenance.json"
    settings = json.loads(record.read_text())["settings"]
    rewrite(record, settings=settings | {"precision": "bf16"})
    assert collect.run([seeds[0], other], tmp_path / "all").refused == []
    rewrite(record, settings=settings | {"inference": {"largest_component": False}})
    (message,) = collect.run([seeds[0], other], tmp_path / "again").refused
    assert "settings of predict is" in message


def test_other_data_are_refused_in_every_row(seeds: list[Path], other: Path, tmp_path: Path) -> None:
    """The two folders' rows have different names, so only their data can conflict."""
    record = run_dir(other, "tiny", "row", 0, 1) / "provenance.json"
    inputs = json.loads(record.read_text())["inputs"]
    name = next(key for key in inputs if key.endswith("heart001_frame01.npz"))
    rewrite(record, inputs=inputs | {name: "2" * 64})
    (other / "runs" / "tiny" / "row").rename(other / "runs" / "tiny" / "another")
    (message,) = collect.run([seeds[0], other], tmp_path / "all").refused
    assert "heart001_frame01.npz is 2222222222222222, but" in message


def test_another_result_of_the_same_run_is_refused(seeds: list[Path], other: Path, tmp_path: Path) -> None:
    collect.run(seeds, tmp_path / "all")
    there = run_dir(tmp_path / "all", "tiny", "row", 0, 1) / "history.csv"
    there.write_text(there.read_text() + "\n")
    (message,) = collect.run([other], tmp_path / "all").refused
    assert "has another history.csv of this run; delete one of them" in message


def test_a_folder_without_runs_is_no_results_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a results folder, found no runs"):
        collect.run([tmp_path], tmp_path / "all")


def test_one_data_set_of_a_folder(seeds: list[Path], tmp_path: Path) -> None:
    assert collect.run(seeds[:1], tmp_path / "kept", dataset="tiny").taken == [RUN]
    with pytest.raises(ValueError, match=r"seed0: expected a results folder, found no runs/acdc/\*/fold"):
        collect.run(seeds[:1], tmp_path / "kept", dataset="acdc")
