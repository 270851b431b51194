"""Applying a network to a volume: what validation, prediction and `segment` share."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import cc3d
import nibabel
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cyclemix.config.models import BACKGROUND, UNLABELLED, Inference, Recipe
from cyclemix.data.readers.native import move_slices
from cyclemix.data.store import Geometry
from cyclemix.files.atomic import write_bytes
from cyclemix.networks.unet import build

CHUNK = 32
"""Slices a forward pass; bounds memory, does not change results."""


def resolved_precision(device: torch.device, precision: str) -> str:
    """``auto`` is bf16 on CUDA and fp32 on the CPU."""
    return ("bf16" if device.type == "cuda" else "fp32") if precision == "auto" else precision


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The autocast context of a precision."""
    enabled = resolved_precision(device, precision) == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


@torch.no_grad()
def probabilities(net: nn.Module, image: Tensor, flip_average: bool, precision: str = "auto") -> Tensor:
    """Class probabilities of a volume's slices.

    Args:
        net: network in evaluation mode, on the device of ``image``.
        image: (D,1,H,W) float32.
        flip_average: mean over the flips and, for square slices, the quarter turns (8 views).

    Returns:
        (D,C,H,W) float32, summing to 1 over C.
    """
    turns = (0, 1) if image.shape[-1] == image.shape[-2] else (0,)
    views = (
        [(turn, flip) for turn in turns for flip in ((), (2,), (3,), (2, 3))] if flip_average else [(0, ())]
    )
    chunks = []
    for part in image.split(CHUNK):
        total = torch.zeros((), device=image.device)
        for turn, flip in views:
            with autocast(image.device, precision):
                logits = net(torch.flip(torch.rot90(part, turn, (2, 3)), flip))
            total = total + torch.rot90(torch.flip(logits.float().softmax(1), flip), -turn, (2, 3))
        chunks.append(total / len(views))
    return torch.cat(chunks)


def to_native(probs: Tensor, geometry: Geometry) -> Tensor:
    """Bring probabilities home by linear interpolation.

    Args:
        probs: (D,C,H,W) on the prepared grid.

    Returns:
        (D,C,H',W') on the native grid; outside the prepared crop the background has probability 1.
    """
    _, height, width = geometry.native_shape
    rows = (torch.arange(height, device=probs.device) - geometry.origin_yx[0]) / geometry.scale_yx[0]
    columns = (torch.arange(width, device=probs.device) - geometry.origin_yx[1]) / geometry.scale_yx[1]
    sides = probs.shape[-2:]
    y, x = ((2 * axis + 1) / side - 1 for axis, side in zip((rows, columns), sides, strict=True))
    grid = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1).to(probs.dtype)
    grid = grid.expand(len(probs), -1, -1, -1)
    native = functional.grid_sample(probs, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside_y = (rows >= -0.5) & (rows <= sides[0] - 0.5)
    inside_x = (columns >= -0.5) & (columns <= sides[1] - 0.5)
    background = torch.zeros(probs.shape[1], device=probs.device).index_fill_(
        0, torch.tensor([BACKGROUND], device=probs.device), 1.0
    )
    return torch.where(inside_y[:, None] & inside_x[None, :], native, background[:, None, None])


def segment_volume(
    net: nn.Module, image: Tensor, geometry: Geometry, inference: Inference, precision: str
) -> np.ndarray:
    """(D,1,H,W) prepared slices -> (D,H',W') uint8 labels on the native grid."""
    parts = [
        to_native(probabilities(net, part, inference.flip_average, precision), geometry).argmax(1)
        for part in image.split(CHUNK)
    ]
    return clean(torch.cat(parts).to(torch.uint8).cpu().numpy(), inference)


def clean(labels: np.ndarray, inference: Inference) -> np.ndarray:
    """Post-process (D,H,W) labels as ``inference`` says."""
    return keep_largest(labels) if inference.largest_component else labels


def keep_largest(labels: np.ndarray) -> np.ndarray:
    """Keep the largest component of each structure in the volume; its other voxels become background.

    Components are voxels of one value that share faces. Slice by slice instead, the look-alike of an apical
    slice beats the heart; docs/recipe.md has the numbers. Of components of one size the one with the first
    voxel in row-major order stays.

    Args:
        labels: (D,H,W) uint8, background 0.

    Returns:
        (D,H,W) uint8.
    """
    component = cc3d.connected_components(labels, connectivity=6)
    voxels = np.flatnonzero(labels != BACKGROUND)
    of_voxel = component.reshape(-1)[voxels]
    sizes = np.bincount(of_voxel, minlength=1)
    first = np.zeros(len(sizes), np.int64)
    first[of_voxel[::-1]] = voxels[::-1]  # the last assignment wins: the first voxel in row-major order
    values = labels.reshape(-1)[first]
    kept = np.zeros(len(sizes), np.uint8)
    for value in np.unique(labels.reshape(-1)[voxels]):
        mine = np.flatnonzero((values == value) & (sizes > 0))
        kept[mine[np.lexsort((first[mine], -sizes[mine]))[0]]] = value
    return kept[component]


def volume_dice(prediction: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """Dice of classes 1..num_classes-1 over a volume, (num_classes-1,); both empty = 1; 255 is left out.

    Args:
        prediction, truth: (D,H,W) integers.
    """
    known = truth != UNLABELLED
    scores = []
    for value in range(1, num_classes):
        first, second = (prediction == value) & known, truth == value
        size = first.sum() + second.sum()
        scores.append(torch.where(size > 0, 2.0 * (first & second).sum() / size.clamp_min(1), 1.0))
    return torch.stack(scores)


def save_labels(path: Path, labels: np.ndarray, header_block: bytes, slice_axis: int = 3) -> None:
    """Write (D,H,W) labels as uint8 NIfTI with the upstream axes, shape, affine and spacing, atomically."""
    _save(path, labels.astype(np.uint8), header_block, slice_axis)


def save_map(path: Path, values: np.ndarray, header_block: bytes, slice_axis: int = 3) -> None:
    """Write (D,H,W) or, a channel each, (D,C,H,W) values as float32 NIfTI in the upstream geometry."""
    axes = (0, 2, 3, 1) if values.ndim == 4 else (0, 1, 2)
    volume = values.astype(np.float32).transpose(
        axes
    )  # (D,H,W[,C]); reversing the first three gives x,y,z[,C]
    _save(path, volume, header_block, slice_axis)


def _save(path: Path, volume: np.ndarray, header_block: bytes, slice_axis: int) -> None:
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(header_block), check=False)
    header.set_data_dtype(volume.dtype)
    header.set_slope_inter(1, 0)
    data = np.ascontiguousarray(move_slices(volume, slice_axis, back=True).swapaxes(0, 2))
    image = nibabel.Nifti1Image(data, header.get_best_affine(), header)
    write_bytes(path, gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def build_network(recipe: Recipe, num_classes: int) -> nn.Module:
    """The recipe's network, channels last (the memory format that convolutions are fastest in)."""
    net = build(recipe, num_classes)
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net
