"""Shorten a training: schedule and the method's milestones are scaled by the same factor."""

from __future__ import annotations

from cyclemix.config.strict import Model, StrictModel

ENDINGS = ("_step", "_steps")
"""Name endings of all settings in steps, of the recipe and of every method."""


def scale_steps(settings: Model, own: int, most: int | None) -> Model:
    """Scale ``settings`` of a training of ``own`` optimizer steps to one of at most ``most``.

    Every setting whose name ends in `ENDINGS`, including nested models, is multiplied by ``most / own`` and
    rounded to at least 1; zero and None are unchanged.

    Args:
        settings: the recipe, or a method's Config.
        own: ``max_steps`` of the row.
        most: limit of the steps; no change if None or not below ``own``.
    """
    if most is None or most >= own:
        return settings
    changes: dict[str, object] = {}
    for name, value in settings:
        if isinstance(value, StrictModel):
            changes[name] = scale_steps(value, own, most)
        elif name.endswith(ENDINGS) and value:
            changes[name] = max(1, (2 * value * most + own) // (2 * own))
    return settings.model_copy(update=changes)
