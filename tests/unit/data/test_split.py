"""Folds: disjoint, complete, by person, stratified."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from data_files import write_own

from cyclemix.config.models import Protocol
from cyclemix.config.strict import ConfigError
from cyclemix.data import split
from cyclemix.data.datasets import load_dataset
from cyclemix.data.split import Person, kfold

FOLDER = Path(__file__).resolve().parents[3] / "config" / "datasets"
KFOLD = Protocol(kind="kfold")


def people(
    count: int, group: str = "", dense: bool = True, scribbled: bool = True, prefix: str = "p"
) -> list[Person]:
    return [Person((f"{prefix}{i:03d}",), group, dense, scribbled) for i in range(count)]


def run(tmp_path: Path, label: str, protocol: Protocol) -> dict:
    split.run(FOLDER / f"{label}.yaml", protocol, None, tmp_path / "folds.json")
    return json.loads((tmp_path / "folds.json").read_text())


def test_official_lists_are_written(tmp_path: Path) -> None:
    content = run(tmp_path, "acdc", Protocol())
    assert content["dataset"] == "acdc"
    assert content["protocol"] == {"kind": "official"}
    (fold,) = content["folds"]
    assert {name: len(members) for name, members in fold.items()} == {
        "train": 35,
        "val": 15,
        "test": 15,
        "masks": 35,
    }
    assert fold["test"][:3] == ["patient005", "patient010", "patient024"]
    assert len({s for members in fold.values() for s in members}) == 100


def test_evaluation_does_not_change_the_folds(tmp_path: Path) -> None:
    run(tmp_path, "mscmr", Protocol(evaluate_on="test"))
    first = (tmp_path / "folds.json").read_bytes()
    run(tmp_path, "mscmr", Protocol(evaluate_on="val"))
    assert (tmp_path / "folds.json").read_bytes() == first


def test_acdc_kfold_is_stratified_and_keeps_the_twins_together(tmp_path: Path) -> None:
    spec = load_dataset(FOLDER / "acdc.yaml")
    folds = run(tmp_path, "acdc", KFOLD)["folds"]
    assert Counter(s for fold in folds for s in fold["test"]) == dict.fromkeys(spec.subjects, 1)
    for fold in folds:
        assert sorted(fold["train"] + fold["val"] + fold["test"]) == spec.subjects
        groups = Counter(spec.groups[s] for s in fold["test"])
        assert set(groups.values()) <= {3, 4, 5}
        assert len(groups) == 5
        assert len({spec.groups[s] for s in fold["val"]}) == 5
        for name in ("train", "val", "test"):
            assert ("patient074" in fold[name]) == ("patient076" in fold[name])


def test_mscmr_kfold_rotates_only_dense_subjects(tmp_path: Path) -> None:
    spec = load_dataset(FOLDER / "mscmr.yaml")
    folds = run(tmp_path, "mscmr", KFOLD)["folds"]
    for fold in folds:
        assert fold["train"] == sorted(spec.official["train"])  # scribbles only: always train
        assert len(fold["test"]) == 4
        assert len(fold["val"]) == 16  # without scribbles they cannot train
    tested = [s for fold in folds for s in fold["test"]]
    assert sorted(tested) == sorted(spec.official["val"] + spec.official["test"])


def test_the_seed_shuffles() -> None:
    assert kfold(people(20), 4, 0, "x") != kfold(people(20), 4, 1, "x")


def test_too_few_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"x: 3 densely labelled subjects for 5 folds; lower"):
        kfold(people(3) + people(9, dense=False, prefix="s"), 5, 0, "x")
    with pytest.raises(ConfigError, match="x: fold 0 of 2 has 0 subjects to train and 1 to select on"):
        kfold(people(2), 2, 0, "x")


def test_no_official_lists(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path)
    with pytest.raises(ConfigError, match=r"own: no official train and val list; use protocol\.kind: kfold"):
        split.run(spec_file, Protocol(), None, tmp_path / "folds.json")
    with pytest.raises(ConfigError, match="k-fold needs the index of all cases"):
        split.run(spec_file, KFOLD, None, tmp_path / "folds.json")


def test_own_data_takes_subjects_groups_and_labels_from_the_index(tmp_path: Path) -> None:
    rows = [
        {"case": f"s{i}_{k}", "subject": f"s{i}", "frame": str(k), "group": "ab"[i % 2], "supervision": kind}
        for i, kind in enumerate(["both"] * 6 + ["scribble"] * 2)
        for k in (1, 2)
    ]
    rows[1]["supervision"] = "scribble"  # one frame of s0 has no dense label: s0 cannot be tested
    pd.DataFrame(rows).to_csv(tmp_path / "index_all.csv", index=False)
    spec_file = write_own(tmp_path)
    split.run(spec_file, Protocol(kind="kfold", folds=2), tmp_path / "index_all.csv", tmp_path / "folds.json")
    folds = json.loads((tmp_path / "folds.json").read_text())["folds"]
    assert sorted(s for fold in folds for s in fold["test"]) == ["s1", "s2", "s3", "s4", "s5"]
    for fold in folds:
        assert {"s0", "s6", "s7"} <= set(fold["train"])


def test_a_person_on_both_sides_is_refused(tmp_path: Path) -> None:
    lists = "official: {train: [a1], val: [a2]}\nsame_person: [[a1, a2]]\n"
    spec_file = write_own(tmp_path, extra=lists)
    with pytest.raises(ConfigError, match="own, fold 0: a1 is in train and, by another name, in val"):
        split.run(spec_file, Protocol(), None, tmp_path / "folds.json")
    spec = load_dataset(spec_file)
    fold = {"train": ["b"], "val": ["b"], "test": [], "masks": []}
    with pytest.raises(ConfigError, match="x: b in both train and val"):
        split.check_disjoint(fold, spec, "x")
