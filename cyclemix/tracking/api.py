"""Mirror of the results files in an MLflow store, called by the stages.

The files are authoritative. They are mirrored live during training (:class:`RunMirror`), after each stage
(:func:`mirror_evaluation`, :func:`mirror_summary`, :func:`mirror_figures`), or for a whole results folder
(:func:`sync`), which adds what an outage left out and replaces runs that differ from the files. A failure
never stops or slows a stage: it is one warning in the log.

Callers: ``track-init`` -> :func:`init`; ``train`` -> ``with open_run(...) as reporter``; ``evaluate`` and
``run-figures`` -> :func:`mirror_evaluation`; ``tabulate`` -> :func:`mirror_summary`; ``figures`` ->
:func:`mirror_figures`; ``track-sync`` -> :func:`sync`.

MLflow is imported only in ``cyclemix/tracking/store.py`` and ``model.py``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cyclemix.config.models import Tracking
from cyclemix.files import layout
from cyclemix.files.atomic import write_text
from cyclemix.files.urls import without_password
from cyclemix.tracking import from_files
from cyclemix.tracking.live import RunMirror
from cyclemix.tracking.record import RunRecord
from cyclemix.tracking.sqlite import first_line, remedy
from cyclemix.tracking.store import Store, import_mlflow

log = logging.getLogger(__name__)

Reader = Callable[[], list[RunRecord]]

MOST_FAILURES = 3
"""Consecutive failures after which :func:`sync` stops."""


def _mirrored(what: str, action: Callable[[], Any]) -> bool:
    """Run ``action``; a failure is logged as one warning, because the mirror must never end a stage."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - the mirror must not end a stage
        text = "MLflow mirror: %s failed (%s); the files are complete, mirror them with `cyclemix track-sync`"
        log.warning(text, what, first_line(error))
        return False
    return True


def init(results: Path, tracking: Tracking, datasets: Sequence[str], output: Path) -> None:
    """Create or upgrade the store and its experiments, then write the sentinel ``output`` (JSON).

    Must run once before any training: processes that create one sqlite store concurrently lose runs. An
    unreachable server is a warning; the first run that reaches it creates the experiments.
    """
    experiments: dict[str, str] = {}

    def create() -> None:
        store = Store(results, tracking, create=True)
        experiments.update({f"{store.prefix}-{name}": store.experiment(name) for name in datasets})

    uri = without_password(layout.tracking_uri(results, tracking.uri))
    ready = _mirrored(f"initialising {uri}", create)
    sentinel = {"uri": uri, "ready": ready, "experiments": experiments}
    write_text(output, json.dumps(sentinel, indent=2) + "\n")


def open_run(results: Path, tracking: Tracking, config: Path, fold: int, seed: int) -> RunMirror:
    """The reporter for one training; use it as a context manager, or call ``close`` at the end.

    Args:
        config: the method's ``config.json``; its digest, data set, label, fold and seed identify the run, so
            that a resumed training continues it.
    """
    key = from_files.run_key(config, fold, seed)
    _mirrored("importing mlflow", import_mlflow)  # here, not in the thread: imports of two threads can clash
    mirror = RunMirror(key, lambda: Store(results, tracking))
    mirror.params(from_files.run_params(config, key))
    early = partial(from_files.early_provenance, config)
    _mirrored("provenance", lambda: mirror.tags(from_files.provenance_tags(early())))
    return mirror


def mirror_evaluation(results: Path, tracking: Tracking, run_dir: Path) -> bool:
    """Mirror one evaluated run from its folder, see :func:`.from_files.read_run`; False on a failure.

    Called after ``evaluate``, and again after ``run-figures``: every PNG of the folder is an artifact.
    """
    return _mirror(str(run_dir), results, tracking, lambda: [from_files.read_run(results, run_dir)])


def mirror_summary(results: Path, tracking: Tracking, dataset: str) -> bool:
    """Mirror ``summary.csv`` as one run per method with its best model, and the tables as artifacts.

    Called after ``tabulate``. False on a failure.
    """

    def read() -> list[RunRecord]:
        return [*from_files.read_summary(results, dataset), from_files.read_report(results, dataset)]

    return _mirror(f"summary of {dataset}", results, tracking, read)


def mirror_figures(results: Path, tracking: Tracking, dataset: str) -> bool:
    """Add the figures of a data set to its report run; False on a failure. Called after ``figures``."""
    what = f"figures of {dataset}"
    return _mirror(what, results, tracking, lambda: [from_files.read_report(results, dataset)])


def _mirror(name: str, results: Path, tracking: Tracking, read: Reader) -> bool:
    return _mirrored(name, lambda: list(map(Store(results, tracking).sync, read())))


def sync(results: Path, tracking: Tracking) -> None:
    """Synchronise the store with every finished run, summary and report under ``results``; idempotent.

    Creates a missing store; no other process may create it at the same time. A run that cannot be mirrored
    is skipped with a warning.

    Raises:
        ValueError: there is no run, the store cannot be reached, or a run could not be mirrored.
    """
    uri = without_password(layout.tracking_uri(results, tracking.uri))
    datasets = sorted({path.parent.parent.name for path in results.glob("runs/*/*/config.json")})
    if not datasets:
        raise ValueError(f"{results}: no run to mirror; expected runs/DATASET/METHOD/config.json below it")
    try:
        store = Store(results, tracking, create=True)
        for dataset in datasets:
            store.experiment(dataset)
    except Exception as error:  # noqa: BLE001 - re-raised as a readable message
        raise ValueError(
            f"{uri}: MLflow store not reachable ({first_line(error)}); {remedy(uri, error)}"
        ) from None
    items = [item for dataset in datasets for item in _readers(results, dataset)]
    failed, written = _sync_all(store, items)
    if failed:
        raise ValueError(
            f"{uri}: {failed} of {len(items)} could not be mirrored; fix the problems listed above, then "
            "rerun"
        )
    log.info("%s: %d runs written, all other runs were up to date", uri, written)


def _readers(results: Path, dataset: str) -> Iterator[tuple[str, Reader]]:
    """Everything to mirror of a data set: name and reader."""
    for run_dir in from_files.finished_runs(results, dataset):
        yield str(run_dir), partial(lambda folder: [from_files.read_run(results, folder)], run_dir)
    if (layout.table_dir(results, dataset) / "summary.csv").is_file():
        yield f"summary of {dataset}", lambda: from_files.read_summary(results, dataset)
    if from_files.read_report(results, dataset).artifacts:
        yield f"report of {dataset}", lambda: [from_files.read_report(results, dataset)]


def _sync_all(store: Store, items: Sequence[tuple[str, Reader]]) -> tuple[int, int]:
    """Numbers of items that failed or were not tried, and of runs written."""
    changed: list[bool] = []
    done, failures = 0, 0
    for name, read in items:
        ok = _mirrored(name, partial(lambda read: changed.extend(map(store.sync, read())), read))
        done, failures = done + ok, 0 if ok else failures + 1
        if failures == MOST_FAILURES:
            break
    return len(items) - done, sum(changed)
