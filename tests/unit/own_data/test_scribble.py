"""Simulated scribbles, parts of given ones, and what `cyclemix scribble` writes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from data_files import write_nifti, write_own
from scipy import ndimage
from typer.testing import CliRunner

from cyclemix.cli.main import app
from cyclemix.config.models import Grid
from cyclemix.data import download, prepare
from cyclemix.data.readers.native import DataError
from cyclemix.data.scribbles.keep import keep_fraction, keep_slices
from cyclemix.data.scribbles.simulate import AnnotatorStyle, simulate_volume
from cyclemix.data.scribbles.strokes import beside_experts, experts, length_of, measure, summarise, thin
from cyclemix.data.store import read_index
from cyclemix.own_data import scribble
from cyclemix.own_data.scribble import Request

NEIGHBOURS = np.ones((3, 3))


def heart() -> np.ndarray:
    """(4,64,64): a ring (2) around a disc (3) beside a block (1); the last slice shows nothing."""
    y, x = np.indices((64, 64))
    away = np.hypot(y - 32, x - 38)
    label = np.zeros((64, 64), np.uint8)
    label[20:44, 10:22] = 1
    label[away < 18] = 2
    label[away < 11] = 3
    return np.stack([label, label, label, np.zeros_like(label)])


def test_strokes_lie_in_their_class_and_touch_every_class() -> None:
    label = heart()
    drawn = simulate_volume(label, (1.5, 1.5), "case")
    assert (drawn == label)[drawn != 255].all()
    for number in range(3):
        assert set(np.unique(drawn[number])) == {0, 1, 2, 3, 255}
    assert set(np.unique(drawn[3])) == {0, 255}, "the background's curve runs on where structures end"
    assert 0.005 < (drawn != 255).mean() < 0.1


def test_many_small_and_thin_classes_are_all_touched() -> None:
    label = np.zeros((1, 40, 40), np.int32)
    for value in range(1, 10):
        label[0, 4 * value, 3 : 3 + 3 * value] = value  # lines
    label[0, 2, 38] = 10  # a single pixel
    label[0, :, 0] = 254
    drawn = simulate_volume(label, (1.0, 1.0), "case")
    assert set(np.unique(drawn)) == {*range(0, 11), 254, 255}


def test_a_structure_that_fills_the_image_leaves_no_background() -> None:
    drawn = simulate_volume(np.ones((1, 16, 16), np.uint8), (1.0, 1.0), "case")
    assert set(np.unique(drawn)) == {1, 255}


def test_chance_is_of_seed_case_and_slice_alone() -> None:
    label = heart()
    first = simulate_volume(label, (1.5, 1.5), "a", seed=3)
    assert (simulate_volume(label, (1.5, 1.5), "a", seed=3) == first).all()
    assert (simulate_volume(label[:2], (1.5, 1.5), "a", seed=3) == first[:2]).all()
    assert (simulate_volume(label, (1.5, 1.5), "b", seed=3) != first).any()
    assert (simulate_volume(label, (1.5, 1.5), "a", seed=4) != first).any()
    assert (first[0] != first[1]).any(), "slices of one shape differ"


def test_width_and_length_by_class() -> None:
    label = heart()[:3]
    plain = simulate_volume(label, (1.5, 1.5), "a")
    wide = simulate_volume(label, (1.5, 1.5), "a", style=AnnotatorStyle(widths_px={3: 4.0}, lengths={2: 0.3}))
    assert ((wide == 1) == (plain == 1)).all()
    assert (wide == 3).sum() > 2 * (plain == 3).sum()
    assert (wide == 2).sum() < 0.6 * (plain == 2).sum()
    assert not (simulate_volume(label, (1.5, 1.5), "a", style=AnnotatorStyle(background=False)) == 0).any()


def test_a_kept_part_is_connected_nested_and_never_nothing() -> None:
    stroke = np.full((2, 32, 32), 255, np.uint8)
    stroke[0, 10, 5:25] = 1
    stroke[1, 3, 3] = 2
    quarter, half = (keep_fraction(stroke, part, "a") for part in (0.25, 0.5))
    assert (quarter[0] == 1).sum() == 5
    assert (half[0] == 1).sum() == 10
    assert ((half == 1) | (quarter != 1)).all(), "the larger part holds the smaller one"
    assert ndimage.label(quarter[0] == 1, NEIGHBOURS)[1] == 1
    assert quarter[1, 3, 3] == 2, "a class of a slice does not vanish"
    assert (keep_fraction(stroke, 1.0, "a") == stroke).all()


def test_a_part_that_is_larger_than_a_piece_goes_on_in_the_next() -> None:
    stroke = np.full((1, 9, 30), 255, np.uint8)
    stroke[0, 4, 2:12], stroke[0, 4, 15:25] = 1, 1
    kept = keep_fraction(stroke, 0.75, "a")[0] == 1
    assert kept.sum() == 15
    assert sorted([kept[:, :13].sum(), kept[:, 13:].sum()]) == [5, 10]


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.01, float("nan")])
def test_a_part_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="expected above 0 and at most 1, got"):
        keep_fraction(heart(), fraction, "a")


def test_slices_are_left_unmarked_whole() -> None:
    drawn = simulate_volume(heart(), (1.5, 1.5), "a")
    kept = keep_slices(drawn, 0.5, "a")
    marked = (kept != 255).any(axis=(1, 2))
    assert marked.sum() == 2
    assert (kept[marked] == drawn[marked]).all()


def test_lengths_widths_and_shares_by_hand() -> None:
    label = np.zeros((1, 20, 20), np.uint8)
    label[0, 5:15, 5:15] = 1
    stroke = np.full_like(label, 255)
    stroke[0, 10, 6:14] = 1  # 8 pixels, 7 steps
    stroke[0, 2, 2:6] = 0
    rows = measure(stroke, label, (2.0, 2.0), ["LV"]).set_index("class")
    assert rows.loc["LV", "of_class"] == pytest.approx(8 / 100)
    assert rows.loc["LV", "of_slice"] == pytest.approx(8 / 400)
    assert rows.loc["LV", "length"] == pytest.approx(7 / 36), "the outline has 36 steps"
    assert rows.loc["LV", "width_px"] == pytest.approx(8 / 7)
    assert rows.loc["LV", "pieces"] == 1
    assert rows.loc["background", "distance_mm"] == pytest.approx(10**0.5 + 13**0.5)
    # 2 mm a pixel, 3 rows away and 0 to 3 columns: the median of 3, 10^0.5, 13^0.5, 18^0.5 pixels


def test_a_diagonal_step_is_root_two_long_and_a_dot_one() -> None:
    assert length_of(np.eye(4, dtype=bool)) == pytest.approx(3 * 2**0.5)
    dot = np.zeros((3, 3), bool)
    dot[1, 1] = True
    assert length_of(dot) == 1
    assert thin(np.ones((9, 3), bool)).sum() < 12


def test_the_stored_measures_are_of_both_data_sets_and_close_to_the_simulation() -> None:
    stored = experts()
    assert set(stored["dataset"]) == {"acdc", "mscmr"}
    assert {"background", "RV", "MYO", "LV", "structures"} == set(stored["class"])
    found = stored.set_index(["dataset", "class", "measure"])["mean"]
    summary = summarise(
        measure(simulate_volume(heart(), (1.5, 1.5), "a"), heart(), (1.5, 1.5), ["RV", "MYO", "LV"])
    )
    made = summary.set_index(["class", "measure"])["mean"]
    for name in ("of_class", "length", "pieces"):
        assert made["structures", name] == pytest.approx(found["acdc", "structures", name], rel=0.5)
    text = beside_experts(summary)
    assert "of_class" in text
    assert "acdc" in text.splitlines()[0]


def write_labels(
    folder: Path, values: tuple[int, ...] = (1, 2, 3), names: tuple[str, ...] = ("a", "b")
) -> Path:
    table = np.array([0, *values], np.int32)
    for name in names:
        write_nifti(folder / f"{name}.nii.gz", table[heart()].astype(np.int16), (8.0, 1.5, 1.5))
    return folder


def test_files_keep_values_and_geometry(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "labels", (5, 7, 600))
    made = scribble.run([folder], tmp_path / "out", Request(names=["RV", "MYO", "LV"]), threads=2)
    assert made["scribble_values"] == {0: "background", 5: "RV", 7: "MYO", 255: "unlabelled", 600: "LV"}
    written, given = nib.load(tmp_path / "out/a.nii.gz"), nib.load(folder / "a.nii.gz")
    assert set(np.unique(written.dataobj)) == {0, 5, 7, 255, 600}
    assert (written.affine == given.affine).all()
    assert written.header.get_zooms() == given.header.get_zooms()
    assert (
        yaml.safe_load((tmp_path / "out/scribbles.yaml").read_text())["scribble_values"]
        == made["scribble_values"]
    )


def test_slices_may_lie_along_any_axis(tmp_path: Path) -> None:
    """The same heart, its slices along the first axis of the file: the same strokes, turned."""
    write_nifti(tmp_path / "third/a.nii.gz", heart(), (8.0, 1.5, 1.5))
    write_nifti(tmp_path / "first/a.nii.gz", np.moveaxis(heart(), 0, 2), (1.5, 1.5, 8.0))
    for name, axis in (("third", 3), ("first", 1)):
        scribble.run([tmp_path / name], tmp_path / f"out_{name}", Request(slice_axis=axis))
    third, first = (
        np.asarray(nib.load(tmp_path / f"out_{name}" / "a.nii.gz").dataobj).T for name in ("third", "first")
    )
    np.testing.assert_array_equal(np.moveaxis(first, 2, 0), third)


def test_widths_are_named_by_the_files_values(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "labels", (5, 7, 600), names=("a",))
    counts = []
    for number, hand in enumerate((AnnotatorStyle(), AnnotatorStyle(widths_px={600: 4.0}))):
        scribble.run([folder], tmp_path / str(number), Request(style=hand))
        values = np.asarray(nib.load(tmp_path / str(number) / "a.nii.gz").dataobj)
        counts.append([int((values == value).sum()) for value in (5, 7, 600)])
    assert counts[0][:2] == counts[1][:2]
    assert counts[1][2] > 2 * counts[0][2]
    with pytest.raises(ValueError, match=r"no value 3 in the files; they hold \[0, 5, 7, 600\]"):
        scribble.run([folder], tmp_path / "no", Request(style=AnnotatorStyle(lengths={3: 0.5})))


def test_order_and_threads_change_no_byte(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "labels", names=("a", "b", "c"))
    scribble.run([folder], tmp_path / "one", Request())
    scribble.run([folder / "c.nii.gz", folder / "a.nii.gz"], tmp_path / "two", Request(), threads=2)
    for name in ("a.nii.gz", "c.nii.gz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_unlabelled_collides_with_no_class(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "labels", (1, 254, 255))
    made = scribble.run([folder], tmp_path / "out", Request())
    assert made["scribble_values"][253] == "unlabelled"
    assert made["scribble_values"][255] == "class255"


def test_given_scribbles_are_shortened_whatever_marks_the_unlabelled(tmp_path: Path) -> None:
    stroke = np.zeros((1, 20, 20), np.uint8)
    stroke[0, 5, 2:18], stroke[0, 12, 2:10] = 1, 4
    write_nifti(tmp_path / "s" / "a.nii.gz", stroke)
    request = Request(keep=0.25, unlabelled=0, names=["LV", "background"])
    made = scribble.run([tmp_path / "s"], tmp_path / "out", request)
    kept = np.asarray(nib.load(tmp_path / "out/a.nii.gz").dataobj).T
    assert (kept == 1).sum() == 4
    assert (kept == 4).sum() == 2
    assert made["scribble_values"] == {0: "unlabelled", 1: "LV", 4: "background"}


@pytest.mark.parametrize(
    ("values", "request_", "message"),
    [
        ((1, 2, 3), Request(unlabelled=4), r"--unlabelled 4: the scribbles hold only \[0, 1, 2, 3\]"),
        ((0, 0, 0), Request(), r"expected 1 to 254 class values .* got 0"),
        ((1, 2, 3), Request(names=["LV"]), r"--names: expected 3 names for the values .*, got \['LV'\]"),
        ((-1, 2, 3), Request(), r"a.nii.gz: label values must be whole numbers from 0 to 65535, got \[-1"),
        ((1, 2, 3), Request(keep=2.0), r"--keep: expected above 0 and at most 1, got 2"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, values: tuple[int, ...], request_: Request, message: str) -> None:
    folder = write_labels(tmp_path / "labels", values)
    with pytest.raises(ValueError, match=message):
        scribble.run([folder], tmp_path / "out", request_)
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_places_that_cannot_be(tmp_path: Path) -> None:
    folder, other = write_labels(tmp_path / "labels"), write_labels(tmp_path / "other")
    with pytest.raises(ValueError, match=r"a.nii.gz: two label files for this name"):
        scribble.run([folder, other], tmp_path / "out", Request())
    with pytest.raises(ValueError, match=r"holds a.nii.gz itself; name another --output-dir"):
        scribble.run([folder], folder, Request())
    with pytest.raises(ValueError, match=r"gone: no such label file or folder"):
        scribble.run([tmp_path / "gone"], tmp_path / "out", Request())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: no label file .* in this folder"):
        scribble.run([tmp_path / "empty"], tmp_path / "out", Request())
    (folder / "a.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes()[:200])
    with pytest.raises(DataError, match=r"a.nii.gz: damaged or cut off"):
        scribble.run([folder], tmp_path / "out", Request())


def test_the_description_of_other_scribbles_is_not_replaced(tmp_path: Path) -> None:
    """Three calls with one folder would leave the last one's values beside the scribbles of all."""
    first = write_nifti(tmp_path / "labels" / "a.nii.gz", heart())
    second = write_nifti(tmp_path / "labels" / "b.nii.gz", heart() * 2)
    scribble.run([first], tmp_path / "out", Request())
    scribble.run([first], tmp_path / "out", Request(seed=1))
    with pytest.raises(
        ValueError,
        match=r"scribbles\.yaml: describes other scribbles \(a\.nii\.gz, 1 in all\), too; draw all in",
    ):
        scribble.run([second], tmp_path / "out", Request())
    assert yaml.safe_load((tmp_path / "out" / "scribbles.yaml").read_text())["files"] == ["a.nii.gz"]
    scribble.run([first, second], tmp_path / "out", Request())


def test_the_printed_values_prepare_as_they_are(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, ("a1", "a2"))
    scans = tmp_path / "scans"
    for path in (scans / "scribbles").iterdir():
        path.unlink()
    made = scribble.run([scans / "labels"], scans / "scribbles", Request(names=["RV", "LV"]))
    (scans / "scribbles" / scribble.SIDECAR).rename(tmp_path / scribble.SIDECAR)
    values = ", ".join(f"{value}: {name}" for value, name in made["scribble_values"].items())
    old = "scribble_values: {0: unlabelled, 1: RV, 2: LV, 3: background}"
    assert old in spec_file.read_text()
    spec_file.write_text(spec_file.read_text().replace(old, f"scribble_values: {{{values}}}"))
    receipt, index = tmp_path / "data" / "raw_all.json", tmp_path / "index_all.csv"
    download.run(spec_file, "all", receipt, threads=1)
    prepare.run(spec_file, "all", receipt, Grid(spacing_mm=1.0, crop_px=32), index)
    table = read_index([index])
    assert list(table["supervision"]) == ["both", "both"]
    assert (table[["scribble_background", "scribble_RV", "scribble_LV"]] > 0).all(axis=None)


def test_other_kinds_of_files_become_nifti() -> None:
    names = {name: scribble.written_name(Path(name)) for name in ("a.nii", "b.nii.gz", "c.nrrd", "d.e.mha")}
    assert names == {"a.nii": "a.nii", "b.nii.gz": "b.nii.gz", "c.nrrd": "c.nii.gz", "d.e.mha": "d.e.nii.gz"}


def test_the_command_says_what_to_paste(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "labels")
    words = ["scribble", str(folder), "--output-dir", str(tmp_path / "out"), "--names", "RV,MYO,LV"]
    done = CliRunner().invoke(app, [*words, "--width-px", "1,3=2", "--length", "0.8"])
    assert done.exit_code == 0, done.output
    values = "{0: background, 1: RV, 2: MYO, 3: LV, 255: unlabelled}"
    assert f"scribble_values: {values}" in done.output
    wrong = CliRunner().invoke(app, [*words, "--width-px", "wide"])
    assert "--width-px: expected numbers as in 2 or 1,3=2, got 'wide'" in str(wrong.exception)


def test_a_drawn_scribble_is_never_replaced(tmp_path: Path) -> None:
    """A second run replaces what the first one wrote; a file from elsewhere stays and is named."""
    affine = np.diag([-1.5, -1.5, 8, 1])
    for folder in ("labels", "scribbles"):
        (tmp_path / folder).mkdir()
    nib.save(nib.Nifti1Image(heart().T, affine), tmp_path / "labels" / "p1.nii.gz")
    for _ in range(2):
        scribble.run([tmp_path / "labels"], tmp_path / "new", Request())
    drawn = tmp_path / "scribbles" / "p1.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((64, 64, 4), np.uint8), affine), drawn)
    before = drawn.read_bytes()
    with pytest.raises(ValueError, match=r"p1\.nii\.gz: already there, .* name another --output-dir"):
        scribble.run([tmp_path / "labels"], drawn.parent, Request())
    assert drawn.read_bytes() == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "scribbles.yaml").write_text("author: me\n")
    with pytest.raises(ValueError, match=r"scribbles\.yaml: already there and not written by this command"):
        scribble.run([tmp_path / "labels"], tmp_path / "notes", Request())
