"""One MLflow store: its experiments and runs, and their synchronisation with the files."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cyclemix.config.models import Tracking
from cyclemix.files import layout
from cyclemix.files.atomic import replacing
from cyclemix.provenance.digests import file_digest
from cyclemix.tracking import model, record
from cyclemix.tracking.record import Point, RunKey, RunRecord
from cyclemix.tracking.sqlite import initialised, repoint, sqlite_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

FILES_TAG = "files_digest"
"""Tag with the digest of the uploaded artifacts."""

NOTE = """Compare methods: search `tags.stage = 'summary'`, chart view, `cv/dice_mean`.

One run per method over all folds and seeds (`tags.stage = 'summary'`), one per training
(`tags.stage = 'train'`), one with the tables and figures of {dataset} (`tags.stage = 'report'`).
A summary run holds the method's best model.

Metrics: `train/` and `val/` are curves over steps (validation on the training grid); `test/` (or
`val_native/` where the study evaluates on validation cases) is the final evaluation on the native grid, means
over patients; `cv/` are the values of `summary.csv`.

The files under `results/` are authoritative; this store mirrors them.
"""


def import_mlflow() -> type[MlflowClient]:
    """The client class, with short timeouts, so that an unreachable server costs seconds, not minutes.

    MLflow's own retries are disabled: a run whose creation timed out may exist, so it must be searched for
    before it is created again.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # failures are reported here
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # failures are reported here
    return MlflowClient


class Store:
    """One MLflow store."""

    def __init__(self, results: str | Path, tracking: Tracking, create: bool = False) -> None:
        """Connect.

        Args:
            create: create a missing sqlite store, upgrade one of an older MLflow; only without concurrent
                processes (several that create one store lose runs).

        Raises:
            RuntimeError: missing sqlite store.
        """
        self.uri = layout.tracking_uri(results, tracking.uri)
        self.prefix = tracking.experiment_prefix
        self._artifacts = layout.mlflow_dir(results).resolve() / "artifacts"
        self._experiments: dict[str, str] = {}
        database = sqlite_file(self.uri)
        if database is not None:
            ready = initialised(database)
            if create and not ready:
                _create(database)
            elif not ready:
                raise RuntimeError(f"{database}: no MLflow store; `cyclemix track-sync` creates it again")
        self.client = import_mlflow()(tracking_uri=self.uri)
        if database is not None and create and ready:
            _upgrade(self.uri)
        if database is not None and database.resolve() == layout.database(results):
            for folder in repoint(database, self._artifacts):
                log.warning("%s: moved or copied from %s; artifacts now lie beside it", database, folder)

    def experiment(self, dataset: str) -> str:
        """Id of the experiment ``{prefix}-{dataset}``, created if missing."""
        if dataset not in self._experiments:
            self._experiments[dataset] = self._experiment(f"{self.prefix}-{dataset}", dataset)
        return self._experiments[dataset]

    def _experiment(self, name: str, dataset: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            # a server chooses its own artifact location
            location = (self._artifacts / name).as_uri() if sqlite_file(self.uri) else None
            tags = {
                "mlflow.experimentKind": "custom_model_development",  # avoids the UI's GenAI mode
                "mlflow.note.content": NOTE.format(dataset=dataset),
            }
            try:
                return self.client.create_experiment(name, artifact_location=location, tags=tags)
            except MlflowException as error:  # another process was faster
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise error
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return found.experiment_id

    def find(self, key: RunKey) -> list[Run]:
        """The runs with the key's tags, newest first; more than one if a response was lost in an outage."""
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in key.tags.items())
        return list(self.client.search_runs([self.experiment(key.dataset)], wanted, max_results=100))

    def create(self, key: RunKey, tags: Mapping[str, str] | None = None, started: float | None = None) -> str:
        """A new run with the key's tags and name; returns its id."""
        source = {"mlflow.source.name": f"cyclemix {key.stage}", "mlflow.source.type": "LOCAL"}
        started_ms = int((time.time() if started is None else started) * 1000)
        run = self.client.create_run(
            self.experiment(key.dataset), started_ms, {**source, **(tags or {}), **key.tags}, key.name
        )
        return run.info.run_id

    def log(
        self, run_id: str, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """Write tags, parameters and metric points; MLflow splits them into as few calls as it allows."""
        from mlflow.entities import Metric, Param, RunTag

        self.client.log_batch(
            run_id,
            [Metric(key, value, when, step) for key, step, value, when in points],
            [Param(name, value) for name, value in params.items()],
            [RunTag(name, value) for name, value in tags.items()],
        )

    def history(self, run: Run, keys: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
        """(step, value) points of those ``keys`` that the run has."""
        present = [key for key in keys if key in run.data.metrics]
        return {
            key: [(m.step, m.value) for m in self.client.get_metric_history(run.info.run_id, key)]
            for key in present
        }

    def sync(self, shown: RunRecord) -> bool:
        """Synchronise the store with a record, adding only what is missing; True if anything was written.

        A run whose parameters or points contradict the record is replaced; user tags (notes) are copied to
        the new run.
        """
        runs = self.find(shown.key)
        there = self.history(runs[0], shown.metrics) if runs else {}
        right = bool(runs) and not record.contradicts(shown, runs[0].data.params, there)
        wrong = runs[1:] if right else runs
        for old in wrong:
            log.info("run %s differs from the files and is replaced", old.info.run_id)
            self.client.delete_run(old.info.run_id)  # marked as deleted; `mlflow gc` removes it
        if right:
            run = runs[0]
        else:
            tags = _others(runs[0].data.tags, shown) if runs else {}
            run, there = self.client.get_run(self.create(shown.key, tags, shown.started)), {}
        written = [self._sync_values(run, shown, there), self._sync_files(run, shown)]
        written.append(self._sync_end(run, shown))
        if shown.best is not None:
            written.append(model.sync(self.client, run, shown.best))
        return bool(wrong) or not right or any(written)

    def _sync_values(
        self, run: Run, shown: RunRecord, there: Mapping[str, Sequence[tuple[int, float]]]
    ) -> bool:
        points = record.missing_points(shown, there)
        params = {name: value for name, value in shown.params.items() if name not in run.data.params}
        tags = {name: value for name, value in shown.tags.items() if run.data.tags.get(name) != value}
        self.log(run.info.run_id, points, params, tags)
        inputs = run.inputs.dataset_inputs if run.inputs else []
        known = {(item.dataset.name, item.dataset.digest) for item in inputs}
        data = (shown.key.dataset, shown.data_digest[:36]) if shown.data_digest else None
        if data is not None and data not in known:
            self._log_dataset(run.info.run_id, *data)
            return True
        return bool(points or params or tags)

    def _log_dataset(self, run_id: str, dataset: str, digest: str) -> None:
        """Log the digest of the training data as an MLflow dataset of the run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": f"results/data/{dataset}"})
        entity = Dataset(dataset, digest, "local", source, None, None)
        self.client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])

    def _sync_files(self, run: Run, shown: RunRecord) -> bool:
        """Upload the artifacts unless they are there with the same digest; sets the digest tag last."""
        if not shown.artifacts:
            return False
        run_id, digest = run.info.run_id, file_digest([path for path, _ in shown.artifacts])
        if run.data.tags.get(FILES_TAG) == digest:
            folders = {folder for _, folder in shown.artifacts}
            there = {
                info.path for folder in folders for info in self.client.list_artifacts(run_id, folder or None)
            }
            if all(f"{folder}/{path.name}".lstrip("/") in there for path, folder in shown.artifacts):
                return False
        for path, folder in shown.artifacts:
            self.client.log_artifact(run_id, str(path), folder or None)
        self.client.set_tag(run_id, FILES_TAG, digest)
        return True

    def _sync_end(self, run: Run, shown: RunRecord) -> bool:
        last = max(shown.seconds.values(), default=0.0)
        end = None if shown.started is None else int((shown.started + last) * 1000)
        if run.info.status == "FINISHED" and end in (None, run.info.end_time):
            return False
        self.client.set_terminated(run.info.run_id, "FINISHED", end)
        return True


def _others(tags: Mapping[str, str], shown: RunRecord) -> dict[str, str]:
    """The tags of a run that a user set."""
    generated = {FILES_TAG, *shown.tags}
    return {
        name: value
        for name, value in tags.items()
        if name not in generated and (not name.startswith("mlflow.") or "note" in name)
    }


def _create(database: Path) -> None:
    """Create the tables in a temporary file and rename it: MLflow cannot use a half-created store.

    An existing file is not replaced; MLflow adds its tables or refuses it.
    """
    if not (database.is_file() and database.stat().st_size):
        with replacing(database) as partial:
            _upgrade(f"sqlite:///{partial}")


def _upgrade(uri: str) -> None:
    """Run ``mlflow db upgrade``, which creates the tables of an empty store or upgrades those there are."""
    import_mlflow()
    from mlflow.db import upgrade

    upgrade.main([uri], standalone_mode=False)
