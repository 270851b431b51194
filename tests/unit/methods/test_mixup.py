"""What is particular to MixUp: labels mix as the images do, and "unlabelled" is no class."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Fixed, batch_of, losses, per_class

from cyclemix.config.labels import UNLABELLED

U = UNLABELLED
BATCH = 6


def mix(image: torch.Tensor, target: torch.Tensor, net: Fixed, seed: int = 0) -> torch.Tensor:
    terms = losses("mixup", 3, net, batch_of(image, target), seed)
    assert list(terms) == ["mix"]
    return terms["mix"]


def numbered() -> torch.Tensor:
    """Images (6,1,1,2) whose grey value is 10 to the power of their number: a blend tells its parts."""
    return (10.0 ** torch.arange(BATCH))[:, None, None, None].expand(-1, 1, 1, 2)


def test_labels_mix_by_the_images_shares() -> None:
    """Class 0 in image 0 only: it supervises by the share that image 0 has in each blend."""
    labels = torch.full((BATCH, 1, 2), 1)
    labels[0] = 0
    image = torch.zeros(BATCH, 1, 1, 2)
    image[0] = 1
    net = Fixed(per_class(0.25, 0.5, 0.25))
    loss = mix(image, labels, net)
    share = net.seen[0].mean()  # of image 0, over all blends
    assert 0 < share < 1
    assert loss.item() == pytest.approx((share * log(4) + (1 - share) * log(2)).item(), rel=1e-5)


def test_a_pixel_that_one_image_leaves_open_is_supervised_by_the_other_alone() -> None:
    labels = torch.full((BATCH, 1, 100), U)
    labels[0] = 1
    image = numbered()[..., :1].expand(-1, 1, 1, 100)
    assert mix(image, labels, Fixed(per_class(0.25, 0.5, 0.25))).item() == pytest.approx(log(2))
    labels[:] = U
    assert mix(image, labels, Fixed(per_class(0.25, 0.5, 0.25))).item() == 0


def test_every_sample_has_its_own_share_between_its_two_images() -> None:
    net = Fixed(per_class(0.25, 0.5, 0.25))
    mix(numbered(), torch.zeros(BATCH, 1, 2, dtype=torch.int64), net)
    blend = net.seen[0][:, 0, 0]
    assert torch.equal(blend[:, 0], blend[:, 1])
    assert blend.min() >= 1
    assert blend.max() <= 10 ** (BATCH - 1)
    assert len(blend[:, 0].unique()) == BATCH


def test_gradient_reaches_the_network() -> None:
    net = Fixed(per_class(0.25, 0.5, 0.25))
    mix(numbered(), torch.zeros(BATCH, 1, 2, dtype=torch.int64), net).backward()
    # mean cross-entropy of class 0: softmax minus one-hot
    assert net.logits.grad.flatten().tolist() == pytest.approx([0.25 - 1, 0.5, 0.25], rel=1e-4)
