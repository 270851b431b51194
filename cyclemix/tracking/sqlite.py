"""The sqlite file of a store, its errors, and its artifact locations after a move of the results folder.

MLflow stores absolute locations in its database; uncorrected, new artifacts would go to the old folder.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from cyclemix.files.urls import without_password

LOCATIONS = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns with locations below an experiment's."""

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


def repoint(database: Path, artifacts: Path) -> list[Path]:
    """Point the experiments of a store to the artifacts folder beside it.

    Safe with several processes, no effect if all locations are correct. Experiments with artifacts outside of
    a folder ``mlflow/artifacts`` are not changed.

    Args:
        artifacts: folder of the artifacts, absolute, with one folder per experiment.

    Returns:
        The previous artifacts folders, each once.

    Raises:
        sqlite3.Error: the file is not an MLflow store, is locked or read-only.
    """
    with sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True) as reading:
        if not _misplaced(reading, artifacts):
            return []
    connection = sqlite3.connect(database, timeout=60, isolation_level=None)
    try:
        connection.execute("begin immediate")
        found = _misplaced(connection, artifacts)
        for identity, old, new in found:
            connection.execute(
                "update experiments set artifact_location = ? where experiment_id = ?", (new, identity)
            )
            for table, column in LOCATIONS:
                connection.execute(
                    f"update {table} set {column} = ? || substr({column}, ?) "
                    f"where substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, len(old) + 1, old + "/"),
                )
        connection.execute("commit")
    finally:
        connection.close()
    return sorted({_folder(old).parent for _, old, _ in found})


def _misplaced(connection: sqlite3.Connection, artifacts: Path) -> list[tuple[int, str, str]]:
    """Experiments with a wrong location: id, location, correct location."""
    found = []
    rows = connection.execute("select experiment_id, name, artifact_location from experiments")
    for identity, name, old in rows.fetchall():
        if not str(old).startswith("file:///") or not old.endswith(f"/mlflow/artifacts/{quote(name)}"):
            continue
        if _folder(old).resolve() != (artifacts / name).resolve():
            found.append((identity, old, (artifacts / name).as_uri()))
    return found


def _folder(location: str) -> Path:
    return Path(unquote(urlsplit(location).path))
