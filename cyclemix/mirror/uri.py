"""Tracking URIs: which sqlite file one names, whether it is a store yet, how it may be shown."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def sqlite_file(uri: str) -> Path | None:
    """The database file of a sqlite URI, else None."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def initialised(database: Path) -> bool:
    """True where the sqlite file holds MLflow's tables (asked without MLflow, which would create them)."""
    if not database.is_file():
        return False
    with sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True) as connection:
        found = connection.execute("select 1 from sqlite_master where name = 'alembic_version'").fetchone()
    return found is not None


def without_password(uri: str) -> str:
    """``scheme://user:secret@host`` -> ``scheme://***@host``: logs and sentinels hold no credentials."""
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}***@{rest.rpartition('@')[2]}" if "@" in rest else uri
