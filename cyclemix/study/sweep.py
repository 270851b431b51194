"""Rows of an annotation sweep: methods trained on fewer subjects or on parts of each scribble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cyclemix.config.strict import ConfigError
from cyclemix.config.study import MethodBlock, Study


@dataclass(frozen=True)
class Point:
    """One annotation budget for one method.

    Attributes:
        method: label of the row in ``config/methods.yaml``.
        subjects: training subjects; None = all.
        fraction: kept fraction of each scribble, 0 to 1.
    """

    method: str
    subjects: int | None
    fraction: float

    @property
    def whole(self) -> bool:
        """Whether this is the unchanged row with all annotations."""
        return self.subjects is None and self.fraction == 1

    @property
    def label(self) -> str:
        """Label of the row, e.g. ``cyclemix_5subjects_50pct``."""
        words = [self.method]
        if self.subjects is not None:
            words.append(f"{self.subjects}subject{'' if self.subjects == 1 else 's'}")
        if self.fraction != 1:
            words.append(f"{round(100 * self.fraction)}pct")
        return "_".join(words)

    def block(self, whole: MethodBlock) -> MethodBlock:
        """The row's block: the method's with this annotation budget."""
        if self.whole:
            return whole
        few = (
            "" if self.subjects is None else f"; {self.subjects} training subject{'s' * (self.subjects != 1)}"
        )
        part = "" if self.fraction == 1 else f"; {round(100 * self.fraction)} % of each scribble"
        changes = {"subjects": self.subjects, "scribble_fraction": self.fraction}
        summary = f"{whole.summary}{few}{part}"
        return whole.model_copy(update={"summary": summary, "training": {**whole.training, **changes}})


def points_of(study: Study, blocks: Mapping[str, MethodBlock], where: str) -> dict[str, Point]:
    """Points of the study's sweep by row label, in table order; empty without a sweep.

    Methods with dense labels are swept over subjects only.

    Args:
        blocks: all known rows by label.
        where: prefix of messages.

    Raises:
        ConfigError: a method without a block, or a point with the label of another row.
    """
    sweep = study.efficiency
    if sweep is None:
        return {}
    found: dict[str, Point] = {}
    for method in sweep.methods or study.methods:
        if method not in blocks:
            raise ConfigError(
                f"{where}: efficiency.methods: no method {method!r}; known: {', '.join(blocks)}"
            )
        for count in sweep.subjects:
            dense = blocks[method].supervision == "full"
            for fraction in [1.0] if dense else sweep.scribble_fractions:
                point = Point(method, None if count == "all" else count, fraction)
                if not point.whole and point.label in blocks:
                    raise ConfigError(
                        f"{where}: efficiency: the point {point.label} has the label of a row in "
                        "config/methods.yaml; rename that row"
                    )
                found[point.label] = point
    return found
