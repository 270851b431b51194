"""Prepared cases on disk."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from flips import every_flip

from cyclemix.data.store import Geometry, PreparedCase, load_case, read_index, save_case, stored_receipt

HEADER = nib.Nifti1Header().binaryblock


def make_case() -> PreparedCase:
    image = np.linspace(-3, 3, 2 * 4 * 4, dtype=np.float32).reshape(2, 4, 4)
    scribble = np.full((2, 4, 4), 255, np.uint8)
    scribble[0, 1] = 2
    geometry = Geometry((2, 8, 9), (8.0, 0.75, 0.75), (0.5, 1.25), (2.0, 2.0), HEADER)
    return PreparedCase("p1_f1", "p1", "f1", "NOR", image, scribble, None, geometry)


def test_round_trip(tmp_path: Path) -> None:
    case = make_case()
    save_case(tmp_path / "p1_f1.npz", case, {"inputs": "abc"})
    back = load_case(tmp_path / "p1_f1.npz")
    assert (back.case, back.subject, back.frame, back.group) == ("p1_f1", "p1", "f1", "NOR")
    assert back.geometry == case.geometry
    assert back.label is None
    assert back.scribble is not None
    np.testing.assert_array_equal(back.scribble, case.scribble)
    assert back.image.dtype == np.float32
    np.testing.assert_allclose(back.image, case.image, atol=1 / 128)  # half a stored step
    assert stored_receipt(tmp_path / "p1_f1.npz") == {"inputs": "abc"}
    assert [p.name for p in tmp_path.iterdir()] == ["p1_f1.npz"]


def test_equal_cases_give_equal_bytes(tmp_path: Path) -> None:
    save_case(tmp_path / "a.npz", make_case())
    save_case(tmp_path / "b.npz", make_case())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_shapes_must_agree(tmp_path: Path) -> None:
    case = replace(make_case(), label=np.zeros((2, 4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"x\.npz: label has shape \(2, 4, 5\), the image \(2, 4, 4\)"):
        save_case(tmp_path / "x.npz", case)


def test_no_flipped_bit_of_the_archives_directory_loses_an_array(tmp_path: Path) -> None:
    """A case without its label is no error, so the loss of one must be."""
    path = tmp_path / "bad.npz"
    case = make_case()
    save_case(path, replace(case, label=np.ones_like(case.scribble)))
    whole, refused = path.read_bytes(), 0
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    for content in every_flip(whole, start):
        path.write_bytes(content)
        try:
            read = load_case(path)
        except ValueError:
            refused += 1
        else:
            np.testing.assert_array_equal(read.label, 1)
            np.testing.assert_array_equal(read.scribble, case.scribble)
    assert refused > 1000


def test_foreign_and_absent_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "foreign.npz", image=np.zeros(3))
    with pytest.raises(ValueError, match=r"foreign\.npz: damaged or not a prepared case"):
        load_case(tmp_path / "foreign.npz")
    with pytest.raises(ValueError, match=r"gone\.npz: no such prepared case; run `prepare`"):
        load_case(tmp_path / "gone.npz")
    assert stored_receipt(tmp_path / "gone.npz") is None


def write_index(path: Path, rows: list[dict[str, str]]) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def row(case: str, subject: str, digest: str, person: str | None = None) -> dict[str, str]:
    return {
        "case": case,
        "subject": subject,
        "person": person or subject,
        "frame": "",
        "image_digest": digest,
    }


def test_read_index_concatenates_and_adds_paths(tmp_path: Path) -> None:
    train = write_index(tmp_path / "index_train.csv", [row("001", "1", "00"), row("002", "2", "01")])
    val = write_index(tmp_path / "index_val.csv", [row("003", "NA", "02")])
    index = read_index([train, val])
    assert index["case"].tolist() == ["001", "002", "003"]  # names stay text
    assert index["subject"].tolist() == ["1", "2", "NA"]
    assert index["path"].tolist() == [str(tmp_path / f"00{i}.npz") for i in (1, 2, 3)]


def test_read_index_refuses(tmp_path: Path) -> None:
    train = write_index(tmp_path / "index_train.csv", [row("a", "1", "00")])
    with pytest.raises(ValueError, match="case a is listed twice"):
        read_index([train, train])
    with pytest.raises(ValueError, match=r"index_no\.csv: no such index"):
        read_index([tmp_path / "index_no.csv"])
    with pytest.raises(ValueError, match="no index given"):
        read_index([])


def test_one_image_under_two_subjects_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = write_index(tmp_path / "index_train.csv", [row("a", "1", "00")])
    val = write_index(tmp_path / "index_val.csv", [row("b", "2", "00")])
    with pytest.raises(ValueError, match="cases a, b hold the same image under different subjects"):
        read_index([train, val])
    same = write_index(tmp_path / "index_masks.csv", [row("b", "2", "00", person="1")])
    assert len(read_index([train, same])) == 2  # declared as the same person
    assert not caplog.records
    frames = write_index(tmp_path / "index_test.csv", [row("c1", "3", "07"), row("c2", "3", "07")])
    read_index([frames])
    assert "cases c1, c2 hold the same image" in caplog.text
