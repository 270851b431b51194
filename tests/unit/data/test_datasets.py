"""Data set files: what they say, what is refused, what they support."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_files import SHIPPED, edited, write_own

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Grid, Protocol
from cyclemix.config.strict import ConfigError
from cyclemix.data.datasets import cardiac_phase, load_dataset, source_parts, supports

OFFICIAL, KFOLD = Protocol(), Protocol(kind="kfold")


def test_mscmr() -> None:
    spec = load_dataset(SHIPPED / "mscmr.yaml")
    assert (spec.label, spec.data_label, spec.source) == ("mscmr", "mscmr", None)
    assert {part: len(names) for part, names in spec.official.items()} == {"train": 25, "val": 5, "test": 15}
    assert spec.official["val"] == ["subject1", "subject8", "subject29", "subject36", "subject41"]
    assert spec.classes == ["RV", "MYO", "LV"]
    assert spec.structures == ["LV", "MYO", "RV"]
    assert spec.value_table("scribble") == {0: 0, 1: 1, 2: 2, 3: 3, 4: UNLABELLED}
    assert spec.value_table("label") == {0: 0, 1: 1, 2: 2, 3: 3}
    assert spec.grid == Grid(spacing_mm=1.36719, crop_px=212)
    assert spec.part_of("subject29") == "val"
    assert spec.part_of("subject99") is None


def test_acdc_lists_are_disjoint_and_complete() -> None:
    spec = load_dataset(SHIPPED / "acdc.yaml")
    assert {p: len(names) for p, names in spec.official.items()} == {
        "train": 35,
        "val": 15,
        "masks": 35,
        "test": 15,
    }
    assert spec.subjects == [f"patient{i:03d}" for i in range(1, 101)]
    assert sorted(set(spec.groups.values())) == ["DCM", "HCM", "MINF", "NOR", "RV"]
    assert spec.person("patient076") == spec.person("patient074") == "patient074"
    assert spec.person("patient075") == "patient075"


def test_acdc70_is_a_view() -> None:
    spec, source = load_dataset(SHIPPED / "acdc70.yaml"), load_dataset(SHIPPED / "acdc.yaml")
    assert (spec.label, spec.data_label) == ("acdc70", "acdc")
    assert sorted(spec.official["train"]) == sorted(source.official["train"] + source.official["masks"])
    assert spec.official["test"] == source.official["test"]
    assert source_parts(spec, "train") == ["train", "masks"]
    assert source_parts(spec, "val") == ["val"]
    assert source_parts(spec, "all") == ["all"]
    assert source_parts(source, "train") == ["train"]


@pytest.mark.parametrize(
    ("label", "supervision", "protocol", "reason"),
    [
        ("mscmr", "scribble", OFFICIAL, None),
        ("mscmr", "full", OFFICIAL, "the training cases of mscmr have no dense labels"),
        ("mscmr", "full", KFOLD, "the train cases of mscmr have no dense labels to train on"),
        ("mscmr", "scribble", KFOLD, None),
        ("mscmr", "scribble+masks", OFFICIAL, "mscmr has no list of unpaired masks"),
        ("acdc", "scribble+masks", OFFICIAL, None),
        ("acdc", "scribble+masks", KFOLD, "k-fold sets no unpaired masks aside"),
        ("acdc", "full", KFOLD, None),
        ("acdc70", "scribble", OFFICIAL, None),
        ("acdc70", "scribble+masks", OFFICIAL, "acdc70 has no list of unpaired masks"),
        ("phantom", "full", OFFICIAL, None),
    ],
)
def test_supports(label: str, supervision: str, protocol: Protocol, reason: str | None) -> None:
    found = supports(load_dataset(SHIPPED / f"{label}.yaml"), supervision, protocol)
    assert found is None if reason is None else (found or "").startswith(reason)


def test_supports_own_data(tmp_path: Path) -> None:
    spec = load_dataset(write_own(tmp_path))
    assert spec.structures == ["LV", "RV"]
    assert spec.part_of("anybody") == "all"
    assert supports(spec, "scribble", OFFICIAL) == "own has no official lists (use protocol.kind: kfold)"
    assert supports(spec, "scribble", KFOLD) is None
    assert supports(spec, "full", KFOLD) is None


def test_cardiac_phase() -> None:
    acdc, mscmr = load_dataset(SHIPPED / "acdc.yaml"), load_dataset(SHIPPED / "mscmr.yaml")
    assert cardiac_phase(acdc, "patient001", "frame01") == "ED"
    assert cardiac_phase(acdc, "patient001", "frame12") == "ES"
    assert cardiac_phase(acdc, "patient090", "frame04") == "ED"
    assert cardiac_phase(acdc, "patient090", "frame11") == "ES"
    assert cardiac_phase(mscmr, "subject1", "") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("terms:", "termz:", "unknown key termz .did you mean 'terms'"),
        ("[LV, MYO, RV]", "[LV, RV]", "table_order must hold the classes"),
        ("[val, test]", "[val, tset]", r"dense_parts names \['tset'\]"),
        ("spacing_mm: 1.36719", "spacing_mm: -1", "grid.spacing_mm: Input should be greater than 0"),
        ("title:", "label: x\ntitle:", "key label is taken from the file's name"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_dataset(edited(tmp_path, "mscmr", old, new))
    assert "mscmr.yaml" in str(error.value)


def test_wrong_views_are_refused(tmp_path: Path) -> None:
    view = tmp_path / "view.yaml"
    view.write_text("title: x\nsource: gone\n")
    with pytest.raises(ConfigError, match=r"source 'gone' has no file .*gone\.yaml"):
        load_dataset(view)
    write_own(tmp_path)
    view.write_text("title: x\nsource: own\nmerge: {train: [train]}\n")
    with pytest.raises(ConfigError, match="merge names 'train'; own has "):
        load_dataset(view)
    view.write_text("title: x\nsource: own\n")
    assert load_dataset(view).data_label == "own"
    (tmp_path / "second.yaml").write_text("title: x\nsource: view\n")
    with pytest.raises(ConfigError, match="view is itself a view; name own instead"):
        load_dataset(tmp_path / "second.yaml")


def test_a_split_table_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (home / "list.csv").write_text("subject,split\na1,train\na2,val\n")
    spec = load_dataset(write_own(tmp_path, extra="split_table: ~/list.csv\n"))
    assert spec.official == {"train": ["a1"], "val": ["a2"]}


def test_a_file_without_a_place_is_refused(tmp_path: Path) -> None:
    path = write_own(tmp_path)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("root")))
    with pytest.raises(ConfigError, match="neither `upstream` nor `root` says where the files are"):
        load_dataset(path)


def test_group_table_needs_its_column(tmp_path: Path) -> None:
    (tmp_path / "groups.tsv").write_text("subject\tpathology\na\tb\n")
    spec = load_dataset(write_own(tmp_path, extra="group_table: groups.tsv\n"))
    with pytest.raises(
        ConfigError,
        match=r"groups\.tsv: expected rows and the column group \(group_table\), got columns subject",
    ):
        _ = spec.groups
