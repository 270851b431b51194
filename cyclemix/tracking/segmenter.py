"""Loader module (``loader_module``) of logged models for `mlflow.pyfunc`.

It is logged with the weights, so that the model can be loaded without this project.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cyclemix.config.models import Inference
from cyclemix.inference import segment


class Segmenter:
    """Segments NIfTI files with one ``model.pt``."""

    def __init__(self, model: Path) -> None:
        self.model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Write ``{stem}.nii.gz`` for every image, as ``cyclemix segment`` does.

        Args:
            model_input: column ``image``, paths of short-axis stacks (.nii or .nii.gz).
            params: ``output_dir`` (created if missing; default "segmentations"), ``test_time_augmentation``,
                ``largest_component`` (both True) and ``device`` ("auto").

        Returns:
            ``image`` as given, and ``segmentation``, the absolute path of the uint8 labels in its geometry.

        Raises:
            DataError: invalid image.
            ConfigError: two images with the same name.
        """
        given = dict(params or {})
        folder = Path(given.pop("output_dir", "segmentations")).absolute()
        device = given.pop("device", "auto")
        images = [Path(image) for image in model_input["image"]]
        segment.run([self.model], images, folder, Inference(**given), device)
        paths = [str(folder / f"{segment.stem(image)}.nii.gz") for image in images]
        return pd.DataFrame({"image": [str(image) for image in model_input["image"]], "segmentation": paths})


def _load_pyfunc(data_path: str) -> Segmenter:
    return Segmenter(Path(data_path))
