"""Everything to measure in a session on a GPU machine, most important first: `make gpu`.

The tests that need a GPU, the training step's speed, then as many trainings of the headline rows as fit.
Every part writes its files as it goes, so that whatever ends the session loses only the step under way; a
training that is stopped resumes from its checkpoint in the next session.

    make gpu                                            # 25 minutes, config/acdc.yaml, into gpu/
    make gpu ARGS='--minutes 60 --study config/mscmr.yaml --config seeds=[0]'

Prepare the data first, on any machine: `snakemake --cores all --configfile STUDY data`, and carry
``results/data/*/prepared`` and ``results/data/*/*.json`` along. Raw files are not needed: predictions are
scored afterwards, where the raw files are.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
TESTS = ["tests/unit/ops/test_device.py", "tests/unit/methods/test_device.py"]
TESTS += ["tests/unit/training/test_determinism.py"]
RULES = ("track_init", "split", "resolve", "train", "predict")
"""Those that need no raw file."""
KEPT = ("config.json", "history.csv", "provenance.json", "predictions/*.nii.gz", "predictions/*.json")
STOP_SECONDS = 60
"""Left to the trainings for their checkpoints."""


class Session:
    """Commands under one deadline, each with its log, and a summary that is rewritten after each.

    Args:
        minutes: from now on.
        output: folder of all that is to be carried back.
    """

    def __init__(self, minutes: float, output: Path) -> None:
        self.seconds, self.output = 60 * minutes, output
        self.deadline = time.monotonic() + self.seconds
        self.lines: list[str] = []
        output.mkdir(parents=True, exist_ok=True)

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def run(self, name: str, command: list[str], share: float) -> None:
        """Run a command for at most a share of the session; then SIGTERM, and SIGKILL a minute later."""
        left = self.left() - STOP_SECONDS
        began, log = time.monotonic(), self.output / f"{name}.log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with log.open("w") as stream:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                outcome = f"exit status {process.wait(max(1.0, min(share * self.seconds, left)))}"
            except subprocess.TimeoutExpired:
                outcome = "stopped, out of time"
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        self.say(f"{name}: {outcome} after {time.monotonic() - began:.0f} s ({log.name})")

    def say(self, text: str) -> None:
        """Add to ``summary.md`` and print."""
        self.lines.append(text)
        (self.output / "summary.md").write_text("\n".join(f"- {line}" for line in self.lines) + "\n")
        print(text, flush=True)


def throughput(session: Session, options: argparse.Namespace) -> None:
    """The step of the default and of the paper's network, then trainings side by side."""
    script, small = [sys.executable, "benchmarks/throughput.py", "--device", options.device], options.tiny
    size = ["--image-px", "64", "--base-filters", "4", "--batch-sizes", "4", "--steps", "4"] if small else []
    rows = ["unet_pce", "cyclemix"]
    session.run("throughput", [*script, *size, "--rows", *rows], 0.15)
    if not small:
        session.run(
            "throughput_paper", [*script, "--rows", "cyclemix_paper", "--batch-sizes", "4", "32"], 0.1
        )
    jobs = ["--rows", "cyclemix", "--repeats", "1", "--jobs", *(["1", "2"] if small else ["1", "2", "4"])]
    session.run("throughput_jobs", [*script, *size, *jobs, "--seconds", "2" if small else "15"], 0.15)
    shutil.copy(ROOT / "benchmarks" / "results" / "throughput.csv", session.output)


def trainings(session: Session, options: argparse.Namespace) -> None:
    """The study's trainings and predictions until the time is over; then copies of what is not large."""
    # A session that was cut off leaves Snakemake's lock behind.
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", "all", "--keep-going", "--nolock"]
    command += ["--rerun-incomplete", "--configfile", options.study, "--allowed-rules", *RULES]
    command += ["--config", *options.config] if options.config else []
    session.run("trainings", [*command, "--", "predictions"], 1.0)
    results = Path(yaml.safe_load((ROOT / options.study).read_text())["results"])
    named = [value.partition("=")[2] for value in options.config if value.startswith("results=")]
    runs = ROOT / (named[0] if named else results) / "runs"
    for pattern in KEPT:
        for place in (f"*/*/{pattern}", f"*/*/*/{pattern}"):
            for file in runs.glob(place):
                target = session.output / "runs" / file.relative_to(runs)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
    for file in sorted((session.output / "runs").glob("*/*/*/history.csv")):
        last = pd.read_csv(file).iloc[-1]
        name = "/".join(file.parts[-4:-1])
        session.say(f"{name}: validation Dice {last['val_dice_avg']:.3f} after {last['seconds']:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=25.0, help="until everything has ended")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu rehearses")
    parser.add_argument("--study", default="config/acdc.yaml")
    parser.add_argument("--config", nargs="*", default=[], help="changes of the study, KEY=VALUE")
    parser.add_argument("--output", type=Path, default=Path("gpu"))
    parser.add_argument("--tiny", action="store_true", help="small networks and images in the benchmark")
    options = parser.parse_args()
    session = Session(options.minutes, options.output.resolve())
    session.run("tests", [sys.executable, "-m", "pytest", "-q", "-rs", "-k", "cuda", *TESTS], 0.2)
    throughput(session, options)
    trainings(session, options)


if __name__ == "__main__":
    main()
