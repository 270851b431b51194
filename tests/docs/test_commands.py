"""Every command of the documentation is one that exists: nothing that a page shows is a guess.

Blocks after ``<!-- run -->`` are run by test_tutorials.py. The others are checked: `cyclemix` by the command
line's own parser, `snakemake` by a dry run, `make` by the Makefile, scripts by their options. A command of
the cluster or the shell must be spelled out in ``EXTERNAL``; any other fails here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
import yaml
from doc_commands import ROOT, SHELL, Block, Command, blocks, commands, inline_commands, pages, split
from snakemake.cli import get_argument_parser
from studies import Project, copy_of_project

from cyclemix.cli import new_method
from cyclemix.cli.main import app
from cyclemix.cli.options import spread
from cyclemix.config.strict import validate
from cyclemix.config.study import Study

LOCAL = ("git", "cd", "source", "module", "export", "ssh", "tail", "grep", "sha256sum", "pre-commit")
CLUSTER = ("apptainer", "squeue", "sinfo", "sacct", "sacctmgr", "scontrol")
EXTERNAL = frozenset({*LOCAL, *CLUSTER})
"""Programs of the shell, the site and the cluster: bash reads the line, nothing more can be checked here."""

LANGUAGES = SHELL | {"text", "yaml", "python", "json"}

NO_DRY_RUN = frozenset({"--unlock", "--report", "--conda-create-envs-only", "--use-conda", "--sdm"})
"""With these Snakemake does something else than run jobs, or needs conda or apptainer: parsed alone."""

NEW_METHOD = "entropy"
"""The row that CONTRIBUTING.md (as NAME) and docs/how-to/add-a-method.md add."""

BLOCKS = [block for page in pages() for block in blocks(page)]


def examples() -> Iterator[Command]:
    """The examples in the help of every command."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        _, _, text = (command.help or "").partition("Examples:")
        for line in text.replace("\b", "").splitlines():
            for words in split(line):
                yield Command(f"cyclemix {name} --help", words)


def shown() -> list[Command]:
    """Every command that no test runs, once."""
    fenced = [c for block in BLOCKS if block.language in SHELL and not block.run for c in commands(block)]
    inside = [c for page in pages() for c in inline_commands(page)]
    unique: dict[tuple[tuple[str, ...], bool], Command] = {}
    for command in [*fenced, *examples(), *inside]:
        unique.setdefault((command.words, command.inline), command)
    return list(unique.values())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_every_block_names_its_language_and_is_well_formed(block: Block) -> None:
    assert block.language in LANGUAGES, f"expected one of {', '.join(LANGUAGES)} after the fence"
    if block.language in SHELL:
        done = subprocess.run(
            ["bash", "-n"], input=block.script(), text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def project(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with the method and the data sets that the pages add."""
    copy = copy_of_project(tmp_path_factory.mktemp("shown"), warm)
    new_method.write(NEW_METHOD, copy.folder)
    steps = [["-m", "cyclemix", "schema"], ["docs/examples/make_images.py", "scans", "--cases", "2"]]
    drafts = {c.words for c in shown() if c.words[:2] == ("cyclemix", "init") and not c.inline}
    names = {words[words.index("--name") + 1] for words in drafts}
    steps += [["-m", "cyclemix", "init", "scans", "--name", name] for name in sorted(names)]
    for words in steps:
        subprocess.run([warm, *words], cwd=copy.folder, check=True, capture_output=True)
    return copy


@pytest.mark.parametrize("command", shown(), ids=lambda c: f"{c.where}: {c}")
def test_every_command_is_one_that_exists(command: Command, project: Project) -> None:
    words = list(command.words)
    if words[:3] == ["python", "-m", "cyclemix"]:
        words = words[2:]
    program = words[0]
    if program not in EXTERNAL:
        assert program in CHECKS, f"{command.where}: cannot check {program!r}; teach this test"
        CHECKS[program](words[1:], command.inline, project)


def check_cyclemix(words: list[str], inline: bool, project: Project) -> None:
    """The command exists and takes these arguments; JSON is JSON."""
    words = spread([word for word in words if word != "--debug"])
    group = typer.main.get_command(app)
    if words[0] in ("COMMAND", "...", "--help"):
        return
    assert words[0] in group.commands, f"no command {words[0]!r}; known: {', '.join(group.commands)}"  # type: ignore[attr-defined]
    command = group.commands[words[0]]  # type: ignore[attr-defined]
    if inline:
        declared = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= declared
        return
    if "--help" not in words:
        command.make_context(words[0], words[1:])
    for word in words:
        if word.startswith("{"):
            json.loads(word)


def check_snakemake(words: list[str], inline: bool, project: Project) -> None:
    """Snakemake knows the options; a dry run in a clean copy finds the study and plans it."""
    words = [word.replace("NAME", NEW_METHOD).replace("FOLDER", ".") for word in words]
    if words == ["--version"]:
        return
    parsed = get_argument_parser().parse_args(words)
    for file in parsed.configfile or []:
        validate(Study, yaml.safe_load((project.folder / file).read_text()), str(file))
    if inline or NO_DRY_RUN & set(words):
        return
    cores = [] if parsed.cores else ["--cores", "2"]
    command = [project.python, "-m", "snakemake", *words, *cores, *([] if parsed.dryrun else ["--dry-run"])]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def check_make(words: list[str], inline: bool, project: Project) -> None:
    """The Makefile has the targets and reads the variables."""
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):", text, re.MULTILINE))
    for word in words:
        name, is_variable, _ = word.partition("=")
        if is_variable:
            assert f"$({name})" in text, f"the Makefile reads no variable {name}"
        else:
            assert name in targets, f"the Makefile has no target {name}"


def check_python(words: list[str], inline: bool, project: Project) -> None:
    """The script is there and declares the options; code on the line runs."""
    if words[0] == "-c":
        subprocess.run([sys.executable, *words], cwd=project.folder, check=True, capture_output=True)
        return
    script = ROOT / words[0]
    assert script.is_file(), f"no script {words[0]}"
    declared = set(re.findall(r'"(--[\w-]+)"', script.read_text())) | {"--help"}
    assert {word.split("=")[0] for word in words[1:] if word.startswith("--")} <= declared


def check_pytest(words: list[str], inline: bool, project: Project) -> None:
    """The paths are there."""
    assert all((ROOT / word).exists() for word in words if "/" in word)


CHECKS: dict[str, Callable[[list[str], bool, Project], None]] = {
    "cyclemix": check_cyclemix,
    "snakemake": check_snakemake,
    "make": check_make,
    "python": check_python,
    "pytest": check_pytest,
}


def test_an_unknown_command_or_option_is_noticed(project: Project) -> None:
    with pytest.raises(AssertionError, match="no command 'sgment'"):
        check_cyclemix(["sgment"], False, project)
    with pytest.raises(Exception, match="No such option"):
        check_cyclemix(["methods", "--jsn"], False, project)
    with pytest.raises(AssertionError, match="no target runn"):
        check_make(["runn"], False, project)
    with pytest.raises(AssertionError, match="no method 'cutmx'"):
        check_snakemake(["--config", "methods=[cutmx, cyclemix]"], False, project)
    with pytest.raises(AssertionError, match=r"no script docs/none\.py"):
        check_python(["docs/none.py"], False, project)


def test_lines_are_split_as_a_shell_would() -> None:
    line = "A=1 make run X=2 && cyclemix check a | tail -f b > c  # why; not"
    assert list(split(line)) == [("make", "run", "X=2"), ("cyclemix", "check", "a"), ("tail", "-f", "b")]
    (quoted,) = split("snakemake --config 'training={max_steps: 500}' \"a b\"")
    assert quoted == ("snakemake", "--config", "training={max_steps: 500}", "a b")


def test_a_block_that_is_run_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doc_commands.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("<!-- run -->\n```bash\nmake run\n```\n\n- in a list\n\n  ```\n  tail x\n  ```\n")
    first, second = blocks(page)
    assert (first.language, first.text, first.run, first.line) == ("bash", "make run\n", True, 2)
    assert (second.language, second.text, second.run, second.line) == ("", "tail x\n", False, 8)
