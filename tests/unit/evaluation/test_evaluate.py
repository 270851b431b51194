"""Scores on the native grid: real NIfTI files of a toy data set, values by hand, refusals by message."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from cyclemix.evaluation import evaluate
from cyclemix.files.layout import AS_PREDICTED
from cyclemix.metrics import miss_distance

SHAPE = (6, 12, 10)  # D, H, W
SPACING = (10.0, 2.0, 1.5)  # dz, dy, dx
DATASET = """
title: Toy
terms: none
root: .
files: {image: "{case}.nii.gz", label: "{case}_gt.nii.gz"}
classes: [RV, MYO, LV]
table_order: [LV, MYO, RV]
label_values: {0: background, 10: RV, 20: MYO, 30: LV, 9: unlabelled}
grid: {spacing_mm: 1.0, crop_px: 32}
official: {train: [], val: [], test: [p1, p2]}
"""


def write(path: Path, labels: np.ndarray, spacing=SPACING, origin=(5.0, -3.0, 7.0)) -> None:
    affine = np.diag([-spacing[2], spacing[1], spacing[0], 1.0])
    affine[:3, 3] = origin
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(labels.T.astype(np.uint8)), affine), path)


def blank() -> np.ndarray:
    return np.zeros(SHAPE, dtype=np.uint8)


class Toy:
    """Two cases; the truth of each is an LV block of 4x4x4 voxels beside an RV block of 2x2x2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dataset, self.receipt = folder / "toy.yaml", folder / "raw_test.json"
        self.folds, self.predictions = folder / "folds.json", folder / "predictions"
        self.output = folder / "run" / "metrics.csv"
        self.dataset.write_text(DATASET)
        self.folds.write_text(json.dumps({"folds": [{"train": [], "val": ["p3"], "test": ["p1", "p2"]}]}))
        entries = []
        for case in ("p2", "p1"):
            write(folder / "raw" / f"{case}.nii.gz", blank())
            write(folder / "raw" / f"{case}_gt.nii.gz", np.array([0, 10, 20, 30, 9], np.uint8)[self.truth()])
            for place in (self.predictions, self.predictions / AS_PREDICTED):
                write(place / f"{case}.nii.gz", self.truth())
            entries.append(
                {"case": case, "subject": case, "frame": "", "part": "test", "scribble": None}
                | {"image": f"{case}.nii.gz", "label": f"{case}_gt.nii.gz"}
            )
        self.receipt.write_text(json.dumps({"part": "test", "files": [], "cases": entries}))

    @staticmethod
    def truth() -> np.ndarray:
        labels = blank()
        labels[1:5, 2:6, 2:6] = 3
        labels[1:3, 8:10, 2:4] = 1
        return labels

    def run(self, fold: int = 0, evaluate_on: str = "test") -> pd.DataFrame:
        evaluate.run(self.dataset, self.receipt, self.folds, fold, evaluate_on, self.predictions, self.output)
        return pd.read_csv(self.output).set_index(["case", "structure"])


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_perfect_predictions(toy):
    table = toy.run()
    assert list(table.index) == [(case, name) for case in ("p1", "p2") for name in ("LV", "MYO", "RV")]
    assert (table["dice"] == 1).all()
    assert (table[["hd_mm", "hd95_mm", "assd_mm", "missed"]] == 0).all(axis=None)
    assert table.loc[("p1", "LV"), "volume_true_ml"] == pytest.approx(64 * 30 / 1000)
    assert table.loc[("p1", "RV"), "volume_pred_ml"] == pytest.approx(8 * 30 / 1000)


def test_both_ways_are_scored(toy):
    """Half of the 64 LV voxels as predicted: Dice 2 * 32 / (32 + 64); all of them in the final labels."""
    half = toy.truth()
    half[1:3, 2:6, 2:6] = 0
    write(toy.predictions / AS_PREDICTED / "p1.nii.gz", half)
    assert toy.run().loc[("p1", "LV"), "dice"] == 1
    raw = pd.read_csv(toy.output.with_name("metrics_as_predicted.csv")).set_index(["case", "structure"])
    assert raw.loc[("p1", "LV"), "dice"] == pytest.approx(2 / 3)
    assert raw.loc[("p2", "LV"), "dice"] == 1


def test_columns_are_the_documented_ones(toy):
    toy.run()
    assert toy.output.read_text().splitlines()[0] == (
        "case,subject,structure,dice,hd_mm,hd95_mm,assd_mm,volume_pred_ml,volume_true_ml,missed"
    )


def test_a_shift_is_measured_in_mm_along_its_axis(toy):
    shifted = np.roll(toy.truth(), 1, axis=2)
    write(toy.predictions / "p1.nii.gz", shifted)
    row = toy.run().loc[("p1", "LV")]
    assert row["dice"] == pytest.approx(2 * 48 / 128)
    assert row["hd_mm"] == pytest.approx(1.5)


def test_a_missed_structure_counts_as_the_native_diagonal(toy):
    labels = toy.truth()
    labels[labels == 1] = 0
    labels[5, 11, 9] = 2  # and a myocardium that is not there
    write(toy.predictions / "p1.nii.gz", labels)
    table = toy.run().loc["p1"]
    assert table["missed"].to_dict() == {"LV": 0, "MYO": 1, "RV": 1}
    for name in ("MYO", "RV"):
        assert table.loc[name, "dice"] == 0
        assert table.loc[name, "hd95_mm"] == pytest.approx(miss_distance(SHAPE, SPACING))
    assert miss_distance(SHAPE, SPACING) == pytest.approx((60**2 + 24**2 + 15**2) ** 0.5)


def test_voxels_without_a_label_are_not_scored(toy):
    truth = toy.truth()
    truth[:, :, 6:] = 4  # upstream value 9: unlabelled
    write(toy.folder / "raw" / "p1_gt.nii.gz", np.array([0, 10, 20, 30, 9], np.uint8)[truth])
    labels = toy.truth()
    labels[2, 3, 6:] = 3
    write(toy.predictions / "p1.nii.gz", labels)
    assert toy.run().loc[("p1", "LV"), "dice"] == 1


def test_levels_lie_beside_the_metrics(toy):
    labels = toy.truth()
    labels[4][labels[4] == 3] = 0  # the apical slice of the left ventricle is missed
    write(toy.predictions / "p1.nii.gz", labels)
    toy.run()
    levels = pd.read_csv(toy.output.with_name("metrics_by_level.csv"))
    assert list(levels.columns) == ["case", "subject", "structure", "level", "n_slices", "dice"]
    found = levels[(levels["case"] == "p1") & (levels["structure"] == "LV")].set_index("level")
    assert found["n_slices"].to_dict() == {"base": 2, "middle": 1, "apex": 1}
    assert found["dice"].to_dict() == {"base": 1.0, "middle": 1.0, "apex": 0.0}


def test_the_base_is_the_larger_end():
    labels = np.zeros((9, 8, 8), dtype=np.uint8)
    for z in range(1, 8):
        labels[z, : z + 1, :2] = 1  # grows with z: the base is at the end
    levels = evaluate.heart_levels(labels)
    assert {level: slices.tolist() for level, slices in levels.items()} == {
        "base": [7, 6, 5],
        "middle": [4, 3],
        "apex": [2, 1],
    }
    assert evaluate.heart_levels(np.zeros((4, 2, 2), dtype=np.uint8)) == {}


def test_other_structures_have_no_levels(toy):
    toy.dataset.write_text(DATASET.replace("LV", "tumour"))
    toy.run()
    assert pd.read_csv(toy.output.with_name("metrics_by_level.csv")).empty


def test_threads_do_not_change_the_table(toy):
    toy.run()
    first = toy.output.read_bytes()
    evaluate.run(toy.dataset, toy.receipt, toy.folds, 0, "test", toy.predictions, toy.output, threads=1)
    assert toy.output.read_bytes() == first


def test_missing_prediction_is_named(toy):
    (toy.predictions / "p2.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"p2\.nii\.gz: no prediction for this case"):
        toy.run()
    assert not toy.output.exists()


def test_truncated_prediction_is_named(toy):
    path = toy.predictions / "p2.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"p2\.nii\.gz: not a readable NIfTI volume"):
        toy.run()


def test_a_flipped_bit_of_a_prediction_changes_no_score(toy):
    """Whatever bit it is: the file is refused, or says what it said (gzip keeps a time and a name, too)."""
    path = toy.predictions / "p2.nii.gz"
    whole, said = path.read_bytes(), evaluate.read_prediction(path, 3)
    refused, draw = 0, np.random.default_rng(0)
    for position in draw.integers(len(whole), size=200):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << draw.integers(8)
        path.write_bytes(flipped)
        try:
            found = evaluate.read_prediction(path, 3)
        except ValueError:
            refused += 1
        else:
            np.testing.assert_array_equal(found.labels, said.labels)
            np.testing.assert_array_equal(found.affine, said.affine)
            assert found.spacing_mm == said.spacing_mm
    assert refused > 150


UPSTREAM = r"differs from the upstream image p1\.nii\.gz: "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"spacing": (10.0, 2.0, 1.6)},
            rf"spacing in mm {UPSTREAM}got \[10.0, 2.0, 1.60.*expected \[10.0, 2.0, 1.5\]",
        ),
        ({"origin": (5.0, -3.0, 7.5)}, rf"affine {UPSTREAM}"),
        (
            {"labels": Toy.truth()[:-1]},
            rf"shape \(D, H, W\) {UPSTREAM}got \[5, 12, 10\], expected \[6, 12, 10\]",
        ),
        ({"labels": Toy.truth() * 10}, r"expected class values 0\.\.3, got \[0, 10, 30\]"),
    ],
    ids=["spacing", "origin", "shape", "values"],
)
def test_a_foreign_prediction_is_refused(toy, changes, message):
    write(toy.predictions / "p1.nii.gz", **{"labels": toy.truth(), **changes})
    with pytest.raises(ValueError, match=rf"p1\.nii\.gz: {message}"):
        toy.run()


def test_what_the_lists_ask_for_must_be_there(toy):
    with pytest.raises(ValueError, match=r"no fold 1; it holds folds 0\.\.0"):
        toy.run(fold=1)
    with pytest.raises(ValueError, match=r"raw_test\.json: no files of p3, .*download that part first"):
        toy.run(evaluate_on="val")
    receipt = json.loads(toy.receipt.read_text())
    receipt["cases"][0]["label"] = None
    toy.receipt.write_text(json.dumps(receipt))
    with pytest.raises(ValueError, match="no dense label for p2"):
        toy.run()
