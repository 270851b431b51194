"""CycleMix with further terms on the same scribbles; not part of the paper, chosen by measurements.

Terms in addition to those of `cyclemix`, each off at weight zero:
    absent    a class that the annotator did not scribble in a slice is nearly always absent from it: its
              probability is penalised on the whole slice, -log(1 - sum of the absent classes' probabilities);
    adjacent  a structure enclosed by another (the LV pool by the myocardium) touches nothing else:
              sum over neighbouring pixels i, j of p_inner(i) (1 - p_inner(j) - p_around(j));
    teacher   cross-entropy of the mixed, occluded, rotated image with the equally mixed soft prediction of a
              mean teacher (Tarvainen and Valpola, NeurIPS 2017) where that is confident;
    pseudo    after a number of steps, cross-entropy with pseudo-labels of the averaged network: mean over
              flips and turns, largest components, uncertain pixels unlabelled, scribbles kept.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from cyclemix.config.labels import UNLABELLED
from cyclemix.config.strict import ConfigError
from cyclemix.inference.predictor import probabilities
from cyclemix.methods.base import Batch, Network, Slices
from cyclemix.methods.cyclemix import CycleMix, MixedView
from cyclemix.networks.ema import Teacher
from cyclemix.ops.components import largest_component
from cyclemix.ops.losses import partial_cross_entropy


class CycleMixPlus(CycleMix):
    """CycleMix's five terms and the four above."""

    class Config(CycleMix.Config):
        """Weights; those of CycleMix as there."""

        weight_absent: float = Field(1.0, ge=0, description="weight of the absent-class term")
        weight_adjacent: float = Field(0.0, ge=0, description="weight of the adjacency term")
        enclosed: list[tuple[int, int]] = Field(
            [], description="pairs (inner class, class around it) of the adjacency term"
        )
        weight_teacher: float = Field(0.5, ge=0, description="weight of the mean teacher's targets")
        teacher_decay: float = Field(0.99, ge=0, lt=1, description="decay per step of the teacher's average")
        teacher_confidence: float = Field(
            0.8, ge=0, le=1, description="lowest probability of a pixel used as the teacher's target"
        )
        teacher_ramp_steps: int = Field(500, ge=1, description="steps until the teacher's full weight")
        weight_pseudo: float = Field(0.5, ge=0, description="weight of the second stage's labels")
        pseudo_from_step: int = Field(1500, ge=1, description="step at which the second stage begins")
        pseudo_every_steps: int = Field(500, ge=1, description="steps between two updates of its labels")
        pseudo_confidence: float = Field(
            0.9, ge=0, le=1, description="lowest probability of a labelled pixel"
        )

    supervision = "scribble"

    def modules(self, net: Network, slices: Slices) -> dict[str, nn.Module]:
        """The memory of the training slices and, where it teaches, the teacher."""
        wrong = [pair for pair in self.config.enclosed if not all(0 < v < self.num_classes for v in pair)]
        if wrong:
            raise ConfigError(
                f"enclosed: {wrong[0]} names a class that the data set does not have; expected values 1 to "
                f"{self.num_classes - 1}, correct the row's config in methods.yaml"
            )
        self._memory = Memory(slices, self.num_classes)
        self._teacher = Teacher(net) if self.config.weight_teacher > 0 else None
        taught = {} if self._teacher is None else {"teacher": self._teacher}
        return {"memory": self._memory, **taught}

    def losses(self, net: Network, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The terms of `cyclemix`, then ``absent``, ``adjacent``, ``teacher``, ``pseudo``."""
        config, memory = self.config, self._memory
        terms, seen, view = self.run(net, batch, generator)
        if config.weight_absent > 0:
            terms["absent"] = config.weight_absent * absent_loss(seen.logits, memory.present[batch.index])
        if config.weight_adjacent > 0:
            terms["adjacent"] = config.weight_adjacent * adjacency_loss(seen.scores, config.enclosed)
        if self._teacher is not None and view is not None:
            ramp = min(1.0, batch.step / config.teacher_ramp_steps)
            scores = self._teacher(batch.image).float().softmax(dim=1)
            loss = taught_loss(view, scores, config.teacher_confidence)
            terms["teacher"] = config.weight_teacher * ramp * loss
        if config.weight_pseudo > 0:
            labels = batch.transform.labels(memory.labels[batch.index].long())
            terms["pseudo"] = config.weight_pseudo * partial_cross_entropy(seen.logits, labels)
        return terms

    def after_step(self, net: Network, average: Network, slices: Slices, step: int) -> None:
        """Update the teacher; after `pseudo_from_step`, update the pseudo-labels at intervals."""
        config = self.config
        if self._teacher is not None:
            self._teacher.follow(net, config.teacher_decay, step)
        since = step - config.pseudo_from_step
        if config.weight_pseudo > 0 and since >= 0 and since % config.pseudo_every_steps == 0:
            probs = probabilities(average, slices.image, test_time_augmentation=True)
            self._memory.label(probs, slices, config.pseudo_confidence)


class Memory(nn.Module):
    """Classes and pseudo-labels of the training slices.

    Attributes:
        present: (N,C) bool, scribbled classes; background always.
        labels: (N,H,W) uint8 pseudo-labels, 255 = uncertain or not labelled yet.
    """

    present: Tensor
    labels: Tensor

    def __init__(self, slices: Slices, num_classes: int) -> None:
        super().__init__()
        target = slices.target.flatten(1)
        present = torch.stack([(target == value).any(dim=1) for value in range(num_classes)], dim=1)
        present[:, 0] = True
        self.register_buffer("present", present)
        self.register_buffer("labels", torch.full_like(slices.target, UNLABELLED))

    def label(self, probs: Tensor, slices: Slices, confidence: float) -> None:
        """Take labels from ``probs`` (N,C,H,W): largest components, confident pixels; scribbles stay."""
        sure, labels = probs.max(dim=1)
        kept = largest_component(labels, probs.shape[1])
        known = (sure >= confidence) & (kept == labels)
        labels = torch.where(known, kept, UNLABELLED).to(self.labels.dtype)
        self.labels.copy_(torch.where(slices.target != UNLABELLED, slices.target, labels))


def absent_loss(logits: Tensor, present: Tensor) -> Tensor:
    """Mean over pixels of -log(1 - q), q = sum of the absent classes' probabilities; scalar.

    Args:
        logits: (B,C,H,W).
        present: (B,C) bool, classes that a slice may contain; at least one each.
    """
    log_p = logits.float().log_softmax(dim=1)
    hidden = ~present[:, :, None, None]
    return -log_p.masked_fill(hidden, -torch.inf).logsumexp(dim=1).mean()


def adjacency_loss(scores: Tensor, enclosed: list[tuple[int, int]]) -> Tensor:
    """Contacts of enclosed structures with anything but the enclosing structure, scalar.

    For each pair (inner, around): the sum over ordered 4-neighbours i, j of
    p_inner(i) (1 - p_inner(j) - p_around(j)), over the sum of p_inner. A hard inner region
    without such a contact gives 0.

    Args:
        scores: (B,C,H,W) softmax.
    """
    total = scores.new_zeros(())
    for inner, around in enclosed:
        inside = scores[:, inner]
        other = (1 - inside - scores[:, around]).clamp_min(0)
        touching = (
            (inside[:, 1:] * other[:, :-1]).sum()
            + (inside[:, :-1] * other[:, 1:]).sum()
            + (inside[:, :, 1:] * other[:, :, :-1]).sum()
            + (inside[:, :, :-1] * other[:, :, 1:]).sum()
        )
        total = total + touching / inside.sum().clamp_min(1.0)
    return total


def taught_loss(view: MixedView, scores: Tensor, confidence: float) -> Tensor:
    """Cross-entropy of the mixed view with the mixed ``scores`` (B,C,H,W) of a teacher, scalar.

    Mean over the visible pixels; 0 for pixels whose largest mixed probability is below ``confidence``.
    """
    target = view.mix.scores(scores)
    weight = view.visible & (target.amax(dim=1) >= confidence)
    terms = -(target * view.logits.float().log_softmax(dim=1)).sum(dim=1)
    return (terms * weight).sum() / view.visible.sum().clamp_min(1)
