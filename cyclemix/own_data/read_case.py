"""Read one case's files and collect findings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cyclemix.config.labels import BACKGROUND, UNLABELLED
from cyclemix.data import autogrid
from cyclemix.data.readers.alignment import AFFINE_TOLERANCE_MM, differs, shift_mm, turned_axes
from cyclemix.data.readers.native import (
    DataError,
    Header,
    load_volume,
    read_geometry,
    read_native,
    reference_path,
    to_classes,
)
from cyclemix.data.scribbles.checks import CONTRADICTION, DENSE_LOOKING
from cyclemix.data.spec import DatasetSpec
from cyclemix.data.spec_blocks import Kind
from cyclemix.own_data import gallery
from cyclemix.own_data.facts import Case, some

LEAVE_OUT = "repair the file or add the case to `exclude`"


def read_case(spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any]) -> Case:
    """Read all files of a case; a damaged one does not prevent reading the others."""
    case = Case(entry["case"], entry["subject"], str(Path(reference_path(raw_dir, entry, "image")).parent))
    image: np.ndarray | None = None
    try:
        image, case.spacing_mm, _ = read_native(spec, raw_dir, entry, "image")
        _describe_image(case, image)
    except DataError as error:
        case.find("error", str(error), LEAVE_OUT)
    labels: dict[Kind, np.ndarray] = {}
    for kind in ("label", "scribble"):
        if entry.get(kind):
            try:
                labels[kind] = _read_label(spec, raw_dir, entry, kind, case)
            except DataError as error:
                case.find("error", str(error), LEAVE_OUT)
    if image is None or case.spacing_mm is None:
        return case
    _, dy, dx = case.spacing_mm
    marks = [autogrid.informative(array, kind) for kind, array in labels.items()]
    case.extent = autogrid.extent_of((image.shape[1], image.shape[2]), (dy, dx), marks)
    structures = [(array != BACKGROUND) & (array != UNLABELLED) for array in labels.values()]
    case.reach_mm = autogrid.extent_of((image.shape[1], image.shape[2]), (dy, dx), structures).reach_mm
    _compare(case, labels)
    case.pictures = gallery.pictures(image, labels.get("label"), labels.get("scribble"), spec, (dy, dx))
    return case


def _describe_image(case: Case, image: np.ndarray) -> None:
    depth, height, width = image.shape
    case.shape = (depth, height, width)
    low, middle, high = np.percentile(image, (1, 50, 99))
    case.grey = (float(low), float(middle), float(high))
    content = str(image.shape).encode() + np.ascontiguousarray(image).tobytes()
    case.digest = hashlib.sha256(content).hexdigest()[:32]
    flat = np.flatnonzero(image.min(axis=(1, 2)) == image.max(axis=(1, 2)))
    if flat.size == depth:
        case.find("error", "the image is constant", LEAVE_OUT)
    elif flat.size:
        text = f"{flat.size} of {depth} slices are constant ({some((flat + 1).tolist(), 8)})"
        case.find("warning", text, "cut empty slices off, from image and labels alike")


def _read_label(
    spec: DatasetSpec, raw_dir: Path, entry: Mapping[str, Any], kind: Kind, case: Case
) -> np.ndarray:
    """Class values of a label file; adds its properties to ``case``."""
    where = reference_path(raw_dir, entry, kind)
    array, own = load_volume(where, kind)
    values = np.unique(array)
    case.values[kind] = [int(value) for value in values[:50] if np.isfinite(value)]
    if case.shape is None:  # unreadable image: check at least the values
        return to_classes(array, spec, kind, where)
    classes, _, _ = read_native(spec, raw_dir, entry, kind)
    if reason := entry.get("label_geometry"):
        if own is not None and differs(own, read_geometry(spec, raw_dir, entry)):
            text = f"the image's header is used for the {kind} instead of its own: {reason}"
            case.find("warning", text, "nothing if the overlay fits; else correct `label_geometry`")
    elif own is not None:
        _compare_headers(own, read_geometry(spec, raw_dir, entry), kind, case)
    if kind == "label" and case.spacing_mm is not None:
        voxel_ml = float(np.prod(case.spacing_mm)) / 1000
        names = enumerate(spec.classes, 1)
        case.volume_ml = {name: float((classes == value).sum()) * voxel_ml for value, name in names}
        if not any(case.volume_ml.values()):
            case.find("error", f"{where}: dense label without any structure", LEAVE_OUT)
    if kind == "scribble":
        both = enumerate(["background", *spec.classes])
        case.strokes = {name: float((classes == value).mean()) for value, name in both}
    return classes


def _compare_headers(own: Header, image: Header, kind: Kind, case: Case) -> None:
    """Report differences between the headers of a label and its image."""
    remedy = "look at the overlay; where it does not fit, export the label again"
    if axes := turned_axes(own, image):
        text = f"the {kind} is stored along other axes than the image and was turned to it (its {axes})"
        case.find("warning", text, remedy)
        return
    apart = shift_mm(own, image)
    first, second = (header.get_best_affine()[:3, :3] for header in (own, image))
    if apart > AFFINE_TOLERANCE_MM and np.allclose(first, second, atol=0.01):
        text = f"the {kind}'s affine places it {apart:.1f} mm from the image; the image's is used"
        case.find("warning", text, remedy)


def _compare(case: Case, labels: Mapping[Kind, np.ndarray]) -> None:
    """Check a scribble, also against the dense label."""
    scribble, label = labels.get("scribble"), labels.get("label")
    if scribble is None:
        return
    marked = scribble != UNLABELLED
    drawn = marked & (scribble != BACKGROUND)
    if not drawn.any():
        what = "only background is marked" if marked.any() else "no pixel is marked"
        case.find(
            "error", f"empty scribble: {what}", "draw strokes, correct scribble_values, or `exclude` it"
        )
        return
    if marked.mean() > DENSE_LOOKING:
        text = f"{100 * marked.mean():.0f} % of the pixels are marked, much for a scribble"
        case.find("warning", text, "check which value scribble_values names `unlabelled`")
    bare = np.flatnonzero(drawn.any(axis=(1, 2)) & ~(scribble == BACKGROUND).any(axis=(1, 2)))
    if bare.size:
        where = some((bare + 1).tolist(), 8)
        text = f"{bare.size} of {len(scribble)} slices have strokes, but none of background ({where})"
        case.find(
            "warning", text, "add a background stroke, or check the background value in scribble_values"
        )
    if label is not None and label.shape == scribble.shape:
        known = marked & (label != UNLABELLED)
        wrong = float((scribble != label)[known].mean()) if known.any() else 0.0
        if wrong > CONTRADICTION:
            text = f"{100 * wrong:.0f} % of the strokes contradict the dense label"
            case.find(
                "warning", text, "check that both tables name the values alike, and look at the overlay"
            )
