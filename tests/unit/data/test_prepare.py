"""Stage prepare: what it writes, what it refuses, how it resumes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from data_files import GRID, Lab, write_case, write_nifti

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid, Protocol
from cyclemix.config.strict import ConfigError
from cyclemix.data import download, prepare, split
from cyclemix.data.datasets import cardiac_phase, load_dataset, supports
from cyclemix.data.readers.native import DataError
from cyclemix.data.store import load_case, load_mask, read_index


def test_index_and_arrays_by_hand(tmp_path: Path) -> None:
    lab = Lab(tmp_path, cases=("b1", "a1"))
    index = lab.prepare()
    assert index["case"].tolist() == ["a1", "b1"]
    row = index.iloc[0]
    assert (row.subject, row.person, row.frame, row.group, row.n_slices) == ("a1", "a1", "", "", 2)
    assert (row.spacing_z_mm, row.spacing_y_mm, row.spacing_x_mm) == (5.0, 1.0, 1.0)
    assert row.supervision == "both"
    pixels = 40 * 36
    assert row.scribble_background == pytest.approx(28 / pixels, abs=1e-6)
    assert row.scribble_RV == pytest.approx(6 / pixels, abs=1e-6)
    assert row.scribble_LV == pytest.approx(10 / pixels, abs=1e-6)
    assert (row.slices_with_RV, row.slices_with_LV) == (2, 2)
    case = load_case(Path(row.path))
    assert case.image.shape == (2, 32, 32)
    assert case.label is not None
    assert case.scribble is not None
    assert (case.label[0, 6:16, 6:14] == 1).all()  # native 10:20, 8:16, cropped by 4 and 2
    assert (case.label == 1).sum() == 2 * 10 * 8
    assert (case.scribble == 2).sum() == 2 * 10
    assert (case.scribble == UNLABELLED).sum() == 2 * (32 * 32 - 28 - 6 - 10)


def test_scribble_table_by_slice(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.prepare()
    table = pd.read_csv(lab.index.with_name("scribbles_all.csv"))
    assert list(table) == ["case", "slice", "background", "RV", "LV"]
    assert table[["case", "slice"]].to_numpy().tolist() == [["a1", 0], ["a1", 1], ["a2", 0], ["a2", 1]]
    assert table["RV"].tolist() == pytest.approx([6 / 1440] * 4, abs=1e-6)


def test_image_is_a_robust_z_score(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    path = lab.root / "images" / "a1.nii.gz"
    array = np.asarray(nib.load(path).dataobj).T.copy()
    array[0, 20, 20] = 1e6  # one hot voxel
    write_nifti(path, array)
    lab.prepare()
    image = load_case(lab.npz("a1")).image
    assert abs(image.mean()) < 0.01
    assert image.std() == pytest.approx(1.0, abs=0.01)
    assert image.max() < 4


PAPER = Grid(spacing_mm=1.0, crop_px=32, preparation="paper")


def test_the_papers_preparation_is_a_z_score_of_the_native_volume_without_clipping(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    path = lab.root / "images" / "a1.nii.gz"
    array = np.asarray(nib.load(path).dataobj).T.copy()
    array[0, 20, 20] = 1000  # one hot voxel, in the crop
    array[1, 0, 0] = -1000  # and one outside it, which counts too
    write_nifti(path, array)
    lab.download()
    lab.prepare_only(grid=PAPER)
    scaled = (array - array.mean(dtype=np.float64)) / array.std(dtype=np.float64)
    assert scaled[0, 20, 20] > 20
    case, whole = load_case(lab.npz("a1")), load_case(lab.npz("a1"), with_margin=True)
    np.testing.assert_allclose(case.image, scaled[:, 4:36, 2:34], atol=1 / 64)
    assert whole.image.shape == (2, 46, 46)
    np.testing.assert_allclose(whole.image[:, 3:43, 5:41], scaled, atol=1 / 64)  # margin 7 reaches outside
    assert (whole.image[:, :3] == 0).all()
    assert whole.scribble is not None
    assert (whole.scribble[:, :3] == UNLABELLED).all()


def test_without_its_margin_a_case_has_the_labels_and_the_geometry_of_the_crop(tmp_path: Path) -> None:
    lab = Lab(tmp_path, cases=("a1",))
    lab.prepare()
    plain = load_case(lab.npz("a1"))
    lab.prepare_only(grid=PAPER)
    cropped = load_case(lab.npz("a1"))
    assert cropped.geometry == plain.geometry
    np.testing.assert_array_equal(cropped.scribble, plain.scribble)
    np.testing.assert_array_equal(cropped.label, plain.label)
    np.testing.assert_array_equal(load_mask(lab.npz("a1")), plain.label)
    assert load_case(lab.npz("a1"), with_margin=True).geometry.origin_yx == (4 - 7, 2 - 7)


def test_header_comes_home(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.prepare()
    geometry = load_case(lab.npz("a1")).geometry
    header = nib.Nifti1Header(geometry.header)
    assert header.get_data_shape() == (36, 40, 2)
    np.testing.assert_array_equal(
        header.get_best_affine(), nib.load(lab.root / "images" / "a1.nii.gz").affine
    )
    assert geometry.native_shape == (2, 40, 36)
    assert geometry.spacing_mm == (5.0, 1.0, 1.0)


def test_supervision_by_case(tmp_path: Path) -> None:
    lab = Lab(tmp_path, cases=("a1",))
    write_case(lab.root, "b1", 1, label=False)
    write_case(lab.root, "c1", 2, scribble=False)
    index = lab.prepare().set_index("case")
    assert index["supervision"].to_dict() == {"a1": "both", "b1": "scribble", "c1": "full"}
    assert index.loc["c1", "scribble_RV"] == 0
    assert index.loc["c1", "slices_with_RV"] == 2  # from the dense label
    assert load_case(lab.npz("b1")).label is None
    assert load_case(lab.npz("c1")).scribble is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def nan(path: Path) -> None:
    array = np.asarray(nib.load(path).dataobj).T.astype(np.float32)
    array[0, 0, 0] = np.nan
    write_nifti(path, array)


def test_every_refusal_is_listed(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    cut(lab.root / "images" / "a1.nii.gz")
    nan(lab.root / "images" / "a2.nii.gz")
    with pytest.raises(
        DataError, match=r"2 of 2 cases refused:\n.*a1\.nii\.gz.*cut off.*\n.*a2\.nii\.gz.*finite"
    ):
        lab.prepare()


def test_one_image_under_two_names(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    shutil.copy(lab.root / "images" / "a1.nii.gz", lab.root / "images" / "a2.nii.gz")
    with pytest.raises(ValueError, match="cases a1, a2 hold the same image under different subjects"):
        lab.prepare()
    lab.spec_file.write_text(lab.spec_file.read_text() + "same_person: [[a1, a2]]\n")
    assert lab.prepare()["person"].tolist() == ["a1", "a1"]


def test_one_image_in_two_parts(tmp_path: Path) -> None:
    lab = Lab(tmp_path, extra="official: {train: [a1], val: [a2]}\n")
    shutil.copy(lab.root / "images" / "a1.nii.gz", lab.root / "images" / "a2.nii.gz")
    for part in ("train", "val"):
        download.run(lab.spec_file, part, tmp_path / f"raw_{part}.json")
    run = lambda part: prepare.run(  # noqa: E731
        lab.spec_file, part, tmp_path / f"raw_{part}.json", GRID, tmp_path / "p" / f"index_{part}.csv"
    )
    run("train")
    with pytest.raises(
        ValueError, match=r"index_val\.csv, index_train\.csv: cases a2, a1 hold the same image"
    ):
        run("val")


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.prepare()
    before = {case: lab.npz(case).stat().st_mtime_ns for case in ("a1", "a2")}
    first = lab.index.read_bytes()
    lab.index.unlink()
    lab.prepare(threads=1)
    assert {case: lab.npz(case).stat().st_mtime_ns for case in ("a1", "a2")} == before
    assert lab.index.read_bytes() == first


def test_only_what_changed_or_broke_is_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lab = Lab(tmp_path, cases=("a1", "a2", "a3"))
    lab.prepare()
    before = {case: lab.npz(case).stat().st_mtime_ns for case in ("a1", "a2", "a3")}
    write_case(lab.root, "a1", seed=9)
    cut(lab.npz("a2"))
    lab.prepare()
    changed = {case for case, time in before.items() if lab.npz(case).stat().st_mtime_ns != time}
    assert changed == {"a1", "a2"}
    assert "a2.npz: damaged" in caplog.text
    lab.spec_file.write_text(lab.spec_file.read_text().replace("3: background", "3: unlabelled"))
    lab.prepare()
    assert (load_case(lab.npz("a3")).scribble != 0).all()


def test_raw_file_changed_after_download(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.prepare()
    write_nifti(lab.root / "images" / "a1.nii.gz", np.zeros((2, 40, 36), np.float32))
    with pytest.raises(DataError, match=r"images/a1\.nii\.gz: absent or changed since `download`"):
        prepare.run(lab.spec_file, "all", tmp_path / "data" / "raw_all.json", GRID, lab.index)


def test_receipt_of_another_part(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.prepare()
    with pytest.raises(ConfigError, match=r"raw_all\.json: receipt of part all, expected train"):
        prepare.run(lab.spec_file, "train", tmp_path / "data" / "raw_all.json", GRID, lab.index)


def test_group_and_frame_come_from_the_data_set(phantom_prepared: Path) -> None:
    folder = phantom_prepared / "data" / "tiny"
    index = read_index([folder / "prepared" / "3.2mm_64px" / f"index_{p}.csv" for p in ("train", "val")])
    assert index["subject"].tolist() == ["heart001"] * 2 + ["heart002"] * 2 + ["heart003"] * 2
    assert index["frame"].iloc[0] == "frame01"
    assert set(index["supervision"]) == {"both"}
    receipt = json.loads((folder / "raw_train.json").read_text())
    assert [c["case"] for c in receipt["cases"]] == index["case"].tolist()[:4]
    case = load_case(Path(index["path"].iloc[0]))
    assert case.label is not None
    assert set(np.unique(case.label)) <= {0, 1, 2, 3, UNLABELLED}


def test_the_example_of_ones_own_data_runs(tmp_path: Path, repository: Path) -> None:
    """``config/datasets/example_own_data.yaml`` as it stands, its optional keys switched on."""
    text = (repository / "config" / "datasets" / "example_own_data.yaml").read_text()
    for key in ("table_order", "group_table", "cardiac_frames"):
        text = text.replace(f"# {key}:", f"{key}:")
    spec_file = tmp_path / "config" / "datasets" / "ours.yaml"
    spec_file.parent.mkdir(parents=True)
    spec_file.write_text(text)
    subjects = [f"s{i:02d}" for i in range(1, 7)]
    lines = [f"{name}\t{'ab'[i % 2]}" for i, name in enumerate(subjects)]
    (spec_file.parent / "groups.tsv").write_text("\n".join(["subject\tgroup", *lines]) + "\n")
    scans = tmp_path / "data" / "our_scans"
    for number, subject in enumerate(subjects):
        for frame in ("ed", "es"):
            write_case(scans, f"{subject}_{frame}", seed=2 * number + (frame == "es"))
            strokes = scans / "scribbles" / f"{subject}_{frame}.nii.gz"
            array = np.asarray(nib.load(strokes).dataobj).T
            write_nifti(strokes, np.where(array == 3, 4, array).astype(np.uint8))  # 4 is background there
    spec, data = load_dataset(spec_file), tmp_path / "results" / "ours"
    download.run(spec_file, "all", data / "raw_all.json")
    prepare.run(spec_file, "all", data / "raw_all.json", spec.grid, data / "p" / "index_all.csv", 2)
    protocol = Protocol(kind="kfold", folds=3)
    assert supports(spec, "scribble", protocol) is None
    split.run(spec_file, protocol, data / "p" / "index_all.csv", data / "folds.json")
    index = read_index([data / "p" / "index_all.csv"])
    assert index["subject"].tolist() == [name for name in subjects for _ in range(2)]
    assert index["group"].tolist() == ["ab"[i % 2] for i in range(6) for _ in range(2)]
    for fold in json.loads((data / "folds.json").read_text())["folds"]:
        assert sorted(spec.groups[s] for s in fold["test"]) == ["a", "b"]
    assert [cardiac_phase(spec, "s01", frame) for frame in ("ed", "es")] == ["ED", "ES"]
