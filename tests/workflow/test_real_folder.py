"""ACDC given only as a folder: what `cyclemix init` drafts finds and prepares what the built-in YAML does."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from studies import ROOT, with_lists

from cyclemix.cli.stages import Silent
from cyclemix.config.models import Grid, Inference, Protocol, Recipe, Training
from cyclemix.config.study import MethodBlock
from cyclemix.data import autogrid, download, prepare, split
from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.native import Header, load_volume, read_geometry, reference_path
from cyclemix.data.store import load_case
from cyclemix.evaluation import evaluate
from cyclemix.inference import predict
from cyclemix.own_data import check, init
from cyclemix.training import resolve, train

ACDC = ROOT / "config" / "datasets" / "acdc.yaml"
PARTS = ("train", "val")
COARSE = Grid(spacing_mm=3.2, crop_px=64)
METHOD = MethodBlock(method="cyclemix", summary="")
SHORT = Recipe(base_filters=4, levels=3, batch_size=4, max_steps=20, validate_every_steps=10, warmup_steps=0)


def write_acdc(spec_file: Path, raw_dir: Path, folder: Path) -> int:
    """A laboratory's folder: images/, labels/ and scribbles/ in the scribbles' geometry; number of cases."""
    spec, count = load_dataset(spec_file), 0
    for part in PARTS:
        for entry in list_cases(spec, part, raw_dir):
            geometry = read_geometry(spec, raw_dir, entry)
            for kind, name in (("image", "images"), ("label", "labels"), ("scribble", "scribbles")):
                array, _ = load_volume(reference_path(raw_dir, entry, kind), kind)  # type: ignore[arg-type]
                header = Header(geometry.binaryblock)
                header.set_data_dtype(np.float32 if kind == "image" else np.uint8)
                data = array.T.astype(header.get_data_dtype())
                target = folder / name / f"{entry['case']}.nii.gz"
                target.parent.mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(data, geometry.get_best_affine(), header), target)
            count += 1
    return count


@pytest.fixture(scope="module")
def both(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The built-in YAML with eight patients, its data folder, and the YAML drafted for them as NIfTI."""
    folder = tmp_path_factory.mktemp("acdc")
    built_in = with_lists(ACDC, folder / "acdc.yaml", train=[4, 6, 14, 19, 38, 90], val=[17, 22])
    data = folder / "data" / "acdc"
    for part in PARTS:
        download.run(built_in, part, data / f"raw_{part}.json", str(mirror), threads=2)
    assert write_acdc(built_in, data / "raw", folder / "scans") == 16
    drafted = folder / "config" / "datasets" / "own.yaml"
    init.run(folder / "scans", "own", drafted, folder / "config" / "own.yaml", threads=2)
    return built_in, data, drafted


def test_the_draft_finds_cases_subjects_and_values(both: tuple[Path, Path, Path], tmp_path: Path) -> None:
    built_in, data, drafted = both
    known, own = load_dataset(built_in), load_dataset(drafted)
    expected = [case for part in PARTS for case in list_cases(known, part, data / "raw")]
    found = list_cases(own, "all", tmp_path)
    who = [(case["case"], case["subject"], case["frame"]) for case in found]
    assert who == sorted((case["case"], case["subject"], case["frame"]) for case in expected)
    assert all(case["label"] and case["scribble"] for case in found)
    for kind in ("label", "scribble"):
        assert own.value_table(kind) == known.value_table(kind)  # type: ignore[arg-type]


def test_the_draft_passes_check_with_a_grid_that_holds_the_hearts(
    both: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    report = check.run(both[2], tmp_path, threads=2)
    assert report.errors == []
    assert report.grid is not None
    assert 1.2 < report.grid.spacing_mm < 1.8  # the built-in's: 1.37
    assert not any("outside" in finding.text for finding in report.findings)
    assert max(2 * case.reach_mm for case in report.cases) < report.grid.spacing_mm * report.grid.crop_px
    assert autogrid.resolve(load_dataset(both[2]), tmp_path / "data" / "own") == report.grid


def test_on_the_same_grid_the_arrays_are_the_same(both: tuple[Path, Path, Path], tmp_path: Path) -> None:
    built_in, data, drafted = both
    grid = load_dataset(built_in).grid
    for part in PARTS:
        receipt, index = data / f"raw_{part}.json", tmp_path / "acdc" / f"index_{part}.csv"
        prepare.run(built_in, part, receipt, grid, index, threads=2)
    download.run(drafted, "all", tmp_path / "own" / "raw_all.json")
    prepare.run(
        drafted, "all", tmp_path / "own" / "raw_all.json", grid, tmp_path / "own" / "p" / "index_all.csv", 2
    )
    paths = sorted((tmp_path / "own" / "p").glob("*.npz"))
    assert len(paths) == 16
    for path in paths:
        ours, theirs = load_case(path), load_case(tmp_path / "acdc" / path.name)
        for name in ("image", "scribble", "label"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=path.stem)
        assert ours.geometry.spacing_mm == theirs.geometry.spacing_mm


def scores(dataset_file: Path, folder: Path, raw: Path, mirror: Path | None) -> pd.DataFrame:
    """Prepare, split, train for a few steps, predict and score the validation cases."""
    for part in PARTS:
        receipt = raw / f"raw_{part}.json"
        download.run(dataset_file, part, receipt, None if mirror is None else str(mirror), threads=2)
        prepare.run(dataset_file, part, receipt, COARSE, folder / "prepared" / f"index_{part}.csv", threads=2)
    split.run(dataset_file, Protocol(), None, folder / "folds.json")
    resolve.run(dataset_file, "row", METHOD, SHORT, COARSE, folder / "config.json")
    index = [folder / "prepared" / f"index_{part}.csv" for part in PARTS]
    cpu, model = Training(device="cpu"), folder / "run" / "model.pt"
    train.run(folder / "config.json", folder / "folds.json", index, 0, 0, model.parent, cpu, Silent())
    predict.run(model, folder / "folds.json", index, 0, "val", Inference(), cpu, folder / "predictions")
    evaluate.run(
        dataset_file, raw / "raw_val.json", folder / "folds.json", 0, "val", folder / "predictions",
        folder / "metrics.csv", 2,
    )  # fmt: skip
    return pd.read_csv(folder / "metrics.csv")


def test_the_same_training_gives_the_same_numbers(
    both: tuple[Path, Path, Path], mirror: Path, tmp_path: Path
) -> None:
    built_in, data, drafted = both
    lists = load_dataset(built_in).official
    rows = "".join(f"{subject},{part}\n" for part in PARTS for subject in lists[part])  # type: ignore[index]
    (drafted.parent / "cases.csv").write_text("subject,split\n" + rows)
    drafted.write_text(drafted.read_text() + "\nsplit_table: cases.csv\n")
    expected = scores(built_in, tmp_path / "acdc", data, mirror)
    found = scores(drafted, tmp_path / "own", tmp_path / "own", None)
    names = dict(zip(load_dataset(drafted).classes, load_dataset(built_in).classes, strict=True))
    found["structure"] = found["structure"].replace(names)
    order = ["case", "structure"]
    assert len(expected) == 12
    pd.testing.assert_frame_equal(
        found.sort_values(order, ignore_index=True), expected.sort_values(order, ignore_index=True)
    )
