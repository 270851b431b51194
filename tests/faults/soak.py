"""A small phantom study under random kills, deletions and flipped bits, for an hour; then the same tables?

    python tests/faults/soak.py --minutes 60 --seed 0

A reference study runs once, undisturbed. A second one is then disturbed, round after round: a fault in its
files or a signal to Snakemake or to one of its jobs, `--unlock`, and on. Where a job refuses a damaged file,
the soak does what the message says, as a person would. After every round, whatever stands under a final name
must be the reference's; at the end runs without faults must finish with the reference's tables and models.

Prints what was injected and found, as JSON, and writes it to benchmarks/results/soak.json. Exit status 1
where a number was lost or wrong, or the study could not be brought to its end.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT)]

from studies import Project, copy_of_project, with_few_hearts  # noqa: E402

from cyclemix.files.atomic import write_text  # noqa: E402

log = logging.getLogger("soak")

STUDY = (
    "training={max_steps: 40, validate_every_steps: 10, batch_size: 2, base_filters: 4, levels: 3, "
    "checkpoint_seconds: 0.5, device: cpu}",
    "inference={test_time_augmentation: false}",
    "grid={spacing_mm: 3.2, crop_px: 64}",
    "methods=[unet_pce, unet_full]",
)
OPTIONS = ("--rerun-incomplete", "--keep-going")

TABLES = ("results/tables/phantom/per_case.csv", "results/tables/phantom/summary.csv")
MODELS = "results/runs/phantom/*/*/model.pt"
KEYS = ["dataset", "method", "fold", "seed", "case", "subject", "structure", "metric", "supervision"]

SPARED = re.compile(r"results/(logs|benchmarks|mlflow)/|\.lock$")
"""No results."""

CHECKED = re.compile(
    r"/(raw|predictions)/.*\.nii\.gz$|/prepared/.*\.npz$|/(checkpoint|model)(\.previous)?\.pt$"
)
"""Files whose readers notice a flipped bit; for the tables there is `cyclemix verify`."""

SIGNALS = {
    "SIGKILL to all": (signal.SIGKILL, True),
    "SIGTERM to all": (signal.SIGTERM, True),
    "SIGKILL to a job": (signal.SIGKILL, False),
    "SIGTERM to a job": (signal.SIGTERM, False),
}

MOST_RUNS = 12
"""Runs at the end before the study counts as stuck; each mends what it names."""

ADVICE = re.compile("damaged|no such|absent or changed|missing|no prediction|expected|cannot", re.IGNORECASE)
"""Words of messages about a file that has to be made again."""


class Soak:
    """The disturbed study beside its reference."""

    def __init__(self, project: Project, reference: Project, draw: random.Random) -> None:
        self.project, self.reference, self.draw = project, reference, draw
        self.faults: Counter[str] = Counter()
        self.named = 0
        self.wrong: list[str] = []
        self.flipped: set[Path] = set()
        self.started = 0.0

    def round(self, patience: float) -> None:
        """Faults in files, or none, and a run that may come to its end."""
        if self.draw.random() < 0.6:
            self.delete()
        if self.draw.random() < 0.5:
            self.flip()
        if self.draw.random() < 0.8:
            self.disturbed_run(self.draw.choice(list(SIGNALS)), 1.0 + patience * self.draw.random() ** 2)
        else:
            self.run()
        self.compare()

    def files(self) -> list[Path]:
        """Results that lie there, in an order that does not depend on the machine."""
        folder = self.project.folder
        found = sorted(path for path in (folder / "results").rglob("*") if path.is_file())
        return [path for path in found if not SPARED.search(str(path.relative_to(folder)))]

    def delete(self) -> None:
        """A file, or a whole training, with what was made of it."""
        if files := self.files():
            path = self.draw.choice(files)
            run = next((parent for parent in path.parents if parent.name.startswith("fold0_")), None)
            whole = run is not None and self.draw.random() < 0.3
            for gone in ([run] if run is not None and whole else [path]) + made_of(path):
                discard(gone)
            log.info("deleted: %s", run if whole else path)
            self.faults["run deleted" if whole else "file deleted"] += 1

    def flip(self) -> None:
        """A bit of a file that is checked where it is read, and away with what was made of it."""
        files = [path for path in self.files() if CHECKED.search(str(path)) and path.stat().st_size]
        if not files:
            return
        path = self.draw.choice(files)
        content = bytearray(path.read_bytes())
        content[self.draw.randrange(len(content))] ^= 1 << self.draw.randrange(8)
        path.write_bytes(content)
        log.info("bit flipped: %s", path)
        self.flipped.add(path)
        self.faults["bit flipped"] += 1
        for made in made_of(path):
            discard(made)

    def start(self) -> subprocess.Popen[str]:
        """Snakemake on the study, as a process."""
        self.started = time.time()
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *OPTIONS, "--config", *STUDY]
        with (self.project.folder / "snakemake.log").open("w") as said:
            return subprocess.Popen(
                command, cwd=self.project.folder, stdout=said, stderr=subprocess.STDOUT, text=True
            )

    def disturbed_run(self, kind: str, after: float) -> None:
        """A run that gets its signal after some seconds; one that ended before was not disturbed."""
        number, everyone = SIGNALS[kind]
        process = self.start()
        with suppress(subprocess.TimeoutExpired):
            process.wait(after)
            self.ended(process.returncode)
            return
        tree = psutil.Process(process.pid).children(recursive=True)
        jobs = [one for one in tree if is_stage(one)]
        chosen = self.draw.sample(jobs, min(1, len(jobs)))
        victims = [*tree, psutil.Process(process.pid)] if everyone else chosen
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(number)
        if victims:
            log.info("%s, %d processes", kind, len(victims))
            self.faults[kind] += 1
        process.wait()
        psutil.wait_procs(tree)
        locks = self.project.folder / ".snakemake" / "locks"
        if locks.is_dir() and any(locks.iterdir()):
            self.project.snakemake("--unlock", config=STUDY)

    def run(self) -> bool:
        """A run to its end; False where something was refused, which is then mended."""
        return self.ended(self.start().wait())

    def ended(self, status: int) -> bool:
        """True where a run did all that was to be done; else what its jobs said is heeded."""
        if status == 0:
            return True
        logs = (self.project.folder / "results" / "logs").rglob("*.log")
        self.mend("\n".join(path.read_text() for path in logs if path.stat().st_mtime >= self.started))
        return False

    def mend(self, said: str) -> None:
        """What the messages ask for: the named files away, and the receipts of the stage that makes them."""
        for line in sorted({line for line in said.splitlines() if ADVICE.search(line)}):
            for name in re.findall(r"results/[^\s:;,'\"]+", line):
                if self.renew(self.project.folder / name):
                    log.info("mended as told: %s", line.strip()[:300])
                    self.named += 1

    def renew(self, path: Path) -> bool:
        """Away with a file and its record, so that its stage runs again; False for other files."""
        above = {parent.name: parent for parent in (*reversed(path.parents), path)}
        if "predictions" in above:
            shutil.rmtree(above["predictions"], ignore_errors=True)
        elif "raw" in above or "prepared" in above:
            path.unlink(missing_ok=True)
            for receipt in above["phantom"].rglob("raw_*.json" if "raw" in above else "index_*.csv"):
                receipt.unlink()
        elif path.name == "model.pt":
            path.unlink(missing_ok=True)
        else:
            return False
        return True

    def compare(self) -> None:
        """What stands under a final name is the reference's, but for what was flipped and not read yet."""
        for path in (*map(self.project.folder.joinpath, TABLES), *self.project.folder.glob(MODELS)):
            if not path.is_file() or path.read_bytes() == self.twin(path).read_bytes():
                self.flipped.discard(path)
            elif path not in self.flipped:
                log.error("%s is not what it is in the reference", path)
                self.wrong.append(str(path.relative_to(self.project.folder)))

    def finish(self) -> int | None:
        """Undisturbed runs to the end; how many it took, None where it was stuck."""
        for path in self.project.folder.glob(MODELS):
            if path in self.flipped and path.read_bytes() != self.twin(path).read_bytes():
                path.unlink()  # flipped, and nothing that reads it was left to do
        for count in range(1, MOST_RUNS + 1):
            if self.run():
                return count
        return None

    def twin(self, path: Path) -> Path:
        """The same file of the reference."""
        return self.reference.folder / path.relative_to(self.project.folder)


def discard(path: Path) -> None:
    """Away with a file or folder, if it is there."""
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def is_stage(process: psutil.Process) -> bool:
    """True for a job's Python, false for the shells above it."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()[1:3] == ["-m", "cyclemix"]
    return False


def made_of(path: Path) -> list[Path]:
    """What stages make of a file, down to the tables: taken away, the file has to be read again.

    Snakemake does not make what is missing, or look at what is altered, where nothing asks for it.
    """
    above = {parent.name: parent for parent in reversed(path.parents)}
    results, run = above["results"], path.parent
    made = [*results.glob("tables/*/*"), *results.glob("figures/*/*")]
    outputs = ("metrics.csv", "metrics_as_predicted.csv", "metrics_by_level.csv", "predictions", "model.pt")
    if "predictions" in above:
        run, outputs = above["predictions"].parent, outputs[:3]
    elif path.name == "model.pt":
        outputs = outputs[:3]
    if "data" in above:
        made += [found for name in outputs for found in results.glob(f"runs/*/*/*/{name}")]
        made += results.glob("runs/*/*/*/checkpoint*.pt") if "raw" not in above else []
        made += above["raw"].parent.glob("prepared/*/*") if "raw" in above else []
    elif "runs" in above:
        made += [run / name for name in outputs if (run / name).exists()]
    return [found for found in made if found != path]


def differences(ours: Path, reference: Path) -> tuple[int, int, int]:
    """Numbers in the reference table, and how many of them are lost or wrong in ours."""
    wanted = numbers(reference)
    if not ours.is_file():
        return len(wanted), len(wanted), 0
    there = numbers(ours).reindex(wanted.index)
    return len(wanted), int(there.isna().sum()), int(((there != wanted) & there.notna()).sum())


def numbers(path: Path) -> pd.Series:
    """Every value of a table, by its row's keys and its column."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    keys = [key for key in KEYS if key in table]
    return table.melt(id_vars=keys).set_index([*keys, "variable"])["value"]


def soak(top: Path, minutes: float, seed: int) -> dict[str, object]:
    """The whole of it; what `main` reports."""
    reference, project = (with_few_hearts(copy_of_project(top / name)) for name in ("reference", "study"))
    started = time.monotonic()
    reference.snakemake(*OPTIONS, config=STUDY)
    undisturbed = time.monotonic() - started
    log.info("reference study: %.0f s", undisturbed)
    it = Soak(project, reference, random.Random(seed))
    rounds, started = 0, time.monotonic()
    while time.monotonic() - started < 60 * minutes:
        it.round(undisturbed)
        rounds += 1
        log.info("round %d: %s", rounds, dict(it.faults))
    runs = it.finish()
    it.compare()
    compared = [differences(project.folder / name, reference.folder / name) for name in TABLES]
    models = list(reference.folder.glob(MODELS))
    ours = [project.folder / model.relative_to(reference.folder) for model in models]
    equal = sum(a.is_file() and a.read_bytes() == b.read_bytes() for a, b in zip(ours, models, strict=True))
    return {
        "minutes": minutes,
        "seed": seed,
        "rounds": rounds,
        "faults": dict(sorted(it.faults.items())),
        "faults_injected": it.faults.total(),
        "refusals_mended_as_told": it.named,
        "undisturbed_runs_at_the_end": runs,
        "numbers_compared": sum(item[0] for item in compared),
        "numbers_lost": sum(item[1] for item in compared),
        "wrong_numbers": sum(item[2] for item in compared),
        "wrong_files_on_the_way": it.wrong,
        "models_compared": len(models),
        "models_lost_or_wrong": len(models) - equal,
        "seconds": round(time.monotonic() - started),
    }


def main() -> None:
    """Parse the command line, soak, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=0, help="of the faults; their effect depends on timing")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "soak.json")
    parser.add_argument("--keep", type=Path, help="work in this folder, which must not exist, and keep it")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.keep:
        options.keep.mkdir(parents=True)
        made = soak(options.keep, options.minutes, options.seed)
    else:
        with tempfile.TemporaryDirectory(prefix="cyclemix-soak-") as top:
            made = soak(Path(top), options.minutes, options.seed)
    text = json.dumps(made, indent=1) + "\n"
    write_text(options.output, text)
    print(text, end="")
    harm = ("numbers_lost", "wrong_numbers", "models_lost_or_wrong", "wrong_files_on_the_way")
    sys.exit(made["undisturbed_runs_at_the_end"] is None or any(made[key] for key in harm))


if __name__ == "__main__":
    main()
