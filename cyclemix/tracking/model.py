"""The best model of a method in the store: a self-contained MLflow model that segments NIfTI files."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cyclemix.networks import registry
from cyclemix.provenance.digests import ROOT, file_digest, sources
from cyclemix.tracking.record import BestModel

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.models import ModelSignature

LOADER = "cyclemix.tracking.segmenter"
"""Loader module in the bundled package."""

REQUIREMENTS = (
    "connected-components-3d",
    "h5py",
    "mlflow-skinny",
    "nibabel",
    "numpy",
    "pandas",
    "pydantic",
    "pyyaml",
    "simpleitk",
    "torch",
    "tqdm",
)
"""Requirements of the bundled modules and of loading them."""


def requirements() -> list[str]:
    """Pins of the installed versions, without build suffixes such as ``+cpu``."""
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in REQUIREMENTS]


def sync(client: MlflowClient, run: Run, best: BestModel) -> bool:
    """Make ``best`` the method's only logged model, that of a summary run; True if it was not."""
    digest, found = file_digest([best.path]), False
    wanted = f"name = '{best.method}'"
    for logged in list(client.search_logged_models([run.info.experiment_id], wanted, max_results=100)):
        same = logged.source_run_id == run.info.run_id and logged.tags.get("model_digest") == digest
        if same and str(logged.status) == "READY" and not found:
            found = True
        else:
            client.delete_logged_model(logged.model_id)
    if not found:
        _log(client, run, best, digest)
    return not found


def _log(client: MlflowClient, run: Run, best: BestModel, digest: str) -> None:
    """Log the MLflow model: weights, required modules of the package, pins, signature, an input example."""
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    params = {"fold": str(best.fold), "seed": str(best.seed), "best_val_dice": f"{best.val_dice:.4f}"}
    tags = {"method": best.method, "model_digest": digest}
    logged = client.create_logged_model(
        run.info.experiment_id, best.method, run.info.run_id, tags, params, "segmentation"
    )
    identity = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        run_id=run.info.run_id,
        model_id=logged.model_id,
    )
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's internal warnings
        folder, code = Path(scratch) / "model", Path(scratch) / "code"
        networks = [f"cyclemix.networks.{name}" for name in registry.names()]  # loaded by name
        for source in sources("cyclemix.tracking", LOADER, *networks):
            copy = code / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        mlflow.pyfunc.save_model(
            folder,
            loader_module=LOADER,
            data_path=str(best.path),
            code_paths=[str(code / "cyclemix")],
            pip_requirements=requirements(),
            signature=_signature(),
            input_example=pd.DataFrame({"image": ["stack.nii.gz"]}),
            mlflow_model=identity,
        )
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, 0)])


def _signature() -> ModelSignature:
    """A column of images in, the images and their segmentations out, and the options of the segmenter."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        Schema([ColSpec("string", "image")]),
        Schema([ColSpec("string", "image"), ColSpec("string", "segmentation")]),
        ParamSchema(
            [
                ParamSpec("output_dir", "string", "segmentations"),
                ParamSpec("test_time_augmentation", "boolean", True),
                ParamSpec("largest_component", "boolean", True),
                ParamSpec("device", "string", "auto"),
            ]
        ),
    )
