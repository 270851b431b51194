"""Augmentation: image and labels move together, nothing leaks in from outside, strengths are kept."""

from __future__ import annotations

import pytest
import torch

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import PAPER_SPACING_MM as PX
from cyclemix.config.models import Augmentation
from cyclemix.ops.augment import augment

OFF = {
    "flip_turn": False,
    "rotate_degrees": 0,
    "scale": 0,
    "shift_fraction": 0,
    "gamma": 0,
    "contrast": 0,
    "brightness": 0,
    "noise": 0,
    "blur_mm": 0,
}


def only(**strengths) -> Augmentation:
    return Augmentation(**(OFF | strengths))


def labelled(batch=64, side=32):
    """An image that shows its own labels: 0 and 1 in large patches."""
    generator = torch.Generator().manual_seed(0)
    patch = torch.randint(0, 2, (batch, side // 8, side // 8), generator=generator)
    target = patch.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    return target[:, None].float(), target


def run(settings, image=None, target=None):
    if image is None:
        image, target = labelled()
    return augment(image, target, settings, torch.Generator().manual_seed(0))[:2]


def test_all_off_changes_nothing_and_copies():
    image, target = labelled()
    moved, labels = run(only(), image, target)
    assert torch.equal(moved, image)
    assert torch.equal(labels, target)
    assert moved.data_ptr() != image.data_ptr()
    assert labels.data_ptr() != target.data_ptr()


def test_flips_and_turns_are_the_eight_symmetries():
    image, target = labelled()
    moved, labels = run(only(flip_turn=True), image, target)
    seen = set()
    for index in range(len(image)):
        symmetries = [
            torch.rot90(plane, k) for plane in (target[index], target[index].flip(1)) for k in range(4)
        ]
        found = [number for number, plane in enumerate(symmetries) if torch.equal(plane, labels[index])]
        assert found, index
        seen.update(found[:1])
        torch.testing.assert_close(moved[index, 0], labels[index].float(), atol=1e-4, rtol=0)
    assert len(seen) == 8


@pytest.mark.parametrize("strength", [{"rotate_degrees": 180}, {"scale": 0.5}, {"shift_fraction": 0.4}])
def test_image_and_labels_move_together_and_outside_is_unlabelled(strength):
    image, target = labelled()
    moved, labels = run(only(**strength), image + 1, target)  # 1 and 2: a 0 can only come from outside
    inside = labels != UNLABELLED
    assert set(labels[inside].unique().tolist()) == {0, 1}
    assert not inside.all()
    assert inside.float().mean() > 0.5
    agree = (moved[:, 0].round() == labels + 1)[inside].float().mean()
    assert agree > 0.95  # all but pixels on patch and image borders
    deep_outside = torch.nn.functional.max_pool2d(inside.float(), 3, stride=1, padding=1) == 0
    assert moved[:, 0][deep_outside].abs().max() == 0


def test_unlabelled_pixels_stay_unlabelled():
    image, target = labelled()
    labels = run(only(rotate_degrees=30, flip_turn=True), image, torch.full_like(target, UNLABELLED))[1]
    assert (labels == UNLABELLED).all()


def test_zoom_by_hand():
    # The centre 4 x 4 of a field of zeros; a zoom within 1 +- 0.5 makes it 2 to 6 pixels wide.
    target = torch.zeros(200, 16, 16, dtype=torch.int64)
    target[:, 6:10, 6:10] = 1
    labels = run(only(scale=0.5), target[:, None].float(), target)[1]
    side = (labels == 1).sum(dim=(1, 2)).float().sqrt()
    assert side.min() >= 2
    assert side.max() <= 6
    assert side.mean().item() == pytest.approx(4, abs=0.3)


@pytest.mark.parametrize("name", ["gamma", "contrast", "brightness", "noise", "blur_mm"])
def test_intensity_changes_touch_about_half_of_the_samples(name):
    image = torch.randn(400, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    target = torch.zeros(400, 16, 16, dtype=torch.int64)
    strength = 0.9 * PX if name == "blur_mm" else 0.9
    changed, labels = run(only(**{name: strength}), image, target)
    assert torch.equal(labels, target)
    touched = ((changed - image).abs().amax(dim=(1, 2, 3)) > 1e-4).float().mean()
    # A blur far narrower than a pixel changes nothing.
    assert (0.3 if name == "blur_mm" else 0.4) < touched < 0.6
    assert changed.isfinite().all()


def test_gamma_keeps_mean_deviation_and_order():
    image = torch.randn(100, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    changed = run(only(gamma=1.0), image, torch.zeros(100, 16, 16, dtype=torch.int64))[0]
    torch.testing.assert_close(changed.mean(dim=(1, 2, 3)), image.mean(dim=(1, 2, 3)), atol=1e-4, rtol=0)
    torch.testing.assert_close(changed.std(dim=(1, 2, 3)), image.std(dim=(1, 2, 3)), atol=1e-4, rtol=1e-4)
    assert torch.equal(changed.flatten(1).argmax(dim=1), image.flatten(1).argmax(dim=1))


def test_contrast_and_brightness_are_a_line():
    image = torch.randn(100, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    changed = run(only(contrast=0.3, brightness=0.2), image, torch.zeros(100, 8, 8, dtype=torch.int64))[0]
    gain = changed.flatten(1).std(dim=1) / image.flatten(1).std(dim=1)
    offset = changed.mean(dim=(1, 2, 3)) - gain * image.mean(dim=(1, 2, 3))
    assert 0.7 <= gain.min() < 0.8
    assert 1.2 < gain.max() <= 1.3
    assert 0.15 < offset.abs().max() <= 0.2 + 1e-5


def test_blur_keeps_a_constant_and_smooths_noise():
    flat = torch.full((50, 1, 16, 16), 3.0)
    target = torch.zeros(50, 16, 16, dtype=torch.int64)
    torch.testing.assert_close(run(only(blur_mm=2.0 * PX), flat, target)[0], flat)
    noise = torch.randn(50, 1, 16, 16, generator=torch.Generator().manual_seed(4))
    blurred = run(only(blur_mm=2.0 * PX), noise, target)[0]
    assert (blurred.std(dim=(1, 2, 3)) <= noise.std(dim=(1, 2, 3)) + 1e-5).all()


def test_a_flat_image_stays_finite():
    image = torch.zeros(20, 1, 16, 16)
    changed = run(Augmentation(), image, torch.zeros(20, 16, 16, dtype=torch.int64))[0]
    assert changed.isfinite().all()


def test_wrong_arguments_are_refused():
    image, target = labelled(batch=2)
    with pytest.raises(ValueError, match=r"float32 image \(B, 1, H, W\), got torch.float64"):
        run(only(), image.double(), target)
    with pytest.raises(ValueError, match=r"int64 target \(2, 32, 32\), got torch.int32"):
        run(only(), image, target.int())
    with pytest.raises(ValueError, match=r"int64 target \(2, 32, 32\), got torch.int64 \(1, 32, 32\)"):
        run(only(), image, target[:1])


def test_a_margin_is_cropped_after_the_rotation():
    image, target = labelled(side=48)
    still, labels = augment(image, target, only(), torch.Generator(), margin_px=8)[:2]
    torch.testing.assert_close(still, image[..., 8:40, 8:40], atol=1e-4, rtol=0)
    assert torch.equal(labels, target[:, 8:40, 8:40])
    turning = only(rotate_degrees=180)
    turned, labels, transform = augment(image, target, turning, torch.Generator().manual_seed(0), margin_px=8)
    assert turned.shape == (64, 1, 32, 32)
    assert (labels != UNLABELLED).all()  # 48 px hold the diagonal of 32: the corners turn in from the margin
    assert torch.equal(transform.labels(target), labels)
    alone = augment(image[..., 8:40, 8:40], target[:, 8:40, 8:40], turning, torch.Generator().manual_seed(0))
    assert (alone.target == UNLABELLED).any()
    known = alone.target != UNLABELLED
    assert torch.equal(alone.target[known], labels[known])  # elsewhere the crop is the same
