"""One undisturbed tiny study, run command by command: what every disturbed one is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import stages
from studies import copy_of_project, with_few_hearts


@dataclass
class Reference:
    """The finished study, its jobs, and what each file says.

    ``before[stage]``: a copy of the study's folder as the stage found it.
    """

    folder: Path
    before: dict[str, Path]
    jobs: dict[str, stages.Job]
    contents: dict[str, str]

    def wrong(self, folder: Path) -> list[str]:
        """Files under a final name that are not what they are in the undisturbed study."""
        names = [name for name in stages.results(folder) if not name.endswith(".part")]
        return sorted(n for n in names if stages.content(folder / n) != self.contents.get(n))

    def check_finished(self, job: stages.Job, folder: Path, answer: stages.Answer) -> None:
        """The stage came to its end: its files are there and right, and nothing half written lies about."""
        assert answer.status == 0, answer.text
        assert self.wrong(folder) == []
        assert job.made <= stages.files(folder)
        stray = sorted(name for name in stages.files(folder) if name.endswith(".part"))
        assert stray == [], "half-written files that nobody will remove"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stages.Server]:
    """Runs commands in forks."""
    made = stages.Server(tmp_path_factory.mktemp("server"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def reference(server: stages.Server, warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The undisturbed study; of the stages with several jobs the last one is put to the test."""
    top = tmp_path_factory.mktemp("reference")
    project = with_few_hearts(copy_of_project(top / "plan", warm))
    folder = top / "study"
    folder.mkdir()
    stages.copy(project.folder / "config", folder / "config")
    jobs = stages.planned(project)
    last = {job.stage: job for job in jobs}
    assert tuple(last) == stages.STAGES
    before: dict[str, Path] = {}
    for job in jobs:
        if job is last[job.stage]:
            before[job.stage] = stages.copy(folder, top / f"before_{job.stage}")
        there = stages.files(folder)
        done = server.run(folder, job.arguments)
        assert done.status == 0, f"{job.stage}: {done.text}"
        job.moments, job.seconds = done.moments, done.seconds
        job.made = {name for name in stages.results(folder) if name not in there}
        print(f"{job.stage}: {job.moments} moments, {job.seconds:.2f} s, {len(job.made)} files")
    contents = {name: stages.content(folder / name) for name in stages.results(folder)}
    return Reference(folder, before, last, contents)
