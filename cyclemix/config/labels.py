"""Reserved label values."""

from __future__ import annotations

UNLABELLED = 255
"""Label of unannotated pixels and of pixels outside the image; ignored by all loss terms."""


BACKGROUND = 0
"""Label of pixels known to show none of the structures."""
