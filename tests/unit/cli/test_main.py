"""The command line: quick, complete, and clear where a user errs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cyclemix.cli import options
from cyclemix.cli.main import main
from cyclemix.config.strict import ConfigError
from cyclemix.own_data import check

ROOT = Path(__file__).resolve().parents[3]
STAGES = (
    *("download", "prepare", "split", "track-init", "resolve", "train"),
    *("predict", "evaluate", "run-figures", "tabulate", "figures", "efficiency", "ranking"),
    *("segment", "track-sync"),
)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process: status and output, as of a process of its own."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["cyclemix", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), *capfd.readouterr())

    return call


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_names_every_stage(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    for stage in STAGES:
        assert f" {stage} " in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, cyclemix.cli.main\nprint([m for m in ('torch', 'numpy', 'mlflow') if m in sys.modules])"
    )
    assert python(code).stdout.strip() == "[]"


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
def test_errors_of_a_user_are_one_message(
    run: Run, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = run(
        "split", "--dataset-file", "nowhere.yaml", "--output", str(tmp_path / "folds.json"), *arguments
    )
    assert done.returncode == 1
    assert done.stderr.startswith("cyclemix: error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "folds.json").exists()


def test_methods_are_listed_with_their_summaries(run: Run) -> None:
    done = run("methods", "--file", str(ROOT / "config" / "methods.yaml"))
    assert done.returncode == 0
    assert "partial cross-entropy" in next(
        line for line in done.stdout.splitlines() if line.startswith("unet_pce ")
    )


TYPED = ("segment", "check", "init", "methods", "new-method", "schema")


@pytest.mark.parametrize("command", TYPED)
def test_help_of_what_people_type_shows_examples(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    examples = done.stdout.partition("Examples:")[2]
    assert f"cyclemix {command}" in examples


@pytest.mark.parametrize(
    "arguments", [("--nonsense",), ("nonsense",), ("check",), ("check", "a", "--threads", "0")]
)
def test_wrong_usage_is_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_debug_shows_where_an_error_arose(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run("check", "nowhere")
    assert "Traceback" not in plain.stderr
    assert plain.returncode == 1
    monkeypatch.setattr(sys, "argv", ["cyclemix", "check", "nowhere", "--debug"])
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such data set"):
        main()


def test_methods_as_json(run: Run) -> None:
    done = run("methods", "--json")
    rows = json.loads(done.stdout)
    assert {"label", "method", "supervision", "summary"} <= set(rows[0])


def test_a_closed_pipe_is_no_error() -> None:
    command = f"set -o pipefail; {sys.executable} -m cyclemix methods | true"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_an_interruption_is_quiet_and_status_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "run", stop)
    done = run("check", "phantom")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
