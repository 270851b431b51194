"""Stage download: verified, resumed, retried, atomic; clear about what failed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from data_files import write_nifti, write_own

from cyclemix.config.strict import ConfigError
from cyclemix.data import download
from cyclemix.data.download import DownloadError

HOST = "files.example.org"
SPEC = """\
title: Remote
terms: none
upstream: [{url: "https://files.example.org/v1/", manifest: files.tsv}]
files: {image: "{part}/{case}.nii.gz", label: "{part}/{case}_gt.nii.gz"}
folders: {train: Training, val: Validation}
classes: [LV]
label_values: {0: background, 1: LV}
grid: {spacing_mm: 1.0, crop_px: 32}
official: {train: [a, b], val: [c]}
"""


class Remote:
    """A data set whose files lie in a mirror folder ``mirror/files.example.org/v1``."""

    def __init__(self, folder: Path) -> None:
        self.spec_file = folder / "remote.yaml"
        self.mirror = folder / "mirror"
        self.raw = folder / "data" / "raw"
        self.receipt = folder / "data" / "raw_train.json"
        self.spec_file.write_text(SPEC)
        lines = ["path\tbytes\tsha256"]
        for seed, name in enumerate(("Training/a", "Training/b", "Validation/c")):
            for suffix in ("", "_gt"):
                array = np.random.default_rng(seed).integers(0, 2, (2, 30, 30)).astype(np.uint8)
                content = write_nifti(self.file(f"{name}{suffix}.nii.gz"), array).read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                lines.append(f"{name}{suffix}.nii.gz\t{len(content)}\t{digest}")
        (folder / "files.tsv").write_text("\n".join(lines) + "\n")

    def file(self, name: str) -> Path:
        return self.mirror / HOST / "v1" / name

    def run(self, part: str = "train", mirror: str | None = None) -> dict:
        download.run(self.spec_file, part, self.receipt, mirror or str(self.mirror), threads=2)
        return json.loads(self.receipt.read_text())

    def there(self) -> list[str]:
        return sorted(p.relative_to(self.raw).as_posix() for p in self.raw.rglob("*") if p.is_file())


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.01)
    return Remote(tmp_path)


TRAIN = ["Training/a.nii.gz", "Training/a_gt.nii.gz", "Training/b.nii.gz", "Training/b_gt.nii.gz"]


def test_only_the_parts_files_are_fetched_and_the_receipt_lists_them(remote: Remote) -> None:
    receipt = remote.run()
    assert remote.there() == TRAIN
    assert receipt["part"] == "train"
    assert [f["path"] for f in receipt["files"]] == TRAIN
    first = remote.raw / TRAIN[0]
    assert receipt["files"][0]["bytes"] == first.stat().st_size
    assert receipt["files"][0]["sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert receipt["cases"][0] == {
        "case": "a",
        "subject": "a",
        "frame": "",
        "part": "train",
        "image": "Training/a.nii.gz",
        "label": "Training/a_gt.nii.gz",
        "scribble": None,
    }


def test_verified_files_are_not_fetched_again_and_damaged_ones_are(remote: Remote) -> None:
    remote.run()
    times = {name: (remote.raw / name).stat().st_mtime_ns for name in TRAIN}
    content = (remote.raw / TRAIN[1]).read_bytes()
    (remote.raw / TRAIN[1]).write_bytes(content[:-1] + b"x")
    (remote.raw / TRAIN[2]).unlink()
    remote.run()
    changed = [name for name in TRAIN if (remote.raw / name).stat().st_mtime_ns != times[name]]
    assert changed == [TRAIN[1], TRAIN[2]]
    assert (remote.raw / TRAIN[1]).read_bytes() == content


def test_wrong_hash_names_file_expected_and_actual(remote: Remote) -> None:
    wrong = remote.file(TRAIN[0])
    content = wrong.read_bytes()
    wrong.write_bytes(content[:-1] + b"x")
    expected, actual = (hashlib.sha256(c).hexdigest() for c in (content, wrong.read_bytes()))
    with pytest.raises(DownloadError) as error:
        remote.run()
    message = str(error.value)
    assert message.startswith("1 of 4 files failed:\nTraining/a.nii.gz: ")
    assert actual in message
    assert f"expected {expected}" in message
    assert "replace it or choose another mirror" in message
    assert remote.there() == TRAIN[1:]  # the others are kept, nothing half under a final name
    assert not remote.receipt.exists()


def test_short_and_absent_files_in_a_mirror_folder(remote: Remote) -> None:
    size = remote.file(TRAIN[0]).stat().st_size
    remote.file(TRAIN[0]).write_bytes(b"half")
    remote.file(TRAIN[3]).unlink()
    with pytest.raises(DownloadError, match=rf"a\.nii\.gz gave 4 bytes, expected {size}") as error:
        remote.run()
    assert f"the mirror has no {remote.file(TRAIN[3])}" in str(error.value)
    with pytest.raises(ConfigError, match="mirror: no such folder"):
        remote.run(mirror=str(remote.mirror / "gone"))
    with pytest.raises(
        ConfigError, match=r"mirror: expected a folder or an http\(s\) address, got 'ftp://x'"
    ):
        remote.run(mirror="ftp://x")
    with pytest.raises(ConfigError) as refused:
        remote.run(mirror="ftp://me:hunter2@host")
    assert "hunter2" not in str(refused.value)


def test_unknown_part_and_views(remote: Remote) -> None:
    with pytest.raises(ConfigError, match="remote: no official list 'test'; it has train, val"):
        remote.run("test")
    view = remote.spec_file.with_name("view.yaml")
    view.write_text("title: View\nsource: remote\n")
    with pytest.raises(ConfigError, match=r"view\.yaml: a view of remote has no files of its own"):
        download.run(view, "train", remote.receipt)


def test_a_listed_subject_without_image(remote: Remote) -> None:
    remote.spec_file.write_text(SPEC.replace("train: [a, b]", "train: [a, b, zz]"))
    with pytest.raises(
        ConfigError, match=r"no image of zz \(list train\), but of a, b, .*; correct `official`"
    ):
        remote.run()


def test_nobody_listens(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TRIES", 2)
    with pytest.raises(DownloadError, match=r"4 of 4 files failed(.|\n)*check the network and run again"):
        remote.run(mirror="http://127.0.0.1:9")


def test_original_addresses() -> None:
    file = download.RemoteFile("a b/c.gz", "https://files.example.org/v1/a b/c.gz", 1, "00")
    assert download._address(file, None) == "https://files.example.org/v1/a b/c.gz"
    assert download._address(file, "http://m") == "http://m/files.example.org/v1/a%20b/c.gz"


def test_own_folder_is_read_in_place(tmp_path: Path) -> None:
    spec_file = write_own(tmp_path)
    download.run(spec_file, "all", tmp_path / "data" / "raw_all.json")
    receipt = json.loads((tmp_path / "data" / "raw_all.json").read_text())
    scans = tmp_path / "scans"
    assert receipt["cases"][0]["image"] == str(scans / "images" / "a1.nii.gz")
    assert receipt["cases"][0]["part"] == "all"
    assert len(receipt["files"]) == 6
    assert list((tmp_path / "data" / "raw").iterdir()) == []


def test_phantom_is_generated(phantom_prepared: Path) -> None:
    folder = phantom_prepared / "data" / "tiny"
    receipt = json.loads((folder / "raw_train.json").read_text())
    assert [c["case"] for c in receipt["cases"]][::2] == ["heart001_frame01", "heart002_frame01"]
    assert len(receipt["files"]) == 2 * 2 * 3
    assert all((folder / "raw" / f["path"]).stat().st_size == f["bytes"] for f in receipt["files"])


@pytest.mark.parametrize(
    "url", ["http://files.example.org/v1/", "file:///etc/", "https://me:pw@host/", "ftp://x/"]
)
def test_upstream_files_come_over_https_alone(remote: Remote, url: str) -> None:
    remote.spec_file.write_text(SPEC.replace("https://files.example.org/v1/", url))
    message = (
        r"remote\.yaml: upstream\.0\.url: expected https://HOST/\.\.\. without credentials; .* a `mirror`"
    )
    with pytest.raises(ConfigError, match=message) as caught:
        remote.run()
    assert "pw" not in str(caught.value)
