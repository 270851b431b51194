"""The live mirror of a training: a queue that training fills and a thread that empties it.

Training never waits for the store: calls return at once, the thread sends what has piled up, and an outage
is one warning. What is lost in an outage comes back from the files after the evaluation
(:func:`cyclemix.tracking.mirror_evaluation`).
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol

from cyclemix.mirror.record import RunKey, finite, flatten
from cyclemix.mirror.uri import first_line

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""Longest wait of ``close`` for a store that answers."""

RETRY_SECONDS = 30.0
"""Pause after a failed call."""

MOST_PENDING = 20_000
"""Points kept during an outage; older ones are dropped (the files have them)."""

Point = tuple[str, int, float, int]


class StoreLike(Protocol):
    """What the mirror needs of :class:`cyclemix.tracking.Store`."""

    client: Any

    def find(self, key: RunKey) -> Any: ...
    def create(self, key: RunKey) -> str: ...
    def retire(self, run_id: str) -> None: ...
    def history(self, run: Any, keys: list[str]) -> dict[str, list[tuple[int, float]]]: ...
    def log(self, run_id: str, points: Any = (), params: Any = None, tags: Any = None) -> None: ...


class RunMirror:
    """Reporter of one training: ``params``, ``tags``, ``metrics``, ``close``; none of them raises or waits.

    A run with the key's tags is continued: points at steps that it holds are skipped, so a training that
    resumes from a checkpoint adds nothing twice. A training that starts again at or before the run's first
    step replaces it.
    """

    def __init__(self, key: RunKey, connect: Callable[[], StoreLike]) -> None:
        """Start the thread; ``connect`` opens the store there."""
        self.key = key
        self._connect = connect
        self._queue: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._sender = _Sender(key, connect)
        self._thread = threading.Thread(target=self._work, name=f"mirror {key.name}", daemon=True)
        self._thread.start()
        atexit.register(self.close, "KILLED")  # for a process that ends without a word

    def params(self, values: Mapping[str, Any]) -> None:
        """Parameters, nested ones flattened; floats are rounded to six digits."""
        self._queue.put(("params", flatten(values)))

    def tags(self, values: Mapping[str, str]) -> None:
        """Tags, e.g. the provenance."""
        self._queue.put(("tags", flatten(values)))

    def metrics(self, values: Mapping[str, Any], step: int) -> None:
        """A row of the history; columns become keys as :func:`cyclemix.mirror.record.metric_key` says."""
        now = int(time.time() * 1000)
        self._queue.put(("points", [(name, int(step), value, now) for name, value in finite(values).items()]))

    def close(self, status: str = "FINISHED") -> None:
        """Send the rest and end the run as ``FINISHED``, ``FAILED`` or ``KILLED``; later calls do nothing."""
        atexit.unregister(self.close)
        self._queue.put(("close", status))
        self._thread.join(2.0 if self._sender.failing else PATIENCE_SECONDS)

    def __enter__(self) -> RunMirror:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("FAILED" if issubclass(kind, Exception) else "KILLED")

    def _work(self) -> None:
        closing = False
        while not closing:
            items = [self._queue.get()]
            while not self._queue.empty():
                items.append(self._queue.get())
            for kind, value in items:
                self._sender.add(kind, value)
                closing = closing or kind == "close"
            self._sender.flush(last=closing)


class _Sender:
    """What waits to be sent, and the state of the store as far as it is known."""

    def __init__(self, key: RunKey, connect: Callable[[], StoreLike]) -> None:
        self.key, self._connect = key, connect
        self.failing = False
        self._warned = False
        self._retry_at = 0.0
        self._store: StoreLike | None = None
        self._run_id: str | None = None
        self._first: int | None = None  # first and last step that the found run holds, by key
        self._last: dict[str, int] = {}
        self._points: list[Point] = []
        self._params: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._known: dict[str, str] = {}
        self._status: str | None = None

    def add(self, kind: str, value: Any) -> None:
        if kind == "points":
            self._points = (self._points + value)[-MOST_PENDING:]
        elif kind == "params":
            self._params |= value
        elif kind == "tags":
            self._tags |= value
        else:
            self._status = value

    def flush(self, last: bool) -> None:
        """Send what waits; after a failure only when the pause is over."""
        if not last and time.monotonic() < self._retry_at:
            return
        try:
            self._send()
            self.failing = False
        except Exception as error:  # noqa: BLE001 - training must go on
            self.failing = True
            self._retry_at = time.monotonic() + RETRY_SECONDS
            if not self._warned:
                self._warned = True
                text = "MLflow mirror of %s: %s; training goes on, the files are complete"
                log.warning(text, self.key.name, first_line(error))

    def _send(self) -> None:
        if self._store is None:
            self._store = self._connect()
        if self._run_id is None:
            self._run_id = self._open(self._store)
        if self._first is not None and self._points and self._points[0][1] <= self._first:
            self._store.retire(self._run_id)
            self._run_id, self._first, self._last, self._known = self._store.create(self.key), None, {}, {}
        points = [point for point in self._points if point[1] > self._last.get(point[0], -1)]
        params = {name: value for name, value in self._params.items() if name not in self._known}
        self._store.log(self._run_id, points, params, self._tags)
        self._known |= params
        self._points, self._params, self._tags = [], {}, {}
        if self._status is not None:
            self._store.client.set_terminated(self._run_id, self._status)

    def _open(self, store: StoreLike) -> str:
        """Id of the run to write to; of an earlier one, what it holds already."""
        run = store.find(self.key)
        if run is None:
            return store.create(self.key)
        store.client.update_run(run.info.run_id, status="RUNNING")
        self._known = dict(run.data.params)
        curves = [key for key in run.data.metrics if key.startswith(("train/", "val/"))]
        for key, points in store.history(run, curves).items():
            steps = [step for step, _ in points]
            self._last[key] = max(steps)
            self._first = min(steps) if self._first is None else min(self._first, *steps)
        return str(run.info.run_id)
