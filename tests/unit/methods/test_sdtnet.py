"""SDT-Net: the better teacher teaches and alone follows; pseudo-labels are reliable; features align."""

from __future__ import annotations

import pytest
import torch
from training import discs, settings, train

from cyclemix.config.labels import UNLABELLED
from cyclemix.methods.sdtnet import Teachers, misalignment, reliable_labels
from cyclemix.networks.ema import Teacher
from cyclemix.networks.unet_features import FeatureUNet
from cyclemix.training.engine import Engine, State


class Constant(torch.nn.Module):
    """The same class everywhere, with one feature of that value."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))

    def forward(self, image: torch.Tensor, features: bool = False) -> tuple[torch.Tensor, ...]:
        logits = torch.cat((torch.zeros_like(image), self.value + 0 * image), dim=1)
        return logits, self.value.expand(len(image), 1, 1, 1), self.value.expand(len(image), 1, 1, 1)


def engine() -> Engine:
    return Engine(settings("sdtnet", network="unet_features", levels=2), 0, discs()[0])


@pytest.mark.parametrize(("label", "better"), [(1, 3.0), (0, -2.0)])
def test_the_teacher_with_the_lower_loss_on_the_scribbles_teaches(label: int, better: float) -> None:
    teachers = Teachers(Teacher(Constant(-2.0)), Teacher(Constant(3.0)))
    logits, high, low = teachers(torch.zeros(2, 1, 4, 4), torch.full((2, 4, 4), label))
    assert logits[:, 1].unique().tolist() == [better]
    assert (high.unique().item(), low.unique().item()) == (better, better)


@pytest.mark.parametrize(("label", "expected"), [(1, (-2.0, 3.7)), (0, (-0.8, 3.0))])
def test_only_the_teacher_that_taught_follows(label: int, expected: tuple[float, float]) -> None:
    teachers = Teachers(Teacher(Constant(-2.0)), Teacher(Constant(3.0)))
    teachers(torch.zeros(2, 1, 4, 4), torch.full((2, 4, 4), label))
    teachers.follow(Constant(10.0), decay=0.9)
    assert [t.net.value.item() for t in teachers.teachers] == pytest.approx(expected)


def test_teachers_start_apart_and_take_no_gradient() -> None:
    run = engine()
    same, other = (t.net for t in run.parts["teachers"].teachers)
    student = run.net.state_dict()
    assert all(torch.equal(value, student[key]) for key, value in same.state_dict().items())
    convolutions = [key for key, value in student.items() if value.dim() == 4]
    assert not any(torch.equal(other.state_dict()[key], student[key]) for key in convolutions)
    assert not any(p.requires_grad for p in run.parts["teachers"].parameters())


def test_reliable_labels() -> None:
    scores = torch.tensor([[0.6, 0.4], [0.5, 0.5], [0.1, 0.9]]).T[None, :, None, :]
    assert reliable_labels(scores, 0.5).tolist() == [[[0, UNLABELLED, 1]]]


def test_misalignment_by_hand() -> None:
    features = torch.tensor([[[[3.0, 0.0]]], [[[1.0, 1.0]]]])
    shown = torch.tensor([[[[0.0, 3.0]]], [[[2.0, 2.0]]]])
    # |difference|: 3, 3, 1, 1; cosines: 0 and 1
    assert misalignment(features, shown).item() == pytest.approx((2 + 1 - 0.5) / 2)


def test_network_shows_its_features_when_asked() -> None:
    net = FeatureUNet(3, base_filters=4, levels=3)
    assert [tuple(x.shape) for x in net(torch.zeros(2, 1, 18, 16), features=True)] == [
        (2, 3, 18, 16),
        (2, 16, 5, 4),
        (2, 4, 20, 16),
    ]


def test_its_terms() -> None:
    run, state = engine(), State(digest="d")
    train(run, state, 1)
    assert run.terms == ["pce", "pseudo", "high", "low"]
