"""`cyclemix init`: what it makes of a folder loads, passes `check` and finds the cases that are there."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from data_files import spread, write_case, write_nifti
from scripts import run_script
from typer.testing import CliRunner

from cyclemix.cli.main import app
from cyclemix.config.strict import ConfigError, validate
from cyclemix.config.study import Study
from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset
from cyclemix.data.spec import DatasetSpec
from cyclemix.own_data import check
from cyclemix.own_data import init as draft


def init(tmp_path: Path, folder: Path, name: str = "own") -> tuple[DatasetSpec, dict[str, Any], list[str]]:
    """Draft, validate both files; the data set, the study and the notes."""
    output, study = tmp_path / "config" / "datasets" / f"{name}.yaml", tmp_path / "config" / f"{name}.yaml"
    made = draft.run(folder, name, output, study, threads=2)
    values = yaml.safe_load(study.read_text())
    validate(Study, values, str(study))
    return load_dataset(output), values, made.notes


@pytest.mark.parametrize("classes", [1, 3, 7])
def test_made_images_pass_check_unedited(classes: int, tmp_path: Path) -> None:
    run_script(
        "docs/examples/make_images.py",
        str(tmp_path / "scans"),
        "--cases",
        "5",
        "--classes",
        str(classes),
        "--new",
        "2",
    )
    spec, study, notes = init(tmp_path, tmp_path / "scans")
    names = [f"structure{value}" for value in range(1, classes + 1)]
    assert spec.classes == names
    assert spec.label_values == {0: "background", **dict(enumerate(names, 1))}
    assert spec.scribble_values == {0: "unlabelled", **dict(enumerate(names, 1)), classes + 1: "background"}
    (note,) = notes
    assert note.startswith("2 other volumes are not used, since they fit no pattern of the rest: new/")
    assert study["protocol"] == {"kind": "kfold", "folds": 5, "run_folds": [0]}
    assert study["methods"] == ["unet_pce", "cyclemix"]
    report = check.run(tmp_path / "config" / "datasets" / "own.yaml", tmp_path / "results", 2)
    assert report.findings == []
    assert len(report.cases) == 5


FRAMES = [(f"p{number}", frame) for number in (1, 2, 3) for frame in ("ED", "ES")]
VIEWS = [(f"{number:03d}", view) for number in (1, 2, 3) for view in ("SA_ED", "SA_ES", "LA_ED")]
TWO_VIEWS = [(f"P{number}", view) for number in (1, 2, 3, 4) for view in ("SA_ED", "LA_ED")]

# fmt: off
LAYOUTS: dict[str, tuple[str, list[tuple[str, ...]], str, str, str, set[str]]] = {
    "files distinguished by endings":
        ("{0}{kind}", [("scan 1",), ("Müller (2)",), ("x_3",)],
         "{case}", "{subject}", "{0}", {"Müller (2)", "scan 1", "x_3"}),
    "subjects with frames in folders":
        ("{0}/{0}_{1}{kind}", FRAMES,
         "{subject}/{case}", "{subject}_{frame}", "{0}_{1}", {"p1", "p2", "p3"}),
    "frames in one folder":
        ("{0}_{1}{kind}", FRAMES,
         "{case}", "{subject}_{frame}", "{0}_{1}", {"p1", "p2", "p3"}),
    "one name at two sites is distinguished":
        ("{0}/2021/{1}{kind}", [("a", "p1"), ("a", "p2"), ("b", "p1")],
         "{folder}/{case}", "{folder}_{subject}", "{0}-2021_{1}", {"a-2021_p1", "a-2021_p2", "b-2021_p1"}),
    "a folder whose name begins its files is the patient":
        ("{0}/{0}_{1}{kind}", VIEWS,
         "{subject}/{case}", "{subject}_{view}", "{0}_{1}", {"001", "002", "003"}),
    "a folder of views with underscores is the patient":
        ("{0}/{1}{kind}", TWO_VIEWS,
         "{subject}/{view}", "{subject}_{view}", "{0}_{1}", {"P1", "P2", "P3", "P4"}),
}
"""Where the files lie; then the drafted pattern of images and of case names, the cases and the subjects."""
# fmt: on


@pytest.mark.parametrize("name", LAYOUTS)
def test_subjects_and_frames_by_the_names_of_files_and_folders(tmp_path: Path, name: str) -> None:
    place, keys, image, case, case_name, subjects = LAYOUTS[name]
    spec, study, notes = init(tmp_path, spread(tmp_path, place, *keys))
    assert notes == []
    assert spec.files.image == f"{image}.nii.gz"
    assert spec.files.label == f"{image}_gt.nii.gz"
    assert spec.files.scribble == f"{image}_scribble.nii.gz"
    assert spec.case == case
    cases = list_cases(spec, "all", tmp_path)
    assert [found["case"] for found in cases] == sorted(case_name.format(*key) for key in keys)
    assert {found["subject"] for found in cases} == subjects
    assert all(Path(found["scribble"]).is_file() for found in cases)
    assert study["protocol"]["folds"] == len(subjects)


def test_a_folder_a_subject_with_fixed_names(tmp_path: Path) -> None:
    kinds = ("image", "seg", "scribble")
    folder = spread(tmp_path, "site A/subject {0}/{kind}", ("1",), ("2",), ("3",), suffixes=kinds)
    spec, _, _ = init(tmp_path, folder)
    assert spec.files.label == "{folder}/{case}/seg.nii.gz"
    assert [case["subject"] for case in list_cases(spec, "all", tmp_path)] == [
        f"subject {n}" for n in (1, 2, 3)
    ]


def test_of_two_sets_of_labels_both_are_named(tmp_path: Path) -> None:
    folder = spread(tmp_path, "{0}{kind}", ("p1",), ("p2",), ("p3",), scribbles=False)
    for path in list(folder.glob("*_gt.nii.gz")):
        path.with_name(path.name.replace("_gt", "_seg")).write_bytes(path.read_bytes())
    spec, _, notes = init(tmp_path, folder)
    assert spec.files.label == "{case}_gt.nii.gz"
    check = (
        "there are several label files per case: p1_gt.nii.gz (3 such files) is used, p1_seg.nii.gz (3 such "
        "files) is not. If the other is right, change files.label"
    )
    assert notes[0] == check
    assert len(list_cases(spec, "all", tmp_path)) == 3
    assert spec.exclude == ["p1_seg", "p2_seg", "p3_seg"], "the image pattern covers them"
    text = (tmp_path / "config" / "datasets" / "own.yaml").read_text().replace("\n# ", " ")
    assert f"# CHECK {check}.\nfiles:" in text.replace(" CHECK there", "\n# CHECK there")


@pytest.mark.parametrize("pattern", ["{0} my drawing v2", "drawn/{0}", "by Anna - {0}"])
def test_scribbles_are_recognised_by_content(tmp_path: Path, pattern: str) -> None:
    folder = spread(tmp_path, "{0}{kind}", ("p1",), ("p2",), ("p10",))
    for path in list(folder.glob("*_scribble.nii.gz")):
        target = folder / (pattern.format(path.name.split("_")[0]) + ".nii.gz")
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    spec, _, notes = init(tmp_path, folder)
    assert spec.files.label == "{case}_gt.nii.gz"
    assert spec.files.scribble == pattern.replace("{0}", "{case}") + ".nii.gz"
    assert len(notes) == 1
    assert notes[0].startswith("3 files are taken for labels or scribbles by their content: ")


def test_labels_of_which_none_can_be_read_are_named_with_the_cause(tmp_path: Path) -> None:
    folder = spread(tmp_path, "{0}{kind}", ("a",), ("b",), scribbles=False)
    for case in "ab":
        write_nifti(folder / f"{case}_gt.nii.gz", np.ones((4, 2, 40, 36), np.uint8), (1.0, 1.0, 1.0))
    with pytest.raises(
        ConfigError,
        match=r"none of 2 label files can be read; the first: .*a_gt\.nii\.gz: expected one volume",
    ):
        init(tmp_path, folder)


def test_nnunet_layout_with_names_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset"
    for number in (1, 2, 3):
        write_case(tmp_path / "flat", "x", seed=number, scribble=False)
        for kind, name in (("images", f"imagesTr/c_{number}_0000"), ("labels", f"labelsTr/c_{number}")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "flat" / kind / "x.nii.gz").rename(folder / f"{name}.nii.gz")
    (folder / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "liver": 1, "left kidney": 2}})
    )
    spec, study, _ = init(tmp_path, folder)
    assert spec.files.image == "imagesTr/{case}_0000.nii.gz"
    assert spec.files.label == "labelsTr/{case}.nii.gz"
    assert spec.classes == ["liver", "left kidney"]
    assert spec.label_values == {0: "background", 1: "liver", 2: "left kidney"}
    assert study["methods"] == ["unet_full"]
    assert study["compare_to"] == "unet_full"


def test_labels_that_are_thin_strokes_are_scribbles(tmp_path: Path) -> None:
    for number, case in enumerate(("a", "b", "c")):
        write_case(tmp_path / "scans", case, seed=number, label=False)
    (tmp_path / "scans" / "scribbles").rename(tmp_path / "scans" / "annotations")
    spec, _, notes = init(tmp_path, tmp_path / "scans")
    assert notes == ["the files called labels hold thin strokes: they are taken for scribbles"]
    assert spec.files.label is None
    assert spec.files.scribble == "annotations/{case}.nii.gz"
    # background is recognised by its stroke, which spans more than any other
    assert spec.scribble_values == {0: "unlabelled", 1: "structure1", 2: "structure2", 3: "background"}


def test_unlabelled_may_be_a_value_of_its_own(tmp_path: Path) -> None:
    """As ACDC's scribbles have it: 4 where nobody drew, 0 for background strokes."""
    for number, case in enumerate(("a", "b", "c")):
        write_case(tmp_path / "scans", case, seed=number)
        strokes = np.full((2, 40, 36), 4, np.uint8)
        strokes[:, 14, 9:15], strokes[:, 14, 19:29], strokes[:, 5, 4:32] = 1, 2, 0
        write_nifti(tmp_path / "scans" / "scribbles" / f"{case}.nii.gz", strokes)
    spec, _, _ = init(tmp_path, tmp_path / "scans")
    expected = {0: "background", 1: "structure1", 2: "structure2", 4: "unlabelled"}
    assert spec.scribble_values == expected


def test_images_without_any_label_are_excluded(tmp_path: Path) -> None:
    folder = spread(tmp_path, "{0}{kind}", ("a",), ("b",), ("c",))
    write_nifti(folder / "d.nii.gz", np.random.default_rng(7).normal(100, 20, (2, 40, 36)))
    spec, _, notes = init(tmp_path, folder)
    assert spec.exclude == ["d"]
    assert notes == ["1 images have neither label nor scribble and are left out: d"]
    assert len(list_cases(spec, "all", tmp_path)) == 3


def test_many_subjects_get_one_split_in_a_table(tmp_path: Path) -> None:
    folder = spread(tmp_path, "{0}{kind}", *((f"p{number}",) for number in range(40)))
    spec, study, _ = init(tmp_path, folder)
    assert spec.split_table == "own_split.csv"
    assert {part: len(names) for part, names in spec.official.items()} == {"train": 24, "val": 6, "test": 10}
    assert study["protocol"] == {"kind": "official", "evaluate_on": "test"}


def test_nothing_is_overwritten_and_what_cannot_be_drafted_is_said(tmp_path: Path) -> None:
    folder = spread(tmp_path, "{0}{kind}", ("a",), ("b",), ("c",))
    init(tmp_path, folder)
    with pytest.raises(ConfigError, match=r"own\.yaml: exists already; delete it, or choose another --name"):
        init(tmp_path, folder)
    with pytest.raises(ConfigError, match=r"nowhere: no such folder"):
        init(tmp_path, tmp_path / "nowhere", "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"empty: no volume below it; expected files ending in \.nii\.gz"):
        init(tmp_path, tmp_path / "empty", "other")
    write_nifti(tmp_path / "alone" / "a.nii.gz", np.zeros((2, 3, 4)))
    with pytest.raises(ConfigError, match=r"alone: 1 volumes, but none is an image with a label or scribble"):
        init(tmp_path, tmp_path / "alone", "other")


def test_names_in_two_unicode_forms_are_refused_with_the_cause(tmp_path: Path) -> None:
    for case in ("M\u00fcller", "J\u00e4ger"):
        write_case(tmp_path / "scans", case)
    for path in list((tmp_path / "scans" / "images").iterdir()):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    with pytest.raises(ConfigError, match=r"images/.*: its accents are stored as .* \(Unicode NFD.*--nfc"):
        init(tmp_path, tmp_path / "scans")


def test_hdf5_files_are_named_with_what_they_lack(tmp_path: Path) -> None:
    (tmp_path / "patient001_frame01.h5").touch()
    with pytest.raises(ConfigError, match=r"1 HDF5 files \(patient001_frame01\.h5, .*hold no voxel size"):
        init(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("label", "scribble"),
    [
        ((0, 85, 255), (0, 85, 255, 256)),  # grey levels, scribbles with the same values
        ((0, 127, 255), (0, 1, 2, 3)),  # grey levels, counted scribbles
        ((0, 1, 255), (7, 1, 255, 0)),  # 255 beside counted values, drawn by annotators
        ((3, 1, 2), (255, 1, 2, 3)),  # no 0 in the labels
    ],
)
def test_every_draft_passes_check(tmp_path: Path, label: tuple[int, ...], scribble: tuple[int, ...]) -> None:
    """Value tables: background, RV, LV of labels; unlabelled, RV, LV, background of scribbles."""
    folder = tmp_path / "scans"
    for number, case in enumerate(("a", "b", "c")):
        write_case(folder, case, seed=number)
        for kind, table in (("labels", label), ("scribbles", scribble)):
            path = folder / kind / f"{case}.nii.gz"
            write_nifti(path, np.array(table, np.int16)[np.asarray(nib.load(path).dataobj).T])
    spec, _, _ = init(tmp_path, folder)
    report = check.run(tmp_path / "config" / "datasets" / "own.yaml", tmp_path / "results", 2)
    assert report.errors == []
    assert len(spec.classes) == 2


def test_names_of_slicers_segments_are_taken(tmp_path: Path) -> None:
    """Scribbles painted in 3D Slicer, where 1 is the background's segment and 3 a structure of the labels."""
    folder = tmp_path / "scans"
    for number, case in enumerate(("a", "b", "c")):
        write_case(folder, case, seed=number)
        path = folder / "scribbles" / f"{case}.nii.gz"
        strokes = sitk.ReadImage(str(path), sitk.sitkUInt8)
        array = np.array([0, 3, 2, 1], np.uint8)[sitk.GetArrayFromImage(strokes)]
        painted = sitk.GetImageFromArray(array)
        painted.CopyInformation(strokes)
        for place, name in enumerate(("Background", "left kidney", "liver")):
            painted.SetMetaData(f"Segment{place}_LabelValue", str(place + 1))
            painted.SetMetaData(f"Segment{place}_Name", name)
        sitk.WriteImage(painted, str(folder / "scribbles" / f"{case}.seg.nrrd"))
        path.unlink()
    (folder / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "liver": 1, "left kidney": 2}})
    )
    spec, _, notes = init(tmp_path, folder)
    assert spec.classes == ["liver", "left kidney"]
    assert spec.scribble_values == {0: "unlabelled", 1: "background", 2: "left kidney", 3: "liver"}
    assert spec.label_values == {0: "background", 1: "liver", 2: "left kidney"}
    assert notes == ["scribbles and labels number structures differently; taken as the same: 3 = 1"]


def test_the_command_ends_with_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spread(tmp_path, "{0}{kind}", ("a",), ("b",), ("c",))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "scans", "--name", "our scans"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-2:] == [
        "  cyclemix check 'our scans'",
        "  snakemake --cores all --configfile 'config/our scans.yaml'",
    ]
    drafted = tmp_path / "config" / "datasets" / "our scans.yaml"
    assert load_dataset(drafted).root == "../../scans"
    assert drafted.read_text().splitlines()[0].endswith("then: cyclemix check 'our scans'")


def test_a_name_with_a_slash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--name: expected a name without /, found '\.\./own'"):
        draft.run(tmp_path, "../own", tmp_path / "own.yaml", tmp_path / "study.yaml", threads=1)
