"""Blocks of a study file, one pydantic model per block; unknown keys are refused with their path.

Nothing here needs torch: the Snakefile validates a study before any job starts.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from cyclemix.config.lengths import length
from cyclemix.config.strict import StrictModel, load_json, validate

SHARED_NETWORKS = ("unet", "unet_paper")
"""Networks that every method can train; all others only the methods that list them."""

Supervision = Literal["scribble", "scribble+masks", "full"]
Part = Literal["train", "val", "masks", "test", "all"]


class Grid(StrictModel):
    """In-plane grid that images are resampled to, and intensity normalisation."""

    spacing_mm: float = Field(gt=0, description="in-plane pixel size in mm")
    crop_px: int = Field(ge=32, description="side of the centred square crop, pixels; a multiple of 4")
    preparation: Literal["default", "paper"] = Field(
        "default",
        description="default: clip to the crop's 0.5 and 99.5 percentiles, z-score of the crop; paper: "
        "z-score of the native volume without clipping, stored with a margin so that rotation precedes the "
        "crop",
    )

    @model_validator(mode="after")
    def _divisible(self) -> Grid:
        if self.crop_px % 4:
            raise ValueError(
                f"crop_px must be a multiple of 4 (mixing works on 4-px blocks), got {self.crop_px}"
            )
        return self

    @property
    def name(self) -> str:
        """Folder name of the prepared arrays, e.g. ``1.37mm_212px`` or ``1.37mm_212px_paper``."""
        suffix = "" if self.preparation == "default" else f"_{self.preparation}"
        return f"{self.spacing_mm:g}mm_{self.crop_px}px{suffix}"

    @property
    def margin_px(self) -> int:
        """Pixels stored beyond each side of the crop, so that a rotated crop stays inside."""
        return 0 if self.preparation == "default" else math.ceil(self.crop_px * (math.sqrt(2) - 1) / 2)


class Protocol(StrictModel):
    """Subjects for training, validation and test."""

    kind: Literal["official", "kfold"] = Field(
        "official", description="the data set's own lists, or k-fold cross-validation by patient"
    )
    folds: int = Field(5, ge=2, description="number of folds; ignored for kind: official")
    run_folds: list[int] | None = Field(None, description="folds to run; null = all")
    evaluate_on: Literal["val", "test"] = Field("test", description="which subjects the tables report")
    seed: int = Field(0, ge=0, description="seed of the k-fold shuffle and of the validation draw")

    @property
    def n_folds(self) -> int:
        """Number of folds in ``folds.json``."""
        return self.folds if self.kind == "kfold" else 1

    @property
    def selected_folds(self) -> list[int]:
        """The folds that are trained."""
        return list(range(self.n_folds)) if self.run_folds is None else list(self.run_folds)

    @property
    def parts(self) -> list[str]:
        """Subject lists needed by training: ``train`` and ``val``; ``all`` in k-fold."""
        return ["all"] if self.kind == "kfold" else ["train", "val"]

    @property
    def evaluated_part(self) -> str:
        """Subject list with the evaluated cases."""
        return "all" if self.kind == "kfold" else self.evaluate_on

    @model_validator(mode="after")
    def _folds_in_range(self) -> Protocol:
        wrong = [fold for fold in self.selected_folds if not 0 <= fold < self.n_folds]
        if wrong:
            raise ValueError(
                f"run_folds holds {wrong}, but {self.kind} has folds 0..{self.n_folds - 1}; "
                "remove them or increase protocol.folds"
            )
        return self


class Augmentation(StrictModel):
    """Augmentation of training slices; 0 disables a change."""

    flip_turn: bool = Field(
        True, description="flips along both axes and quarter turns, each with probability 0.5"
    )
    rotate_degrees: float = Field(20.0, ge=0, le=180, description="rotation, uniform in +-this many degrees")
    scale: float = Field(0.2, ge=0, lt=1, description="zoom factor, uniform in 1 +- this")
    shift_fraction: float = Field(
        0.08, ge=0, lt=1, description="shift, uniform in +- this fraction of the side"
    )
    gamma: float = Field(0.3, ge=0, description="contrast curve x**g, log g uniform in +- this")
    contrast: float = Field(0.3, ge=0, lt=1, description="gain, uniform in 1 +- this")
    brightness: float = Field(0.2, ge=0, description="offset in standard deviations, uniform in +- this")
    noise: float = Field(0.1, ge=0, description="largest standard deviation of Gaussian noise")
    blur_mm: float = length(1, "largest standard deviation of Gaussian blur")


class Recipe(StrictModel):
    """Training settings that determine the model."""

    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto",
        description="auto = bf16 on CUDA, and on a CPU where it is measured 1.25 times as fast; else fp32; "
        "tf32 = fp32 with TF32 convolutions and matrix products on CUDA, plain fp32 on a CPU",
    )
    network: str = Field(
        "unet",
        description="unet: same-padding U-Net; unet_paper: the paper's valid-convolution U-Net; or a module "
        "of cyclemix/networks",
    )
    base_filters: int = Field(32, ge=4, description="filters of the first level; doubled at each level")
    levels: int = Field(5, ge=2, le=6, description="resolution levels of the U-Net")
    batch_size: int = Field(32, ge=2, description="slices per step")
    max_steps: int = Field(3000, ge=1, description="optimizer steps")
    optimizer: Literal["adamw", "adam"] = Field("adamw", description="adam adds weight decay to the gradient")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(1e-4, ge=0, description="weight decay")
    schedule: Literal["cosine", "onecycle", "step", "constant"] = Field(
        "cosine", description="learning-rate schedule; step = times 0.1 every step_every_steps"
    )
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up (schedule: cosine)")
    step_every_steps: int = Field(2000, ge=1, description="interval of schedule: step")
    gradient_clip: float | None = Field(5.0, gt=0, description="largest gradient norm; null = no clipping")
    ema_decay: float = Field(
        0.99, ge=0, lt=1, description="decay per step of the averaged weights (EMA); 0 = no averaging"
    )
    validate_every_steps: int = Field(100, ge=1, description="steps between validations")
    augmentation: Augmentation = Field(Augmentation(), description="augmentation of training slices")
    subjects: int | None = Field(
        None,
        ge=1,
        description="number of training subjects, drawn by the run's seed, the same for all rows; null = all",
    )
    scribble_fraction: float = Field(
        1.0, gt=0, le=1, description="fraction of each scribble kept, connected; dense labels stay whole"
    )
    compile: bool = Field(
        False, description="torch.compile the network (CUDA; worthwhile for runs of more than minutes)"
    )


class Training(Recipe):
    """The recipe and machine settings."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="cuda fails without a GPU")
    checkpoint_seconds: float = Field(60.0, gt=0, description="seconds between checkpoints")
    jobs_per_gpu: int = Field(1, ge=1, description="trainings that may share one GPU")

    def recipe(self) -> Recipe:
        """The settings that determine the model."""
        return Recipe(**self.model_dump(include=set(Recipe.model_fields)))


class Inference(StrictModel):
    """Application of a trained network; the same for all rows of a table."""

    test_time_augmentation: bool = Field(
        True, description="average the probabilities over flips and quarter turns"
    )
    largest_component: bool = Field(
        True,
        description="keep each structure's largest 6-connected component in the volume",
    )


class Tracking(StrictModel):
    """Location of the MLflow mirror."""

    uri: str | None = Field(None, description="MLflow tracking URI; null = sqlite under results/mlflow")
    experiment_prefix: str = Field(
        "cyclemix", min_length=1, description="experiments are named PREFIX-DATASET"
    )


class RunConfig(StrictModel):
    """``config.json``: all settings that determine a model except fold and seed."""

    label: str
    dataset: str
    method: str
    supervision: Supervision
    classes: list[str] = Field(description="structures; label value = position + 1")
    grid: Grid
    slice_axis: int = Field(3, description="slice axis of the stored images, 1 to 3")
    config: dict[str, Any] = Field(description="the method's own settings, defaults filled in")
    pixels: dict[str, Any] = Field({}, description="the settings' lengths in pixels of the grid")
    training: Recipe


def modules_of(method: str, network: str) -> list[str]:
    """Dotted names of the modules that a training loads by name: its method and its network."""
    return [f"cyclemix.methods.{method}", f"cyclemix.networks.{network}"]


def load_run_config(path: Path) -> RunConfig:
    """Read a ``config.json``."""
    return validate(RunConfig, load_json(path, "run `resolve` again"), str(path))
