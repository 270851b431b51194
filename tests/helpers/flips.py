"""Files with one bit that is not what was written."""

from __future__ import annotations

from collections.abc import Iterator


def every_flip(content: bytes, start: int) -> Iterator[bytes]:
    """``content`` with each bit from byte ``start`` on flipped, one at a time."""
    for position in range(start, len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            yield bytes(flipped)
