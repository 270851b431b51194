"""Image, label and scribble files of users that cannot be trusted: refused by name, the other case
is kept."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from data_files import Lab, edit_header, edit_voxels, write_nifti

from cyclemix.data.readers.native import DataError

Damage = Callable[[Path], object]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def flip_bit(offset: int) -> Damage:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[offset] ^= 1
        path.write_bytes(content)

    return change


def keep_start(path: Path) -> None:
    """A whole gzip stream of half the volume."""
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[: len(content) // 2]))


def append(count: int) -> Damage:
    def change(path: Path) -> None:
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(count)))

    return change


def header(**fields: object) -> Damage:
    return lambda path: edit_header(path, **fields)


def voxels(change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    return lambda path: edit_voxels(path, change)


def itk(suffix: str, line: bytes, new: bytes) -> Damage:
    """All images of the folder as MetaImage or NRRD; lines of this one's header that match are replaced."""

    def change(path: Path) -> None:
        for nifti in path.parent.glob("*.nii.gz"):
            sitk.WriteImage(sitk.ReadImage(str(nifti)), str(nifti.with_name(f"{nifti.name[:-7]}{suffix}")))
        spec_file = path.parents[2] / "own.yaml"
        spec_file.write_text(
            spec_file.read_text().replace("images/{case}.nii.gz", f"images/{{case}}{suffix}")
        )
        written = path.with_name(f"{path.name[:-7]}{suffix}")
        written.write_bytes(re.sub(rb"(?m)^" + line + rb".*\n", new, written.read_bytes(), count=4))

    return change


def plane(path: Path) -> None:
    """One slice of two axes whose header gives no thickness."""
    image = nib.Nifti1Image(np.asarray(nib.load(path).dataobj)[..., 0], None)
    nib.save(image, path)
    edit_header(path, pixdim=[1, 1, 1, 0, 0, 0, 0, 0], qform_code=0, sform_code=0)


def save(array: np.ndarray) -> Damage:
    return lambda path: nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 5.0, 1.0])), path)


def one(value: float, dtype: type = np.float32) -> Damage:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.astype(dtype)
        array[0, 0, 0] = value
        return array

    return voxels(change)


def affine(matrix: np.ndarray) -> Damage:
    return lambda path: nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), matrix), path)


def other_sform(path: Path) -> None:
    """Its qform says that x runs to the left and y to the back, its sform that x runs to the right."""
    image = nib.load(path)
    odd = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    odd.set_qform(np.diag([-1.0, -1.0, 5.0, 1.0]), 1)
    odd.set_sform(np.diag([1.0, -1.0, 5.0, 1.0]), 2)
    nib.save(odd, path)


TILTED = np.diag([1.0, 1.0, 5.0, 1.0]) @ np.block(
    [[nib.eulerangles.euler2mat(0.3), np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]
)
RGB = np.zeros((36, 40, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])

# fmt: off
CASES: dict[str, tuple[str, Damage, str]] = {
    "truncated .nii.gz": ("images", cut, r"damaged or cut off \(.*\); copy or export it again"),
    "bytes behind the gzip stream": ("images",
     lambda path: path.write_bytes(path.read_bytes() + b"end of transfer"),
     r"bytes that are no gzip stream follow the compressed volume; compress it again"),
    "bit-flipped .nii.gz": ("labels", flip_bit(-100), r"damaged or cut off \(.*\); copy or export it again"),
    "wrong checksum": ("images", flip_bit(-6), r"damaged or cut off \(.*\); copy or export it again"),
    "header promises more than the file holds": ("images", keep_start,
     r"damaged or cut off \(it holds 5936 bytes, its header promises 11872\)"),
    "more follows than the header promises": ("images", append(70_000),
     r"more bytes follow than the 11872 that its header promises; write it again"),
    "header promises more than memory": ("images", header(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]),
     r"its header promises 108000\.0 GB, expected one volume of at most 2\.1 GB"),
    "negative dimension": ("images", header(dim=[3, 36, -40, 2, 1, 1, 1, 1]),
     r"3 axes of lengths \[36, -40, 2, .*\] in the header; expected three of 1 or more, write it again"),
    "zero dimension": ("labels", header(dim=[3, 36, 40, 0, 1, 1, 1, 1]),
     r"3 axes of lengths \[36, 40, 0, .*expected three of 1 or more"),
    "not a NIfTI file": ("images", lambda path: path.write_bytes(gzip.compress(b"DICM" * 200)),
     r"no NIfTI header; expected \.nii or \.nii\.gz"),
    "header of a .hdr/.img pair": ("images", header(magic=b"ni1"),
     r"no NIfTI header \(magic b'ni1'\); expected one file \.nii or \.nii\.gz, convert it"),
    "4D image": ("images", save(np.ones((36, 40, 2, 5), np.int16)),
     r"expected one volume, got shape \(36, 40, 2, 5\) \(x,y,z,\.\.\.\); save each frame"),
    "RGB image": ("images", save(RGB),
     r"holds colours or records \(RGB\), dtype .*; expected one grey or label value a voxel, convert it"),
    "complex image": ("images", save(np.ones((36, 40, 2), np.complex64)),
     r"holds complex values, dtype complex64; expected one grey or label value a voxel, convert it"),
    "NaN or infinite voxels": ("images", one(np.inf),
     r"1 voxels are not finite \(NaN or infinite\); repair the image"),
    "constant image": ("images", voxels(lambda array: np.full_like(array, 7)),
     r"constant image \(grey value 7 in the crop\); expected a scan"),
    "float label such as 1.5": ("labels", one(1.5), r"label values must be whole numbers, got 0, 1, 1\.5, 2"),
    "NaN in a label": ("labels", one(np.nan), r"label values must be whole numbers, got .*nan"),
    "negative label": ("labels", one(-1, np.int16),
     r"label holds -1, expected only \[0, 1, 2\] \(label_values of own\); correct the file"),
    "label value outside the table": ("scribbles",
     voxels(lambda array: np.array([0, 1, 7, 9], np.uint8)[array]),
     r"scribble holds 7, 9, expected only \[0, 1, 2, 3\] \(scribble_values of own\)"),
    "label of another shape": ("labels", lambda path: write_nifti(path, np.ones((2, 40, 35), np.uint8)),
     r"label has shape \(2, 40, 35\) \(D,H,W\), expected the image's \(2, 40, 36\); draw or resample"),
    "scribble of another shape": ("scribbles", lambda path: write_nifti(path, np.ones((2, 40, 35), np.uint8)),
     r"scribble has shape \(2, 40, 35\) \(D,H,W\), expected the image's \(2, 40, 36\)"),
    "label with another voxel size": ("scribbles", affine(np.diag([1.25, 1.25, 5.0, 1.0])),
     r"scribble has voxels of 5, 1\.25, 1\.25 mm \(dz,dy,dx\), the image of 5, 1, 1; resample it"),
    "label along tilted axes": ("labels", affine(TILTED),
     r"the label's axes run in other directions than the image's; resample it to the image's grid.* "
     r"set `label_geometry` to `use: image`"),
    "label turned and elsewhere": ("labels", affine(np.diag([-1.0, -1.0, 5.0, 1.0])),
     r"the label's axes are the image's in another order or direction, but it does not cover"),
    "empty scribble": ("scribbles", voxels(np.zeros_like),
     r"empty scribble, no pixel is labelled; expected strokes of RV, LV \(see scribble_values\)"),
    "scribble of background alone": ("scribbles",
     voxels(lambda array: np.where(array == 3, 3, 0).astype(np.uint8)),
     r"empty scribble, only background is marked; expected strokes of RV, LV"),
    "scribble contradicts the dense label": ("scribbles", voxels(lambda array: array[:, ::-1, ::-1]),
     r"\d+ % of the structures' strokes contradict the dense label; is it another case's, flipped"),
    "dense label without any structure": ("labels", voxels(np.zeros_like),
     r"dense label without any structure; correct it or remove the case"),
    "0 mm voxels": ("images", header(pixdim=[1, 1, 0, 5, 0, 0, 0, 0]),
     r"voxel size \(5\.0, 0\.0, 1\.0\) mm in the header; expected positive numbers, correct the header"),
    "plane without thickness": ("images", plane,
     r"one slice whose header gives no thickness; expected it in pixdim\[3\], write the file again"),
    "MetaImage without voxel size": ("images", itk(".mha", b"Element(?:Spacing|Size)", b""),
     r"no voxel size in the header; expected `ElementSpacing`, a size is never assumed"),
    "NRRD without voxel size": ("images", itk(".nrrd", b"(?:space|kinds)", b""),
     r"no voxel size in the header; expected `space directions` or `spacings`, a size is never assumed"),
    "NRRD in another unit": ("images", itk(".nrrd", b"kinds", b'space units: "um" "um" "um"\n'),
     r"voxel sizes in um; expected mm, correct `space units`"),
    "MetaImage of 800 mm": ("images", itk(".mha", b"ElementSpacing", b"ElementSpacing = 1 1 800\n"),
     r"voxel size \(800\.0, 1\.0, 1\.0\) mm in the header; expected 0\.05 to 100 mm, correct the spacing"),
    "NaN voxel size": ("images", header(pixdim=[1, 1, 1, np.nan, 0, 0, 0, 0]),
     r"voxel size \(nan, 1\.0, 1\.0\) mm in the header; expected positive numbers"),
    "0.01 mm voxels": ("images",
     lambda path: write_nifti(path, np.zeros((2, 40, 36), np.int16), (5.0, 0.01, 0.01)),
     r"voxel size \(5\.0, 0\.01, 0\.01\) mm in the header; expected 0\.05 to 100 mm, correct pixdim"),
    "voxels of metres": ("images", header(xyzt_units=1),
     r"voxel size \(5000\.0, 1000\.0, 1000\.0\) mm in the header; expected 0\.05 to 100 mm"),
    "voxel size and affine disagree": ("images", header(pixdim=[1, 1.25, 1.25, 5, 0, 0, 0, 0]),
     r"pixdim gives voxels of 1\.25, 1\.25, 5 mm \(x,y,z\), the affine 1, 1, 5; correct the one"),
    "affine that is not finite": ("images", header(srow_x=[np.inf, 0, 0, 0]),
     r"the affine holds values that are not finite; correct qform and sform"),
    "qform and sform disagree": ("images", other_sform,
     r"qform and sform place the voxels up to 70 mm apart: qform \(code 1\) x to L, y to P, z to S from "
     # 36 columns of 1 mm: the corners of the last column lie 2 x 35 mm apart
     r"\(-?0, -?0, -?0\), sform \(code 2\) x to R, y to P, z to S from \(0, 0, 0\); programs differ in"),
    "image smaller than the grid's pixels": ("images",
     lambda path: write_nifti(path, np.arange(2 * 8 * 8, dtype=np.int16).reshape(2, 8, 8), (5.0, 0.06, 0.06)),
     r"the image is smaller than two pixels of the grid; expected a scan, correct its voxel size"),
}
# fmt: on


@pytest.mark.parametrize("name", CASES)
def test_refused_by_name_and_the_other_case_is_kept(tmp_path: Path, name: str) -> None:
    folder, damage, message = CASES[name]
    lab = Lab(tmp_path)
    damage(lab.root / folder / "a1.nii.gz")
    with pytest.raises(DataError) as caught:
        lab.prepare()
    text = str(caught.value)
    assert text.startswith("own: 1 of 2 cases refused:\n")
    assert re.search(rf"/{folder}/a1\.[.a-z]+: {message}", text), text
    assert not lab.npz("a1").exists()
    assert lab.npz("a2").exists()
    assert not lab.index.exists()
