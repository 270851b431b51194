"""The command line: quick, complete, and clear where a user errs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cyclemix import options

ROOT = Path(__file__).resolve().parents[2]
STAGES = (
    *("download", "prepare", "split", "track-init", "resolve", "train"),
    *("predict", "evaluate", "tabulate", "figures", "segment", "track-sync"),
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cyclemix", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_names_every_stage() -> None:
    done = run("--help")
    assert done.returncode == 0
    for stage in STAGES:
        assert f" {stage} " in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, cyclemix.cli; print([m for m in ('torch', 'numpy', 'mlflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_options_that_take_many_words() -> None:
    words = ["train", "--index", "a.csv", "b.csv", "--fold", "0", "--index", "c.csv"]
    assert options.spread(words) == [
        "train", "--index", "a.csv", "--index", "b.csv", "--fold", "0", "--index", "c.csv",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "{kind: kfold}"), "--protocol: expected JSON, got '{kind: kfold}'"),
        (("--protocol", '{"kin": "kfold"}'), "--protocol: unknown key kin (did you mean 'kind'?)"),
        (("--protocol", '{"kind": "official"}'), "nowhere.yaml: no such file"),
    ],
)
def test_errors_of_a_user_are_one_message(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = run(
        "split", "--dataset-file", "nowhere.yaml", "--output", str(tmp_path / "folds.json"), *arguments
    )
    assert done.returncode == 1
    assert done.stderr.startswith("cyclemix: error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "folds.json").exists()


def test_methods_are_listed_with_their_summaries() -> None:
    done = run("methods", "--file", str(ROOT / "config" / "methods.yaml"))
    assert done.returncode == 0
    assert "partial cross-entropy" in next(
        line for line in done.stdout.splitlines() if line.startswith("unet_pce ")
    )
