"""ShapePU: what the class ratios exclude is unlearned; occlusion changes nothing for a pointwise network."""

from __future__ import annotations

from math import log

import pytest
import torch
from nets import Logits, Pointwise

from cyclemix import methods
from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.base import Batch

U = UNLABELLED


def terms(net: torch.nn.Module, batch: Batch, **config: object) -> dict[str, torch.Tensor]:
    method = methods.create("shapepu", config, 2, "test")
    return method.losses(net, batch, torch.Generator().manual_seed(0))


def strip(step: int = 600) -> tuple[torch.Tensor, Batch]:
    """Eight pixels: two scribbled, one a class; of the six unlabelled ones three are surely class 1."""
    foreground = torch.tensor([0.5, 0.5, 1 - 1e-7, 1 - 1e-7, 1 - 1e-7, 1e-7, 1e-7, 1e-7])
    logits = torch.stack([1 - foreground, foreground]).log()[None, :, None, :]
    target = torch.tensor([[[0, 1, U, U, U, U, U, U]]])
    return logits, Batch(torch.zeros(1, 1, 1, 8), target, step, torch.arange(1))


def test_sure_predictions_are_confirmed() -> None:
    logits, batch = strip()
    got = terms(Logits(logits), batch)
    assert list(got) == ["pce", "negative", "global"]
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


def test_global_is_zero_where_the_visible_prediction_does_not_change() -> None:
    image = torch.randint(0, 2, (2, 1, 16, 16), generator=torch.Generator().manual_seed(1)).float()
    batch = Batch(image, image[:, 0].long(), 0, torch.arange(2))
    assert terms(Pointwise(2), batch, occlusion_px=8)["global"].item() == pytest.approx(0, abs=1e-6)


def test_global_compares_with_the_prediction_of_the_occluded_image() -> None:
    class Mean(torch.nn.Module):
        """Class 1 everywhere if the mean is above one half."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            level = 200 * (image.mean(dim=(1, 2, 3), keepdim=True) - 0.5)
            return torch.cat((-level, level), dim=1).expand(-1, -1, 16, 16)

    batch = Batch(torch.full((2, 1, 16, 16), 0.55), torch.full((2, 16, 16), U), 0, torch.arange(2))
    got = terms(Mean(), batch, occlusion_px=16, weight_global=1.0)["global"]
    assert got.item() == pytest.approx(1, abs=1e-4)
