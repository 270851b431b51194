"""The SLURM profile as the installed Snakemake and plugin read it; no cluster is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser
from studies import Project, announced

PROFILE = Path("workflow/profiles/slurm/config.yaml")
LOCAL = {"all", "split", "resolve", "track_init", "ranking"}
GPU_RULES = {"train", "predict"}


@pytest.fixture(scope="module")
def planned(clean_project: Project) -> dict[str, dict[str, str]]:
    """What a dry run through the profile gives each rule: ``{"train": {"threads": "4", "gpu": "1"}}``."""
    options = ("--cores", "100", "--workflow-profile", str(PROFILE.parent))
    found = {}
    for rule, details in announced(clean_project.dry_run(*options, config=())):
        given = dict(re.findall(r"(\w+)=([^,\n]*)", details.split("resources:")[1]))
        threads = re.search(r"threads: (\d+)", details)
        found[rule] = given | {"threads": threads[1] if threads else "1"}
    return found


def test_the_installed_snakemake_and_plugin_know_every_option(repository: Path) -> None:
    known = get_argument_parser()._option_string_actions
    profile = yaml.safe_load((repository / PROFILE).read_text())
    assert [key for key in profile if f"--{key}" not in known] == []
    commented = re.findall(r"^# (slurm-[\w-]+):", (repository / PROFILE).read_text(), re.MULTILINE)
    assert commented == ["slurm-array-jobs", "slurm-array-limit"]
    assert [key for key in commented if f"--{key}" not in known] == []


def test_a_user_edits_five_lines(repository: Path) -> None:
    lines = (repository / PROFILE).read_text().splitlines()
    numbered = {
        mark[1]: line.split(":")[0].strip() for line in lines if (mark := re.search(r"# (\d): ", line))
    }
    expected = ["slurm_partition", "slurm_account", "slurm_partition", "slurm-status-command", "jobs"]
    assert list(numbered.values()) == expected
    page = (repository / "docs" / "how-to" / "cluster.md").read_text()
    assert re.findall(r"^\| (\d) `([\w-]+)", page, re.MULTILINE) == [*numbered.items()]


def test_arrays_are_off_because_the_plugin_loses_jobs(repository: Path) -> None:
    profile = yaml.safe_load((repository / PROFILE).read_text())
    assert "slurm-array-jobs" not in profile or profile["jobs"] == "unlimited"


def test_retries_stand_in_the_profile_alone(repository: Path) -> None:
    assert yaml.safe_load((repository / PROFILE).read_text())["restart-times"] == 3
    for path in [*(repository / "rules").glob("*.smk"), repository / "Snakefile"]:
        assert "retries:" not in path.read_text(), (
            f"{path.name}: retries of a rule multiply with the profile's"
        )


def test_every_submitted_rule_states_what_slurm_asks_for(planned: dict[str, dict[str, str]]) -> None:
    submitted = planned.keys() - LOCAL
    assert submitted == {
        *("download", "prepare", "train", "predict", "evaluate", "run_figures", "tabulate", "figures")
    }
    for rule in submitted:
        assert int(planned[rule]["mem_mb"]) > 0, rule
        assert int(planned[rule]["runtime"]) > 0, rule
        gpu = rule in GPU_RULES
        assert planned[rule].get("gpu") == ("1" if gpu else None), rule
        assert planned[rule]["slurm_partition"] == ("gpu" if gpu else "cpu"), rule
    assert planned["train"]["slurm_extra"] == "--signal=TERM@120"


def test_the_page_tells_what_the_rules_ask_for(planned: dict[str, dict[str, str]], repository: Path) -> None:
    page = (repository / "docs" / "how-to" / "cluster.md").read_text()
    row = r"^\| `(\w+)` \| [^|]* \| (CPU|GPU) \| (\d+) \| (\d+) \| (\d+) \|$"
    told = {rule: tuple(values) for rule, *values in re.findall(row, page, re.MULTILINE)}
    keys = ("threads", "mem_mb", "runtime")
    assert told == {
        rule: ("GPU" if rule in GPU_RULES else "CPU", *(planned[rule][key] for key in keys))
        for rule in planned.keys() - LOCAL
    }
