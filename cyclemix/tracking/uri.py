"""Tracking URIs, their sqlite files, and remedies for errors of a store."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from cyclemix.files.urls import without_password

SQLITE_REMEDIES = (
    (
        r"database is locked",
        "another program has locked the file: end it (`make ui`, another study, a database browser) or wait, "
        "then repeat; on a network file system use a server (tracking.uri)",
    ),
    (
        r"readonly|read-only|unable to open|Permission denied|disk I/O",
        "make its folder writable, or set tracking.uri to another store",
    ),
    (
        r"malformed|not a database",
        "move the file away and repeat: the store is created again from the files under results",
    ),
)
"""Pattern of a sqlite error and its remedy."""


def sqlite_file(uri: str) -> Path | None:
    """Database file of a sqlite URI, else None."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def initialised(database: Path) -> bool:
    """True if the sqlite file has MLflow's tables (checked without MLflow, which would create them)."""
    if not database.is_file():
        return False
    with sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True) as connection:
        found = connection.execute("select 1 from sqlite_master where name = 'alembic_version'").fetchone()
    return found is not None


def first_line(error: BaseException) -> str:
    """``Type: message`` of an error, first line, without credentials."""
    lines = without_password(str(error)).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def remedy(uri: str, error: BaseException | str) -> str:
    """Remedy for a store that cannot be reached."""
    if sqlite_file(uri) is None:
        return "start its server, or correct tracking.uri"
    fits = (advice for pattern, advice in SQLITE_REMEDIES if re.search(pattern, str(error)))
    return next(fits, "fix this and repeat")
