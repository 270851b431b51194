"""Volumes, ejection fraction, mass and their agreement, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from score_rows import score_row

from cyclemix.config.strict import validate
from cyclemix.data.datasets import DatasetSpec
from cyclemix.evaluation import clinical


def spec(**changes) -> DatasetSpec:
    values = {
        "label": "toy",
        "folder": ".",
        "title": "Toy",
        "terms": "none",
        "root": ".",
        "files": {"image": "{case}.nii.gz", "label": "{case}_gt.nii.gz"},
        "case": "{subject}_frame{frame}",
        "classes": ["RV", "MYO", "LV"],
        "label_values": {0: "background", 1: "RV", 2: "MYO", 3: "LV"},
        "grid": {"spacing_mm": 1.0, "crop_px": 32},
        "cardiac_frames": {"ED": "01"},
    }
    return validate(DatasetSpec, values | changes, "toy")


def volumes(subject: str, frame: str, seed: int = 0, **pairs: tuple[float, float]) -> list[dict]:
    return [
        score_row(f"{subject}_frame{frame}", structure, seed=seed, volume_pred_ml=pred, volume_true_ml=true)
        for structure, (pred, true) in pairs.items()
    ]


def test_measures_of_one_patient_by_hand():
    table = pd.DataFrame(
        volumes("p1", "01", LV=(110, 100), MYO=(120, 100), RV=(80, 100))
        + volumes("p1", "12", LV=(44, 50), MYO=(130, 100), RV=(60, 60))
    )
    found = clinical.measures(table, spec()).set_index(["structure", "measure"])
    assert found.loc[("LV", "edv"), ["pred", "true"]].tolist() == [110, 100]
    assert found.loc[("LV", "esv"), ["pred", "true"]].tolist() == [44, 50]
    assert found.loc[("LV", "ef"), ["pred", "true"]].tolist() == pytest.approx([60, 50])
    assert found.loc[("RV", "ef"), ["pred", "true"]].tolist() == pytest.approx([25, 40])
    assert found.loc[("MYO", "mass"), ["pred", "true"]].tolist() == pytest.approx([126, 105])
    assert found["unit"].to_dict()[("MYO", "mass")] == "g"


def test_runs_are_averaged_after_the_fraction():
    table = pd.DataFrame(
        volumes("p1", "01", 0, LV=(100, 100))
        + volumes("p1", "12", 0, LV=(50, 50))
        + volumes("p1", "01", 1, LV=(200, 100))
        + volumes("p1", "12", 1, LV=(20, 50))
    )
    found = clinical.measures(table, spec()).set_index("measure")
    assert found.loc["ef", "pred"] == pytest.approx((50 + 90) / 2)


def test_a_missed_ventricle_has_no_ejection():
    table = pd.DataFrame(volumes("p1", "01", LV=(0, 100)) + volumes("p1", "12", LV=(0, 50)))
    found = clinical.measures(table, spec()).set_index("measure")
    assert found.loc["ef", ["pred", "true"]].tolist() == [0, 50]


def test_a_lone_frame_gives_no_fraction():
    found = clinical.measures(pd.DataFrame(volumes("p1", "01", LV=(10, 10))), spec())
    assert found["measure"].tolist() == ["edv"]


def test_exceptions_name_another_end_diastolic_frame():
    swapped = spec(cardiac_frames={"ED": "01", "exceptions": {"p9": "04"}})
    assert clinical.phase_of(swapped, "p9_frame04", "p9") == "ED"
    assert clinical.phase_of(swapped, "p9_frame01", "p9") == "ES"
    assert clinical.phase_of(swapped, "p1_frame01", "p1") == "ED"


@pytest.mark.parametrize(
    ("structure", "changes"), [("LV", {"cardiac_frames": None}), ("aorta", {})], ids=["phases", "structures"]
)
def test_without_phases_or_structures_of_the_heart_there_are_no_measures(structure, changes):
    table = pd.DataFrame(volumes("p1", "01", **{structure: (10, 10)}))
    found = clinical.measures(table, spec(**changes))
    assert found.empty
    assert tuple(found.columns) == clinical.PATIENT_COLUMNS
    assert clinical.agreement(found).empty


def test_bland_altman_by_hand():
    table = pd.DataFrame({"subject": ["p0", "p1", "p2"], "pred": [98.0, 101, 107], "true": [100.0, 101, 102]})
    table = table.assign(dataset="toy", method="m", structure="LV", measure="edv", unit="mL")
    row = clinical.agreement(table).iloc[0]
    sd = np.sqrt((9 + 1 + 16) / 2)  # differences -2, 0, 5 about their mean 1
    assert row["bias"] == pytest.approx(1.0)
    assert row["sd"] == pytest.approx(sd)
    assert [row["loa_low"], row["loa_high"]] == pytest.approx([1 - 1.96 * sd, 1 + 1.96 * sd])
    assert row["mean_abs_error"] == pytest.approx(7 / 3)
    assert row["n_patients"] == 3


def test_levels_average_frames_then_patients():
    rows = [
        score_row(case, s, level="apex", n_slices=2, dice=dice)
        for case, s, dice in [
            ("p1_a", "LV", 0.8),
            ("p1_b", "LV", 0.6),
            ("p2_a", "LV", 0.3),
            ("p1_a", "RV", 0.4),
            ("p1_b", "RV", 0.4),
            ("p2_a", "RV", 0.1),
        ]
    ]
    found = clinical.by_level(pd.DataFrame(rows)).set_index("structure")
    assert found.loc["LV", "dice_mean"] == pytest.approx((0.7 + 0.3) / 2)
    assert found.loc["Avg", "dice_mean"] == pytest.approx((0.55 + 0.2) / 2)
    assert found["n_patients"].tolist() == [2, 2, 2]
