"""A source on the network that misbehaves: tried again, or refused by name; nothing half kept."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import write_nifti
from studies import ROOT

from cyclemix.data import download, web
from cyclemix.data.download import DownloadError

SPEC = """\
title: Remote
terms: none
upstream: [{url: "https://files.example.org/", manifest: files.tsv}]
files: {image: "{case}.nii.gz", label: "{case}_gt.nii.gz"}
classes: [LV]
label_values: {0: background, 1: LV}
grid: {spacing_mm: 1.0, crop_px: 32}
official: {train: [a], val: [b]}
"""

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Sends the files; ``a.nii.gz`` in the ways that are queued."""

    site: Site

    def do_GET(self) -> None:
        self.site.asked.append((self.path, time.monotonic()))
        if self.path.endswith("/a.nii.gz") and self.site.queue:
            self.site.queue.pop(0)(self)
        else:
            self.send(self.content)

    @property
    def content(self) -> bytes:
        return self.site.contents[self.path.rsplit("/", 1)[1]]

    def send(self, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Site:
    """The source, and a data set whose files lie there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue: list[Answer] = []
        self.asked: list[tuple[str, float]] = []
        self.contents: dict[str, bytes] = {}
        for seed, name in enumerate(("a", "a_gt", "b", "b_gt")):
            array = np.random.default_rng(seed).integers(0, 2, (2, 30, 30)).astype(np.uint8)
            self.contents[f"{name}.nii.gz"] = write_nifti(folder / "scratch.nii.gz", array).read_bytes()
        rows = [f"{n}\t{len(c)}\t{hashlib.sha256(c).hexdigest()}\n" for n, c in self.contents.items()]
        (folder / "files.tsv").write_text("path\tbytes\tsha256\n" + "".join(rows))
        (folder / "remote.yaml").write_text(SPEC)
        handler = type("Bound", (Handler,), {"site": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fetch(self, url: str | None = None) -> dict[str, Any]:
        """Download the part ``train`` from the server, or from another address of it; its receipt."""
        receipt = self.folder / "data" / "raw_train.json"
        download.run(self.folder / "remote.yaml", "train", receipt, url or self.url, threads=1)
        return dict(json.loads(receipt.read_text()))

    def start(self) -> subprocess.Popen[str]:
        """The same download by the command, in a process of its own."""
        words = ["download", "--dataset-file", "remote.yaml", "--part", "train", "--mirror", self.url]
        command = [sys.executable, "-m", "cyclemix", *words, "--output", "data/raw_train.json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True)

    def times(self) -> list[float]:
        """When the file was asked for."""
        return [when for path, when in self.asked if path.endswith("/a.nii.gz")]

    def there(self) -> dict[str, bytes]:
        """What lies under the data set's folder, half-written files too."""
        found = (self.folder / "data").rglob("*")
        return {path.name: path.read_bytes() for path in found if path.is_file()}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(web, "TIMEOUT_SECONDS", 0.3)
    made = Site(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


def status(code: int, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def hang(handler: Handler) -> None:
    time.sleep(1.0)


def hang_within(handler: Handler) -> None:
    handler.send(handler.content[:100], len(handler.content))
    handler.wfile.flush()
    time.sleep(1.0)


def reset(handler: Handler) -> None:
    handler.send(handler.content[:100], len(handler.content))
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def half(handler: Handler) -> None:
    handler.send(handler.content[: len(handler.content) // 2])


def half_of_what_was_promised(handler: Handler) -> None:
    handler.send(handler.content[: len(handler.content) // 2], len(handler.content))


def other_bytes(handler: Handler) -> None:
    handler.send(bytes(len(handler.content)))


def longer(handler: Handler) -> None:
    handler.send(handler.content + b"x" * 10)


def slow(handler: Handler) -> None:
    """Each piece in time, the whole much later than the limit for a piece."""
    handler.send(b"", len(handler.content))
    step = -(-len(handler.content) // 6)
    for start in range(0, len(handler.content), step):
        handler.wfile.write(handler.content[start : start + step])
        handler.wfile.flush()
        time.sleep(0.1)


FAULTS: dict[str, tuple[Answer, str]] = {
    "500": (status(500), "500 Server Error"),
    "429": (status(429), "429 Client Error: Too Many Requests"),
    "hangs": (hang, "Read timed out"),
    "hangs within the file": (hang_within, "Read timed out"),
    "resets": (reset, "Connection reset by peer"),
    "half": (half, r"gave \d+ bytes, expected \d+; the copy there is damaged or another version"),
    "half of what was promised": (half_of_what_was_promised, "IncompleteRead|gave"),
    "more bytes": (longer, r"sends more than the \d+ bytes expected; the copy there is damaged"),
    "other bytes": (other_bytes, r"has sha256 \w+, expected \w+; the copy there is damaged"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_tried_again_and_then_right(site: Site, name: str, caplog: pytest.LogCaptureFixture) -> None:
    site.queue = [FAULTS[name][0]] * 2
    assert [file["path"] for file in site.fetch()["files"]] == ["a.nii.gz", "a_gt.nii.gz"]
    assert len(site.times()) == 3
    assert "a.nii.gz: " in caplog.text
    assert "try 3 of 5" in caplog.text
    found = site.there()
    assert found.pop("raw_train.json")
    assert found == {name: site.contents[name] for name in ("a.nii.gz", "a_gt.nii.gz")}


@pytest.mark.parametrize("name", FAULTS)
def test_given_up_by_name_and_complete_later(site: Site, name: str) -> None:
    answer, message = FAULTS[name]
    site.queue = [answer] * 5
    with pytest.raises(DownloadError, match=rf"1 of 2 files failed:\na\.nii\.gz: .*({message})"):
        site.fetch()
    assert len(site.times()) == 5
    assert site.there() == {"a_gt.nii.gz": site.contents["a_gt.nii.gz"]}, "the other file, no receipt"
    site.fetch()
    assert site.there()["a.nii.gz"] == site.contents["a.nii.gz"]


@pytest.mark.parametrize("code", [403, 404, 410])
def test_not_served_is_not_tried_again(site: Site, code: int) -> None:
    site.queue = [status(code)] * 5
    with pytest.raises(DownloadError, match=rf"{code} Client Error.*; the file is not served there; check"):
        site.fetch(site.url + "/")
    assert [path for path, _ in site.asked] == [f"/files.example.org/{name}.nii.gz" for name in ("a", "a_gt")]


def test_no_message_shows_the_mirrors_password(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.queue = [status(503), half, status(404)]
    with pytest.raises(DownloadError, match="404") as caught:
        site.fetch(site.url.replace("://", "://me:hunter2@"))
    assert "hunter2" not in str(caught.value) + caplog.text
    assert "://***@127.0.0.1" in caplog.text


def test_a_killed_download_leaves_no_half_file(site: Site) -> None:
    stalled = threading.Event()

    def stall(handler: Handler) -> None:
        handler.send(handler.content[:100], len(handler.content))
        handler.wfile.flush()
        stalled.set()
        time.sleep(5)

    site.queue = [stall]
    with site.start() as child:
        assert stalled.wait(60)
        child.kill()
    assert not {"a.nii.gz", "raw_train.json"} & site.there().keys()
    site.fetch()  # sweeps what the killed one left
    assert site.there().keys() == {"a.nii.gz", "a_gt.nii.gz", "raw_train.json"}


def test_the_pause_that_a_busy_server_asks_for(site: Site) -> None:
    site.queue = [status(429, Retry_After="1"), status(503, Retry_After="soon")]
    site.fetch()
    first, second, third = site.times()
    assert second - first >= 1.0
    assert third - second < 1.0, "not a number of seconds: our own pause"


def test_no_pause_is_endless(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.setattr(download, "MOST_PAUSE_SECONDS", 0.05)
    site.queue = [status(429, Retry_After="86400")]
    site.fetch()
    assert len(site.times()) == 2


def test_a_slow_server_is_waited_for(site: Site) -> None:
    site.queue = [slow]
    site.fetch()
    assert len(site.times()) == 1
    assert site.there()["a.nii.gz"] == site.contents["a.nii.gz"]
