"""A trained model on new NIfTI images, with the preparation that it was trained with."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from cyclemix.config import Inference, Training
from cyclemix.data.native import read_image
from cyclemix.data.prepare import normalise
from cyclemix.data.resample import make_geometry
from cyclemix.device import acquire
from cyclemix.inference import load_model, save_labels, segment_volume
from cyclemix.strict import ConfigError

log = logging.getLogger(__name__)


def output_name(image: Path) -> str:
    """``{stem}.nii.gz``, the segmentation's name."""
    return image.name.removesuffix(".gz").removesuffix(".nii") + ".nii.gz"


def run(
    model: Path, images: Sequence[Path], output_dir: Path, inference: Inference, execution: Training
) -> None:
    """Write ``{stem}.nii.gz`` (uint8 labels, 1 + position in the model's classes) for every image.

    Args:
        model: ``model.pt``.
        images: short-axis stacks as NIfTI, slices along the third axis.

    Raises:
        DataError: an image that cannot be trusted (truncated, not finite, not three-dimensional, constant).
        ConfigError: two images of one name.
    """
    names = [output_name(image) for image in images]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{output_dir}: several images are named {', '.join(twice)}; segment them apart")
    output_dir.mkdir(parents=True, exist_ok=True)
    with acquire(execution.device, execution.jobs_per_gpu) as device:
        net, config = load_model(model, device)
        for name, path in tqdm(list(zip(names, images, strict=True)), unit="image", disable=None):
            native, spacing_mm, header = read_image(path)
            depth, height, width = native.shape
            geometry = make_geometry((depth, height, width), spacing_mm, header, config.grid)
            image = normalise(native, geometry, config.grid.crop_px, str(path))
            slices = torch.from_numpy(image)[:, None].to(device)
            labels = segment_volume(net, slices, geometry, inference, config.training.precision)
            save_labels(output_dir / name, labels.cpu().numpy(), header)
    values = ", ".join(f"{i} {name}" for i, name in enumerate(config.classes, start=1))
    log.info("%s: %d segmentations (0 background, %s)", output_dir, len(names), values)
