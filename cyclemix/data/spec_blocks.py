"""Blocks of a data set's YAML file: patterns, grid, frames, geometry of labels."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from cyclemix.config.strict import StrictModel

Kind = Literal["image", "label", "scribble"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class AutoGrid(StrictModel):
    """A grid with at least one number derived from the images (`cyclemix.data.autogrid`)."""

    spacing_mm: float | Literal["auto"] = Field(
        "auto", description="in-plane pixel size in mm; auto = the median of the images'"
    )
    crop_px: int | Literal["auto"] = Field(
        "auto",
        description="side of the centred square crop, pixels; auto = contains all labels",
    )

    @model_validator(mode="after")
    def _numbers(self) -> AutoGrid:
        if self.spacing_mm != "auto" and self.spacing_mm <= 0:
            raise ValueError(f"spacing_mm must be positive or auto, got {self.spacing_mm}")
        if self.crop_px != "auto" and (self.crop_px < 32 or self.crop_px % 4):
            raise ValueError(f"crop_px must be auto or a multiple of 4 from 32 on, got {self.crop_px}")
        return self


def _spread_auto(value: Any) -> Any:
    return {"spacing_mm": "auto", "crop_px": "auto"} if value == "auto" else value


def _grid_kind(value: Any) -> str:
    values = value.values() if isinstance(value, dict) else ()
    return "<auto>" if "auto" in values or isinstance(value, AutoGrid) else "<numbers>"


class FilePatterns(StrictModel):
    """Paths of a case's files.

    Placeholders: {case}, {subject}, {frame}, {view} (a frame whose name may contain underscores), {part} (the
    part's folder), {folder} (any folders in between).
    NIfTI (.nii, .nii.gz), MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr) are recognised by their extension;
    ``archive.zip::member`` is a member of a zip, ``volume.h5::name`` an array of an HDF5 file.
    """

    image: str = Field(description="the image, e.g. images/{case}.nii.gz")
    label: str | None = Field(None, description="the dense label, e.g. labels/{case}_gt.nii.gz; null = none")
    scribble: str | None = Field(None, description="the scribble, e.g. labels/{case}_scr.nii.gz; null = none")
    geometry: Kind = Field("image", description="file whose NIfTI header has the geometry of an HDF5 image")


class RootPatterns(StrictModel):
    """Paths of the files in ``root`` if they differ from `files`; null = taken from upstream."""

    image: str = Field(description="the image, relative to root")
    label: str | None = Field(None, description="the dense label, relative to root")
    scribble: str | None = Field(None, description="the scribble, relative to root")


class Upstream(StrictModel):
    """One download source."""

    url: str = Field(description="base address, https; a file is url + path")
    manifest: str = Field(description="TSV (path, bytes, sha256), relative to this file")

    @field_validator("url")
    @classmethod
    def _https(cls, url: str) -> str:
        if not re.match(r"https://[^/@]+/", url):
            raise ValueError(
                "expected https://HOST/... without credentials; for plain http, a folder or a host that asks "
                "for a password name a `mirror` in the study"
            )
        return url


class CardiacFrames(StrictModel):
    """End-diastolic and end-systolic frames."""

    ED: str = Field(description="end-diastolic frame")
    ES: str | None = Field(None, description="end-systolic frame; null = the subject's other frame")
    exceptions: dict[str, str] = Field(
        default_factory=dict, description="subject: its end-diastolic frame, if it differs from ED"
    )


class LabelGeometry(StrictModel):
    """Header that defines the geometry of a case's label and scribble."""

    use: Literal["header", "image"] = Field(
        description="header: their own; image: the image's. Shape and voxel sizes must equal the image's in "
        "either case"
    )
    reason: str = Field(min_length=1, description="reason, one sentence, shown in logs and `cyclemix check`")
