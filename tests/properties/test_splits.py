"""k-fold: everybody once a fold, persons whole, test folds a partition, all and each group dealt evenly."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cyclemix.config.strict import ConfigError
from cyclemix.data.split import Person, kfold

PERSON = st.tuples(
    st.integers(1, 3), st.sampled_from(["", "DCM", "HCM", "NOR"]), st.booleans(), st.booleans()
)


def people(drawn: list[tuple[int, str, bool, bool]]) -> list[Person]:
    return [
        Person(tuple(f"p{i}_{k}" for k in range(scans)), group, dense, scribbled)
        for i, (scans, group, dense, scribbled) in enumerate(drawn)
    ]


@settings(max_examples=120)
@given(st.lists(PERSON, min_size=4, max_size=40), st.integers(2, 6), st.integers(0, 5))
def test_folds_of_persons(drawn: list[tuple[int, str, bool, bool]], folds: int, seed: int) -> None:
    persons = people(drawn)
    try:
        made = kfold(persons, folds, seed, "x")
    except ConfigError:
        assume(False)
    everybody = sorted(name for person in persons for name in person.subjects)
    assert len(made) == folds
    for fold in made:
        assert sorted(fold["train"] + fold["val"] + fold["test"]) == everybody
        assert fold["train"]
        assert fold["val"]
        assert fold["masks"] == []
        sides = {name: side for side in ("train", "val", "test") for name in fold[side]}
        for person in persons:
            here = {sides[name] for name in person.subjects}
            assert len(here) == 1
            if not person.dense:
                assert here == {"train"}
            elif any(p.scribbled for p in persons) and not person.scribbled:
                assert here <= {"val", "test"}
    tested = Counter(name for fold in made for name in fold["test"])
    assert tested == Counter(name for person in persons if person.dense for name in person.subjects)
    dense = [person for person in persons if person.dense]
    groups = [[p for p in dense if p.group == group] for group in {p.group for p in dense}]
    for dealt_evenly in [dense, *groups]:
        shares = [sum(person.subjects[0] in fold["test"] for person in dealt_evenly) for fold in made]
        assert max(shares) - min(shares) <= 1
    assert made == kfold(persons, folds, seed, "x")


@pytest.mark.parametrize("folds", [2, 3, 5])
@pytest.mark.parametrize("sparse", [0, 1])
def test_refused_where_a_list_would_be_empty(folds: int, sparse: int) -> None:
    """Beside the test fold, one densely labelled person validates, and another one or a sparse one trains."""
    for dense in range(1, 13):
        persons = people([(1, "", True, True)] * dense + [(1, "", False, True)] * sparse)
        beside_the_largest_test_fold = dense - math.ceil(dense / folds) + sparse
        if dense < folds or beside_the_largest_test_fold < 2:
            with pytest.raises(ConfigError):
                kfold(persons, folds, 0, "x")
        else:
            assert len(kfold(persons, folds, 0, "x")) == folds
