"""How planning grows: dry run and no-op of a study of many trainings, and the start of one job.

20 method blocks x 2 data sets x 5 folds x 3 seeds = 600 trainings, then ten times as many seeds, in a copy of
the project. For the no-op every declared output exists, empty and of one age.

    python benchmarks/dag.py                # --tenfold also measures ten times the trainings
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from lib import record

PARTS = ("Snakefile", "rules", "workflow", "config", "cyclemix", "envs")
METHODS, FOLDS = 20, 5


def copy_of_project(folder: Path) -> None:
    """The workflow's own files, with `METHODS` equal blocks beside the others."""
    for part in PARTS:
        source = record.ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    block = {"method": "unet_pce", "summary": "a row"}
    blocks = {f"row_{i}": {**block, "training": {"max_steps": 100 + i}} for i in range(METHODS)}
    path = folder / "config" / "methods.yaml"
    path.write_text(path.read_text() + "\n" + yaml.safe_dump(blocks))


def study(folder: Path, seeds: int) -> Path:
    """The study file of ``METHODS`` x 2 x ``FOLDS`` x ``seeds`` trainings."""
    values = {
        "datasets": ["acdc", "mscmr"],
        "methods": [f"row_{i}" for i in range(METHODS)],
        "compare_to": "row_0",
        "protocol": {"kind": "kfold", "folds": FOLDS},
        "seeds": list(range(seeds)),
    }
    path = folder / "config" / f"study_{seeds}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def snakemake(folder: Path, configfile: Path, *options: str) -> tuple[float, str]:
    """Wall seconds and output."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", str(configfile), *options]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return time.perf_counter() - start, done.stdout + done.stderr


def make_outputs(folder: Path, summary: str) -> None:
    """Every output that ``--summary`` lists, of one age, and nothing in it."""
    lines = [line.split("\t") for line in summary.splitlines() if "\t" in line]
    column = lines[0].index("output_file")
    for line in lines[1:]:
        path = folder / line[column]
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (1.8e9, 1.8e9))
        else:
            path.mkdir(parents=True, exist_ok=True)
            stamp = path / ".snakemake_timestamp"
            stamp.touch()
            os.utime(stamp, (1.8e9, 1.8e9))


def measure(folder: Path, seeds: int) -> dict[str, object]:
    configfile = study(folder, seeds)
    dry, text = snakemake(folder, configfile, "--dry-run", "--quiet", "rules")
    jobs = next(line.split()[1] for line in text.splitlines() if line.startswith("total"))
    row: dict[str, object] = {
        "trainings": METHODS * 2 * FOLDS * seeds,
        "jobs": int(jobs),
        "dry_run_s": round(dry, 1),
    }
    make_outputs(folder, snakemake(folder, configfile, "--summary")[1])
    idle, text = snakemake(folder, configfile, "--dry-run", "--rerun-triggers", "mtime")
    if "Nothing to be done" not in text:
        raise SystemExit("benchmarks/dag.py: the no-op would do something:\n" + text[-2000:])
    return row | {"no_op_s": round(idle, 1)}


def start_of_a_job() -> float:
    """Seconds until `python -m cyclemix --help` is back: what every job pays before its stage's imports."""
    command, times = [sys.executable, "-m", "cyclemix", "--help"], []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, cwd=record.ROOT, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenfold", action="store_true", help="also ten times the trainings")
    options = parser.parse_args()
    rows = []
    for seeds in (3, 30) if options.tenfold else (3,):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            copy_of_project(folder)
            rows.append(measure(folder, seeds) | {"job_start_s": round(start_of_a_job(), 2)})
    record.save("dag", rows, "cpu")


if __name__ == "__main__":
    main()
