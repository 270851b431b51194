"""Outages over real HTTP: a server that accepts and never answers, and one that is full."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mirrored import make_run, write_config

from cyclemix.config.models import Tracking
from cyclemix.tracking import api
from cyclemix.tracking.store import import_mlflow


class Silent:
    """Takes every connection and answers none."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.connections.append(self._listener.accept()[0])
            except OSError:  # closed
                return

    def close(self) -> None:
        self._listener.close()
        for connection in self.connections:
            connection.close()


class _Full(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(507, "Insufficient Storage")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # instead of 10 s
    server = Silent()
    yield server
    server.close()


@pytest.fixture
def full() -> Iterator[str]:
    """Address of a server that answers 507 to everything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Full) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


TRAINING = """
import sys
from pathlib import Path
from cyclemix.tracking import api as tracking
from cyclemix.config.models import Tracking

results = Path(sys.argv[1])
config = results / "runs/mscmr/cyclemix/config.json"
with tracking.open_run(results, Tracking(uri=sys.argv[2]), config, 0, 1) as mirror:
    for step in range(1000):
        mirror.metrics({"loss": 1.0}, step)
print("trained")
"""


def test_a_training_ends_though_the_server_never_answers(
    silent: Silent, tmp_path: Path, repository: Path
) -> None:
    write_config(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, str(tmp_path), silent.uri],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert 1 <= len(silent.connections) <= 3, "an attempt at the start and one at the end, not one a row"


def test_a_stage_gives_a_silent_server_one_attempt(
    silent: Silent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not api.mirror_evaluation(tmp_path, Tracking(uri=silent.uri), make_run(tmp_path))
    assert len(silent.connections) == 1
    (message,) = warnings_of(caplog)
    assert "the files are complete, mirror them with `cyclemix track-sync`" in message


def test_a_full_server_is_one_warning(full: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with api.open_run(tmp_path, Tracking(uri=full), write_config(tmp_path), 0, 1) as mirror:
        for step in range(100):
            mirror.metrics({"loss": 1.0}, step)
    (message,) = warnings_of(caplog)
    assert "507" in message
    assert "training continues, the files are complete" in message


def test_sync_says_that_its_server_is_full(full: str, tmp_path: Path) -> None:
    make_run(tmp_path)
    with pytest.raises(ValueError, match=r"MLflow store not reachable \(.*507"):
        api.sync(tmp_path, Tracking(uri=full))


def test_calls_are_short_and_not_repeated_unless_a_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    import_mlflow()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
