"""Copies of the project and Snakemake in them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]

SMALL = (
    "training={max_steps: 4, validate_every_steps: 2, batch_size: 2, base_filters: 4, levels: 3}",
    "inference={test_time_augmentation: false}",
    "grid={spacing_mm: 3.2, crop_px: 64}",
)
"""Overrides that make the default study a matter of seconds."""

LABELS = ("unet_pce", "cyclemix", "unet_full")
"""Rows of the default study."""


def per_label(*rules: str, count: int = 1) -> dict[str, int]:
    """``{"train cyclemix": count, ...}`` for every row of the default study."""
    return {f"{rule} {label}": count for rule in rules for label in LABELS}


def announced(text: str) -> list[tuple[str, str]]:
    """Rule and details (files, wildcards, reason, resources) of each job in the text of a dry run."""
    return re.findall(r"^(?:local)?rule (\w+):\n((?: +.*\n)+)", text, re.MULTILINE)


def jobs(text: str) -> Counter[str]:
    """Jobs in the text of a dry run: ``{"train cyclemix": 1, "tabulate": 1}``, without ``all``."""
    found: Counter[str] = Counter()
    for rule, details in announced(text):
        label = re.search(r"wildcards:.*\blabel=(\w+)", details)
        found[f"{rule} {label[1]}" if label else rule] += 1
    del found["all"]
    return found


class Project:
    """A copy of the project in which studies are run; nothing outside of ``folder`` is written.

    Attributes:
        python: what runs Snakemake and, being first on the jobs' PATH, the jobs; see `warm_python`.
    """

    def __init__(self, folder: Path, python: Path = Path(sys.executable)) -> None:
        self.folder, self.python = folder, python

    def snakemake(
        self, *options: str, config: tuple[str, ...] = SMALL, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake with overrides; output and errors in one text."""
        command = [str(self.python), "-m", "snakemake", "--cores", "2", *options]
        command += ["--config", *config] if config else []
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout[-6000:] + self.logs()
        return done

    def dry_run(self, *options: str, config: tuple[str, ...] = SMALL) -> str:
        """Text of a dry run: every job with its files and the reason why it would run."""
        return self.snakemake("--dry-run", *options, config=config).stdout

    def plan(self, *options: str, config: tuple[str, ...] = SMALL) -> Counter[str]:
        """`jobs` of a dry run."""
        return jobs(self.dry_run(*options, config=config))

    def cyclemix(self, *arguments: str) -> str:
        """Output of a command of the package in the copy."""
        command = [str(self.python), "-m", "cyclemix", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace ``old``, which must be there, in a file of the copy."""
        path = self.folder / name
        text = path.read_text()
        assert old in text, f"{name} holds no {old!r}"
        path.write_text(text.replace(old, new))

    def logs(self) -> str:
        """The logs of the jobs that said something."""
        logs = sorted(self.folder.glob("results/logs/**/*.log"))
        return "".join(f"\n== {path}\n{path.read_text()[-3000:]}" for path in logs if path.stat().st_size)


def with_lists(dataset_file: Path, target: Path, **lists: list[int]) -> Path:
    """A copy of a built-in data set's file with other lists of subjects and without ``same_person``."""
    text = dataset_file.read_text().replace("../manifests", str(dataset_file.parents[1] / "manifests"))
    values = yaml.safe_load(text) | {"official": lists}
    values.pop("same_person", None)
    target.write_text(yaml.safe_dump(values, sort_keys=False))
    return target


def with_few_hearts(project: Project) -> Project:
    """Cut the phantom down to three training hearts, one for validation and two for the test."""
    path = project.folder / "config" / "datasets" / "phantom.yaml"
    with_lists(path, path, train=[1, 2, 3], val=[11], masks=[15], test=[19, 20])
    return project


def copy_of_project(folder: Path, python: Path = Path(sys.executable)) -> Project:
    """The files that git tracks or would track, as they are now."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return Project(folder, python)
