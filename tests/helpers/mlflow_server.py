"""A real MLflow server, started as `make mlflow-server` starts it."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 240.0
ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""What the Makefile exports."""


class Server:
    """The server on a free port with a store below ``folder``; it can be killed and started again.

    It works in the folder of ``log``.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.folder = folder
        self.log = log
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The command of the Makefile's recipe, with this interpreter's MLflow."""
        make = ["make", "--no-print-directory", "--dry-run", "--old-file=install-ui", "mlflow-server"]
        make += [f"MLFLOW_PORT={self.port}", f"MLFLOW_DIR={self.folder}"]
        recipe = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        words = shlex.split(recipe.replace("\\\n", " "))
        return [sys.executable, "-m", "mlflow", *words[words.index("server") :]]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.log.parent,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **ENVIRONMENT},
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            told = self.log.read_text()
            assert self._process.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.2)

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.uri}/health", timeout=5).ok
        except requests.RequestException:
            return False

    def kill(self, by: signal.Signals = signal.SIGKILL) -> None:
        """End the server and its workers by a signal."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(self._process.pid, by)
            self._process.wait(30)
            self._process = None


@contextmanager
def running_server(folder: Path, log: Path, end: signal.Signals = signal.SIGKILL) -> Iterator[Server]:
    """A server that answers; at the end it gets the signal ``end``."""
    server = Server(folder, log)
    try:
        server.start()
        yield server
    finally:
        server.kill(end)
