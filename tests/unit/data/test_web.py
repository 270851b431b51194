"""Fetching one file: schemes, redirects and sizes, against a server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from cyclemix.data import web
from cyclemix.data.web import Wrong, fetch

SECRET = "hunter2"


class Handler(BaseHTTPRequestHandler):
    """``/to?ADDRESS`` redirects there, ``/loop`` to itself, ``/endless`` sends until the client hangs up."""

    seen: tuple[str, ...] = ()

    def do_GET(self) -> None:
        Handler.seen += (self.path,)
        path, _, target = self.path.partition("?")
        if path in ("/to", "/loop"):
            self.send_response(302)
            self.send_header("Location", target or "/loop")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(10_000 if path == "/endless" else 1):
                self.wfile.write(b"content" * (1000 if path == "/endless" else 1))
        except OSError:
            Handler.seen += ("hung up",)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.seen = ()
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def test_a_redirect_within_a_plain_mirror_is_followed(server: str, tmp_path: Path) -> None:
    fetch(f"{server}/to?/file", tmp_path / "x", 7)
    assert (tmp_path / "x").read_bytes() == b"content"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://host/x", "data:,x", "gopher://host/x"])
def test_a_redirect_to_another_kind_of_address_is_refused(server: str, tmp_path: Path, target: str) -> None:
    with pytest.raises(
        Wrong, match=rf"redirects to {target}; expected an address of https or http"
    ) as caught:
        fetch(f"{server}/to?{target}", tmp_path / "x", 7)
    assert caught.value.final
    assert not (tmp_path / "x").exists()


def test_a_redirect_from_https_to_plain_http_is_refused_before_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    redirect = SimpleNamespace(is_redirect=True, headers={"location": "http://plain.example.org/x"})
    monkeypatch.setattr(web.requests, "get", lambda url, **_: asked.append(url) or nullcontext(redirect))
    with pytest.raises(
        Wrong, match=r"https://a\.org/x redirects to http://plain\.example\.org/x; .* of https$"
    ):
        fetch("https://a.org/x", tmp_path / "x", 7)
    assert asked == ["https://a.org/x"]


def test_redirects_come_to_an_end(server: str, tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="/loop: more than 5 redirects"):
        fetch(f"{server}/loop", tmp_path / "x", 7)
    assert len(Handler.seen) == 6


def test_reading_ends_beyond_the_promised_bytes(server: str, tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="/endless sends more than the 7 bytes expected"):
        fetch(f"{server}/endless", tmp_path / "x", 7)
    assert (tmp_path / "x").stat().st_size == 0


@pytest.mark.parametrize("path", ["/endless", "/to?file:///etc/passwd", "/loop"])
def test_no_message_shows_a_password(server: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(Wrong) as caught:
        fetch(server.replace("://", f"://me:{SECRET}@") + path, tmp_path / "x", 7)
    assert SECRET not in str(caught.value)


def test_a_local_file_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(requests.RequestException):
        fetch("file:///etc/passwd", tmp_path / "x", 10_000)
