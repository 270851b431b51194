"""k-fold: everybody once a fold, persons whole, test folds a partition, groups dealt evenly within one."""

from __future__ import annotations

from collections import Counter

from bounded import examples
from hypothesis import assume, given
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


@examples(120)
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
    for group in {person.group for person in persons}:
        shares = [
            sum(
                person.dense and person.group == group and person.subjects[0] in fold["test"]
                for person in persons
            )
            for fold in made
        ]
        assert max(shares) - min(shares) <= 1
