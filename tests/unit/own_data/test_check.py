"""`cyclemix check`: everything is read, every error is reported with its remedy."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from data_files import write_case, write_nifti, write_own
from typer.testing import CliRunner

from cyclemix.cli.main import app
from cyclemix.config.strict import ConfigError
from cyclemix.own_data import check, check_report
from cyclemix.own_data.facts import Finding, Report

CASES = ("a1", "a2", "a3", "a4")


def look(spec_file: Path) -> Report:
    return check.run(spec_file, spec_file.parent / "results", threads=2)


def about(report: Report, case: str) -> list[tuple[str, str]]:
    return [(finding.severity, finding.text) for finding in report.findings if finding.case == case]


def test_a_sound_data_set_has_no_finding(tmp_path: Path) -> None:
    report = look(write_own(tmp_path, CASES))
    assert report.findings == []
    assert [case.shape for case in report.cases] == [(2, 40, 36)] * 4
    first = report.cases[0]
    # squares of 10 x 8 and 10 x 12 pixels on 2 slices of 5 mm: 800 and 1200 mm3
    assert first.volume_ml == pytest.approx({"RV": 0.8, "LV": 1.2})
    # a line of 28 background pixels of 40 x 36
    assert first.strokes["background"] == pytest.approx(28 / 1440)
    text = check_report.text(report)
    assert "4 cases of 4 subjects: 4 with scribbles, 4 with dense labels" in text
    assert "values in scribble files: 0 unlabelled, 1 RV, 2 LV, 3 background" in text
    assert "grid: spacing_mm 1, crop_px 32 (32 mm; as the file says)" in text
    assert re.search(r"slice distance, mm +5 +5 +5\n", text)
    assert json.loads(check_report.as_json(report))["errors"] == 0


def test_every_mistake_of_every_case_is_told(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, (*CASES, "b1", "b2", "b3", "b4", "b5"))
    scans = tmp_path / "scans"
    (scans / "images" / "a1.nii.gz").write_bytes((scans / "images" / "a1.nii.gz").read_bytes()[:300])
    foreign = np.zeros((2, 40, 36), np.uint8)
    foreign[:, 3:9, 3:9] = 7
    write_nifti(scans / "labels" / "a1.nii.gz", foreign)
    write_nifti(scans / "scribbles" / "a2.nii.gz", np.zeros((2, 40, 36), np.uint8))
    write_nifti(scans / "labels" / "a3.nii.gz", np.ones((2, 40, 30), np.uint8))
    shutil.copy(scans / "images" / "b1.nii.gz", scans / "images" / "b2.nii.gz")
    image = np.random.default_rng(9).normal(100, 20, (2, 40, 36)).astype(np.float32)
    image[1] = 5
    write_nifti(scans / "images" / "b3.nii.gz", image)
    write_nifti(scans / "images" / "b4.nii.gz", image + 1, (5.0, 3.0, 3.0))
    moved = nib.load(scans / "labels" / "b5.nii.gz")
    nib.save(
        nib.Nifti1Image(np.asarray(moved.dataobj), moved.affine + np.eye(4, k=3) * 30),
        scans / "labels/b5.nii.gz",
    )
    report = look(spec_file)
    broken = [text for severity, text in about(report, "a1") if severity == "error"]
    assert len(broken) == 2  # image and label, though the image comes first
    assert "damaged or cut off" in broken[0]
    assert "label holds 7, expected only [0, 1, 2]" in broken[1]
    assert ("error", "empty scribble: no pixel is marked") in about(report, "a2")
    assert any(
        "label has shape (2, 40, 30) (D,H,W), expected the image's (2, 40, 36)" in text
        for _, text in about(report, "a3")
    )
    assert ("error", "b1, b2 hold the same image under different subjects") in about(report, "")
    assert ("warning", "1 of 2 slices are constant (2)") in about(report, "b3")
    assert ("warning", "pixel size (mm) is 3, the median of all cases 1") in about(report, "b4")
    assert ("warning", "the label's affine places it 30.0 mm from the image; the image's is used") in about(
        report, "b5"
    )
    assert all(finding.remedy for finding in report.findings)
    assert about(report, "a4") == []


def test_a_label_that_is_turned_to_its_image_is_a_finding(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, CASES)
    for kind, flip in (("labels", [-1.0, 1.0, 5.0]), ("scribbles", [1.0, -1.0, 5.0])):
        path = tmp_path / "scans" / kind / "a2.nii.gz"
        array = np.asarray(nib.load(path).dataobj)
        affine = np.diag([*flip, 1.0])
        affine[:2, 3] = (35, 0) if kind == "labels" else (0, 39)
        nib.save(nib.Nifti1Image(array, affine), path)
    report = look(spec_file)
    turned = [text for severity, text in about(report, "a2") if "other axes" in text]
    assert turned == [
        "the label is stored along other axes than the image and was turned to it (its -x, +y, +z)",
        "the scribble is stored along other axes than the image and was turned to it (its +x, -y, +z)",
    ]


def test_where_no_case_can_be_read_nothing_is_said_of_missing_labels(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, CASES)
    for case in CASES:
        (tmp_path / "scans" / "images" / f"{case}.nii.gz").write_bytes(b"no volume")
    whole = about(look(spec_file), "")
    assert ("error", "all 4 cases have errors") in whole
    assert not any("no dense label" in text or "no scribbles" in text for _, text in whole)


def test_subjects_that_may_be_one_person_are_a_finding(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, ("p1_SA", "p1_LA", "p2_SA", "p2_LA"))
    (text,) = [text for _, text in about(look(spec_file), "") if "subjects" in text]
    assert text == "the subjects p1_LA, p1_SA begin with one name, p1, and so in 1 more"
    spec_file.write_text(spec_file.read_text() + "same_person: [[p1_SA, p1_LA], [p2_SA, p2_LA]]\n")
    assert not any("begin with one name" in text for _, text in about(look(spec_file), ""))


def test_names_that_count_persons_are_no_finding(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, ("scan 1", "scan 2", "MR 3", "MR 4"))
    assert look(spec_file).findings == []


def test_strokes_and_structures_are_judged_over_all_cases(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, CASES)
    for case in CASES:
        path = tmp_path / "scans" / "scribbles" / f"{case}.nii.gz"
        strokes = np.asarray(nib.load(path).dataobj).T.copy()
        strokes[strokes == 2] = 0
        if case == "a1":
            strokes[strokes == 3] = 0
        write_nifti(path, strokes)
    report = look(spec_file)
    assert ("error", "LV has no stroke in any scribble") in about(report, "")
    assert ("warning", "2 of 2 slices have strokes, but none of background (1, 2)") in about(report, "a1")


def test_slices_along_another_axis_are_found(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, CASES[:3])
    for path in (tmp_path / "scans").rglob("*.nii.gz"):
        array = np.asarray(nib.load(path).dataobj)
        nib.save(nib.Nifti1Image(np.moveaxis(array, 2, 0), np.diag([5.0, 1, 1, 1])), path)
    report = look(spec_file)
    expected = "slices seem to lie along axis 1 of the file (2 of 5 mm), not along axis 3 (40 of 1 mm)"
    assert ("error", expected) in about(report, "a1")
    assert "set `slice_axis: 1`" in report.errors[0].remedy
    spec_file.write_text(spec_file.read_text() + "slice_axis: 1\n")
    assert look(spec_file).findings == []


def test_what_the_crop_cuts_off_is_told(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, CASES)
    spec_file.write_text(spec_file.read_text().replace("spacing_mm: 1.0", "spacing_mm: 0.5"))
    found = about(look(spec_file), "a1")
    # a 16 mm square; the LV reaches to column 29.. 12 pixels right of the middle
    assert ("warning", "structures reach 12 mm from the middle, the crop 8 mm") in found
    assert ("warning", "the strokes of background lie wholly outside the crop") in found


def test_too_few_dense_labels_and_no_scribbles(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, ())
    for case, label in (("a1", True), ("a2", False), ("a3", False)):
        write_case(tmp_path / "scans", case, seed=ord(case[1]), label=label)
    report = look(spec_file)
    assert ("error", "dense labels of 1 subjects; k-fold needs 3") in about(report, "")
    shutil.rmtree(tmp_path / "scans" / "labels")
    assert any("no dense label anywhere" in text for _, text in about(look(spec_file), ""))


def test_a_kept_grid_that_the_data_have_left_is_told(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, CASES)
    spec_file.write_text(spec_file.read_text().replace("{spacing_mm: 1.0, crop_px: 32}", "auto"))
    assert look(spec_file).findings == []
    for path in (tmp_path / "scans").rglob("*.nii.gz"):
        write_nifti(path, np.asarray(nib.load(path).dataobj).T, (5.0, 2.0, 2.0))
    report = look(spec_file)
    assert report.grid is not None
    assert report.grid.name == "1mm_48px"
    assert (
        "1mm_48px was derived from earlier cases and is used; these would give 2mm_48px"
        in about(report, "")[0][1]
    )


def test_the_page_stands_alone_and_shows_every_suspicious_case(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, ("a1", "a <b>", "a3"))
    write_nifti(tmp_path / "scans" / "scribbles" / "a3.nii.gz", np.zeros((2, 40, 36), np.uint8))
    page = check_report.page(look(spec_file))
    assert "http" not in page.replace("http-equiv", "")
    assert "a &lt;b&gt;" in page
    assert "a <b>" not in page
    assert "error: empty scribble: no pixel is marked" in page
    # two slices of each of three cases: image, scribble, label
    assert page.count('src="data:image/png;base64,') == 18


def test_command_writes_its_report_and_says_by_its_status_whether_all_is_well(tmp_path: Path) -> None:
    spec_file, results = write_own(tmp_path, CASES), tmp_path / "results"
    arguments = ["check", str(spec_file), "--results", str(results), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    expected = {"spacing_mm": 1.0, "crop_px": 32, "preparation": "default"}
    assert json.loads(done.stdout)["grid"] == expected
    assert (results / "check" / "own" / "overlays.html").read_text().startswith("<!doctype html>")
    assert json.loads((results / "check" / "own" / "report.json").read_text())["warnings"] == 0
    (tmp_path / "scans" / "images" / "a1.nii.gz").write_bytes(b"")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["errors"] == 1


def test_an_unknown_name_lists_those_that_there_are(tmp_path: Path) -> None:
    write_own(tmp_path)
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such data set; .* has own; `cyclemix init`"):
        check.find_file("nowhere", tmp_path)
    assert check.find_file("own", tmp_path) == tmp_path / "own.yaml"


def test_a_folder_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, CASES)
    spec_file.write_text(spec_file.read_text().replace("/scans", "/nowhere"))
    report = look(spec_file)
    assert isinstance(report.findings[0], Finding)
    assert "no such folder (root of own)" in report.findings[0].text
    assert "no image could be read" in check_report.text(report)


@pytest.mark.parametrize("name", ["overlays.html", "report.json"])
def test_files_that_are_no_report_are_not_replaced(tmp_path: Path, name: str) -> None:
    spec_file, folder = write_own(tmp_path, CASES), tmp_path / "notes"
    options = ["check", str(spec_file), "--results", str(tmp_path / "results"), "--output-dir", str(folder)]
    assert CliRunner().invoke(app, options).exit_code == 0
    assert CliRunner().invoke(app, options).exit_code == 0, "its own report is replaced"
    (folder / name).write_text("[1, 2]")
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 1
    assert f"{name}: already there and no report of `check`; name another --output-dir" in str(done.exception)
    assert (folder / name).read_text() == "[1, 2]"
