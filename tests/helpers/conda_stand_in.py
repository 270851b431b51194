"""A `conda` for machines without one: what Snakemake asks of it, over py-rattler's solver and installer.

`build_channel` makes a file:// channel with one stub per conda package of an environment file; its Python is
a script that notes each start and goes on with an interpreter of this machine, which has the packages of the
``pip:`` section. So a test sees whether rules run in their environment, not whether conda-forge has Python.

    python conda_stand_in.py ROOT ARGUMENTS...   # as `conda ARGUMENTS...`; ROOT as `write_stand_in` made it
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import sys
from pathlib import Path

import rattler
import rattler_build
import yaml
from rattler.index import index_fs

PLATFORM = "linux-64"
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def build_channel(channel: Path, environment: Path, interpreter: str, notes: Path) -> None:
    """A channel of the conda packages of ``environment``; its `python` notes its starts in ``notes``."""
    wrapper = f'#!/bin/sh\necho "$0 $*" >> "{notes}"\nexec "{interpreter}" "$@"\n'
    for folder in (PLATFORM, "noarch"):
        (channel / folder).mkdir(parents=True)
    for pin in conda_packages(environment):
        name, version = re.split(r" [=>]+", pin)
        files = channel.parent / "files" / name
        inside = files / ("bin/python" if name == "python" else f"share/{name}")
        inside.parent.mkdir(parents=True)
        inside.write_text(wrapper if name == "python" else "")
        inside.chmod(0o755)
        rattler_build.assemble_package(
            name, version, PLATFORM, "stub_0", str(channel / PLATFORM), files_dir=str(files), depends=[]
        )
    asyncio.run(index_fs(channel))


def conda_packages(environment: Path) -> list[str]:
    """The entries of an environment file that conda itself installs."""
    wanted = yaml.safe_load(environment.read_text())["dependencies"]
    return [entry for entry in wanted if isinstance(entry, str)]


def write_stand_in(root: Path, channel: Path) -> Path:
    """The folder to put on PATH: ``conda``, and the ``activate`` that Snakemake sources."""
    binaries = root / "bin"
    binaries.mkdir(parents=True)
    (root / "channel").write_text(channel.as_uri())
    conda = binaries / "conda"
    conda.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "{root}" "$@"\n')
    (binaries / "activate").write_text(ACTIVATE)
    for path in binaries.iterdir():
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return binaries


def create(root: Path, file: Path, prefix: Path) -> None:
    """``conda env create``: solve the conda packages strictly and install them; pip is not started."""
    specs = [rattler.MatchSpec(pin) for pin in conda_packages(file)]
    platforms = [PLATFORM, "noarch"]
    records = asyncio.run(rattler.solve([(root / "channel").read_text()], specs, platforms=platforms))
    asyncio.run(rattler.install(records, prefix, cache_dir=root / "cache", show_progress=False))


def main(root: Path, arguments: list[str]) -> None:
    if arguments == ["--version"]:
        print("conda 24.7.1")
    elif arguments[:1] == ["info"]:
        print(
            json.dumps(
                {"conda_prefix": str(root), "root_prefix": str(root), "platform": PLATFORM, "envs": []}
            )
        )
    elif arguments[:2] == ["config", "--get"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif "create" in arguments[:2]:
        file, prefix = (Path(arguments[arguments.index(name) + 1]) for name in ("--file", "--prefix"))
        create(root, file, prefix)
    elif arguments[:1] != ["clean"]:
        sys.exit(f"conda stand-in: not known: {' '.join(arguments)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
    sys.stdout.flush()
    os._exit(0)  # rattler's threads crash one in twenty of Python's ordinary ends
