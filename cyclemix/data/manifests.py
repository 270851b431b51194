"""Manifests: path, size and sha256 of every upstream file, and selection of the files that cases need."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclemix.config.strict import ConfigError
from cyclemix.data.spec import DatasetSpec
from cyclemix.data.spec_blocks import KINDS

SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a manifest."""

    path: str
    url: str
    bytes: int
    sha256: str


def remote_files(spec: DatasetSpec) -> dict[str, RemoteFile]:
    """Every file of the data set's manifests, by path.

    Raises:
        ConfigError: a manifest is missing or lacks a column, or a path is listed twice.
    """
    files: dict[str, RemoteFile] = {}
    for upstream in spec.upstream:
        manifest = spec.path(upstream.manifest)
        if not manifest.is_file():
            raise ConfigError(f"{manifest}: no such manifest (upstream.manifest of {spec.label})")
        for row in _rows(manifest):
            path = row["path"]
            if path in files or Path(path).is_absolute() or ".." in Path(path).parts:
                raise ConfigError(f"{manifest}: {path} is listed twice or leaves the download folder")
            url = upstream.url.rstrip("/") + "/" + path
            files[path] = RemoteFile(path, url, int(row["bytes"]), row["sha256"].lower())
    return files


def _rows(manifest: Path) -> Iterator[dict[str, str]]:
    """The manifest's rows with path, bytes and sha256."""
    columns = ("path", "bytes", "sha256")
    try:
        table = list(csv.DictReader(io.StringIO(manifest.read_text("utf-8")), delimiter="\t"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{manifest}: not a tab-separated UTF-8 table ({error}); fetch it again") from None
    for number, row in enumerate(table, 2):
        if not set(columns) <= set(row):
            raise ConfigError(
                f"{manifest}: expected columns path, bytes, sha256, got {', '.join(map(str, row))}"
            )
        path, size, digest = (row[name] or "" for name in columns)
        if not (path and size.isdecimal() and SHA256.fullmatch(digest)):
            raise ConfigError(
                f"{manifest}: line {number}: expected a path, its number of bytes and 64 hexadecimal "
                f"digits, got {path!r}, {size!r}, {digest!r}; write the line again"
            )
        yield {"path": path, "bytes": size, "sha256": digest}


def needed_files(spec: DatasetSpec, cases: Iterable[Mapping[str, Any]]) -> list[RemoteFile]:
    """Upstream files of ``cases``, sorted by path; without files of an own ``root``."""
    known = remote_files(spec)
    names = {str(case[kind]).partition("::")[0] for case in cases for kind in KINDS if case[kind]}
    return [known[name] for name in sorted(names & known.keys())]
