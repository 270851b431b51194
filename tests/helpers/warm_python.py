"""A stand-in for the rules' ``python``: jobs run in forks of one process that has imported everything.

A shortened stage takes less time than its imports, so a study of many rows takes a fraction of the time. The
commands, their working folder, environment and output streams are those of the rules.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENT = """\
#!{python} -SE
import json, os, socket, sys
if sys.argv[1:3] != ["-m", "cyclemix"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"-"], [1, 2])
server.sendall(json.dumps([sys.argv[3:], os.getcwd(), dict(os.environ)]).encode())
server.shutdown(socket.SHUT_WR)
sys.exit(int(server.recv(16) or b"1"))
"""


@contextmanager
def warm_python(project: Path, folder: Path) -> Iterator[Path]:
    """A folder with ``bin/python`` for the commands of ``project``, whose process ends with the block.

    Snakemake puts the folder of its own interpreter first on the jobs' PATH; started under the name of this
    ``bin/python``, it takes that one.
    """
    address, real = folder / "socket", Path(sys.executable)
    (folder / "bin").mkdir(parents=True)
    client = folder / "bin" / "python"
    client.write_text(CLIENT.format(python=str(real), address=str(address)))
    client.chmod(0o755)
    for name in ("pyvenv.cfg", "lib"):
        if (real.parents[1] / name).exists():
            (folder / name).symlink_to(real.parents[1] / name)
    environment = {**os.environ, "PYTHONPATH": str(project), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    server = subprocess.Popen(
        [real, __file__, address], cwd=project, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n", "the process with the imports did not start"
        yield folder
    finally:
        server.terminate()
        server.wait()


def job(connection: socket.socket) -> int:
    """Run one command of a client; its exit status."""
    from cyclemix.cli.main import main

    _, handles, _, _ = socket.recv_fds(connection, 1, 2)
    for number, handle in enumerate(handles, 1):
        os.dup2(handle, number)
    text = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    arguments, folder, environment = json.loads(text)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["cyclemix", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def serve(address: str) -> None:
    """Fork once per connection, for ever."""
    import signal

    from fork_server import warm

    warm()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    os.write(1, b"ready\n")
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            status = 1
            try:
                status = job(connection)
            finally:
                if sys.exception() is not None:
                    traceback.print_exc()
                sys.stdout.flush()
                sys.stderr.flush()
                connection.sendall(str(status).encode())
                os._exit(status)
        connection.close()


if __name__ == "__main__":
    serve(sys.argv[1])
