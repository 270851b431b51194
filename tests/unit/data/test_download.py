"""Stage download: verified, resumed, retried, atomic; clear about what failed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


def test_unknown_part_and_views(remote: Remote) -> None:
    with pytest.raises(ConfigError, match="remote: no official list 'test'; it has train, val"):
        remote.run("test")
    view = remote.spec_file.with_name("view.yaml")
    view.write_text("title: View\nsource: remote\n")
    with pytest.raises(ConfigError, match=r"view\.yaml: a view of remote has no files of its own"):
        download.run(view, "train", remote.receipt)


def test_a_listed_subject_without_image(remote: Remote) -> None:
    remote.spec_file.write_text(SPEC.replace("train: [a, b]", "train: [a, b, zz]"))
    with pytest.raises(ConfigError, match=r"remote: no image of zz \(list train\)"):
        remote.run()


class Server:
    """Serves a folder and misbehaves as told: ``faults[path]`` is called for the first answers of a path."""

    def __init__(self, folder: Path) -> None:
        self.requests: Counter[str] = Counter()
        self.faults: dict[str, list[Callable[[BaseHTTPRequestHandler, bytes], None]]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests[self.path] += 1
                path = folder / self.path.lstrip("/")
                if not path.is_file():
                    self.send_error(404)
                    return
                queue = outer.faults.get(self.path, [])
                (queue.pop(0) if queue else send)(self, path.read_bytes())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def send(handler: BaseHTTPRequestHandler, content: bytes, declared: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(declared or len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def half(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    send(handler, content[: len(content) // 2])


def busy(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    handler.send_error(503)


@pytest.fixture
def server(remote: Remote) -> Iterator[Server]:
    made = Server(remote.mirror)
    yield made
    made.server.shutdown()
    made.server.server_close()


def url_path(name: str) -> str:
    return f"/{HOST}/v1/{name}"


def test_nobody_listens(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TRIES", 2)
    with pytest.raises(DownloadError, match=r"4 of 4 files failed(.|\n)*check the network and run again"):
        remote.run(mirror="http://127.0.0.1:9")


def test_original_addresses() -> None:
    file = download.RemoteFile("a b/c.gz", "https://files.example.org/v1/a b/c.gz", 1, "00")
    assert download._address(file, None) == "https://files.example.org/v1/a b/c.gz"
    assert download._address(file, "http://m") == "http://m/files.example.org/v1/a%20b/c.gz"


def test_killed_download_leaves_no_half_file(remote: Remote, server: Server) -> None:
    stalled = threading.Event()

    def stall(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:100])
        handler.wfile.flush()
        stalled.set()
        time.sleep(5)

    server.faults[url_path(TRAIN[3])] = [stall]
    code = (
        "import sys; from pathlib import Path; from cyclemix.data import download; "
        "download.run(Path(sys.argv[1]), 'train', Path(sys.argv[2]), sys.argv[3], 2)"
    )
    repository = Path(__file__).resolve().parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(remote.spec_file), str(remote.receipt), server.url],
        env={**os.environ, "PYTHONPATH": str(repository)},
    )
    assert stalled.wait(30)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert TRAIN[3] not in remote.there()
    assert not remote.receipt.exists()
    remote.run(mirror=server.url)  # sweeps what the killed one left
    assert remote.there() == TRAIN


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


def test_no_message_of_a_download_shows_the_mirrors_password(
    remote: Remote, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    remote.file(TRAIN[0]).unlink()
    server.faults[url_path(TRAIN[1])] = [half]
    server.faults[url_path(TRAIN[2])] = [busy]
    with pytest.raises(DownloadError, match="404") as caught:
        remote.run(mirror=server.url.replace("://", "://me:hunter2@"))
    assert "hunter2" not in str(caught.value) + caplog.text
    assert "://***@127.0.0.1" in caplog.text
    with pytest.raises(ConfigError) as refused:
        remote.run(mirror="ftp://me:hunter2@host")
    assert "hunter2" not in str(refused.value)


def test_a_file_longer_than_its_manifest_says_is_not_read_to_its_end(remote: Remote, server: Server) -> None:
    def more(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        send(handler, content + b"x" * 10)

    server.faults[url_path(TRAIN[0])] = [more] * 5
    with pytest.raises(
        DownloadError, match=r"sends more than the \d+ bytes expected; the copy there is damaged"
    ):
        remote.run(mirror=server.url + "/")
    assert remote.there() == TRAIN[1:]
