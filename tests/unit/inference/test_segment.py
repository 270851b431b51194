"""New images through trained models: geometry, ensembles, maps, volumes, memory and warnings."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from models import WIDE, write_model

from cyclemix.config.models import Grid, Inference
from cyclemix.config.strict import ConfigError
from cyclemix.data.outputs import is_marked, written_image
from cyclemix.data.readers import nifti
from cyclemix.data.readers.native import DataError
from cyclemix.inference import segment
from cyclemix.report.plots.sheet import contact_sheet, save_sheet

RAW = Inference(test_time_augmentation=False, largest_component=False)


def write_image(path: Path, shape: tuple[int, int, int] = (20, 24, 3), seed: int = 0) -> Path:
    """A noisy NIfTI (x,y,z) with voxels of 3 x 2 x 8 mm."""
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([3.0, 2.0, 8.0, 1.0])), path)
    return path


def array(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def test_an_ensemble_averages_probabilities(tmp_path: Path) -> None:
    models = [write_model(tmp_path / f"{seed}.pt", seed=seed) for seed in (0, 1)]
    image = write_image(tmp_path / "scan.nii.gz")
    for name, used in (("a", models[:1]), ("b", models[1:]), ("both", models)):
        segment.run(used, [image], tmp_path / name, RAW, "cpu", ["probabilities"])
    first, second, mean = (
        array(tmp_path / name / "scan_probabilities.nii.gz") for name in ("a", "b", "both")
    )
    assert mean.shape == (20, 24, 3, 4)
    assert np.allclose(mean, (first + second) / 2, atol=1e-6)
    assert np.allclose(mean.sum(-1), 1, atol=1e-5)
    assert np.array_equal(array(tmp_path / "both" / "scan.nii.gz"), mean.argmax(-1))


def test_models_of_an_ensemble_may_have_different_grids(tmp_path: Path) -> None:
    models = [
        write_model(tmp_path / "coarse.pt"),
        write_model(tmp_path / "fine.pt", grid=Grid(spacing_mm=2.0, crop_px=32)),
    ]
    rows = segment.run(models, [write_image(tmp_path / "scan.nii")], tmp_path / "out", RAW, "cpu")
    assert list(rows["structure"]) == ["RV", "MYO", "LV"]


def test_an_image_is_prepared_as_for_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grids = [Grid(spacing_mm=1.0, crop_px=32, preparation=name) for name in ("default", "paper")]
    models = [write_model(tmp_path / f"{grid.preparation}.pt", grid=grid) for grid in grids]
    values = np.random.default_rng(0).normal(size=(32, 32, 2)).astype(np.float32)
    values[0, 0, 0] = 500
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 8.0, 1.0])), tmp_path / "scan.nii")
    seen: list[float] = []

    def watch(net: torch.nn.Module, image: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(float(image.max()))
        return torch.full((len(image), 4, 32, 32), 0.25)

    monkeypatch.setattr(segment, "probabilities", watch)
    segment.run(models, [tmp_path / "scan.nii"], tmp_path / "out", RAW, "cpu")
    native = (500 - values.mean(dtype=np.float64)) / values.std(dtype=np.float64)
    assert seen[0] < 4  # clipped
    assert seen[1] == pytest.approx(native, rel=1e-4)


def test_volumes_in_ml_by_hand(tmp_path: Path) -> None:
    image = write_image(tmp_path / "scan.nii.gz")
    rows = segment.run([write_model(tmp_path / "model.pt")], [image], tmp_path / "out", RAW, "cpu")
    labels = array(tmp_path / "out" / "scan.nii.gz")
    assert labels.any()
    voxel_ml = 3 * 2 * 8 / 1000
    assert list(rows["volume_ml"]) == pytest.approx([np.sum(labels == v) * voxel_ml for v in (1, 2, 3)])
    stored = pd.read_csv(tmp_path / "out" / "volumes.csv")
    assert list(stored) == ["image", "structure", "volume_ml", "outside_domain"]
    assert stored["volume_ml"].tolist() == pytest.approx(rows["volume_ml"].tolist(), abs=5e-5)
    assert stored["outside_domain"].isna().all()


@pytest.mark.parametrize("axes", [2, 4])
def test_a_file_of_two_or_four_axes_gives_the_same_volume_and_keeps_its_shape(
    tmp_path: Path, axes: int
) -> None:
    affine = np.diag([-3.0, -2.0, 8.0, 1.0])
    values = np.random.default_rng(0).normal(300, 60, (20, 24, 1)).astype(np.float32)
    shape = (20, 24, 1, 1)[:axes]
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "three.nii.gz")
    nibabel.save(nibabel.Nifti1Image(values.reshape(shape), affine), tmp_path / "other.nii.gz")
    files = [tmp_path / "three.nii.gz", tmp_path / "other.nii.gz"]
    rows = segment.run([write_model(tmp_path / "model.pt")], files, tmp_path / "out", RAW, "cpu")
    three, other = (nibabel.load(tmp_path / "out" / file.name) for file in files)
    assert other.shape == shape
    assert np.array_equal(other.affine, affine)
    assert float(other.header["pixdim"][3]) == 8
    labels = np.asarray(three.dataobj)
    assert labels.any()
    np.testing.assert_array_equal(np.asarray(other.dataobj).reshape(labels.shape), labels)
    volumes = rows.groupby("image")["volume_ml"].sum()
    assert volumes.iloc[0] == volumes.iloc[1] == pytest.approx((labels > 0).sum() * 3 * 2 * 8 / 1000)
    again = nifti.read_prediction(tmp_path / "out" / "other.nii.gz")
    assert again.shape == (20, 24, 1)
    assert nifti.header_spacing(again.header) == (8, 2, 3)


def test_uncertainty_by_hand() -> None:
    sure, split, even = [1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4
    probs = torch.tensor([sure, split, even]).T[None, :, :, None]
    assert segment.uncertainty(probs).flatten().tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_the_uncertainty_map_has_the_image_geometry(tmp_path: Path) -> None:
    image = write_image(tmp_path / "scan.nii.gz")
    maps = ["uncertainty"]
    segment.run([write_model(tmp_path / "model.pt")], [image], tmp_path / "out", RAW, "cpu", maps)
    saved = nibabel.load(tmp_path / "out" / "scan_uncertainty.nii.gz")
    assert saved.shape == (20, 24, 3)
    assert np.array_equal(saved.affine, np.diag([3.0, 2.0, 8.0, 1.0]))
    values = np.asarray(saved.dataobj)
    assert 0 <= values.min() < values.max() <= 1 + 1e-6


def test_the_contact_sheet_tells_volumes_and_warnings(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.pt", domain=WIDE | {"pixel": [1.0, 1.0]})
    shown: list[segment.Segmented] = []
    image = write_image(tmp_path / "scan.nii.gz")
    rows = segment.run([model], [image], tmp_path / "out", RAW, "cpu", show=[shown.append])
    figure = contact_sheet(shown[0])
    texts = " ".join(text.get_text() for text in figure.texts)
    assert "3 of 3 slices" in texts
    assert f"LV {rows['volume_ml'][2]:.1f} ml" in texts
    assert "Outside the training domain: pixel 2.45 mm, 1 to 1 in training" in texts
    save_sheet(tmp_path, shown[0])
    assert (tmp_path / "scan.png").read_bytes().startswith(b"\x89PNG")


def test_one_bad_image_stops_no_other(tmp_path: Path) -> None:
    images = [write_image(tmp_path / f"{name}.nii.gz") for name in "abc"]
    images[1].write_bytes(images[1].read_bytes()[:500])
    with pytest.raises(DataError, match=r"(?s)1 of 3 images refused:\n.*b\.nii\.gz: damaged or cut off"):
        segment.run([write_model(tmp_path / "model.pt")], images, tmp_path / "out", RAW, "cpu")
    assert sorted(p.name for p in (tmp_path / "out").glob("*.nii.gz")) == ["a.nii.gz", "c.nii.gz"]
    assert pd.read_csv(tmp_path / "out" / "volumes.csv")["image"].nunique() == 2


def test_a_stream_of_volumes_needs_the_memory_of_one(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.pt")
    images = [write_image(tmp_path / f"{i:02d}.nii.gz", (64, 64, 24), i) for i in range(12)]
    peaks = []
    for count in (2, 12):
        gc.collect()
        tracemalloc.start()
        segment.run([model], images[:count], tmp_path / "out", RAW, "cpu")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    volume_bytes = 64 * 64 * 24 * 4
    assert peaks[1] - peaks[0] < volume_bytes, "ten more volumes may not stay in memory"


def test_an_unfamiliar_image_is_named_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    domain = WIDE | {"slice distance": [1.0, 2.0], "percentile 99": [1.0, 1.5]}
    model = write_model(tmp_path / "model.pt", domain=domain)
    image = write_image(tmp_path / "scan.nii.gz")
    rows = segment.run([model], [image], tmp_path / "out", RAW, "cpu")
    reasons = rows["outside_domain"][0].split("; ")
    assert reasons[0] == "slice distance 8 mm, 1 to 2 in training"
    assert reasons[1].startswith("grey values: percentile 99 is ")
    assert reasons[1].endswith(" SD from the mean, 1.00 to 1.50 in training")
    assert f"{image}: outside the training domain: slice distance 8 mm" in caplog.text


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"classes": ("left", "right", "trachea")},
            r"expected the classes of .*first\.pt, RV, MYO, LV, found left, right, trachea",
        ),
        ({"slice_axis": 1}, r"expected slices along axis 3 as in .*first\.pt, found 1"),
    ],
)
def test_models_of_other_classes_or_another_slice_axis_are_no_ensemble(
    tmp_path: Path, other: dict[str, Any], message: str
) -> None:
    models = [write_model(tmp_path / "first.pt"), write_model(tmp_path / "second.pt", **other)]
    with pytest.raises(ConfigError, match=r"second\.pt: " + message):
        segment.run(models, [], tmp_path / "out", RAW, "cpu")


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    images = [Path("a/heart.nii.gz"), Path("b/heart.nii")]
    with pytest.raises(ConfigError, match="several images are named heart"):
        segment.run([tmp_path / "model.pt"], images, tmp_path, RAW, "cpu")


def test_a_folder_stands_for_its_images_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.NII", "a b.nii.gz", "._a.nii.gz", "notes.txt", "c.mha"):
        (tmp_path / name).touch()
    alone = tmp_path / "b.NII"
    found = [path.name for path in segment.find_images([tmp_path, alone])]
    assert found == ["a b.nii.gz", "b.NII", "c.mha", "b.NII"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"empty: expected images \(.nii.gz, .nii, .*\), found none"):
        segment.find_images([tmp_path / "empty"])


def test_labels_beside_their_images_are_not_segmented(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("p1.nii", "p1_gt.nii", "p1.seg.nrrd", "p2_scan.nii", "p2_scribble.nii", "lone_mask.nii"):
        (tmp_path / name).touch()
    written = written_image(np.ones((4, 4, 2), np.uint8), nibabel.Nifti1Header())
    nibabel.save(written, tmp_path / "w.nii")
    found = [path.name for path in segment.find_images([tmp_path])]
    assert found == ["lone_mask.nii", "p1.nii", "p2_scan.nii"]
    assert "4 labels, scribbles or written maps are not segmented: p1.seg.nrrd, p1_gt.nii" in caplog.text
    assert segment.find_images([tmp_path / "p1_gt.nii"]) == [tmp_path / "p1_gt.nii"], "named by the user"


def test_labels_keep_no_field_that_describes_the_image(tmp_path: Path) -> None:
    image = nibabel.load(write_image(tmp_path / "scan.nii.gz"))
    image.header["cal_min"], image.header["cal_max"], image.header["descrip"] = 10, 1500, b"cine"
    nibabel.save(image, tmp_path / "scan.nii.gz")
    maps = ["uncertainty"]
    segment.run(
        [write_model(tmp_path / "model.pt")], [tmp_path / "scan.nii.gz"], tmp_path / "out", RAW, "cpu", maps
    )
    for name in ("scan", "scan_uncertainty"):
        header = nibabel.load(tmp_path / "out" / f"{name}.nii.gz").header
        assert (float(header["cal_min"]), float(header["cal_max"])) == (0, 0), "viewers scale by the content"
        assert is_marked(tmp_path / "out" / f"{name}.nii.gz")


def test_an_output_never_replaces_an_image(tmp_path: Path) -> None:
    image = write_image(tmp_path / "scan.nii.gz")
    before = image.read_bytes()
    with pytest.raises(ValueError, match=r"scan\.nii\.gz: an input, which its output would replace"):
        segment.run([write_model(tmp_path / "model.pt")], [image], tmp_path, RAW, "cpu")
    assert image.read_bytes() == before


def test_calls_with_one_folder_extend_the_table_by_image(tmp_path: Path) -> None:
    model, out = [write_model(tmp_path / "model.pt")], tmp_path / "out"
    images = [write_image(tmp_path / f"p{number}.nii.gz", seed=number) for number in (1, 2)]
    for image in (*images, images[0]):
        segment.run(model, [image], out, RAW, "cpu")
    table = pd.read_csv(out / "volumes.csv")
    assert table["image"].tolist() == [str(images[1])] * 3 + [str(images[0])] * 3
    whole = segment.run(model, images, tmp_path / "whole", RAW, "cpu")
    both = table.merge(whole, on=["image", "structure"])
    assert both["volume_ml_x"].tolist() == pytest.approx(both["volume_ml_y"].tolist(), abs=5e-5)


def test_another_table_of_that_name_is_refused(tmp_path: Path) -> None:
    image, out = write_image(tmp_path / "scan.nii.gz"), tmp_path / "out"
    out.mkdir()
    (out / "volumes.csv").write_text("patient,EDV\np1,120\n")
    with pytest.raises(ValueError, match=r"volumes\.csv: expected columns image, structure, volume_ml"):
        segment.run([write_model(tmp_path / "model.pt")], [image], out, RAW, "cpu")
    assert (out / "volumes.csv").read_text() == "patient,EDV\np1,120\n"


def test_a_second_image_of_one_name_is_refused_across_calls(tmp_path: Path) -> None:
    model, out, images = [write_model(tmp_path / "model.pt")], tmp_path / "out", []
    for seed, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        images.append(write_image(tmp_path / folder / "scan.nii.gz", seed=seed))
    segment.run(model, images[:1], out, RAW, "cpu")
    with pytest.raises(ValueError, match=r"already the segmentation of .*a/scan\.nii\.gz, not of .*b/scan"):
        segment.run(model, images[1:], out, RAW, "cpu")


def test_one_image_under_two_paths_has_one_set_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = [write_model(tmp_path / "model.pt")], write_image(tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    for path in (image, Path("scan.nii.gz")):
        segment.run(model, [path], tmp_path / "out", RAW, "cpu")
    assert pd.read_csv(tmp_path / "out" / "volumes.csv")["image"].tolist() == ["scan.nii.gz"] * 3


def test_a_foreign_picture_is_not_drawn_over(tmp_path: Path) -> None:
    image, out = write_image(tmp_path / "scan.nii.gz"), tmp_path / "out"
    out.mkdir()
    (out / "scan.png").write_bytes(b"somebody's")
    with pytest.raises(ValueError, match=r"scan\.png: already there and not written by this project"):
        segment.run([write_model(tmp_path / "m.pt")], [image], out, RAW, "cpu", show=[lambda done: None])
