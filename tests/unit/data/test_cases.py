"""Which cases a data set has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import OWN, SHIPPED, edited, write_case, write_nifti, write_own

from cyclemix.config.strict import ConfigError
from cyclemix.data.cases import Identity, expand, list_cases, match
from cyclemix.data.datasets import load_dataset
from cyclemix.data.manifests import remote_files


def test_manifests_of_the_shipped_data_sets() -> None:
    acdc = remote_files(load_dataset(SHIPPED / "acdc.yaml"))
    assert len(acdc) == 201
    scribbles = acdc["DATA/acdc_scribbles.zip"]
    assert scribbles.bytes == 1925723
    assert scribbles.url == (
        "https://raw.githubusercontent.com/gvalvano/multiscale-adversarial-attention-gates/"
        "fc05d70d411d20147075392c14fced274c1bf6ee/DATA/acdc_scribbles.zip"
    )
    assert len(remote_files(load_dataset(SHIPPED / "mscmr.yaml"))) == 90


def test_mscmr_cases(tmp_path: Path) -> None:
    spec = load_dataset(SHIPPED / "mscmr.yaml")
    assert {part: len(list_cases(spec, part, tmp_path)) for part in ("train", "val", "test", "all")} == {
        "train": 25,
        "val": 5,
        "test": 15,
        "all": 45,
    }
    assert list_cases(spec, "test", tmp_path)[0] == {
        "case": "subject10_DE",
        "subject": "subject10",
        "frame": "",
        "part": "test",
        "image": "MSCMR_dataset/TestSet/images/subject10_DE.nii.gz",
        "label": "MSCMR_dataset/TestSet/labels/subject10_DE_manual.nii.gz",
        "scribble": None,
    }


def test_acdc_cases(tmp_path: Path) -> None:
    spec = load_dataset(SHIPPED / "acdc.yaml")
    cases = list_cases(spec, "masks", tmp_path)
    assert len(cases) == 70
    assert cases[0] == {
        "case": "patient002_frame01",
        "subject": "patient002",
        "frame": "frame01",
        "part": "masks",
        "image": "data/ACDC/ACDC_training_volumes/patient002_frame01.h5::image",
        "label": "data/ACDC/ACDC_training_volumes/patient002_frame01.h5::label",
        "scribble": "DATA/acdc_scribbles.zip::acdc_scribbles/patient002_frame01_scribble.nii.gz",
    }


def test_own_copy_of_the_original_acdc_files(tmp_path: Path) -> None:
    spec = load_dataset(SHIPPED / "acdc.yaml")
    for case in list_cases(spec, "val", tmp_path):
        for suffix in ("", "_gt"):
            path = tmp_path / "acdc" / case["subject"] / f"{case['case']}{suffix}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    local = load_dataset(edited(tmp_path, "acdc", "root: null", f"root: {tmp_path}/acdc"))
    first = list_cases(local, "val", tmp_path)[0]
    assert first["image"] == str(tmp_path / "acdc/patient001/patient001_frame01.nii.gz")
    assert first["label"] == str(tmp_path / "acdc/patient001/patient001_frame01_gt.nii.gz")
    assert first["scribble"] == "DATA/acdc_scribbles.zip::acdc_scribbles/patient001_frame01_scribble.nii.gz"
    with pytest.raises(ConfigError, match="case patient004_frame01 of the manifests has no image in `root`"):
        list_cases(local, "train", tmp_path)


def test_own_folder_with_image_and_label_side_by_side(tmp_path: Path) -> None:
    text = OWN.format(root=tmp_path / "scans")
    text = text.replace("images/{case}.nii.gz", "{subject}/{case}.nii.gz").replace(
        "labels/{case}.nii.gz", "{subject}/{case}_gt.nii.gz"
    )
    text = text.replace("scribbles/{case}.nii.gz", "{subject}/{case}_scribble.nii.gz")
    (tmp_path / "own.yaml").write_text(text + 'case: "{subject}_{frame}"\n')
    for name in (
        "p1/p1_ed",
        "p1/p1_es",
        "p1/p1_ed_gt",
        "p1/p1_es_scribble",
        "p_2/p_2_ed",
        "p_2/p_2_ed_gt",
        "notes",
    ):
        path = tmp_path / "scans" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    cases = list_cases(load_dataset(tmp_path / "own.yaml"), "all", tmp_path)
    assert [(c["case"], c["subject"], c["frame"]) for c in cases] == [
        ("p1_ed", "p1", "ed"),
        ("p1_es", "p1", "es"),
        ("p_2_ed", "p_2", "ed"),
    ]
    assert [c["label"] is not None for c in cases] == [True, False, True]
    assert [c["scribble"] is not None for c in cases] == [False, True, False]


def test_relative_root_starts_at_the_yaml_file(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path)
    spec_file.write_text(spec_file.read_text().replace(f"root: {tmp_path}/scans", "root: scans"))
    assert list_cases(load_dataset(spec_file), "all", tmp_path)[0]["image"] == str(
        tmp_path / "scans/images/a1.nii.gz"
    )


def test_refusals(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path)
    text = spec_file.read_text()
    write_case(tmp_path / "scans", "b1", label=False, scribble=False)
    with pytest.raises(ConfigError, match="case b1 has neither a dense label nor a scribble"):
        list_cases(load_dataset(spec_file), "all", tmp_path)
    write_nifti(tmp_path / "scans" / "labels" / "b1.nii.gz", np.zeros((1, 4, 4), np.uint8))
    spec_file.write_text(text + "official: {train: [a1, a2], val: [b1]}\nscribbled_parts: [train, val]\n")
    with pytest.raises(ConfigError, match=r"case b1 has no scribble, promised for val; .* scribbled_parts"):
        list_cases(load_dataset(spec_file), "val", tmp_path)
    spec_file.write_text(text.replace("images/{case}.nii.gz", "image/{case}.nii.gz"))
    with pytest.raises(ConfigError, match=r"own: no image in .*scans matches the pattern 'image/"):
        list_cases(load_dataset(spec_file), "all", tmp_path)
    spec_file.write_text(text.replace("images/{case}.nii.gz", "images/{name}.nii.gz"))
    with pytest.raises(ConfigError, match=r"unknown placeholder \{name\}"):
        list_cases(load_dataset(spec_file), "all", tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("path\tsha256\na\t00", "expected columns path, bytes, sha256, got path, sha256"),
        ("path\tbytes\tsha256\n/etc/a\t1\t00", "leaves the download folder"),
    ],
)
def test_wrong_manifests(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "m.tsv").write_text(lines.replace("00", 32 * "00") + "\n")
    spec_file = write_own(tmp_path, extra='upstream: [{url: "https://x.org/", manifest: m.tsv}]\n')
    with pytest.raises(ConfigError, match=message):
        remote_files(load_dataset(spec_file))


def test_patterns() -> None:
    spec = load_dataset(SHIPPED / "mscmr.yaml")
    assert (
        expand(spec, spec.files.image, Identity("subject3"), "val")
        == "MSCMR_dataset/val/images/subject3_DE.nii.gz"
    )
    hit = match(spec, spec.files.image).fullmatch("MSCMR_dataset/TestSet/images/subject3_DE.nii.gz")
    assert hit is not None
    assert hit["subject"] == "subject3"
    assert match(spec, spec.files.image).fullmatch("MSCMR_dataset/other/images/subject3_DE.nii.gz") is None


def test_numbers_that_lost_their_zeros_in_a_split_table_are_shown_beside_the_subjects(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path, ("001", "002"), "split_table: split.csv\n")
    (tmp_path / "split.csv").write_text("subject,split\n1,train\n002,test\n")
    with pytest.raises(ConfigError) as refused:
        list_cases(load_dataset(spec_file), "train", tmp_path)
    assert str(refused.value) == (
        "own: no image of 1 (list train), but of 001, 002; correct `split_table` or `files`"
    )
