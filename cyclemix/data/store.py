"""Prepared cases on disk: one compressed ``.npz`` per case, written atomically.

The image is stored as float16, rounded to 1/64 of a standard deviation (exact for z-scores within +-16) so
that it compresses; the rounding is far below the noise of any scan.
"""

from __future__ import annotations

import io
import json
import logging
import math
import tokenize
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cyclemix.data.reading import DAMAGED, LARGEST_BYTES, read_up_to
from cyclemix.files.atomic import write_bytes

logger = logging.getLogger(__name__)

FORMAT = "cyclemix-case-2"
IMAGE_STEP = 1.0 / 64.0
"""Rounding of intensities before compression, in standard deviations."""

VERSION = 2
"""Preprocessing version; increase it when prepared arrays change, so that stored ones are prepared again."""


CLIP_PERCENT = (0.5, 99.5)
"""Percentiles of the crop to which intensities are clipped before the z-score (``preparation: default``)."""

REDO = "delete it and run `prepare` again"

HEADER_BYTES = 4096
"""Upper bound of the size of an npy header."""

MEMBERS = ("meta", "image", "scribble", "label")

OPTIONAL = {"scribble", "label"}
"""Optional arrays of a case."""

TEXT_COLUMNS = dict.fromkeys(
    ("case", "subject", "person", "frame", "group", "supervision", "image_digest"), str
)


@dataclass(frozen=True)
class Geometry:
    """Mapping to the native grid: native index = ``origin_yx`` + ``scale_yx`` * prepared index."""

    native_shape: tuple[int, int, int]
    """(D,H,W) of the upstream volume."""
    spacing_mm: tuple[float, float, float]
    """Upstream voxel size (dz,dy,dx), mm."""
    origin_yx: tuple[float, float]
    """Native (row, column), as floats, of the centre of prepared pixel (0,0)."""
    scale_yx: tuple[float, float]
    """Native pixels per prepared pixel along (rows, columns)."""
    header: bytes
    """NIfTI-1 header block (348 bytes) of the upstream image."""
    slice_axis: int = 3
    """Slice axis of the stored upstream array, 1 to 3."""


@dataclass(frozen=True)
class PreparedCase:
    """One volume on the training grid; arrays are (D,H,W)."""

    case: str
    subject: str
    frame: str
    group: str
    image: np.ndarray
    """float32, z-scored per volume; 0 outside the upstream image."""
    scribble: np.ndarray | None
    """uint8 class values, 255 = unlabelled or outside the image; None without scribbles."""
    label: np.ndarray | None
    """uint8 dense class values, 255 = outside the image; None without dense labels."""
    geometry: Geometry
    margin_px: int = 0
    """Pixels of the arrays beyond each side of the training crop, for rotations before the crop."""


def save_case(path: Path, case: PreparedCase, receipt: Mapping[str, Any] | None = None) -> None:
    """Write ``case`` atomically.

    Args:
        path: the ``.npz`` to write; its folder is created.
        case: arrays of equal shape (D,H,W).
        receipt: JSON-serialisable provenance of the case, returned by ``stored_receipt``.
    """
    meta: dict[str, Any] = {
        "format": FORMAT,
        "receipt": dict(receipt or {}),
        "case": case.case,
        "subject": case.subject,
        "frame": case.frame,
        "group": case.group,
        "geometry": {**asdict(case.geometry), "header": case.geometry.header.hex()},
        "margin_px": case.margin_px,
    }
    arrays = {"image": (np.round(case.image / IMAGE_STEP) * IMAGE_STEP).astype(np.float16)}
    for name, array in (("scribble", case.scribble), ("label", case.label)):
        if array is not None:
            if array.shape != case.image.shape:
                raise ValueError(f"{path}: {name} has shape {array.shape}, the image {case.image.shape}")
            arrays[name] = array.astype(np.uint8)
    meta["arrays"] = sorted(arrays)
    text, stream = np.frombuffer(json.dumps(meta).encode(), np.uint8), io.BytesIO()
    np.savez_compressed(stream, meta=text, **arrays)  # type: ignore[arg-type]
    write_bytes(path, stream.getbuffer())


def load_case(path: Path, with_margin: bool = False) -> PreparedCase:
    """Read a prepared case, verifying the zip checksums.

    Args:
        with_margin: return the arrays with their margin; else the training crop, with its geometry.

    Raises:
        ValueError: the file is missing, truncated, damaged or not a prepared case; names the file.
    """
    meta, arrays = _read(path, ("image", "scribble", "label"))
    wrong = int((~np.isfinite(arrays["image"])).sum())
    if wrong:
        raise ValueError(f"{path}: {wrong} pixels are not finite; {REDO}")
    try:
        shape = meta["geometry"]
        geometry = Geometry(
            native_shape=tuple(shape["native_shape"]),
            spacing_mm=tuple(shape["spacing_mm"]),
            origin_yx=tuple(shape["origin_yx"]),
            scale_yx=tuple(shape["scale_yx"]),
            header=bytes.fromhex(shape["header"]),
            slice_axis=shape.get("slice_axis", 3),
        )
        case = PreparedCase(
            case=meta["case"],
            subject=meta["subject"],
            frame=meta["frame"],
            group=meta["group"],
            image=arrays["image"].astype(np.float32),
            scribble=arrays.get("scribble"),
            label=arrays.get("label"),
            geometry=geometry,
            margin_px=int(meta.get("margin_px", 0)),
        )
        return case if with_margin else _without_margin(case)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged or not a prepared case ({error!r}); {REDO}") from error


def load_mask(path: Path) -> np.ndarray:
    """The dense label (D,H,W) of a prepared case, uint8, 255 = outside the image; the image is not read.

    Raises:
        ValueError: as for `load_case`, or the case has no dense label.
    """
    meta, arrays = _read(path, ("label",))
    if "label" not in arrays:
        raise ValueError(f"{path}: expected a dense label for use as unpaired mask, found none")
    return _central(arrays["label"], int(meta.get("margin_px", 0)))


def _without_margin(case: PreparedCase) -> PreparedCase:
    """The training crop, with its geometry."""
    margin, geometry = case.margin_px, case.geometry
    if not margin:
        return case
    origin_y, origin_x = (
        origin + margin * scale for origin, scale in zip(geometry.origin_yx, geometry.scale_yx, strict=True)
    )
    return replace(
        case,
        image=_central(case.image, margin),
        scribble=None if case.scribble is None else _central(case.scribble, margin),
        label=None if case.label is None else _central(case.label, margin),
        geometry=replace(geometry, origin_yx=(origin_y, origin_x)),
        margin_px=0,
    )


def _central(array: np.ndarray, margin: int) -> np.ndarray:
    """(D,H,W) without ``margin`` pixels at each side of H and W."""
    height, width = array.shape[1:]
    return array[:, margin : height - margin, margin : width - margin]


def stored_receipt(path: Path) -> dict[str, Any] | None:
    """The receipt of an intact prepared case; None if the file is missing or damaged."""
    if not path.is_file():
        return None
    try:
        receipt = _read(path, ("image", "scribble", "label"))[0].get("receipt")
    except ValueError as error:
        logger.warning("%s", error)
        return None
    return receipt if isinstance(receipt, dict) else None


def read_index(paths: Sequence[Path]) -> pd.DataFrame:
    """Concatenate ``index_{part}.csv`` files, adding the column ``path`` (the case's ``.npz``).

    Raises:
        ValueError: an index is missing or empty, a case is in two of them, or two subjects share an image.
    """
    tables = []
    for path in map(Path, paths):
        if not path.is_file():
            raise ValueError(f"{path}: no such index; run `prepare` for this part first")
        try:
            table = pd.read_csv(path, dtype=TEXT_COLUMNS, na_filter=False)
        except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
            raise ValueError(f"{path}: damaged or not a table ({error}); {REDO}") from error
        if not {"case", "subject"} <= set(table.columns) or table.empty:
            raise ValueError(f"{path}: expected a table with columns case, subject, ... and a row; {REDO}")
        tables.append(table.assign(path=[str(path.parent / f"{case}.npz") for case in table["case"]]))
    if not tables:
        raise ValueError("no index given; expected at least one index_{part}.csv")
    index = pd.concat(tables, ignore_index=True)
    twice = sorted(index.loc[index["case"].duplicated(), "case"])
    if twice:
        raise ValueError(f"{', '.join(map(str, paths))}: case {twice[0]} is listed twice")
    if {"image_digest", "person"} <= set(index.columns):
        check_duplicates(index, ", ".join(map(str, paths)))
    return index


def check_duplicates(index: pd.DataFrame, where: str) -> None:
    """Refuse an image that belongs to two persons, as it could be in both training and test.

    Raises:
        ValueError: names ``where`` (the index files) and the cases.
    """
    for _, same in index.groupby("image_digest", sort=False):
        if same["person"].nunique() > 1:
            raise ValueError(
                f"{where}: cases {', '.join(same['case'])} hold the same image under different subjects, "
                "which would leak across folds; remove all but one, or name them under same_person"
            )
        if same["subject"].nunique() < len(same):
            logger.warning("%s: cases %s hold the same image", where, ", ".join(same["case"]))


def _read(path: Path, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(path) as stored:
            there = set(stored.namelist())
            if foreign := there - {f"{name}.npy" for name in MEMBERS}:
                raise ValueError(f"it holds {', '.join(sorted(foreign))}")
            meta = json.loads(_array(stored, "meta").tobytes())
            arrays = {name: _array(stored, name) for name in names if f"{name}.npy" in there}
    except FileNotFoundError:
        raise ValueError(f"{path}: no such prepared case; run `prepare`") from None
    except (*DAMAGED, KeyError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise ValueError(f"{path}: damaged or not a prepared case ({error}); {REDO}") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT or (set(names) - OPTIONAL) - set(arrays):
        raise ValueError(f"{path}: not a prepared case of this version (expected format {FORMAT}); {REDO}")
    if lost := set(names) & set(meta["arrays"]) - set(arrays):
        # A damaged archive directory can lose a member; without this check it would be a case without labels.
        raise ValueError(f"{path}: damaged, its {', '.join(sorted(lost))} is lost; {REDO}")
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 3 for shape in shapes.values()):
        raise ValueError(f"{path}: expected arrays of one shape (D,H,W), got {shapes}; {REDO}")
    return meta, arrays


def _array(stored: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of the archive, checksum verified; memory is bounded by the actual size, not the header's."""
    with stored.open(f"{name}.npy") as stream:
        content = read_up_to(stream, LARGEST_BYTES)  # to the end, so that the checksum is verified
    start = io.BytesIO(content[:HEADER_BYTES])
    version = np.lib.format.read_magic(start)
    if version != (1, 0):
        raise ValueError(f"{name} has version {version} of the npy format, expected (1, 0)")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(start)
    if dtype.kind not in "uif" or start.tell() + math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{name} promises {shape} values of {dtype}, but holds {len(content)} bytes")
    values = np.frombuffer(content, dtype, offset=start.tell())
    return values.reshape(shape, order="F" if fortran else "C")


def move_slices(array: np.ndarray, slice_axis: int, back: bool = False) -> np.ndarray:
    """Stored axes (third, second, first, ...) to (D,H,W, ...), or back; a view."""
    ends = (3 - slice_axis, 0)
    return np.moveaxis(array, *(ends[::-1] if back else ends))
