"""Random orders of subjects, stratified by group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import pandas as pd

Item = TypeVar("Item")


def interleave(items: Iterable[Item], group: Callable[[Item], str], rng: np.random.Generator) -> list[Item]:
    """Shuffle such that the groups have about their overall proportions in every prefix."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[group(item)].append(item)
    placed: list[tuple[float, float, Item]] = []
    for name in sorted(groups):
        members = groups[name]
        for rank, position in enumerate(rng.permutation(len(members))):
            placed.append(((rank + 0.5) / len(members), float(rng.random()), members[position]))
    return [item for *_, item in sorted(placed, key=lambda place: place[:2])]


def first_subjects(cases: pd.DataFrame, count: int, seed: int, where: str) -> list[str]:
    """The first ``count`` subjects of a random order that does not depend on ``count``.

    Args:
        cases: columns subject and group, one or more rows per subject.
        count: number of subjects.
        seed: seed of the order.
        where: prefix of the message.

    Raises:
        ValueError: fewer than ``count`` subjects.
    """
    groups = dict(sorted(zip(cases["subject"].astype(str), cases["group"].astype(str), strict=True)))
    if count > len(groups):
        raise ValueError(
            f"{where}: {count} training subjects wanted, but there are {len(groups)}; lower "
            "training.subjects or efficiency.subjects"
        )
    order = interleave(groups, lambda subject: groups[subject], np.random.default_rng(seed))
    return sorted(order[:count])
