"""A stand-in for `python`: Snakemake and the rules' jobs run in forks of a process that has done the imports.

A shortened stage takes less time than its imports, so a study takes a fraction of the time. Commands, working
folder, environment and output streams are those of the rules. Only libraries are imported beforehand: each
fork imports the package from the folder that its environment names, so edits of a copy have their effect.

These tests run without the stand-in, each job in a new process as for a user: tests/docs/test_tutorials.py
(default study, another row, own images), tests/workflow/test_conda.py, tests/faults/test_kill_and_resume.py,
tests/cluster.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENT = """\
#!{python} -SE
import json, os, socket, sys
if sys.argv[1:3] not in (["-m", "cyclemix"], ["-m", "snakemake"], ["-m", "pytest"]):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"-"], [1, 2])
server.sendall(json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode())
server.shutdown(socket.SHUT_WR)
sys.exit(int(server.recv(16) or b"1"))
"""


@contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """Yields ``folder/bin/python``: it runs snakemake, cyclemix and pytest in forks, all else as usual.

    Snakemake puts the folder of its own interpreter first on the jobs' PATH, so the jobs take it, too.
    """
    client, address, real = folder / "bin" / "python", folder / "socket", sys.executable
    client.parent.mkdir(parents=True)
    client.write_text(CLIENT.format(python=real, address=str(address)))
    client.chmod(0o755)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    command = [real, __file__, str(address), str(client)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n", "the process with the imports did not start"
        yield client
    finally:
        server.terminate()
        server.wait()


def job(connection: socket.socket, python: str) -> int:
    """Run one command of a client, as ``python -m`` would; its exit status."""
    _, handles, _, _ = socket.recv_fds(connection, 1, 2)
    for number, handle in enumerate(handles, 1):
        os.dup2(handle, number)
    text = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    (module, *arguments), folder, environment = json.loads(text)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable = python
    sys.argv = [module, *arguments]
    sys.path[:] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *sys.path]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def serve(address: str, python: str) -> None:
    """Fork once per connection, for ever."""
    import fork_server

    fork_server.warm()
    for name in ("snakemake.cli", "snakemake.report.html_reporter", "snakemake.storage", "jsonschema"):
        importlib.import_module(name)
    sys.modules["snakemake.cli"].get_argument_parser()  # imports the plugins
    for name in [name for name in sys.modules if name.partition(".")[0] == "cyclemix"]:
        del sys.modules[name]
    sys.path.remove(os.environ["PYTHONPATH"])
    sys.path.remove(str(Path(__file__).parent))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    os.write(1, b"ready\n")
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            status = 1
            try:
                status = job(connection, python)
                threading._shutdown()
                atexit._run_exitfuncs()
            except BaseException:  # noqa: BLE001 - printed, as Python itself would
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                connection.sendall(str(status).encode())
                os._exit(status)
        connection.close()


if __name__ == "__main__":
    serve(*sys.argv[1:])
