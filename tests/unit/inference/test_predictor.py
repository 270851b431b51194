"""Bringing probabilities home, averaging over flips, validation Dice, and the model file."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.models import Inference
from cyclemix.data.store import Geometry
from cyclemix.inference.export import save_labels
from cyclemix.inference.postprocess import keep_largest
from cyclemix.inference.predictor import probabilities, segment_volume, to_native
from cyclemix.training.validation import volume_dice


def geometry(shape: tuple[int, int, int], origin: float, scale: float) -> Geometry:
    header = nibabel.Nifti1Header().binaryblock
    return Geometry(shape, (8.0, 1.0, 1.0), (origin, origin), (scale, scale), header)


def one_hot(labels: torch.Tensor, classes: int = 2) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels, classes).permute(0, 3, 1, 2).float()


def test_the_identity_geometry_changes_nothing() -> None:
    probs = torch.rand(2, 3, 8, 8).softmax(1)
    assert torch.allclose(to_native(probs, geometry((2, 8, 8), 0.0, 1.0)), probs, atol=1e-6)


def test_outside_the_crop_is_background() -> None:
    probs = one_hot(torch.ones(1, 4, 4, dtype=torch.long))
    labels = to_native(probs, geometry((1, 8, 8), 2.0, 1.0)).argmax(1)[0]
    expected = torch.zeros(8, 8, dtype=torch.long)
    expected[2:6, 2:6] = 1
    assert torch.equal(labels, expected)


def test_halfway_between_prepared_pixels_is_their_mean() -> None:
    """Two prepared pixels, three native ones: prepared pixel 0 lies on native 0, pixel 1 on native 2."""
    probs = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[None, :, None, :].expand(1, 2, 2, 2)
    native = to_native(probs, geometry((1, 3, 3), 0.0, 2.0))
    assert torch.allclose(native[0, 1, 0], torch.tensor([0.0, 0.5, 1.0]))


def test_a_coarse_square_comes_home_at_its_place_and_size() -> None:
    labels = torch.zeros(1, 16, 16, dtype=torch.long)
    labels[0, 4:8, 6:10] = 1
    # A prepared pixel covers 2x2 native ones: its centre lies half a native pixel off the even index.
    home = to_native(one_hot(labels), geometry((1, 32, 32), 0.5, 2.0)).argmax(1)[0]
    expected = torch.zeros(32, 32, dtype=torch.long)
    expected[8:16, 12:20] = 1
    assert torch.equal(home, expected)


class Brightness(torch.nn.Module):
    """Class 1 where the image is bright: commutes with flips, so averaging must not change it."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([-image, image], dim=1)


class LeftToRight(torch.nn.Module):
    """Class 1 by the column: differs under flips, so their average must be one half everywhere."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        ramp = torch.linspace(-3, 3, image.shape[-1]).expand_as(image)
        return torch.cat([-ramp, ramp], dim=1)


def test_flip_average_leaves_an_equivariant_network_alone() -> None:
    image = torch.randn(3, 1, 6, 6)
    single, averaged = (probabilities(Brightness(), image, flag) for flag in (False, True))
    assert torch.allclose(single, averaged, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 6), (4, 6)])
def test_flip_average_takes_a_directional_bias_out(shape: tuple[int, int]) -> None:
    averaged = probabilities(LeftToRight(), torch.zeros(1, 1, *shape), True)
    assert torch.allclose(averaged, torch.full_like(averaged, 0.5), atol=1e-6)


def test_largest_component_is_kept_where_asked() -> None:
    image = -torch.ones(1, 1, 8, 8)
    image[..., 1:4, 1:4] = 1
    image[..., 6, 6] = 1
    home = geometry((1, 8, 8), 0.0, 1.0)
    for keep, expected in ((True, (10, 9)), (False, (10, 10))):
        inference = Inference(test_time_augmentation=False, largest_component=keep)
        raw, labels = segment_volume(Brightness(), image, home, inference, "fp32")
        assert (int(raw.sum()), int(labels.sum())) == expected


def test_the_largest_component_is_that_of_the_volume() -> None:
    """In slice 2 structure 1 has a larger piece far off, which no other slice continues."""
    labels = np.zeros((3, 6, 8), np.uint8)
    labels[:, 1:3, 1:3] = 1
    labels[:, 4, 1] = 2  # touches 1 nowhere
    heart = labels.copy()
    labels[2, 2:6, 6:8] = 1
    labels[0, 5, 7] = 2
    np.testing.assert_array_equal(keep_largest(labels), heart)


def test_of_equal_components_the_first_stays() -> None:
    labels = np.array([[[3, 0, 3], [0, 1, 0], [1, 0, 3]]], np.uint8)
    assert keep_largest(labels).tolist() == [[[3, 0, 0], [0, 1, 0], [0, 0, 0]]]
    nothing = np.zeros((1, 2, 2), np.uint8)
    assert not keep_largest(nothing).any()
    everything = np.ones((1, 2, 2), np.uint8)
    assert keep_largest(everything).all()


def test_volume_dice_by_hand() -> None:
    truth = torch.tensor([[[1, 1, 2, UNLABELLED]]])
    prediction = torch.tensor([[[1, 2, 2, 2]]])
    # class 1: 2*1/(1+2); class 2: 2*1/(2+1), the unlabelled pixel left out; class 3 in neither: 1
    assert volume_dice(prediction, truth, 4).tolist() == pytest.approx([2 / 3, 2 / 3, 1.0])


def test_saved_labels_open_in_the_upstream_geometry(tmp_path: Path) -> None:
    affine = np.array([[0.0, -1.2, 0.1, 5], [1.3, 0, 0.2, -7], [0, 0.1, 8, 3], [0, 0, 0, 1]])
    upstream = nibabel.Nifti1Image(np.zeros((5, 4, 3), np.int16), affine)
    upstream.header.set_xyzt_units("mm", "sec")
    nibabel.save(upstream, tmp_path / "image.nii.gz")
    upstream = nibabel.load(tmp_path / "image.nii.gz")
    labels = np.arange(60).reshape(3, 4, 5) % 4
    save_labels(tmp_path / "case.nii.gz", labels, upstream.header.binaryblock)
    saved = nibabel.load(tmp_path / "case.nii.gz")
    assert saved.shape == upstream.shape
    assert np.array_equal(saved.affine, upstream.affine)
    assert saved.header.get_zooms() == upstream.header.get_zooms()
    assert saved.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(saved.dataobj).T, labels)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.nii.gz", "image.nii.gz"]
