"""SIGKILL and SIGTERM at random moments of every stage: nothing half written, and the rerun is right."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest
import stages

KILLS = 20
"""Kills of each stage."""

IN_A_ROW = 10
"""Kills before the stage may end undisturbed."""

SIGTERM_STATUS = (-signal.SIGTERM, 128 + signal.SIGTERM)
"""Died of it, or (a training, which writes a checkpoint first) ended with the status that a shell shows."""


def fault(draw: random.Random, job: stages.Job) -> dict[str, Any]:
    """A random file operation of the stage, or a random time of it, with one of the signals."""
    found: dict[str, Any] = {"signal": draw.choice((signal.SIGKILL, signal.SIGTERM)), "seed": draw.random()}
    if draw.random() < 0.7:
        return {**found, "moment": draw.randint(1, job.moments)}
    return {**found, "after": draw.uniform(0.02, 0.9) * job.seconds}


def check_killed(answer: stages.Answer, kind: dict[str, Any]) -> None:
    """Exit status and message of a killed command."""
    if kind["signal"] == signal.SIGKILL:
        assert answer.status == -signal.SIGKILL, answer.text
        return
    assert answer.status in SIGTERM_STATUS, answer.text
    # A signal at a random time may come before the command line has set its handler.
    assert "the same command" in answer.text or "after" in kind, answer.text


@pytest.mark.parametrize("stage", stages.STAGES)
def test_killed_at_random_moments(stage: str, server: Any, reference: Any, tmp_path: Path) -> None:
    job, folder = reference.jobs[stage], tmp_path / "study"
    draw = random.Random(f"{stage} 1")
    killed = 0
    while killed < KILLS:
        stages.copy(reference.before[stage], folder)
        for _ in range(IN_A_ROW):
            kind = fault(draw, job)
            answer = server.run(folder, job.arguments, **kind)
            if answer.status != 0:  # else it came to its end before its moment
                check_killed(answer, kind)
                killed += 1
            assert reference.wrong(folder) == [], f"half written or wrong after {kind}"
        reference.check_finished(job, folder, server.run(folder, job.arguments))
