"""Tracking URIs: which sqlite file one names, whether it is a store yet."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from cyclemix.files.urls import without_password

SQLITE_REMEDIES = (
    (
        r"database is locked",
        "another program holds the file: end it (`make ui`, another study, a database browser) or wait, then "
        "repeat; on a network file system use a server (tracking.uri)",
    ),
    (
        r"readonly|read-only|unable to open|Permission denied|disk I/O",
        "make its folder writable, or name another store in tracking.uri",
    ),
    (
        r"malformed|not a database",
        "move the file away and repeat: the store is made again from the files under results",
    ),
)
"""What an error of a sqlite store says, and what to do about it."""


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


def remedy(uri: str, error: BaseException | str) -> str:
    """What to do about a store that does not answer."""
    if sqlite_file(uri) is None:
        return "start its server, or correct tracking.uri"
    fits = (advice for pattern, advice in SQLITE_REMEDIES if re.search(pattern, str(error)))
    return next(fits, "solve this and repeat")
