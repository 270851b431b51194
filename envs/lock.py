"""Write the locks and the conda environment from pyproject.toml: `make lock [UPGRADE=--upgrade]`.

One resolution for every platform and Python 3.11 and later, so that everybody gets the same versions. The
CUDA libraries that torch names on PyPI are left out: pip takes those that the installed torch build asks for,
and a machine with a CPU build of torch installs none.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ENVS = Path(__file__).resolve().parent
PYPROJECT = ENVS.parent / "pyproject.toml"
TORCH = "torch==2.13.0"
GPU_LIBRARY = re.compile(r"(nvidia-|cuda-|triton\b)")

CONDA_PACKAGES = ("python =3.12", "pip >=24")
"""What the jobs' conda environment takes from conda-forge; pip installs the rest at the lock's versions."""


def compile_lock(name: str, extras: list[str], options: list[str], base: Path | None = None) -> Path:
    """Resolve pyproject.toml with ``extras`` into ``envs/<name>``, keeping the versions of ``base``."""
    lock = ENVS / name
    pins = ENVS / "torch.constraint"
    pins.write_text(TORCH + "\n")
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header"]
    command += ["--no-annotate", "--fork-strategy", "fewest", "--constraints", str(pins)]
    command += [f"--extra={extra}" for extra in extras] + options
    if base is not None:
        command += ["--constraints", str(base)]
    try:
        subprocess.run([*command, str(PYPROJECT), "--output-file", str(lock)], check=True)
    finally:
        pins.unlink()
    lines = [line for line in lock.read_text().splitlines() if not GPU_LIBRARY.match(line)]
    lock.write_text("# written by `make lock` from pyproject.toml\n" + "\n".join(lines) + "\n")
    return lock


def conda_environment(lock: Path) -> str:
    """The conda environment of the jobs: Python and pip, which installs the lock as `make install` does."""
    pins = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
    return "\n".join(
        [
            "# Written by `make lock` from requirements.lock.",
            "channels:",
            "  - conda-forge",
            "  - nodefaults",
            "dependencies:",
            *(f"  - {package}" for package in CONDA_PACKAGES),
            "  - pip:",
            *(f"      - {pin}" for pin in pins),
            "",
        ]
    )


def main() -> None:
    """Write all locks and the conda environment."""
    options = sys.argv[1:]
    base = compile_lock("requirements.lock", [], options)
    dev = compile_lock("requirements-dev.lock", ["dev"], options, base)
    compile_lock("requirements-docs.lock", ["docs"], options, dev)
    compile_lock("requirements-ui.lock", ["ui"], options, base)
    compile_lock("requirements-browser.lock", ["dev", "ui", "browser"], options, base)
    (ENVS / "cyclemix.yaml").write_text(conda_environment(base))


if __name__ == "__main__":
    main()
