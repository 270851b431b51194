"""Users' data sets: odd names, nested folders, split tables, slices along another axis."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from data_files import OWN, spread, write_case, write_own

from cyclemix.config.models import Grid, Protocol
from cyclemix.config.strict import ConfigError
from cyclemix.data import download, prepare, split
from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset, supports
from cyclemix.data.store import load_case
from cyclemix.evaluation.evaluate import score_case
from cyclemix.inference.export import save_labels


def nested(tmp_path: Path, case: str, *cases: str) -> Path:
    suffixes = ("", "_gt", "_scr")
    spread(tmp_path, "{0}{kind}", *((name,) for name in cases), suffixes=suffixes)
    text = OWN.format(root="scans") + f'case: "{case}"\n'
    for kind, suffix in zip(("images", "labels", "scribbles"), suffixes, strict=True):
        text = text.replace(f"{kind}/{{case}}", f"{{folder}}/{{case}}{suffix}")
    (tmp_path / "own.yaml").write_text(text)
    return tmp_path / "own.yaml"


def test_folders_in_between_are_followed(tmp_path: Path) -> None:
    spec = load_dataset(nested(tmp_path, "{subject}", "site A/2021/p1", "site B/p2"))
    cases = list_cases(spec, "all", tmp_path)
    assert [case["case"] for case in cases] == ["p1", "p2"]
    assert cases[0]["label"].endswith("scans/site A/2021/p1_gt.nii.gz")


def test_one_name_in_two_folders_is_refused_or_told_apart(tmp_path: Path) -> None:
    spec_file = nested(tmp_path, "{subject}", "a/x/p1", "b/p1")
    with pytest.raises(
        ConfigError, match=r'named p1, in a/x and in b; distinguish them.*case: "\{folder\}_\{subject'
    ):
        list_cases(load_dataset(spec_file), "all", tmp_path)
    spec_file.write_text(spec_file.read_text().replace('case: "{subject}"', 'case: "{folder}_{subject}"'))
    cases = list_cases(load_dataset(spec_file), "all", tmp_path)
    assert [(case["case"], case["subject"]) for case in cases] == [("a-x_p1", "a-x_p1"), ("b_p1", "b_p1")]
    assert cases[1]["scribble"].endswith("scans/b/p1_scr.nii.gz")


def test_excluded_cases_are_left_out_and_misspelt_ones_refused(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, ("a1", "a2"), "exclude: [a2]\n")
    assert [case["case"] for case in list_cases(load_dataset(spec_file), "all", tmp_path)] == ["a1"]
    spec_file.write_text(spec_file.read_text().replace("[a2]", "[a3]"))
    with pytest.raises(ConfigError, match=r"own: exclude names a3, neither a case nor a subject here"):
        list_cases(load_dataset(spec_file), "all", tmp_path)


def test_split_table_gives_lists_and_groups(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, ("a1", "a2", "ä 3", "a4"), "split_table: cases.csv\n")
    # as a German spreadsheet writes it: byte-order mark, semicolons; a4 is left out
    rows = "subject;split;group\na1;train;MINF\nä 3;Val;NOR\na2;test;NOR\na4;;NOR\n"
    (tmp_path / "cases.csv").write_text("\ufeff" + rows, encoding="utf-8")
    spec = load_dataset(spec_file)
    assert spec.official == {"train": ["a1"], "val": ["ä 3"], "test": ["a2"]}
    assert spec.groups["a1"] == "MINF"
    assert supports(spec, "scribble", Protocol(kind="official")) is None
    split.run(spec_file, Protocol(kind="official"), None, tmp_path / "folds.json")
    fold = json.loads((tmp_path / "folds.json").read_text())["folds"][0]
    assert fold == {"train": ["a1"], "val": ["ä 3"], "test": ["a2"], "masks": []}
    assert [case["case"] for case in list_cases(spec, "all", tmp_path)] == ["a1", "a2", "ä 3"]


@pytest.mark.parametrize(
    ("table", "extra", "message"),
    [
        ("subject,split\na1,training\n", "", r"cases\.csv: line 2: split must be train, val, masks, test or"),
        (
            "name,split\na1,train\n",
            "",
            r"cases\.csv: expected rows and the column subject \(split_table\), got",
        ),
        ("subject,split\n", "", r"cases\.csv: expected rows and the columns subject, split"),
        ("subject,split\na1,train\n", "official: {train: [a1]}\n", r"split_table and official both list"),
        ("subject,split\na1,train\na1,val\n", "", r"a1 listed twice"),
        (None, "", r"cases\.csv: no such table \(split_table\)"),
    ],
)
def test_wrong_split_tables(table: str | None, extra: str, message: str, tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, ("a1",), "split_table: cases.csv\n" + extra)
    if table is not None:
        (tmp_path / "cases.csv").write_text(table)
    with pytest.raises(ConfigError, match=message):
        load_dataset(spec_file)


@pytest.mark.parametrize("name", ["background", "Avg", "a/b", " "])
def test_names_that_no_structure_may_have(name: str, tmp_path: Path) -> None:
    spec_file = write_own(tmp_path)
    spec_file.write_text(spec_file.read_text().replace("classes: [RV, LV]", f"classes: [RV, LV, '{name}']"))
    with pytest.raises(ConfigError, match=r"classes: .* cannot name a structure; give each its own"):
        load_dataset(spec_file)


@pytest.mark.parametrize("axis", [1, 2])
def test_slices_along_another_axis_come_home(axis: int, tmp_path: Path) -> None:
    """Volumes stored with their slices along axis 1 or 2 are prepared alike and return as they were."""
    for root, turned in (("plain", False), ("turned", True)):
        write_case(tmp_path / root / "scans", "a")
        (tmp_path / root / "own.yaml").write_text(
            OWN.format(root="scans") + (f"slice_axis: {axis}\n" if turned else "")
        )
        for file in (tmp_path / root / "scans").rglob("*.nii.gz") if turned else ():
            image = nib.load(file)
            affine = image.affine.copy()
            affine[:3, [axis - 1, *[i for i in range(3) if i != axis - 1]]] = image.affine[:3, [2, 0, 1]]
            nib.save(nib.Nifti1Image(np.moveaxis(np.asarray(image.dataobj), 2, axis - 1), affine), file)
    cases = {}
    for root in ("plain", "turned"):
        data = tmp_path / root / "data"
        download.run(tmp_path / root / "own.yaml", "all", data / "raw_all.json")
        grid = Grid(spacing_mm=1, crop_px=32)
        prepare.run(tmp_path / root / "own.yaml", "all", data / "raw_all.json", grid, data / "index_all.csv")
        cases[root] = load_case(data / "a.npz")
    assert cases["turned"].geometry.slice_axis == axis
    assert cases["turned"].geometry.spacing_mm == (5.0, 1.0, 1.0)
    for name in ("image", "label", "scribble"):
        np.testing.assert_array_equal(getattr(cases["plain"], name), getattr(cases["turned"], name))

    spec, raw = load_dataset(tmp_path / "turned" / "own.yaml"), tmp_path / "turned" / "data" / "raw"
    entry = list_cases(spec, "all", raw)[0]
    truth = nib.load(entry["label"])
    geometry = cases["turned"].geometry
    labels = np.moveaxis(np.asarray(truth.dataobj), axis - 1, 2).T  # (D,H,W)
    save_labels(tmp_path / "out" / "a.nii.gz", labels, geometry.header, geometry.slice_axis)
    saved = nib.load(tmp_path / "out" / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(saved.dataobj), np.asarray(truth.dataobj))
    np.testing.assert_allclose(saved.affine, truth.affine)
    rows, _, _ = score_case(spec, raw, entry, (tmp_path / "out", tmp_path / "out"))
    assert [row["dice"] for row in rows] == [1.0, 1.0]
    assert [row["hd_mm"] for row in rows] == [0.0, 0.0]
