"""Label values that every part of the project shares."""

from __future__ import annotations

UNLABELLED = 255
"""Label of a pixel that no annotator marked, or outside the image; no loss term may read it as a class."""


BACKGROUND = 0
"""Label of a pixel that is known to show none of the structures."""
