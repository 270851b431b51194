"""Where a label lies: by its own header, or by the image's where `label_geometry` says so."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from data_files import Lab, write_nifti

from cyclemix.config.strict import ConfigError
from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.native import DataError
from cyclemix.data.store import load_case
from cyclemix.own_data import check

TILTED = np.array([[0.8, -0.6, 0, 1], [0.6, 0.8, 0, 2], [0, 0, 5, 3], [0, 0, 0, 1.0]])
REASON = "the export lost the directions"
ONE = f"label_geometry: {{a1: {{use: image, reason: {REASON}}}}}\n"


def with_affine(path: Path, affine: np.ndarray) -> None:
    """The same voxels under another affine."""
    nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), affine), path)


def add(lab: Lab, text: str) -> None:
    """Append to the data set's YAML file."""
    lab.spec_file.write_text(lab.spec_file.read_text() + text)


@pytest.mark.parametrize("key", ["a1", "all"])
def test_labels_are_placed_by_the_image_and_the_log_says_where(
    tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    clean, lab = Lab(tmp_path / "clean"), Lab(tmp_path / "odd")
    add(lab, ONE.replace("a1", key, 1))
    for kind in ("labels", "scribbles"):
        with_affine(lab.root / kind / "a1.nii.gz", TILTED)
    clean.prepare()
    lab.prepare()
    expected, found = load_case(clean.npz("a1")), load_case(lab.npz("a1"))
    np.testing.assert_array_equal(found.label, expected.label)
    np.testing.assert_array_equal(found.scribble, expected.scribble)
    told = [line for line in caplog.messages if REASON in line]
    assert [line.partition(":")[0].split("/", -1)[-2:] for line in sorted(told)] == [
        ["labels", "a1.nii.gz"],
        ["scribbles", "a1.nii.gz"],
    ], "a2 agrees with its image, so nothing was overruled"


def test_a_case_may_trust_its_header_where_all_others_do_not(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    add(lab, "label_geometry:\n  all: {use: image, reason: x}\n  a1: {use: header, reason: y}\n")
    spec = load_dataset(lab.spec_file)
    assert (spec.header_wrong("a1"), spec.header_wrong("a2")) == (None, "x")


@pytest.mark.parametrize(
    ("array", "spacing", "message"),
    [
        (np.ones((2, 40, 35), np.uint8), (5.0, 1.0, 1.0), r"label has shape \(2, 40, 35\)"),
        (np.ones((2, 40, 36), np.uint8), (5.0, 1.25, 1.0), r"label has voxels of 5, 1\.25, 1 mm"),
    ],
)
def test_a_label_on_another_grid_is_refused_nevertheless(
    tmp_path: Path, array: np.ndarray, spacing: tuple[float, float, float], message: str
) -> None:
    lab = Lab(tmp_path)
    add(lab, ONE)
    write_nifti(lab.root / "labels" / "a1.nii.gz", array, spacing)
    with pytest.raises(DataError, match=message):
        lab.prepare()


def test_an_unknown_case_is_refused(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    add(lab, ONE.replace("a1", "a7", 1))
    with pytest.raises(ConfigError, match=r"label_geometry names a7, neither a case nor `all`; .* as in a1"):
        lab.prepare()


def test_a_setting_without_a_reason_is_refused(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    add(lab, "label_geometry: {a1: {use: image}}\n")
    with pytest.raises(ConfigError, match=r"missing key label_geometry\.a1\.reason"):
        load_dataset(lab.spec_file)


def test_check_names_the_case(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    add(lab, ONE)
    with_affine(lab.root / "labels" / "a1.nii.gz", TILTED)
    report = check.run(lab.spec_file, tmp_path / "results", threads=1)
    found = [(finding.case, finding.text) for finding in report.findings if REASON in finding.text]
    assert found == [("a1", f"the image's header is used for the label instead of its own: {REASON}")]
    assert not [finding for finding in report.errors if finding.case == "a1"]
