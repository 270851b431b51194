"""Addresses with credentials: never shown, and not to be written into a study file."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"://[^/\s]*@")


def without_password(text: str) -> str:
    """``scheme://user:secret@host`` -> ``scheme://***@host``, wherever in ``text``."""
    return _CREDENTIALS.sub("://***@", text)


def has_password(address: str) -> bool:
    """True where an address carries credentials: ``user:secret@``, or any ``token@`` of a web address."""
    found = _CREDENTIALS.search(address)
    return found is not None and (address.startswith(("http://", "https://")) or ":" in found[0][3:])
