"""ACDC as a laboratory would have it: a folder of NIfTI files, written from the mirror's volumes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset
from cyclemix.data.readers.native import Header, load_volume, read_geometry, reference_path


def write_acdc(spec_file: Path, raw_dir: Path, folder: Path, parts: tuple[str, ...]) -> int:
    """Write images/, labels/ and scribbles/ of the parts' cases in the scribbles' geometry; how many."""
    spec, count = load_dataset(spec_file), 0
    for part in parts:
        for entry in list_cases(spec, part, raw_dir):
            geometry = read_geometry(spec, raw_dir, entry)
            for kind, name in (("image", "images"), ("label", "labels"), ("scribble", "scribbles")):
                array, _ = load_volume(reference_path(raw_dir, entry, kind), kind)  # type: ignore[arg-type]
                header = Header(geometry.binaryblock)
                header.set_data_dtype(np.float32 if kind == "image" else np.uint8)
                data = array.T.astype(header.get_data_dtype())
                target = folder / name / f"{entry['case']}.nii.gz"
                target.parent.mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(data, geometry.get_best_affine(), header), target)
            count += 1
    return count
