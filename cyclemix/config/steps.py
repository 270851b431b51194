"""Shorten a training: its schedule and its method's milestones shrink by the same factor."""

from __future__ import annotations

from cyclemix.config.strict import Model, StrictModel

ENDINGS = ("_step", "_steps")
"""Endings of all settings that are step numbers or lengths in steps, of the recipe and of every method."""


def scale_steps(settings: Model, own: int, most: int | None) -> Model:
    """``settings`` of a training of ``own`` optimizer steps for one of ``most``.

    Every setting whose name ends as `ENDINGS` say, those of nested models included, is multiplied by
    ``most / own`` and rounded, but stays at least 1; zero and None stay.

    Args:
        settings: the recipe, or a method's Config.
        own: steps that the settings were made for (``max_steps`` of the row).
        most: steps to train for; None, or as many as ``own``, changes nothing.
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
