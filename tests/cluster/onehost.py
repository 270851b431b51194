"""A real SLURM of two nodes on this host, from the distribution's packages; needs root."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

HERE = Path(__file__).parent
FOLDER = Path("/tmp/cyclemix-slurm")
ETC = Path("/etc/slurm")
"""Job steps are started without SLURM_CONF, so the configuration must be found at the default place."""

CONFS = ("slurm.conf", "gres.conf")
NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
DEADLINE_S = 30.0


class Cluster:
    """munged, slurmctld and two slurmd, with everything that they write under one folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder

    @property
    def conf(self) -> Path:
        """The configuration; who submits names it as SLURM_CONF, so that a left over one is found."""
        return self.folder / "slurm.conf"

    @property
    def missing(self) -> list[str]:
        """Programs that are not installed."""
        return [name for name in PROGRAMS if _program(name) is None]

    def start(self) -> None:
        """Clean up after a killed predecessor, then start; returns when both nodes take jobs.

        Raises:
            RuntimeError: another SLURM is set up on this host, or the nodes do not come up.
        """
        for name in CONFS:
            if (ETC / name).exists() and not self._is_ours(ETC / name):
                raise RuntimeError(f"{ETC / name} belongs to another SLURM; the test cluster needs its place")
        self.stop()
        self._write()
        run = self.folder / "run"
        _call(
            "munged", "--force", f"--key-file={self.folder}/munge.key", f"--socket={run}/munge.sock",
            f"--pid-file={run}/munged.pid", f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={run}/munged.seed",
        )  # fmt: skip
        _call("slurmctld", "-f", str(self.conf))
        for node in NODES:
            _call("slurmd", "-N", node, "-f", str(self.conf))
        deadline = time.monotonic() + DEADLINE_S
        idle = ("sinfo", "--noheader", "--Node", "--partition=gpu", "--states=idle", "--format=%N")
        while sorted(self.ask(*idle).split()) != [*NODES]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the nodes did not come up in {DEADLINE_S:.0f} s\n{self.logs()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End every job and daemon, also those that a killed test left behind, and remove all files."""
        alive = self._processes()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            _, alive = psutil.wait_procs(alive, timeout=5)
        for name in CONFS:
            if self._is_ours(ETC / name):
                (ETC / name).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, *command: str) -> str:
        """What a SLURM command says."""
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        return done.stdout

    def did(self, *command: str) -> bool:
        """Whether a SLURM command was carried out."""
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0

    def jobs(self, work_dir: Path, comment: str = "") -> list[dict[str, str]]:
        """Jobs submitted from a folder, also ended ones, by id, as ``scontrol show job`` tells them."""
        lines = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
        mine = [job for job in jobs if job.get("WorkDir") == str(work_dir)]
        return sorted((job for job in mine if comment in job["Comment"]), key=lambda job: int(job["JobId"]))

    def logs(self) -> str:
        """The daemons' last words."""
        logs = sorted((self.folder / "log").glob("*.log"))
        return "".join(f"\n== {path}\n{path.read_text()[-3000:]}" for path in logs)

    def _is_ours(self, path: Path) -> bool:
        return path.is_symlink() and path.readlink().parent == self.folder

    def _processes(self) -> list[psutil.Process]:
        """Daemons, jobs and who submits them, told by command or environment, with all below them."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            try:
                daemon = process.name().startswith(("slurm", "munged"))
                ours = daemon and str(self.folder) in " ".join(process.cmdline())
                # Read as bytes: a step daemon writes its title over the beginning of its environment.
                environment = Path(f"/proc/{process.pid}/environ").read_bytes()
                if ours or f"SLURM_CONF={self.conf}".encode() in environment:
                    found |= {process, *process.children(recursive=True)}
            except (psutil.NoSuchProcess, OSError):
                continue
        return [process for process in found if process.pid != os.getpid()]

    def _write(self) -> None:
        for name in ("run", "log", "state", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        ETC.mkdir(exist_ok=True)
        for name in CONFS:
            text = (HERE / name).read_text().replace("{folder}", str(self.folder))
            text = text.replace("{host}", socket.gethostname().partition(".")[0])
            (self.folder / name).write_text(text)
            (ETC / name).symlink_to(self.folder / name)


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))


def _call(name: str, *options: str) -> None:
    program = _program(name)
    assert program is not None, name
    done = subprocess.run([program, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name} ended with status {done.returncode}: {done.stdout}")
