"""A process that has imported everything and runs ``cyclemix`` commands, with faults, in forks of itself.

A stage of a tiny study takes less time than its imports; so hundreds of kills cost minutes, not an hour. One
request a line on stdin, one answer a line on stdout, both JSON; see `stages.Server`.

A *moment* of a command is one of its file operations inside the working folder: a file opened, renamed,
removed or synced, a folder made. They are counted with an audit hook, so that faults hit known places.
"""

from __future__ import annotations

import atexit
import importlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.fsync")

IMPORTS = (
    "alembic.command",
    "matplotlib.pyplot",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "torch._dynamo",
    "cyclemix.cli.main",
    "cyclemix.data.download",
    "cyclemix.data.prepare",
    "cyclemix.data.split",
    "cyclemix.evaluation.evaluate",
    "cyclemix.report.figures",
    "cyclemix.report.run_figures",
    "cyclemix.methods.unet_pce",
    "cyclemix.inference.predict",
    "cyclemix.training.resolve",
    "cyclemix.report.tables",
    "cyclemix.tracking.api",
    "cyclemix.training.train",
)


class Fault:
    """Counts moments; at the wanted one the process gets its signal."""

    def __init__(self, folder: Path, moment: int, number: int, seed: float) -> None:
        self.folder, self.moment, self.number, self.seed = str(folder) + os.sep, moment, number, seed
        self.count = 0
        self._fsync = os.fsync
        os.fsync = self._synced
        sys.addaudithook(self._audited)

    def _audited(self, event: str, details: tuple[Any, ...]) -> None:
        if event in WATCHED and isinstance(details[0], str | os.PathLike):
            path = os.path.abspath(os.fspath(details[0]))  # noqa: PTH100 - pathlib opens nothing, but is slower
            if path.startswith(self.folder):
                self._now(None)

    def _synced(self, handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if str(path).startswith(self.folder):
            self._now(path)
        self._fsync(handle)

    def _now(self, unsynced: Path | None) -> None:
        self.count += 1
        if self.count != self.moment:
            return
        # What is not synced may lose its end. Not by SIGTERM: the thread at work goes on and renames the file
        # until the main thread has handled it.
        if self.number == signal.SIGKILL and unsynced is not None and unsynced.is_file():
            os.truncate(unsynced, int(self.seed * unsynced.stat().st_size))
        os.kill(os.getpid(), self.number)


def command(request: dict[str, Any], report: int) -> int:
    """Run one command in this process, a fork; its exit status. The moments are written to ``report``."""
    from cyclemix.cli import main as cli

    os.setsid()
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(request["cwd"])
    os.environ.update(request.get("environment", {}))
    tempfile.tempdir = None
    logging.root.handlers.clear()
    fault = Fault(Path.cwd(), request.get("moment", 0), request.get("signal", 9), request.get("seed", 0.5))
    sys.argv = ["cyclemix", *request["arguments"]]
    status: Any = 0
    try:
        cli.main()
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - what Python itself would do
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(report, str(fault.count).encode())
    return status if isinstance(status, int) else int(status is not None)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Fork, let the command run (and send a signal after ``after`` seconds), wait for its end."""
    readable, writable = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(readable)
        os._exit(command(request, writable))
    os.close(writable)
    if "after" in request:
        time.sleep(request["after"])
        os.kill(child, request["signal"])
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - started
    count = os.read(readable, 20)
    os.close(readable)
    code = os.waitstatus_to_exitcode(status)
    return {"status": code, "moments": int(count or 0), "seconds": seconds}


def warm() -> None:
    """Import what the stages import, some of it late: PyTorch's optimizers alone take seconds of imports.

    MLflow compares a model's requirements with all installed packages, which takes seconds to list once.
    """
    for name in IMPORTS:
        importlib.import_module(name)
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(["numpy"])


def main() -> None:
    """Answer requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    warm()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        answers.write(json.dumps(serve(json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
