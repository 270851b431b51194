"""The MLflow mirror; the only module that imports mlflow.

Files are the truth. The mirror shows them: live while a run trains (:class:`RunMirror`), and completely
after each stage (:func:`mirror_evaluation`, :func:`mirror_summary`, :func:`mirror_figures`), which adds what
an outage left out and replaces what no longer agrees with the files. Nothing in here stops or slows a stage:
a failure is one warning in the log.

Who calls what: ``track-init`` -> :func:`init`; ``train`` -> ``with open_run(...) as reporter``;
``evaluate`` -> :func:`mirror_evaluation`; ``tabulate`` -> :func:`mirror_summary`; ``figures`` ->
:func:`mirror_figures`.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclemix import layout
from cyclemix.config import Tracking
from cyclemix.mirror import files, record
from cyclemix.mirror.live import RunMirror
from cyclemix.mirror.record import RunKey, RunRecord
from cyclemix.mirror.uri import first_line, initialised, sqlite_file, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["RunMirror", "Store", "init", "mirror_evaluation", "mirror_figures", "mirror_summary", "open_run"]

log = logging.getLogger(__name__)

LIMITS = {"metrics": 1000, "params": 100, "tags": 100}
"""Most items that MLflow takes in one call."""

NOTE = """Compare methods: search `tags.stage = 'summary'`, chart view, `cv/dice_mean`.

One run a method over all folds and seeds (`tags.stage = 'summary'`), one a training (`tags.stage = 'train'`),
one with the tables and figures of {dataset} (`tags.stage = 'report'`).

Metrics: `train/` and `val/` are curves over steps (validation on the training grid); `test/` (or
`val_native/` where the study evaluates on validation cases) is the final evaluation on the native grid, means
over patients; `cv/` are the values of `summary.csv`.

The files under `results/` are the truth; this store mirrors them.
"""


def _import_mlflow() -> type[MlflowClient]:
    """The client class, with time limits so short that a dead server costs seconds, not minutes."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # its retries; we warn once ourselves
    return MlflowClient


def _client(uri: str) -> MlflowClient:
    return _import_mlflow()(tracking_uri=uri)


class Store:
    """One MLflow store; every call names its experiment, so no run lands in ``Default``."""

    def __init__(self, results: str | Path, tracking: Tracking) -> None:
        """Connect.

        Raises:
            RuntimeError: a sqlite store that ``init`` has not created (several trainings that create one at
                the same time lose runs).
        """
        self.uri = layout.tracking_uri(results, tracking.uri)
        self.prefix = tracking.experiment_prefix
        self._artifacts = layout.mlflow_dir(results).absolute() / "artifacts"
        self._experiments: dict[str, str] = {}
        database = sqlite_file(self.uri)
        if database is not None and not initialised(database):
            raise RuntimeError(f"{database}: no MLflow store; run `cyclemix track-init` before any training")
        self.client = _client(self.uri)

    def experiment(self, dataset: str) -> str:
        """Id of the experiment ``{prefix}-{dataset}``, created where it is missing."""
        if dataset not in self._experiments:
            self._experiments[dataset] = _experiment(
                self.client, self.uri, f"{self.prefix}-{dataset}", dataset, self._artifacts
            )
        return self._experiments[dataset]

    def find(self, key: RunKey) -> Run | None:
        """The newest run with the key's tags."""
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in key.tags.items())
        runs = self.client.search_runs([self.experiment(key.dataset)], wanted, max_results=1)
        return runs[0] if runs else None

    def create(self, key: RunKey, tags: Mapping[str, str] | None = None, started: float | None = None) -> str:
        """A new run with the key's tags and name; returns its id."""
        source = {"mlflow.source.name": f"cyclemix {key.stage}", "mlflow.source.type": "LOCAL"}
        started_ms = int((time.time() if started is None else started) * 1000)
        run = self.client.create_run(
            self.experiment(key.dataset), started_ms, {**source, **(tags or {}), **key.tags}, key.name
        )
        return run.info.run_id

    def retire(self, run_id: str) -> None:
        """Move a run that no longer agrees with the files to MLflow's bin (``mlflow gc`` empties it)."""
        log.info("run %s no longer agrees with the files and is replaced", run_id)
        self.client.delete_run(run_id)

    def log(
        self,
        run_id: str,
        points: Sequence[tuple[str, int, float, int]] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write metric points (key, step, value, Unix time in ms), parameters and tags in few calls."""
        from mlflow.entities import Metric, Param, RunTag

        calls: dict[str, list[Any]] = {
            "metrics": [Metric(key, value, when, step) for key, step, value, when in points],
            "params": [Param(name, value) for name, value in (params or {}).items()],
            "tags": [RunTag(name, value) for name, value in (tags or {}).items()],
        }
        for kind, items in calls.items():
            for start in range(0, len(items), LIMITS[kind]):
                chunk: Any = {kind: items[start : start + LIMITS[kind]]}
                self.client.log_batch(run_id, **chunk)

    def log_dataset(self, run_id: str, dataset: str, digest: str) -> None:
        """Show the training data's digest in the run's ``Datasets`` column."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": f"results/data/{dataset}"})
        entity = Dataset(dataset, digest[:36], "local", source, None, None)
        self.client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])

    def history(self, run: Run, keys: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
        """Mirrored (step, value) points of those ``keys`` that the run has."""
        present = [key for key in keys if key in run.data.metrics]
        return {
            key: [(m.step, m.value) for m in self.client.get_metric_history(run.info.run_id, key)]
            for key in present
        }

    def sync(self, shown: RunRecord) -> str:
        """Make the store show a record, adding only what is missing; returns the run's id.

        A run whose parameters or points contradict the record is replaced; its other tags (notes a person
        wrote) move on to the new one.
        """
        run = self.find(shown.key)
        there = {} if run is None else self.history(run, list(shown.metrics))
        kept: dict[str, str] = {}
        if run is not None and record.contradicts(shown, run.data.params, there):
            kept = {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.") or "note" in k}
            self.retire(run.info.run_id)
            run, there = None, {}
        run_id = self.create(shown.key, kept, shown.started) if run is None else run.info.run_id
        params = {} if run is None else run.data.params
        self.log(
            run_id,
            record.missing_points(shown, there),
            {k: v for k, v in shown.params.items() if k not in params},
            shown.tags,
        )
        if shown.data_digest:
            self.log_dataset(run_id, shown.key.dataset, shown.data_digest)
        for path, folder in shown.artifacts:
            self.client.log_artifact(run_id, str(path), folder or None)
        self.client.set_terminated(run_id, "FINISHED", record.end_ms(shown))
        return run_id


def _experiment(client: MlflowClient, uri: str, name: str, dataset: str, artifacts: Path) -> str:
    """Id of experiment ``name``, made (with its note and folder) or restored where needed."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        location = (artifacts / name).as_uri() if sqlite_file(uri) else None  # a server decides itself
        tags = {
            "mlflow.experimentKind": "custom_model_development",  # else the UI opens in its GenAI mode
            "mlflow.note.content": NOTE.format(dataset=dataset),
        }
        try:
            return client.create_experiment(name, artifact_location=location, tags=tags)
        except MlflowException as error:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise error
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def _mirrored(what: str, action: Callable[[], Any]) -> bool:
    """Run ``action``; a failure becomes one warning, because the mirror must never end a stage."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - the mirror must not end a stage
        text = "MLflow mirror: %s failed (%s); the files are complete, repeat the stage to mirror it again"
        log.warning(text, what, first_line(error))
        return False
    return True


def init(results: str | Path, tracking: Tracking, datasets: Sequence[str], output: str | Path) -> None:
    """Create or upgrade the store and its experiments, then write the sentinel ``output`` (JSON).

    Runs once, alone, before any training: processes that create one sqlite store at the same time lose runs.
    A server that cannot be reached is a warning; the first run that reaches it then makes the experiments.
    """
    uri = layout.tracking_uri(results, tracking.uri)
    database = sqlite_file(uri)

    def create() -> None:
        if database is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
            if initialised(database):
                _upgrade(uri)
        client = _client(uri)
        root = layout.mlflow_dir(results).absolute() / "artifacts"
        for dataset in datasets:
            name = f"{tracking.experiment_prefix}-{dataset}"
            experiments[name] = _experiment(client, uri, name, dataset, root)

    experiments: dict[str, str] = {}
    ready = _mirrored(f"initialising {without_password(uri)}", create)
    sentinel = {"uri": without_password(uri), "ready": ready, "experiments": experiments}
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    Path(output).write_text(json.dumps(sentinel, indent=2) + "\n")


def _upgrade(uri: str) -> None:
    """Bring an older sqlite store to the installed MLflow's schema."""
    from mlflow.store.db import utils

    engine = utils.create_sqlalchemy_engine_with_retry(uri)
    utils._upgrade_db(engine)
    engine.dispose()


def open_run(
    results: str | Path,
    tracking: Tracking,
    config: str | Path,
    fold: int,
    seed: int,
    provenance: Mapping[str, Any] | None = None,
) -> RunMirror:
    """The reporter for one training; use it as a context manager, or call ``close`` at the end.

    Args:
        config: the method's ``config.json``; its digest, with data set, label, fold and seed, is the run's
            identity, so a resumed training continues its run.
        provenance: what ``provenance.json`` will hold (nested mappings are flattened into tags), where known.
    """
    key = files.run_key(Path(config), fold, seed)
    _mirrored("importing mlflow", _import_mlflow)  # here, not in the thread: imports of two threads can clash
    mirror = RunMirror(key, lambda: Store(results, tracking))
    mirror.params(files.run_params(Path(config), key))
    mirror.tags(files.provenance_tags(provenance or {}))
    return mirror


def mirror_evaluation(results: str | Path, tracking: Tracking, run_dir: str | Path, evaluate_on: str) -> bool:
    """Mirror one evaluated run from its folder: all that :func:`.files.read_run` finds.

    Call it after ``evaluate``, once the run's ``overlay.png`` is drawn: every PNG of the folder goes along.
    ``evaluate_on``: ``val`` or ``test``, the cases that ``metrics.csv`` holds. False on a failure.
    """
    folder = Path(run_dir)
    return _mirrored(str(folder), lambda: Store(results, tracking).sync(files.read_run(folder, evaluate_on)))


def mirror_summary(results: str | Path, tracking: Tracking, dataset: str) -> bool:
    """Mirror ``summary.csv`` as one run a method, and the tables as artifacts; False on a failure.

    Call it after ``tabulate``.
    """

    def write() -> None:
        store = Store(results, tracking)
        for summary in files.read_summary(Path(results), dataset):
            store.sync(summary)
        store.sync(files.read_report(Path(results), dataset))

    return _mirrored(f"summary of {dataset}", write)


def mirror_figures(results: str | Path, tracking: Tracking, dataset: str) -> bool:
    """Add the figures of a data set to its report run; False on a failure. Call it after ``figures``."""
    return _mirrored(
        f"figures of {dataset}",
        lambda: Store(results, tracking).sync(files.read_report(Path(results), dataset)),
    )
