"""Tracking URIs: which sqlite file one names, whether it is a store yet."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cyclemix.files.urls import without_password


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


def first_line(error: BaseException) -> str:
    """``Kind: message`` of an error, one line without credentials."""
    lines = without_password(str(error)).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
