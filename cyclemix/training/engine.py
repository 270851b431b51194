"""The parts of the loop in `train`: optimizer step, validation, checkpoint state."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from cyclemix import methods
from cyclemix.config.models import RunConfig
from cyclemix.inference.precision import resolve
from cyclemix.inference.predictor import most_likely, probabilities
from cyclemix.methods.base import Batch, Network, Slices
from cyclemix.networks.ema import move_towards, warmed_up
from cyclemix.networks.registry import build_network
from cyclemix.ops.augment import augment, draw_transform
from cyclemix.ops.precision import autocast
from cyclemix.training.optim import learning_rate, make_optimizer
from cyclemix.training.slices import Volume
from cyclemix.training.validation import volume_dice

log = logging.getLogger(__name__)


@dataclass
class Pending:
    """Results of a step on the device, not yet checked by `Engine.check`.

    Attributes:
        values: (T+1,) weighted loss terms and the gradient norm before clipping.
        image_sums: (B,) sum of each augmented image, finite if and only if the image is.
        index: (B,) slices of the batch.
    """

    values: Tensor
    image_sums: Tensor
    index: Tensor


@dataclass
class State:
    """Progress of a training, saved in the checkpoint."""

    digest: str
    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best_dice: float = -1.0
    best_step: int = 0
    best_model: dict[str, Tensor] | None = None
    resumed_at_steps: list[int] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0
    pending: list[Pending] = field(default_factory=list)
    threads: list[int] = field(default_factory=lambda: [torch.get_num_threads()])


class Engine:
    """Network, method, optimizer, averaged weights and random numbers of one training.

    Args:
        settings: the resolved configuration.
        seed: seed of weights, batches, augmentation and method.
        slices: training slices; their device is used for everything.

    Attributes:
        precision: ``fp32``, ``tf32`` or ``bf16``; ``auto`` is resolved once, when the training starts.
    """

    def __init__(self, settings: RunConfig, seed: int, slices: Slices) -> None:
        self.settings, self.recipe, self.slices = settings, settings.training, slices
        self.device = device = slices.image.device
        self.precision = resolve(device, self.recipe.precision)
        num_classes = len(settings.classes) + 1
        # Layers are initialised by the global generator; the fork restores its state.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = build_network(self.recipe, num_classes).to(device)
            where = f"method {settings.label}: config"
            self.method = methods.create(
                settings.method, settings.config, num_classes, where, settings.grid.spacing_mm
            )
            self.parts = nn.ModuleDict({"net": net, **self.method.modules(net, slices)}).to(device)
            self.average = build_network(self.recipe, num_classes).to(device).eval()
        self.net: nn.Module = net
        self.average.load_state_dict(net.state_dict())
        compiled = self.recipe.compile and device.type == "cuda"
        self.forward: Network = cast(Network, torch.compile(net)) if compiled else net
        self.optimizer = make_optimizer(self.recipe, self.parts)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.terms: list[str] = []
        self.num_classes = num_classes

    @property
    def device_name(self) -> str:
        """``cpu`` or the GPU's name."""
        return "cpu" if self.device.type == "cpu" else torch.cuda.get_device_name(self.device)

    def step(self, state: State) -> None:
        """Draw and augment a batch, take one optimizer step, average the weights; without synchronisation."""
        self.parts.train()
        batch = self._draw(state.step)
        image_sums = batch.image.flatten(1).sum(1)
        with autocast(self.device, self.precision):
            losses = self.method.losses(self.forward, batch, self.generator)
        self.terms = list(losses)
        values = torch.stack([value.float() for value in losses.values()])
        self.optimizer.zero_grad(set_to_none=True)
        values.sum().backward()
        # Without a limit the gradient is only measured: clipped to an infinite norm it is multiplied by 1.
        limit = self.recipe.gradient_clip or torch.inf
        norm = nn.utils.clip_grad_norm_(self.parts.parameters(), limit, foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, state.step)
        self.optimizer.step()
        state.step += 1
        move_towards(self.average, self.net, warmed_up(self.recipe.ema_decay, state.step))
        with autocast(self.device, self.precision):
            self.method.after_step(self.net, self.average, self.slices, state.step)
        state.pending.append(Pending(torch.cat([values.detach(), norm[None]]), image_sums, batch.index))

    def _draw(self, step: int) -> Batch:
        """A random batch, augmented."""
        slices, recipe, generator = self.slices, self.recipe, self.generator
        index = self._indices(len(slices.case))
        spacing_mm, chosen = self.settings.grid.spacing_mm, slices.target[index].long()
        image, target, transform = augment(
            slices.image[index], chosen, recipe.augmentation, generator, spacing_mm, slices.margin_px
        )
        masks = None
        if slices.masks is not None:
            drawn = slices.masks[self._indices(len(slices.masks))].long()
            moved = draw_transform(drawn, recipe.augmentation, generator)
            masks = moved.labels(drawn)
        image = image.contiguous(memory_format=torch.channels_last)
        return Batch(image, target, step, index, transform, masks)

    def _indices(self, count: int) -> Tensor:
        return torch.randint(count, (self.recipe.batch_size,), generator=self.generator, device=self.device)

    def check(self, state: State) -> None:
        """Add up the loss terms since the last check and stop at the first value that is not finite.

        Raises:
            FloatingPointError: names the step; the input, loss term or gradient; and the cases.
        """
        if not state.pending:
            return
        values = torch.stack([step.values for step in state.pending]).cpu()
        sums = torch.stack([step.image_sums for step in state.pending]).cpu()
        bad = ~(values.isfinite().all(1) & sums.isfinite().all(1))
        if bad.any():
            row = int(bad.nonzero()[0])
            text = self._explain(state.pending[row], values[row], sums[row])
            raise FloatingPointError(f"step {state.step - len(values) + row + 1}: {text}")
        for term, total in zip(self.terms, values[:, :-1].sum(0).tolist(), strict=True):
            state.sums[term] = state.sums.get(term, 0.0) + total
        state.counted += len(values)
        state.pending.clear()

    def _explain(self, step: Pending, values: Tensor, sums: Tensor) -> str:
        """Describe the first value of a step that is not finite: input, loss term or gradient."""
        index = step.index.cpu()
        cases = sorted({self.slices.case[int(i)] for i in index[~sums.isfinite()]})
        if cases:
            advice = "Look at the images and at training.augmentation"
            return f"the augmented image is not finite; cases: {', '.join(cases)}. {advice}"
        names = [*(f"loss term {term}" for term in self.terms), "the norm of the gradient"]
        column = int((~values.isfinite()).nonzero()[0])
        cases = sorted({self.slices.case[int(i)] for i in index})
        return (
            f"{names[column]} is {float(values[column])}; "
            f"cases of the batch: {', '.join(cases)}. Lower training.learning_rate or look at the images"
        )

    def validate(self, state: State, volumes: list[Volume]) -> dict[str, float]:
        """Dice of the averaged weights on the prepared grid; keep the best weights, extend the history."""
        net = self.average if self.recipe.ema_decay else self.net.eval()
        scores = []
        for volume in volumes:
            probs = probabilities(net, volume.image, test_time_augmentation=False, precision=self.precision)
            scores.append(volume_dice(most_likely(probs), volume.truth, self.num_classes))
        dice = torch.stack(scores).mean(0).tolist()
        average = sum(dice) / len(dice)
        means = {term: total / max(state.counted, 1) for term, total in state.sums.items()}
        row = {
            "step": state.step,
            "images": state.step * self.recipe.batch_size,
            "seconds": round(state.seconds, 2),
            "lr": learning_rate(self.recipe, state.step - 1),
            "loss": sum(means.values()),
            **{f"loss_{term}": value for term, value in means.items()},
            **{f"val_dice_{name}": value for name, value in zip(self.settings.classes, dice, strict=True)},
            "val_dice_avg": average,
        }
        state.history.append(row)
        state.sums, state.counted = {}, 0
        if average > state.best_dice:
            state.best_dice, state.best_step = average, state.step
            state.best_model = {key: value.detach().clone() for key, value in net.state_dict().items()}
        return row

    def state_dict(self, state: State) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to resume exactly."""
        return {
            "digest": state.digest,
            "precision": self.precision,
            "state": {key: value for key, value in vars(state).items() if key not in ("digest", "pending")},
            "parts": self.parts.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state().cpu(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> State:
        """Load a state_dict; returns its state, with this resumption recorded."""
        self.parts.load_state_dict(saved["parts"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generator"].cpu())
        if saved["precision"] != self.precision:
            log.info("continuing in %s, the precision with which this training started", saved["precision"])
            self.precision = saved["precision"]
        state = State(digest=saved["digest"], **saved["state"])
        state.resumed_at_steps = [*state.resumed_at_steps, state.step]
        threads = torch.get_num_threads()
        if threads not in state.threads:
            text = (
                "resuming on %d threads what began on %s: sums are added in another order, so the model may "
            )
            text += "differ in its last bits from that of an undisturbed run"
            log.warning(text, threads, ", ".join(map(str, state.threads)))
            state.threads = [*state.threads, threads]
        return state
