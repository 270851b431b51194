"""Role of a file by its name: image, label or scribble."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cyclemix.data.readers.volumes import stem

WORDS = {
    "scribble": ("scribbles", "scribble", "scrib", "scr", "strokes"),
    "label": ("gt", "groundtruth", "ground_truth", "manual", "annotation", "annotations", "labels", "label",
              "labelstr", "mask", "masks", "seg", "segs", "segmentation", "segmentations"),
    "image": ("images", "image", "imagestr", "img", "imgs", "volume", "volumes", "scan", "scans"),
}  # fmt: skip
"""Folder names and parts of file names, in lower case; words for manual labels first."""

CHANNEL = "_0000"
"""nnU-Net's suffix of the first channel."""

ROLE = {word: kind for kind, words in WORDS.items() for word in words}
"""Role of each word."""

_ALTERNATIVES = "|".join(sorted(map(re.escape, ROLE), key=len, reverse=True))
_END = re.compile(rf"(?P<rest>.*[^_\-. ])?(?P<affix>[_\-. ]*(?P<word>{_ALTERNATIVES}))", re.IGNORECASE)
_START = re.compile(rf"(?P<affix>(?P<word>{_ALTERNATIVES})[_\-. ]+)(?P<rest>.+)", re.IGNORECASE)


def role_of_name(name: str, image_words: bool) -> tuple[str, str, str, str]:
    """Role of a file by its name without extension, and the parts of the name: prefix, case, suffix.

    Args:
        name: e.g. ``p1_gt``, which gives ``("label", "", "p1", "_gt")``.
        image_words: words such as ``scan`` are a role; else they are part of the case's name.

    Returns:
        Role (empty if unknown), prefix, case, suffix.
    """
    match = _END.fullmatch(name)
    if match and (match["rest"] is None or match["affix"] != match["word"]):  # `p1_gt`, `gt`; not `lengt`
        kind = ROLE[match["word"].lower()]
        inner = _END.fullmatch(match["rest"] or "") if kind == "label" else None
        if inner and inner["rest"] and ROLE[inner["word"].lower()] == "scribble":  # `p1_scribble.seg`
            return "scribble", "", inner["rest"], inner["affix"] + match["affix"]
        if image_words or kind != "image" or match["rest"] is None:
            return kind, "", match["rest"] or "", match["affix"]
    match = _START.fullmatch(name)
    if match and (image_words or ROLE[match["word"].lower()] != "image"):
        return ROLE[match["word"].lower()], match["affix"], match["rest"], ""
    return "", "", name, ""


def labels_beside_images(paths: Sequence[Path]) -> list[Path]:
    """Files that are labels or scribbles of other files by their names, e.g. ``p1_gt`` of ``p1``."""
    roles = {path: role_of_name(stem(path).removesuffix(CHANNEL), image_words=False) for path in paths}
    images = [path for path in paths if roles[path][0] not in ("label", "scribble")]
    cases = {stem(path).removesuffix(CHANNEL) for path in images}
    cases |= {role_of_name(case, image_words=True)[2] for case in cases}
    return [path for path in paths if path not in images and roles[path][2] in cases]
