"""The batched graph cut: hand-made minima, recorded instances, max-flow on random ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from cyclemix.ops import graphcut

QUADRATIC = torch.tensor([[0.0, 0.25, 1.0], [0.25, 0.0, 0.25], [1.0, 0.25, 0.0]])


def pairwise(labels: int) -> torch.Tensor:
    share = torch.linspace(0, 1, labels, dtype=torch.float64)
    return (share[:, None] - share).square()


def random_instance(batch, height, width, labels, coupling, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((batch, height, width, labels), (batch, height - 1, width), (batch, height, width - 1))
    unary, down, right = (torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return unary, down * coupling, right * coupling, pairwise(labels)


def test_without_coupling_each_node_takes_its_cheapest_label():
    unary, down, right, table = random_instance(3, 5, 7, 3, 0.0, 0)
    assert torch.equal(graphcut.solve(unary, down, right, table), unary.argmin(dim=-1))


def test_strong_coupling_makes_one_label():
    unary, down, right, table = random_instance(4, 6, 6, 3, 0.0, 1)
    labels = graphcut.solve(unary, down + 100, right + 100, table)
    best = unary.sum(dim=(1, 2)).argmin(dim=-1)
    assert torch.equal(labels, best[:, None, None].expand(-1, 6, 6))


def test_two_nodes_by_hand():
    # Alone: labels 0 and 2, cost 0. Together at 1: cost 0.4. Apart with V = 1 and w = 0.3: 0.3; (0,1): 0.275.
    unary = torch.tensor([[[[0.0, 0.2, 1.0], [1.0, 0.2, 0.0]]]])
    for weight, expected in ((0.3, [0, 1]), (0.1, [0, 2]), (3.0, [1, 1])):
        labels = graphcut.solve(unary, torch.zeros(1, 0, 2), torch.full((1, 1, 1), weight), QUADRATIC)
        energy = graphcut.energy(
            unary, torch.zeros(1, 0, 2), torch.full((1, 1, 1), weight), QUADRATIC, labels
        )
        wanted = graphcut.energy(
            unary, torch.zeros(1, 0, 2), torch.full((1, 1, 1), weight), QUADRATIC, torch.tensor([[expected]])
        )
        assert energy.item() == pytest.approx(wanted.item())
    assert labels.tolist() == [[[1, 1]]]


def test_energy_by_hand():
    unary = torch.tensor([[[[0.0, 1.0, 2.0], [0.5, 0.25, 0.0]], [[1.0, 0.0, 1.0], [3.0, 2.0, 1.0]]]])
    labels = torch.tensor([[[0, 2], [1, 0]]])
    down, right = torch.tensor([[[2.0, 4.0]]]), torch.tensor([[[1.0], [8.0]]])
    # unary 0 + 0 + 0 + 3; down 2 V(0,1) + 4 V(2,0); right 1 V(0,2) + 8 V(1,0)
    assert graphcut.energy(unary, down, right, QUADRATIC, labels).tolist() == [3 + 0.5 + 4 + 1 + 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_recorded_instances(reference, dtype):
    """The 64 instances cut from real slices: the max-flow energy, to rounding."""
    with np.load(reference / "puzzlemix_graphcut.npz") as stored:
        meta = json.loads(str(stored["meta"]))
        ratios, total = [], 0.0
        shapes = sorted({stored[f"{item['id']:03d}/unary"].shape for item in meta})
        for shape in shapes:
            same = [item for item in meta if stored[f"{item['id']:03d}/unary"].shape == shape]
            terms = [
                torch.tensor(np.stack([stored[f"{item['id']:03d}/{key}"] for item in same])).double()
                for key in ("unary", "wx", "wy")
            ]
            table = torch.tensor(stored[f"{same[0]['id']:03d}/V"]).double()
            labels = graphcut.solve(*(term.to(dtype) for term in terms), table.to(dtype))
            energy = graphcut.energy(*terms, table, labels)
            exact = torch.tensor([item["energy_exact"] for item in same], dtype=torch.float64)
            ratios.append((energy / exact).max().item())
            total += energy.sum().item()
    assert total <= 54.25477 * (1 + 1e-6)
    assert max(ratios) <= 1 + 1e-6


@pytest.mark.parametrize("labels", [2, 3, 4])
@pytest.mark.parametrize("coupling", [0.05, 0.3, 2.0, 30.0])
def test_random_instances_reach_the_maximum_flow(labels, coupling):
    pytest.importorskip("maxflow", reason="PyMaxflow (development dependency) is not installed")
    from ishikawa import exact_labels

    terms = random_instance(3, 10, 7, labels, coupling, seed=labels)
    exact = torch.tensor(
        np.stack([exact_labels(*(term[i].numpy() for term in terms[:3]), terms[3].numpy()) for i in range(3)])
    )
    found = graphcut.energy(*terms, graphcut.solve(*(term.float() for term in terms)))
    torch.testing.assert_close(found, graphcut.energy(*terms, exact), rtol=1e-5, atol=0)


def test_small_grids_reach_the_minimum_over_all_labellings():
    terms = random_instance(8, 2, 3, 3, 0.5, seed=7)
    every = torch.cartesian_prod(*[torch.arange(3)] * 6).reshape(-1, 1, 2, 3).expand(-1, 8, -1, -1)
    least = torch.stack([graphcut.energy(*terms, labels) for labels in every]).amin(dim=0)
    torch.testing.assert_close(graphcut.energy(*terms, graphcut.solve(*terms)), least)


def test_mirrored_instance_has_the_mirrored_energy():
    unary, down, right, table = random_instance(2, 8, 8, 3, 0.4, seed=3)
    turned = (
        unary.flip(2).transpose(1, 2),
        right.flip(2).transpose(1, 2),
        down.flip(2).transpose(1, 2),
        table,
    )
    first = graphcut.energy(unary, down, right, table, graphcut.solve(unary, down, right, table))
    second = graphcut.energy(*turned, graphcut.solve(*turned))
    torch.testing.assert_close(first, second)


def test_samples_do_not_touch_each_other():
    terms = random_instance(5, 8, 8, 3, 0.4, seed=4)
    together = graphcut.solve(*terms)
    alone = graphcut.solve(*(term[2:3] for term in terms[:3]), terms[3])
    assert torch.equal(together[2:3], alone)


def test_returns_integers_and_leaves_its_arguments_alone():
    terms = random_instance(2, 4, 4, 3, 0.4, seed=5)
    before = [term.clone() for term in terms]
    labels = graphcut.solve(*terms)
    assert labels.dtype == torch.int64
    assert labels.shape == (2, 4, 4)
    assert all(torch.equal(old, new) for old, new in zip(before, terms, strict=True))


def test_single_label_and_single_node():
    assert (
        graphcut.solve(torch.rand(2, 3, 3, 1), torch.rand(2, 2, 3), torch.rand(2, 3, 2), torch.zeros(1, 1))
        .eq(0)
        .all()
    )
    unary = torch.tensor([[[[3.0, 1.0, 2.0]]]])
    assert graphcut.solve(unary, torch.zeros(1, 0, 1), torch.zeros(1, 1, 0), QUADRATIC).tolist() == [[[1]]]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        pytest.param([(2, 4, 4), (2, 3, 4), (2, 4, 3), (3, 3)], r"unary costs \(B, H, W, L\)", id="unary"),
        pytest.param([(2, 4, 4, 3), (2, 4, 3), (2, 4, 3), (3, 3)], r"weight_x of shape \(2, 3, 4\)", id="x"),
        pytest.param([(2, 4, 4, 3), (2, 3, 4), (2, 3, 4), (3, 3)], r"weight_y of shape \(2, 4, 3\)", id="y"),
        pytest.param(
            [(2, 4, 4, 3), (2, 3, 4), (2, 4, 3), (2, 2)], r"pairwise of shape \(3, 3\)", id="pairwise"
        ),
    ],
)
def test_wrong_shapes_are_refused(shapes, message):
    with pytest.raises(ValueError, match=message):
        graphcut.solve(*(torch.zeros(shape) for shape in shapes))


def test_potts_smoothness_is_refused():
    potts = 1 - torch.eye(3)
    with pytest.raises(ValueError, match="submodular"):
        graphcut.solve(torch.rand(1, 2, 2, 3), torch.ones(1, 1, 2), torch.ones(1, 2, 1), potts)


@pytest.mark.parametrize("value", [-0.5, float("nan")])
def test_negative_weights_are_refused(value):
    down = torch.tensor([[[1.0, value]]])
    with pytest.raises(ValueError, match=f"weight_x not negative, got {value}; clamp it at 0"):
        graphcut.solve(torch.rand(1, 2, 2, 3), down, torch.ones(1, 2, 1), QUADRATIC)


def test_integer_costs_are_refused():
    with pytest.raises(ValueError, match=r"got torch\.int64"):
        graphcut.solve(
            torch.zeros(1, 2, 2, 3, dtype=torch.int64), torch.ones(1, 1, 2), torch.ones(1, 2, 1), QUADRATIC
        )
