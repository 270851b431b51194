"""Credentials in addresses: found, and never shown."""

from __future__ import annotations

import pytest

from cyclemix.files.urls import has_password, without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no https://me:secret@host:5000/x today", "no https://***@host:5000/x today"),
        ("https://token@host/x", "https://***@host/x"),
        ("https://me:se@cr:et@host/x", "https://***@host/x"),
        ('{"uri": "postgresql://me:secret@db/mlflow"}', '{"uri": "postgresql://***@db/mlflow"}'),
        ("https://host/x@1.0", "https://host/x@1.0"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert without_password(text) == shown


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://me:secret@host/x", True),
        ("https://token@host/x", True),
        ("postgresql://me:secret@db/mlflow", True),
        ("postgresql://me@db/mlflow", False),
        ("https://host:5000/x@1.0", False),
        ("/folder/with@sign", False),
        ("sqlite:////a/b@c.db", False),
    ],
)
def test_what_holds_a_password(address: str, found: bool) -> None:
    assert has_password(address) is found
