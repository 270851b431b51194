"""The live mirror of a training: metrics are queued and sent by a background thread.

Training never waits for the store, and an outage is one warning. Points lost in an outage are restored from
the files after the evaluation (:func:`cyclemix.tracking.api.mirror_evaluation`).
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cyclemix.tracking.record import Point, RunKey, finite, flatten
from cyclemix.tracking.sqlite import first_line

if TYPE_CHECKING:
    from cyclemix.tracking.store import Store

log = logging.getLogger(__name__)

LEAST_WAIT_SECONDS, MOST_WAIT_SECONDS, WAIT_SHARE = 2.0, 60.0, 0.01
"""How long ``close`` waits for the store: this share of the training's time, within the bounds; the minimum
if the last call failed or the training was killed."""

RETRY_SECONDS = 30.0
"""Pause after a failed call."""

MOST_PENDING = 20_000
"""Points queued during an outage; older ones are dropped (they are in the files)."""


@dataclass
class _Pending:
    """Values not yet sent to the store."""

    points: list[Point] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    status: str | None = None

    def add(self, more: _Pending) -> None:
        self.points = (self.points + more.points)[-MOST_PENDING:]
        self.params |= more.params
        self.tags |= more.tags
        self.status = more.status or self.status


class RunMirror:
    """Reporter of one training: ``params``, ``tags``, ``metrics``, ``close``; none of them raises or blocks.

    A run with the key's tags is continued: points at steps that it has are skipped, so a resumed training
    adds nothing twice. A training that restarts at or before the run's first step replaces the run.
    """

    def __init__(self, key: RunKey, connect: Callable[[], Store]) -> None:
        """Start the thread, in which ``connect`` opens the store."""
        self._started = time.monotonic()
        self._queued = threading.Condition()
        self._pending = _Pending()
        self._sender = _Sender(key, connect)
        self._thread = threading.Thread(target=self._work, name=f"mirror {key.name}", daemon=True)
        self._thread.start()
        atexit.register(self.close, "KILLED")  # for a process that exits without `close`

    def params(self, values: Mapping[str, Any]) -> None:
        """Parameters, nested ones flattened; floats are rounded to six digits."""
        self._queue(_Pending(params=flatten(values)))

    def tags(self, values: Mapping[str, str]) -> None:
        """Tags, e.g. the provenance."""
        self._queue(_Pending(tags=flatten(values)))

    def metrics(self, values: Mapping[str, Any], step: int) -> None:
        """A row of the history; for the keys see :func:`cyclemix.tracking.record.metric_key`."""
        now = int(time.time() * 1000)
        points = [(name, int(step), value, now) for name, value in finite(values).items()]
        self._queue(_Pending(points))

    def close(self, status: str = "FINISHED") -> None:
        """Send the queue, end the run as ``FINISHED``, ``FAILED`` or ``KILLED``; later calls do nothing."""
        atexit.unregister(self.close)
        self._queue(_Pending(status=status))
        answers = status == "FINISHED" and not self._sender.failing
        share = WAIT_SHARE * (time.monotonic() - self._started) if answers else 0.0
        self._thread.join(min(MOST_WAIT_SECONDS, max(LEAST_WAIT_SECONDS, share)))

    def __enter__(self) -> RunMirror:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("FAILED" if issubclass(kind, Exception) else "KILLED")

    def _queue(self, news: _Pending) -> None:
        with self._queued:
            self._pending.add(news)
            self._queued.notify()

    def _work(self) -> None:
        while True:
            with self._queued:
                self._queued.wait_for(lambda: self._pending != _Pending())
                news, self._pending = self._pending, _Pending()
            self._sender.send(news)
            if news.status is not None:
                return


class _Sender:
    """The thread's side: values to send, and the known state of the run in the store."""

    def __init__(self, key: RunKey, connect: Callable[[], Store]) -> None:
        self.key, self._connect = key, connect
        self.failing = False
        self._warned = False
        self._retry_at = 0.0
        self._store: Store | None = None
        self._pending = _Pending()
        self._forget()

    def _forget(self) -> None:
        """Reset the known state of the run."""
        self._run_id: str | None = None
        self._first: int | None = None  # first step of the run when it was found
        self._last: dict[str, int] = {}  # last step by key
        self._known: dict[str, str] = {}  # its parameters

    def send(self, news: _Pending) -> None:
        """Send ``news`` and pending values; after a failure only after a pause, or at the end."""
        self._pending.add(news)
        if news.status is None and time.monotonic() < self._retry_at:
            return
        try:
            self._send()
            self.failing = False
        except Exception as error:  # noqa: BLE001 - training must go on
            self.failing = True
            self._retry_at = time.monotonic() + RETRY_SECONDS
            if not self._warned:
                self._warned = True
                text = "MLflow mirror of %s: %s; training continues, the files are complete"
                log.warning(text, self.key.name, first_line(error))

    def _send(self) -> None:
        points, params, status = self._pending.points, self._pending.params, self._pending.status
        if self._store is None:
            self._store = self._connect()
        if self._run_id is None:
            self._open(self._store)
        if self._first is not None and points and points[0][1] <= self._first:
            self._store.client.delete_run(str(self._run_id))
            self._forget()
            self._run_id = self._store.create(self.key)
        new = {name: value for name, value in params.items() if name not in self._known}
        fresh = [point for point in points if point[1] > self._last.get(point[0], -1)]
        self._store.log(str(self._run_id), fresh, new, self._pending.tags)
        self._known |= new
        self._pending = _Pending(status=status)
        if status is not None:
            self._store.client.set_terminated(str(self._run_id), status)

    def _open(self, store: Store) -> None:
        """Find the run and its points, or create it."""
        runs = store.find(self.key)
        if not runs:
            self._run_id = store.create(self.key)
            return
        run = runs[0]
        store.client.update_run(run.info.run_id, status="RUNNING")
        curves = [key for key in run.data.metrics if key.startswith(("train/", "val/"))]
        held = {key: [step for step, _ in points] for key, points in store.history(run, curves).items()}
        self._known = dict(run.data.params)
        self._last = {key: max(steps) for key, steps in held.items()}
        self._first = min((min(steps) for steps in held.values()), default=None)
        self._run_id = run.info.run_id
