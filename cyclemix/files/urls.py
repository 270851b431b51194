"""Detection and masking of credentials in URLs."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"://[^/\s]*@")


def without_password(text: str) -> str:
    """``scheme://user:secret@host`` -> ``scheme://***@host``, wherever in ``text``."""
    return _CREDENTIALS.sub("://***@", text)


def has_password(address: str) -> bool:
    """True for a URL with credentials: ``user:secret@``, or any ``token@`` of a web address."""
    found = _CREDENTIALS.search(address)
    return found is not None and (address.startswith(("http://", "https://")) or ":" in found[0][3:])
