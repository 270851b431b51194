"""The live mirror: what training tells arrives in order, once, and never at training's cost."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from cyclemix.tracking import live
from cyclemix.tracking.live import RunMirror
from cyclemix.tracking.record import RunKey

KEY = RunKey("mscmr", "cyclemix", 0, 1, "abc")


class FakeStore:
    """Remembers calls and their threads; the first ``failures`` calls that log something fail."""

    def __init__(self, held: dict[str, list[tuple[int, float]]] | None = None, failures: int = 0) -> None:
        self.held, self.failures = held, failures
        self.failed = threading.Event()
        self.calls: list[tuple[str, Any]] = []
        self.threads: set[int] = set()
        self.client = SimpleNamespace(
            update_run=lambda *a, **k: self.note("update", k),
            set_terminated=lambda run, status: self.note("end", status),
            delete_run=lambda run: self.note("delete", run),
        )

    def note(self, name: str, value: Any) -> None:
        self.threads.add(threading.get_ident())
        self.calls.append((name, value))

    def find(self, key: RunKey) -> list[Any]:
        self.note("find", key.name)
        if self.held is None:
            return []
        data = SimpleNamespace(params={}, metrics=dict.fromkeys(self.held, 0.0))
        return [SimpleNamespace(info=SimpleNamespace(run_id="old"), data=data)]

    def create(self, key: RunKey) -> str:
        self.note("create", key.name)
        return "new"

    def history(self, run: Any, keys: list[str]) -> dict[str, list[tuple[int, float]]]:
        return {key: (self.held or {})[key] for key in keys}

    def log(self, run_id: str, points: Any = (), params: Any = None, tags: Any = None) -> None:
        if self.failures:
            self.failures -= 1
            self.failed.set()
            raise ConnectionError("no route")
        self.note(run_id, [(key, step) for key, step, _, _ in points])

    @property
    def points(self) -> list[tuple[str, int]]:
        return [point for name, value in self.calls if name in ("old", "new") for point in value]


class Hanging:
    """Connects to ``store``, but does not answer until it is released."""

    def __init__(self, store: FakeStore) -> None:
        self.store = store
        self.called, self.released = threading.Event(), threading.Event()

    def __call__(self) -> FakeStore:
        self.called.set()
        self.released.wait()
        return self.store


def test_a_training_that_starts_again_replaces_its_run() -> None:
    store = FakeStore({"train/loss": [(10, 1.0), (20, 0.5)]})
    mirror = RunMirror(KEY, lambda: store)
    mirror.metrics({"loss": 2.0}, 10)
    mirror.close()
    assert ("delete", "old") in store.calls
    assert store.points == [("train/loss", 10)]
    assert ("end", "FINISHED") in store.calls


def test_a_resumed_training_skips_what_the_run_holds() -> None:
    store = FakeStore({"train/loss": [(10, 1.0), (20, 0.5)]})
    mirror = RunMirror(KEY, lambda: store)
    for step in (20, 30):
        mirror.metrics({"loss": 2.0}, step)
    mirror.close()
    assert store.points == [("train/loss", 30)]
    assert not [name for name, _ in store.calls if name in ("create", "delete")]


def test_an_outage_is_one_warning_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    store = FakeStore(failures=1)
    mirror = RunMirror(KEY, lambda: store)
    mirror.metrics({"loss": 1.0}, 0)
    assert store.failed.wait(10)
    for step in range(1, 50):
        mirror.metrics({"loss": 1.0}, step)
    mirror.close("KILLED")  # tries once more
    assert [step for _, step in store.points] == list(range(50))
    assert store.calls[-1] == ("end", "KILLED")
    assert len([r for r in caplog.records if "training continues" in r.getMessage()]) == 1


def test_a_run_whose_creation_was_not_answered_is_looked_for_before_it_is_created_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.0)
    store = FakeStore()
    created = store.create

    def create_without_answer(key: RunKey) -> str:
        created(key)
        store.held = {}
        store.failed.set()
        raise TimeoutError("no answer")

    monkeypatch.setattr(store, "create", create_without_answer)
    mirror = RunMirror(KEY, lambda: store)
    mirror.metrics({"loss": 1.0}, 1)
    assert store.failed.wait(10)
    mirror.close()
    assert [name for name, _ in store.calls] == ["find", "create", "find", "update", "old", "end"]


def test_a_dead_store_never_raises_nor_delays(caplog: pytest.LogCaptureFixture) -> None:
    def connect() -> FakeStore:
        raise ConnectionError("refused")

    mirror = RunMirror(KEY, connect)
    for step in range(1000):
        mirror.metrics({"loss": 1.0}, step)
    mirror.close("FAILED")
    mirror.close("FAILED")
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    assert "ConnectionError: refused" in caplog.text


def test_rows_cost_no_call_in_the_training_thread() -> None:
    store = FakeStore()
    mirror = RunMirror(KEY, lambda: store)
    for step in range(200):
        mirror.metrics({"loss": 1.0}, step)
    mirror.close()
    assert [step for _, step in store.points] == list(range(200))
    assert threading.get_ident() not in store.threads
    assert [name for name, _ in store.calls].count("new") <= 201  # at most one call a row, fewer when slow


def test_rows_that_pile_up_before_a_store_that_hangs_are_bounded_and_go_out_in_one_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "MOST_PENDING", 100)
    store = FakeStore()
    connect = Hanging(store)
    mirror = RunMirror(KEY, connect)
    mirror.params({"fold": 0})
    assert connect.called.wait(10)
    for step in range(1000):  # returns though nothing is sent
        mirror.metrics({"loss": 1.0}, step)
    assert len(mirror._pending.points) == 100
    connect.released.set()
    mirror.close()
    assert [step for _, step in store.points] == list(range(900, 1000))
    assert [name for name, _ in store.calls].count("new") == 2


@pytest.mark.parametrize(
    ("trained_seconds", "status", "failing", "wait"),
    [
        (10, "FINISHED", False, 2),
        (1000, "FINISHED", False, 10),  # 1 % of the training
        (100_000, "FINISHED", False, 60),
        (1000, "FINISHED", True, 2),
        (1000, "KILLED", False, 2),
    ],
)
def test_the_end_of_a_training_waits_for_a_share_of_its_time_at_most(
    trained_seconds: float, status: str, failing: bool, wait: float
) -> None:
    connect = Hanging(FakeStore())
    mirror = RunMirror(KEY, connect)
    waited: list[float] = []
    thread, mirror._thread = mirror._thread, SimpleNamespace(join=waited.append)  # type: ignore[assignment]
    mirror._started = time.monotonic() - trained_seconds
    mirror._sender.failing = failing
    mirror.close(status)
    assert waited == [pytest.approx(wait, abs=0.1)]
    connect.released.set()
    thread.join()


def test_an_error_in_the_block_ends_the_run_as_failed() -> None:
    store = FakeStore()
    with pytest.raises(FloatingPointError), RunMirror(KEY, lambda: store):
        raise FloatingPointError("step 3")
    assert ("end", "FAILED") in store.calls


FORGETFUL = """
from types import SimpleNamespace
from cyclemix.tracking.live import RunMirror
from cyclemix.tracking.record import RunKey

ends = SimpleNamespace(set_terminated=lambda run, status: print(run, status, flush=True))
store = SimpleNamespace(client=ends, find=lambda key: [], create=lambda key: "r1", log=lambda *given: None)
RunMirror(RunKey("d", "m", 0, 0), lambda: store).metrics({"loss": 1.0}, 1)
"""


def test_a_process_that_ends_without_a_word_leaves_no_running_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORGETFUL], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "r1 KILLED\n"


HANGING = """
import threading
from cyclemix.tracking.live import RunMirror
from cyclemix.tracking.record import RunKey

mirror = RunMirror(RunKey("d", "m", 0, 0), lambda: threading.Event().wait())
mirror.metrics({"loss": 1.0}, 1)
mirror.close()
print("trained", flush=True)
"""


def test_a_process_ends_though_its_store_never_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "trained\n"
