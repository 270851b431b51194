"""Roles of files by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclemix.data.readers.roles import labels_beside_images, role_of_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p1", ("", "", "p1", "")),
        ("p1_gt", ("label", "", "p1", "_gt")),
        ("gt", ("label", "", "", "gt")),
        ("length", ("", "", "length", "")),
        ("scribble_p1", ("scribble", "scribble_", "p1", "")),
        ("p1_scribble.seg", ("scribble", "", "p1", "_scribble.seg")),
        ("p1_label.seg", ("label", "", "p1_label", ".seg")),
    ],
)
def test_the_last_or_first_word_gives_the_role(name: str, expected: tuple[str, str, str, str]) -> None:
    assert role_of_name(name, image_words=False) == expected


def test_labels_are_recognised_beside_their_images_only() -> None:
    names = ("p1.nii", "p1_gt.nii", "p1.seg.nrrd", "p1_scribble.seg.nrrd", "p2_mask.nii")
    assert [path.name for path in labels_beside_images([Path(name) for name in names])] == list(names[1:4])
