"""Segment new images with trained models; results in the images' geometry."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from cyclemix.config.models import Inference
from cyclemix.config.strict import ConfigError
from cyclemix.data.outputs import is_marked, refuse_foreign
from cyclemix.data.prepare import normalise
from cyclemix.data.readers.native import DataError, read_image
from cyclemix.data.readers.roles import labels_beside_images
from cyclemix.data.readers.volumes import SUFFIXES, files_in, is_volume, stem
from cyclemix.data.resample import make_geometry
from cyclemix.data.store import Geometry
from cyclemix.files.atomic import write_text
from cyclemix.files.locks import exclusive_file
from cyclemix.inference.device import acquire
from cyclemix.inference.domain import measure, out_of_distribution, union
from cyclemix.inference.export import save_labels, save_map
from cyclemix.inference.model_file import Model, load_model
from cyclemix.inference.postprocess import clean
from cyclemix.inference.precision import resolve
from cyclemix.inference.predictor import CHUNK, most_likely, probabilities, to_native

log = logging.getLogger(__name__)

MM3_PER_ML = 1000.0
VOLUMES = "volumes.csv"
MOST_NAMES = 6
"""Limit of file names listed in a message."""
COLUMNS = ("image", "structure", "volume_ml", "outside_domain")


@dataclass(frozen=True)
class Segmented:
    """One finished image: its name, grey values and labels (D,H,W), spacing (dz,dy,dx), volumes."""

    name: str
    image: np.ndarray
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]
    volumes: pd.DataFrame


@dataclass(frozen=True)
class _Image:
    """A native image, and its versions prepared for the models."""

    native: np.ndarray
    spacing_mm: tuple[float, float, float]
    header: bytes
    prepared: dict[str, tuple[np.ndarray, Geometry]]
    """By grid name."""
    warnings: list[str]


def run(
    models: Sequence[Path],
    images: Sequence[Path],
    output_dir: Path,
    inference: Inference,
    device: str = "auto",
    maps: Collection[str] = (),
    show: Sequence[Callable[[Segmented], None]] = (),
) -> pd.DataFrame:
    """Segment images one by one; probabilities of several models are averaged.

    Writes ``{stem}.nii.gz`` (uint8 labels, 1 + position in the models' classes), the ``maps``, and
    ``volumes.csv``: image, structure, volume_ml, outside_domain (why the image is outside the training
    domain, else empty). Rows of other images in it are kept.

    Args:
        models: ``model.pt`` files with the same classes.
        images: volumes with the slice axis of the models.
        device: ``auto``, ``cpu`` or ``cuda``.
        maps: names of `MAPS`, written as ``{stem}_{name}.nii.gz``.
        show: called for each finished image, e.g. to draw it.

    Returns:
        The rows of ``volumes.csv`` for ``images``.

    Raises:
        ValueError: an output would replace a file that this project did not write.
        ConfigError: incompatible models, or two images with the same name.
        DataError: invalid images, all of them named; valid ones are segmented.
    """
    names = _stems(images, output_dir)
    _refuse_replacing(images, names, output_dir, maps, overlays=bool(show))
    rows: list[pd.DataFrame] = []
    refused: list[str] = []
    output_dir.mkdir(parents=True, exist_ok=True)
    with acquire(device) as where, logging_redirect_tqdm():
        loaded = _load(models, where)
        classes = loaded[0].config.classes
        for name, path in tqdm(list(zip(names, images, strict=True)), unit="image", disable=None):
            try:
                image = _read(path, loaded)
            except DataError as error:
                refused.append(str(error))
                log.error("%s", error)
                continue
            for warning in image.warnings:
                log.warning("%s: outside the training domain: %s", path, warning)
            labels = _segment(loaded, image, inference, where, output_dir / name, maps)
            rows.append(_volumes(path, labels, image, classes))
            _extend(output_dir / VOLUMES, rows[-1])
            for write in show:
                write(Segmented(name, image.native, labels, image.spacing_mm, rows[-1]))
    values = ", ".join(f"{i} {name}" for i, name in enumerate(classes, start=1))
    log.info("%s: %d segmentations (0 background, %s)", output_dir, len(rows), values)
    if refused:
        raise DataError(f"{len(refused)} of {len(names)} images refused:\n" + "\n".join(refused))
    return pd.concat(rows, ignore_index=True)


def find_images(places: Sequence[Path]) -> list[Path]:
    """The given files, and the images in the given folders, sorted by name.

    Labels and scribbles beside their images (``p1_gt`` and ``p1``) and volumes written by this project are
    skipped in folders, with a warning.

    Raises:
        ConfigError: a folder without images.
    """
    found: list[Path] = []
    for place in places:
        inside = [place]
        if place.is_dir():
            inside = _without_labels(place, list(filter(is_volume, files_in(place, deep=False))))
            if not inside:
                raise ConfigError(f"{place}: expected images ({', '.join(SUFFIXES)}), found none")
        found += inside
    return found


def _without_labels(folder: Path, volumes: Sequence[Path]) -> list[Path]:
    labels = {*labels_beside_images(volumes), *filter(is_marked, volumes)}
    if labels:
        names = ", ".join(sorted(path.name for path in labels)[:MOST_NAMES])
        names += ", ..." if len(labels) > MOST_NAMES else ""
        log.warning(
            "%s: %d labels, scribbles or written maps are not segmented: %s; to segment one, name the file",
            folder,
            len(labels),
            names,
        )
    return [path for path in volumes if path not in labels]


def uncertainty(probs: Tensor) -> Tensor:
    """Entropy of class probabilities (D,C,H,W) as a fraction of its maximum log C, (D,H,W) in [0,1]."""
    return torch.special.entr(probs).sum(1) / math.log(probs.shape[1])


MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "probabilities": lambda probs: probs,
    "uncertainty": uncertainty,
}
"""Maps of an image from its probabilities (D,C,H,W); float32 (x,y,z,C), background first, or (x,y,z)."""


def _stems(images: Sequence[Path], output_dir: Path) -> list[str]:
    names = [stem(image) for image in images]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{output_dir}: several images are named {', '.join(twice)}; segment them apart")
    return names


def _load(paths: Sequence[Path], device: torch.device) -> list[Model]:
    models = [load_model(path, device) for path in paths]
    for path, model in zip(paths, models, strict=True):
        if model.config.classes != models[0].config.classes:
            raise ConfigError(
                f"{path}: expected the classes of {paths[0]}, {', '.join(models[0].config.classes)}, "
                f"found {', '.join(model.config.classes)}; segment with each alone"
            )
        if model.config.slice_axis != models[0].config.slice_axis:
            raise ConfigError(
                f"{path}: expected slices along axis {models[0].config.slice_axis} as in {paths[0]}, found "
                f"{model.config.slice_axis}; segment with each alone"
            )
    return models


def _read(path: Path, models: Sequence[Model]) -> _Image:
    axis = models[0].config.slice_axis
    native, spacing_mm, header = read_image(path, axis)
    depth, height, width = native.shape
    prepared = {}
    for grid in {model.config.grid.name: model.config.grid for model in models}.values():
        geometry = make_geometry((depth, height, width), spacing_mm, header, grid, axis)
        prepared[grid.name] = normalise(native, geometry, grid, str(path)), geometry
    first = models[0].config.grid.name
    alike = [model.domain for model in models if model.config.grid.name == first]
    warnings = out_of_distribution(measure(*prepared[first]), union(alike))
    return _Image(native, spacing_mm, header, prepared, warnings)


def _chunks(
    models: Sequence[Model], image: _Image, inference: Inference, device: torch.device
) -> Iterator[Tensor]:
    """Mean probabilities on the native grid, in chunks of slices (d,C,H,W) to bound memory."""
    for start in range(0, len(image.native), CHUNK):
        total = torch.zeros((), device=device)
        for model in models:
            prepared, geometry = image.prepared[model.config.grid.name]
            part = torch.from_numpy(prepared[start : start + CHUNK])[:, None].to(device)
            precision = resolve(device, model.config.training.precision)
            probs = probabilities(model.net, part, inference.test_time_augmentation, precision)
            total = total + to_native(probs, geometry)
        yield total / len(models)


def _segment(
    models: Sequence[Model],
    image: _Image,
    inference: Inference,
    device: torch.device,
    target: Path,
    maps: Collection[str],
) -> np.ndarray:
    """Write the labels and the maps of one image; returns the labels (D,H,W) uint8."""
    labels = []
    values: dict[str, list[np.ndarray]] = {name: [] for name in maps}
    for mean in _chunks(models, image, inference, device):
        labels.append(most_likely(mean).to(torch.uint8).cpu().numpy())
        for name, parts in values.items():
            parts.append(MAPS[name](mean).cpu().numpy())
    whole, axis = clean(np.concatenate(labels), inference), models[0].config.slice_axis
    save_labels(target.with_name(f"{target.name}.nii.gz"), whole, image.header, axis)
    for name, parts in values.items():
        path = target.with_name(f"{target.name}_{name}.nii.gz")
        save_map(path, np.concatenate(parts), image.header, axis)
    return whole


def _files(name: str, maps: Collection[str]) -> list[str]:
    """Names of the volumes written for an image."""
    return [f"{name}.nii.gz", *(f"{name}_{kind}.nii.gz" for kind in maps)]


def _refuse_replacing(
    images: Sequence[Path], names: Sequence[str], output_dir: Path, maps: Collection[str], overlays: bool
) -> None:
    """Refuse to replace files that were not written for the same image, before reading any image."""
    refuse_foreign((output_dir / file for name in names for file in _files(name, maps)), images, "--out")
    owners = {stem(Path(image)): Path(image) for image in known_rows(output_dir / VOLUMES)["image"]}
    for name, image in zip(names, images, strict=True):
        labels, picture = output_dir / f"{name}.nii.gz", output_dir / f"{name}.png"
        if overlays and picture.exists() and not labels.exists():
            raise ValueError(f"{picture}: already there and not written by this project; name another --out")
        owner = owners.get(name, image)
        if labels.exists() and owner.resolve() != image.resolve():
            raise ValueError(
                f"{labels}: already the segmentation of {owner}, not of {image}; name another --out"
            )


def known_rows(path: Path) -> pd.DataFrame:
    """The rows of a ``volumes.csv`` as text; empty if the file is missing.

    Raises:
        ValueError: the file is another table.
    """
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if tuple(table.columns) != COLUMNS:
        raise ValueError(
            f"{path}: expected columns {', '.join(COLUMNS)}; name another --out or move the file"
        )
    return table


def _extend(path: Path, rows: pd.DataFrame) -> None:
    """Add an image's rows to ``volumes.csv``, replacing earlier ones; safe with several processes."""
    with exclusive_file(path):
        known = known_rows(path)
        new = rows.assign(volume_ml=rows["volume_ml"].map("{:.4f}".format))
        names = {stem(Path(image)) for image in new["image"]}
        kept = known[[stem(Path(image)) not in names for image in known["image"]]]
        write_text(path, pd.concat([kept, new]).to_csv(index=False))


def _volumes(path: Path, labels: np.ndarray, image: _Image, classes: Sequence[str]) -> pd.DataFrame:
    voxel_ml = math.prod(image.spacing_mm) / MM3_PER_ML
    counts = np.bincount(labels.ravel(), minlength=len(classes) + 1)[1:]
    table = pd.DataFrame({"image": str(path), "structure": list(classes), "volume_ml": counts * voxel_ml})
    return table.assign(outside_domain="; ".join(image.warnings))
