"""ShapePU: what the class ratios exclude is unlearned; the occluded, turned view agrees and is supervised."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Fixed, Logits, Pointwise, batch_of, losses, per_class

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.lengths import PAPER_SPACING_MM as PX
from cyclemix.methods.base import Batch
from cyclemix.methods.shapepu import flip

U = UNLABELLED


def terms(net: torch.nn.Module, batch: Batch, **config: object) -> dict[str, torch.Tensor]:
    return losses("shapepu", 2, net, batch, **config)


def strip(step: int = 600) -> tuple[torch.Tensor, Batch]:
    """Eight pixels: two scribbled, one a class; of the six unlabelled ones three are surely class 1."""
    foreground = torch.tensor([0.5, 0.5, 1 - 1e-7, 1 - 1e-7, 1 - 1e-7, 1e-7, 1e-7, 1e-7])
    logits = torch.stack([1 - foreground, foreground]).log()[None, :, None, :]
    target = torch.tensor([[[0, 1, U, U, U, U, U, U]]])
    return logits, batch_of(torch.zeros(1, 1, 1, 8), target, step)


def test_sure_predictions_are_confirmed() -> None:
    logits, batch = strip()
    got = terms(Logits(logits), batch)
    assert list(got) == ["pce", "view", "negative", "global"]
    assert got["pce"].item() == pytest.approx(log(2), abs=1e-5)
    assert got["negative"].item() == pytest.approx(0, abs=1e-5)


def test_a_doubtful_pixel_beyond_the_ratio_is_told_what_it_is_not() -> None:
    logits, batch = strip()
    logits[0, :, 0, 6] = torch.tensor([0.7, 0.3]).log()
    logits[0, :, 0, 7] = torch.tensor([0.6, 0.4]).log()
    # After one EM step class 1's share is its mean probability, (3 + 0.3 + 0.4) / 6: 3.7 of the six pixels,
    # so four stay. The pixel of 0.3 and the sure background are excluded.
    got = terms(Logits(logits), batch, em_iterations=1)
    assert got["negative"].item() == pytest.approx(-log(0.7) / 2, abs=1e-5)


def test_gradient_lowers_the_excluded_class() -> None:
    logits, batch = strip()
    logits[0, :, 0, 6] = torch.tensor([0.7, 0.3]).log()
    net = Logits(logits)
    terms(net, batch, em_iterations=1)["negative"].backward()
    assert net.logits.grad[0, 1, 0, 6] > 0 > net.logits.grad[0, 0, 0, 6]


def test_nothing_is_excluded_before_its_step() -> None:
    logits, batch = strip(step=599)
    logits[0, :, 0, 6] = torch.tensor([0.7, 0.3]).log()
    assert terms(Logits(logits), batch, em_iterations=1)["negative"].item() == 0


def blob(count: int = 8) -> torch.Tensor:
    """Smooth images (B,1,32,32) of one off-centre disc, so that flips and turns are distinguished."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    return (-((rows - 10) ** 2 + (columns - 19) ** 2) / 60).exp().expand(count, 1, 32, 32)


def test_the_second_view_comes_back_to_its_place() -> None:
    """A pointwise network predicts the turned image turned: what is left is interpolation."""
    batch = batch_of(blob(), torch.full((8, 32, 32), U))
    got = terms(Pointwise(2, 2.0), batch, occlusion_mm=1 * PX, weight_global=1.0)["global"].item()
    assert got < 2e-3
    misplaced = 1 - torch.cosine_similarity(*(
        Pointwise(2, 2.0)(image).softmax(dim=1) for image in (blob(1), blob(1).flip(-1))
    ), dim=1)  # fmt: skip
    assert misplaced.mean().item() > 10 * got


def test_the_second_view_is_supervised_where_it_is_visible() -> None:
    """- log 0.25 for class 0, twice weighed; the rest of the batch's terms do not see it."""
    target = torch.full((2, 16, 16), U)
    target[:, 7:9, 7:9] = 0  # the centre stays inside however the image is turned
    batch = batch_of(torch.zeros(2, 1, 16, 16), target)
    net = Fixed(per_class(0.25, 0.75))
    got = terms(net, batch, occlusion_mm=1 * PX, weight_view=2.0)
    assert got["view"].item() == pytest.approx(2 * log(4))
    assert got["pce"].item() == pytest.approx(log(4))


def test_what_is_occluded_is_neither_background_nor_anything() -> None:
    target = torch.zeros(2, 16, 16, dtype=torch.int64)
    batch = batch_of(torch.zeros(2, 1, 16, 16), target)
    hidden = terms(Fixed(per_class(0.25, 0.75)), batch, occlusion_mm=64 * PX)  # the square covers all
    assert (hidden["view"].item(), hidden["global"].item()) == (0, 0)


def test_flip_by_hand() -> None:
    x = torch.tensor([[1, 2], [3, 4]]).expand(4, 1, 2, 2)
    flips = torch.tensor([[False, True, False, True], [False, False, True, True]])[:, :, None, None, None]
    got = flip(x, flips)
    assert got[:, 0].tolist() == [[[1, 2], [3, 4]], [[3, 4], [1, 2]], [[2, 1], [4, 3]], [[4, 3], [2, 1]]]
    assert torch.equal(flip(got, flips), x)


def test_global_compares_with_the_prediction_of_the_occluded_image() -> None:
    class Mean(torch.nn.Module):
        """Class 1 everywhere if the mean is above one half."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            level = 200 * (image.mean(dim=(1, 2, 3), keepdim=True) - 0.5)
            return torch.cat((-level, level), dim=1).expand(-1, -1, 16, 16)

    batch = batch_of(torch.full((2, 1, 16, 16), 0.55), torch.full((2, 16, 16), U))
    got = terms(Mean(), batch, occlusion_mm=16 * PX, weight_global=1.0)["global"]
    assert got.item() == pytest.approx(1, abs=1e-4)
