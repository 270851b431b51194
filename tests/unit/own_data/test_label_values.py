"""What `init` makes of the values in label and scribble files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.config.strict import ConfigError, validate
from cyclemix.data.readers.native import to_classes
from cyclemix.data.spec import DatasetSpec
from cyclemix.own_data.folder_layout import CaseFiles, Layout
from cyclemix.own_data.label_contents import contents_of
from cyclemix.own_data.label_values import name_values
from cyclemix.own_data.yaml_text import dataset_text

SIDE, BLOCK = 60, 16


def place(structure: int) -> tuple[int, int]:
    """Corner of a structure's block; 0 is the first structure, up to nine fit in."""
    return 4 + 18 * (structure // 3), 4 + 18 * (structure % 3)


def dense(values: list[int], ignored: int | None = None) -> np.ndarray:
    """Blocks of 16 x 16 pixels of each value on 0; ``ignored`` on a line beside the first one."""
    array = np.zeros((2, SIDE, SIDE), np.int16)
    for structure, value in enumerate(values):
        row, column = place(structure)
        array[:, row : row + BLOCK, column : column + BLOCK] = value
    if ignored is not None:
        array[:, 4:20, 20] = ignored
    return array


def strokes(values: list[int], background: int, unlabelled: int) -> np.ndarray:
    """A stroke in each block, and one of background around all of them."""
    array = np.full((2, SIDE, SIDE), unlabelled, np.int16)
    array[:, 1, 1:59], array[:, 1:59, 1] = background, background
    for structure, value in enumerate(values):
        row, column = place(structure)
        array[:, row + 8, column + 2 : column + 14] = value
    return array


def drafted(labels: np.ndarray | None, scribbles: np.ndarray | None) -> DatasetSpec:
    """The data set that `init` would write, as `check` reads it."""
    arrays = {"label": labels, "scribble": scribbles}
    contents = {kind: [] if a is None else [contents_of(a)] * 3 for kind, a in arrays.items()}
    kinds = ["image", *(kind for kind, found in contents.items() if found)]
    files = {kind: Path(f"{kind}s/p.nii.gz") for kind in kinds}
    layout = Layout({k: f"{k}s/{{case}}.nii.gz" for k in kinds}, "{subject}", [CaseFiles("p", files)] * 3)
    layout, tables, notes = name_values(Path("scans"), layout, contents)
    text = dataset_text("own", Path("scans"), Path("config/own.yaml"), layout, tables, notes, None)
    return validate(DatasetSpec, {**yaml.safe_load(text), "label": "own", "folder": "config"}, "own.yaml")


counted = st.integers(1, 6).map(lambda n: list(range(1, n + 1)))
grey_levels = st.integers(1, 6).map(lambda n: [255 * (i + 1) // n for i in range(n)])
odd = st.lists(st.integers(1, 300).filter(lambda v: v != 255), min_size=1, max_size=6, unique=True).map(
    sorted
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], int | None, list[int] | None, int, int]:
    """Label values, an ignored value, and the values of scribbles with background and unlabelled."""
    values = draw(st.one_of(counted, grey_levels, odd))
    ignored = draw(st.sampled_from([None, 255, -1])) if max(values) <= 30 else None
    kind = draw(st.sampled_from(["none", "same", "counted"]))
    if kind == "none":
        return values, ignored, None, 0, 0
    drawn = values if kind == "same" or min(values) < 28 else list(range(1, len(values) + 1))
    free = max(*drawn, 255) + 1
    return values, ignored, drawn, *draw(st.sampled_from([(max(drawn) + 1, 0), (0, free)]))


@settings(max_examples=60)
@given(tables())
def test_every_draft_is_a_data_set_that_gives_each_structure_its_class(
    table: tuple[list[int], int | None, list[int] | None, int, int],
) -> None:
    values, ignored, drawn, background, unlabelled = table
    labels = dense(values, ignored)
    scribbles = None if drawn is None else strokes(drawn, background, unlabelled)
    spec = drafted(labels, scribbles)
    assert len(spec.classes) == len(values)
    classes = to_classes(labels, spec, "label", "labels/p.nii.gz")
    assert (classes == BACKGROUND).sum() == (labels == 0).sum()
    for structure, value in enumerate(values):
        assert (classes[labels == value] == structure + 1).all()
    if ignored is not None:
        assert (classes[labels == ignored] == UNLABELLED).all()
    if scribbles is not None and drawn is not None:
        marks = to_classes(scribbles, spec, "scribble", "scribbles/p.nii.gz")
        assert (marks[scribbles == unlabelled] == UNLABELLED).all()
        assert (marks[scribbles == background] == BACKGROUND).all()
        for structure, value in enumerate(drawn):
            assert (marks[scribbles == value] == structure + 1).all()


@pytest.mark.parametrize("values", [[255], [85, 170, 255]])
def test_255_in_masks_of_grey_levels_is_a_structure(values: list[int]) -> None:
    spec = drafted(dense(values), None)
    assert spec.label_values == {0: "background", **{value: f"structure{value}" for value in values}}


@pytest.mark.parametrize("values", [[127], [85, 170]])
def test_255_on_a_line_or_on_the_frame_is_unlabelled(values: list[int]) -> None:
    assert drafted(dense(values, ignored=255), None).label_values[255] == "unlabelled"
    padded = dense(values)
    padded[:, :2], padded[:, -2:], padded[:, :, :2], padded[:, :, -2:] = 255, 255, 255, 255
    assert drafted(padded, None).label_values[255] == "unlabelled"


def test_scribbles_that_lack_a_structure_still_give_it_a_value() -> None:
    spec = drafted(dense([85, 170, 255]), strokes([85, 170], background=0, unlabelled=255))
    assert spec.label_values[255] == "structure255"
    assert spec.scribble_values == {
        0: "background",
        85: "structure85",
        170: "structure170",
        255: "unlabelled",
        256: "structure255",
    }


def test_labels_without_a_structure_are_refused_with_their_values() -> None:
    with pytest.raises(ConfigError, match=r"hold a structure; their values are 0$"):
        drafted(np.zeros((2, 8, 8)), None)


def test_strokes_of_equal_span_name_no_background() -> None:
    array = np.zeros((2, SIDE, SIDE), np.int16)
    for value in (1, 2, 3):
        array[:, 8 * value, 20:40] = value
    assert drafted(None, array).scribble_values == {
        0: "unlabelled",
        1: "structure1",
        2: "structure2",
        3: "structure3",
    }


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"background": 0, "whole": [1, 2], "core": 2}, {1: "structure1", 2: "core"}),
        ({"background": 0, "edema": [1], "core": [2]}, {1: "edema", 2: "core"}),
        ({"0": "background", "1": "liver", "2": "tumour"}, {1: "liver", 2: "tumour"}),
        ({"background": 0, "heart": 1, "ignore": 2}, {1: "heart", 2: "unlabelled"}),
    ],
)
def test_names_of_nnunets_file(tmp_path: Path, labels: dict[str, Any], expected: dict[int, str]) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    contents = {"label": [contents_of(dense([1, 2]))], "scribble": []}
    _, tables, _ = name_values(tmp_path, Layout({}, "", []), contents)
    assert tables.label_values == {0: "background", **expected}
