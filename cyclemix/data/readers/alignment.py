"""Check that a label is on its image's voxel grid, by shape and header; reorder its axes if that is exact."""

from __future__ import annotations

import logging

import numpy as np

from cyclemix.data.readers.nifti import Header, apart_mm, header_shape, header_spacing, listed, millimetres
from cyclemix.data.reading import DataError

logger = logging.getLogger(__name__)

AFFINE_TOLERANCE_MM = 0.5
"""Distance of a label's corners from the image's above which a warning is logged."""

STEP_TOLERANCE = 0.02
"""Voxel steps of label and image may differ by this fraction of a voxel (1.1 degrees, 2 % in size)."""


ADVICE = (
    "resample it to the image's grid or, if only its header is wrong, set `label_geometry` to `use: image` "
    "for this case in the data set's YAML file"
)


def on_image_grid(
    array: np.ndarray, own: Header | None, image: Header, kind: str, where: str, wrong: str | None = None
) -> np.ndarray:
    """``array`` on the voxel grid of the image.

    Args:
        array: (D,H,W) as stored.
        own: its header; None if it has none (HDF5).
        image: header with the case's geometry.
        kind: image, label or scribble, for messages.
        where: file, for messages.
        wrong: why ``own`` is wrong (`label_geometry` of the data set); then the image's header is used, and
            only shape and voxel size are compared. None = ``own`` is right.

    Returns:
        (D,H,W): the array, with axes permuted and flipped to the image's order if its header differs from the
        image's only in that.

    Raises:
        DataError: another shape, voxel size or direction.
    """
    if own is None or kind == "image":
        return _same_shape(array, image, kind, where)
    if wrong is not None:
        _same_shape(array, image, kind, where)
        _same_spacing(own, image, kind, where)
        if differs(own, image):
            logger.warning("%s: the image's header is used instead of its own: %s", where, wrong)
        return array
    if not (_oriented(own) and _oriented(image)):
        _same_shape(array, image, kind, where)
        _same_spacing(own, image, kind, where)
        if _oriented(image):
            logger.warning("%s: its header gives no orientation; the image's is used", where)
        return array
    steps = _steps(own, image)
    turn = np.rint(steps[:3, :3])
    if np.abs(steps[:3, :3] - turn).max() > STEP_TOLERANCE or abs(round(np.linalg.det(turn))) != 1:
        _same_shape(array, image, kind, where)
        _same_spacing(own, image, kind, where)
        raise DataError(f"{where}: the {kind}'s axes run in other directions than the image's; {ADVICE}")
    if (turn == np.eye(3)).all():
        _same_shape(array, image, kind, where)
        if (apart := shift_mm(own, image)) > AFFINE_TOLERANCE_MM:
            text = "%s: its affine places it %.1f mm from the image; same grid, so the image's is used"
            logger.warning(text, where, apart)
        return array
    return _turned(array, turn.astype(int), steps[:3, 3], image, kind, where)


def _turned(
    array: np.ndarray, turn: np.ndarray, start: np.ndarray, image: Header, kind: str, where: str
) -> np.ndarray:
    """The array in the image's order of axes; ``start`` is the image index of its first voxel."""
    order, signs = np.abs(turn).argmax(axis=1), turn.sum(axis=1)
    moved = array.T.transpose(order)  # (x,y,z)
    moved = moved[tuple(slice(None, None, int(sign)) for sign in signs)].T
    expected = np.where(signs > 0, 0, np.array(moved.shape[::-1]) - 1)
    if moved.shape != header_shape(image) or np.abs(start - expected).max() > 0.5:
        raise DataError(
            f"{where}: the {kind}'s axes are the image's in another order or direction, but it does not "
            f"cover the same voxels; {ADVICE}"
        )
    logger.warning("%s: stored along other axes than the image; turned to it (its %s)", where, _named(turn))
    return np.ascontiguousarray(moved)


def turned_axes(own: Header, image: Header) -> str | None:
    """The label's axes in the image's order, e.g. ``-x, +y, +z``; None if the order is the same.

    None also for headers that `on_image_grid` refuses, or without orientation.
    """
    if not (_oriented(own) and _oriented(image)):
        return None
    steps = _steps(own, image)[:3, :3]
    turn = np.rint(steps)
    if np.abs(steps - turn).max() > STEP_TOLERANCE or (turn == np.eye(3)).all():
        return None
    return _named(turn.astype(int))


def _steps(own: Header, image: Header) -> np.ndarray:
    """Matrix (4,4) from label voxel (x,y,z,1) to image voxel."""
    steps: np.ndarray = np.linalg.inv(_affine(image)) @ _affine(own)
    if header_shape(own)[0] == 1 and header_shape(image)[0] == 1:
        steps[:3, 2] = (0, 0, 1)  # the thickness of a single slice is irrelevant
    return steps


def _named(turn: np.ndarray) -> str:
    """Description of a signed permutation (3,3) of the axes x, y and z."""
    order, signs = np.abs(turn).argmax(axis=1), turn.sum(axis=1)
    return ", ".join(
        f"{'-' if sign < 0 else '+'}{'xyz'[axis]}" for axis, sign in zip(order, signs, strict=True)
    )


def _same_shape(array: np.ndarray, image: Header, kind: str, where: str) -> np.ndarray:
    expected = header_shape(image)
    if array.shape != expected:
        raise DataError(
            f"{where}: {kind} has shape {array.shape} (D,H,W), expected the image's {expected}; draw or "
            "resample it on the image's grid"
        )
    return array


def _same_spacing(own: Header, image: Header, kind: str, where: str) -> None:
    found, expected = header_spacing(own), header_spacing(image)
    apart = np.abs(np.divide(found, expected) - 1)
    if apart[0 if header_shape(image)[0] > 1 else 1 :].max() > STEP_TOLERANCE:
        raise DataError(
            f"{where}: {kind} has voxels of {listed(found)} mm (dz,dy,dx), the image of "
            f"{listed(expected)}; resample it to the image's grid, or correct its header's voxel size"
        )


def shift_mm(own: Header, image: Header) -> float:
    """Largest distance between the corners of the image's volume according to two headers, mm."""
    return apart_mm(_affine(own), _affine(image), header_shape(image))


def differs(own: Header, image: Header) -> bool:
    """Whether a label's header gives another position than the image's, or no orientation."""
    return not (_oriented(own) and _oriented(image)) or shift_mm(own, image) > AFFINE_TOLERANCE_MM


def _oriented(header: Header) -> bool:
    """Whether qform or sform is set."""
    return bool(header["qform_code"] > 0 or header["sform_code"] > 0)


def _affine(header: Header) -> np.ndarray:
    """Matrix (4,4) from voxel (x,y,z) to world, mm."""
    affine = header.get_best_affine()
    affine[:3] *= millimetres(header)
    return affine
