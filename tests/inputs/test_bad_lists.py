"""Lists that stages read - manifests, receipts, folds, indexes, prepared cases - with every kind of
mistake."""

from __future__ import annotations

import io
import json
import os
import re
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_files import Lab, edit_voxels, write_nifti, write_own

from cyclemix.config.models import Recipe, RunConfig
from cyclemix.data import receipts
from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset
from cyclemix.data.manifests import remote_files
from cyclemix.data.readers.native import read_geometry
from cyclemix.data.store import load_case, read_index
from cyclemix.training.train import _cases

SHA = 64 * "0"
Action = Callable[[Path], object]


def manifest(*lines: str, raw: bytes | None = None, part: str = "train") -> Action:
    def act(folder: Path) -> object:
        text = "\n".join(["path\tbytes\tsha256", *lines]) + "\n"
        (folder / "m.tsv").write_bytes(text.encode() if raw is None else raw)
        extra = 'upstream: [{url: "https://x.org/", manifest: m.tsv}]\nofficial: {train: [a1]}\n'
        text = write_own(folder, extra=extra).read_text()
        (folder / "own.yaml").write_text(re.sub(r"root: .*\n", "", text))
        spec = load_dataset(folder / "own.yaml")
        remote_files(spec)
        return list_cases(spec, part, folder)

    return act


def line(name: str) -> str:
    return f"{name}.nii.gz\t10\t{SHA}"


def own(edit: Callable[[Path], object], pattern: str = "", case: str = "") -> Action:
    """The cases of an own folder whose files ``edit`` changed."""

    def act(folder: Path) -> object:
        text = write_own(folder).read_text()
        text = text.replace('"images/{case}.nii.gz"', pattern or '"images/{case}.nii.gz"') + case
        (folder / "own.yaml").write_text(text)
        edit(folder / "scans")
        return list_cases(load_dataset(folder / "own.yaml"), "all", folder)

    return act


def two_frames(root: Path) -> None:
    for frame in ("ed", "es"):
        write_nifti(root / "images" / f"a1_{frame}.nii.gz", np.ones((1, 4, 4), np.uint8))


def two_folders(root: Path) -> None:
    for folder in ("x", "y"):
        write_nifti(root / folder / "a1.nii.gz", np.ones((1, 4, 4), np.uint8))


def rename(name: str | bytes) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        (root / "images" / "a1.nii.gz").rename(root / "images" / os.fsdecode(name))

    return act


def other_form(root: Path) -> None:
    """An image and its scribble as macOS writes the name, its label as other systems do."""
    for kind, form in (("images", "NFD"), ("labels", "NFC"), ("scribbles", "NFD")):
        name = unicodedata.normalize(form, "M\u00fcller.nii.gz")
        (root / kind / "a1.nii.gz").rename(root / kind / name)


def without_geometry(folder: Path) -> object:
    """Images of an own folder in HDF5, and no `files.geometry`."""
    text = write_own(folder).read_text().replace("images/{case}.nii.gz", "images/{case}.h5::image")
    (folder / "own.yaml").write_text(text)
    for case in ("a1", "a2"):
        with h5py.File(folder / "scans" / "images" / f"{case}.h5", "w") as stored:
            stored["image"] = np.ones((2, 40, 36), np.float32)
    spec = load_dataset(folder / "own.yaml")
    return read_geometry(spec, folder, list_cases(spec, "all", folder)[0])


def receipt(change: Callable[[str], str]) -> Action:
    """Prepare from a receipt whose text ``change`` altered."""

    def act(folder: Path) -> object:
        lab = Lab(folder)
        path = lab.download()
        path.write_text(change(path.read_text()))
        return lab.prepare_only()

    return act


def repeat_case(text: str) -> str:
    content = json.loads(text)
    content["cases"].append(content["cases"][0])
    return json.dumps(content)


FOLD = {"train": ["a1"], "val": ["a2"], "test": ["a3"], "masks": []}


def folds(content: object) -> Action:
    def act(folder: Path) -> object:
        text = content if isinstance(content, str) else json.dumps({"folds": content})
        (folder / "folds.json").write_text(text)
        return receipts.read_folds(folder / "folds.json")

    return act


def training(change: Callable[[Lab], object], **lists: list[str]) -> Action:
    """The cases of a training on the prepared data set OWN."""

    def act(folder: Path) -> object:
        lab = Lab(folder)
        change(lab)
        lab.prepare()
        fold = {"train": ["a1"], "val": ["a2"], "test": [], "masks": [], **lists}
        (folder / "folds.json").write_text(json.dumps({"folds": [fold]}))
        settings = RunConfig(
            label="row", dataset="own", method="unet_pce", supervision="scribble", classes=["RV", "LV"],
            grid={"spacing_mm": 1.0, "crop_px": 32}, config={}, training=Recipe(),
        )  # fmt: skip
        return _cases(settings, folder / "folds.json", [lab.index], 0, 0)

    return act


def no_strokes_of_lv(lab: Lab) -> None:
    edit_voxels(lab.root / "scribbles" / "a1.nii.gz", lambda array: np.where(array == 2, 0, array))


def index(text: str | bytes) -> Action:
    def act(folder: Path) -> object:
        (folder / "index_all.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        return read_index([folder / "index_all.csv"])

    return act


def npz(change: Callable[[Path], object]) -> Action:
    def act(folder: Path) -> object:
        lab = Lab(folder)
        lab.prepare()
        change(lab.npz("a1"))
        return load_case(lab.npz("a1"))

    return act


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def promise(path: Path) -> None:
    """The image's header says 10^12 voxels."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f2", "fortran_order": False, "shape": (10**4, 10**4, 10**4)}
    )
    members["image.npy"] = stream.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def nothing(_: object) -> None:
    """Leave it as it is."""


WHOLE = [line(f"{kind}/a1") for kind in ("images", "labels", "scribbles")]
# fmt: off
CASES: dict[str, tuple[Action, str]] = {
    "manifest with a duplicate row": (manifest(*WHOLE, WHOLE[0]),
     r"m\.tsv: images/a1\.nii\.gz is listed twice or leaves the download folder"),
    "manifest without the image's row": (manifest(*WHOLE[1:]),
     r"own: no image in the manifests matches the pattern 'images/\{case\}\.nii\.gz'"),
    "manifest without the image's row, others there": (manifest(*WHOLE[1:], line("images/a0")),
     r"own: the manifests list labels/a1\.nii\.gz, but no image of it; add the image's line or remove"),
    "manifest without the label's row": (manifest(WHOLE[0], WHOLE[2]),
     r"own: case a1 has no label, promised for train; correct files\.label or dense_parts"),
    "manifest row without a hash": (manifest("images/a1.nii.gz\t10"),
     r"m\.tsv: line 2: expected a path, its number of bytes and 64 hexadecimal digits, got .*'10', '';"),
    "manifest row with an invalid size": (manifest(f"images/a1.nii.gz\t-1\t{SHA}"),
     r"m\.tsv: line 2: expected a path, its number of bytes .* got 'images/a1\.nii\.gz', '-1'"),
    "manifest path that leaves the folder": (manifest(line("../../x")),
     r"m\.tsv: \.\./\.\./x\.nii\.gz is listed twice or leaves the download folder"),
    "manifest that is not text": (manifest(raw=b"\xff\xfe\x00"),
     r"m\.tsv: not a tab-separated UTF-8 table \(.*\); fetch it again"),
    "two images of one case id": (own(two_frames, '"images/{subject}_{frame}.nii.gz"'),
     r"own: case a1 is two images, .*a1_ed\.nii\.gz and .*a1_es\.nii\.gz; put \{frame\} into `case`, or"),
    "one case in two folders": (own(two_folders, '"{part}/{case}.nii.gz"', "folders: {train: x, val: y}\n"),
     r"own: x/a1\.nii\.gz and y/a1\.nii\.gz are both a1; rename or remove one"),
    ".h5 image without files.geometry": (without_geometry,
     r"a1\.h5::image: HDF5 holds no voxel size; set files\.geometry to label or scribble, where"),
    "accents in two Unicode forms": (own(other_form),
     r"labels/M.*ller\.nii\.gz: its name looks like the expected .*Unicode NFC and NFD\); rename"),
    "`::` in a file name": (own(rename("a::1.nii.gz")),
     r"own: file name 'images/a::1\.nii\.gz' holds `::`, .*rename"),
    "file name that is not UTF-8": (own(rename(b"a\xff1.nii.gz")),
     r"own: file name .* bytes that are not UTF-8; rename"),
    "truncated receipt": (receipt(lambda text: text[: len(text) // 2]),
     r"raw_all\.json: damaged or cut off, not JSON \(.*\); run `download` for this part again"),
    "receipt that is not a receipt": (receipt(lambda text: '{"part": "all", "cases": []}'),
     r"raw_all\.json: expected a list `files` with bytes, path, sha256 each, got something else; delete"),
    "duplicate case id in a receipt": (receipt(repeat_case),
     r"raw_all\.json: case a1 is listed twice; delete it and run `download` for this part again"),
    "folds.json with overlap": (folds([FOLD, {**FOLD, "test": ["a1"]}]),
     r"folds\.json: fold 1: a1 is listed twice \(in train and test\), which would leak .*; correct the"),
    "subject twice in one list of folds.json": (folds([{**FOLD, "train": ["a1", "a1"]}]),
     r"folds\.json: fold 0: a1 is listed twice \(in train\)"),
    "truncated folds.json": (folds('{"folds": [{"train": ["a1"'),
     r"folds\.json: damaged or cut off, not JSON \(.*\); run `split` again"),
    "folds.json without folds": (folds("{}"),
     r"folds\.json: expected a list `folds` of mappings with train, val, test"),
    "folds.json with numbers for subjects": (folds([{**FOLD, "val": [2]}]),
     r"folds\.json: fold 0: val must be a list of subjects, got \[2\]; run `split` again"),
    "unknown subject in folds.json": (training(nothing, train=["a1", "nobody"]),
     r"folds\.json: 1 subjects without a case in the prepared index: nobody; correct the names, or"),
    "class never scribbled": (training(no_strokes_of_lv),
     r"folds\.json: fold 0: no scribble of the 1 training cases marks LV, so row cannot learn it;"),
    "truncated index": (index('case,subject,"grou'),
     r"index_all\.csv: damaged or not a table \(.*\); delete it and run `prepare` again"),
    "empty index": (index(""),
     r"index_all\.csv: damaged or not a table \(No columns to parse from file\); delete it"),
    "index that is not text": (index(b"\x89\xff\x00case"),
     r"index_all\.csv: .*; delete it and run `prepare` again"),
    "index without its columns": (index("name\na1\n"),
     r"index_all\.csv: expected a table with columns case, subject, \.\.\. and a row; delete it"),
    "duplicate case id in an index": (index("case,subject\na1,a\na1,a\n"),
     r"index_all\.csv: case a1 is listed twice"),
    "truncated .npz": (npz(halve),
     r"a1\.npz: damaged or not a prepared case \(File is not a zip file\); delete it and run `prepare`"),
    ".npz that promises more than it holds": (npz(promise),
     r"a1\.npz: damaged or not a prepared case \(image promises \(10000, 10000, 10000\) values of"),
}
# fmt: on


@pytest.mark.parametrize("name", CASES)
def test_refused_with_file_reason_and_remedy(tmp_path: Path, name: str) -> None:
    act, message = CASES[name]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        act(tmp_path)
    assert re.search(message, str(caught.value)), caught.value
