"""Stage ``download``: fetch and verify the files of a part, or generate the phantom; write the receipt.

A file is written under a temporary name, verified against the manifest's sha256 and then renamed. Existing
files that match are not fetched again.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from tqdm import tqdm

from cyclemix.config.strict import ConfigError
from cyclemix.data import web
from cyclemix.data.cases import list_cases
from cyclemix.data.datasets import load_dataset
from cyclemix.data.manifests import RemoteFile, needed_files
from cyclemix.data.phantom import phantom
from cyclemix.data.readers.volumes import files_of
from cyclemix.data.spec import DatasetSpec
from cyclemix.data.spec_blocks import KINDS
from cyclemix.data.web import Wrong
from cyclemix.files.atomic import replacing, sweep, write_text
from cyclemix.files.parallel import parallel
from cyclemix.files.urls import without_password
from cyclemix.provenance.records import sha256

logger = logging.getLogger(__name__)

TRIES = 5
FIRST_PAUSE_SECONDS = 1.0
MOST_PAUSE_SECONDS = 120.0
FINAL_STATUS = range(400, 500)
RETRIED_STATUS = (408, 425, 429)


class DownloadError(ValueError):
    """A failed download; the message names the file, what was expected and found, and the remedy."""


def run(dataset_file: Path, part: str, output: Path, mirror: str | None = None, threads: int = 4) -> None:
    """Fetch and verify every file of ``part`` and write the receipt ``output``.

    Args:
        dataset_file: ``config/datasets/<label>.yaml``, not a view.
        part: an official list, or ``all``.
        output: ``raw_{part}.json``; files go to ``raw/`` beside it.
        mirror: folder or URL with upstream files under ``<host>/<path>``; None = the original URLs.
        threads: number of files fetched in parallel.

    Raises:
        ConfigError: unknown data set, part or mirror.
        DownloadError: at least one file failed; all other files were fetched.
    """
    spec = load_dataset(dataset_file)
    if spec.source:
        raise ConfigError(
            f"{dataset_file}: a view of {spec.source} has no files of its own; download that one"
        )
    raw_dir = output.parent / "raw"
    raw_dir.mkdir(parents=True, exist_ok=True)
    if removed := sweep(raw_dir):
        logger.info("%s: removed %d partial files of interrupted downloads", raw_dir, removed)
    if spec.kind == "phantom":
        generate(spec, part, raw_dir, threads)
    cases = list_cases(spec, part, raw_dir)
    references = {case[kind] for case in cases for kind in KINDS if case[kind]}
    wanted = needed_files(spec, cases)
    fetch(wanted, raw_dir, mirror, threads, f"{spec.label} {part}")
    names = sorted({name for reference in references for name in files_of(raw_dir, reference)})
    hashes = {file.path: file.sha256 for file in wanted}
    files = [_file_entry(raw_dir, name, hashes.get(name)) for name in names]
    receipt = {"dataset": spec.label, "part": part, "files": files, "cases": cases}
    write_text(output, json.dumps(receipt, indent=1, sort_keys=True) + "\n")
    megabytes = sum(file["bytes"] for file in files) / 1e6
    logger.info("%s: %d cases, %d files, %.1f MB", output, len(cases), len(files), megabytes)


def generate(spec: DatasetSpec, part: str, raw_dir: Path, threads: int) -> None:
    """Write the phantom's subjects of a part, reproducibly from the seed."""
    subjects = spec.subjects if part == "all" else spec.official.get(part, [])  # type: ignore[call-overload]

    def write(name: str) -> None:
        phantom.write_subject(raw_dir, name, (spec.seed, *name.encode()))

    parallel(write, subjects, threads, f"{spec.label} {part}", "subject")


def fetch(files: Iterable[RemoteFile], raw_dir: Path, mirror: str | None, threads: int, title: str) -> None:
    """Fetch missing and damaged files in parallel.

    Raises:
        DownloadError: one line per failed file.
    """
    files = list(files)
    if not files:
        return
    obtain = _source(mirror)
    failures: list[str] = []
    total = sum(file.bytes for file in files)
    with (
        tqdm(total=total, desc=title, unit="B", unit_scale=True, disable=None) as bar,
        ThreadPoolExecutor(max(1, threads)) as pool,
    ):
        jobs: list[Future[None]] = [pool.submit(_ensure, file, raw_dir, obtain) for file in files]
        try:
            for file, job in zip(files, jobs, strict=True):
                try:
                    job.result()
                except DownloadError as error:
                    failures.append(str(error))
                bar.update(file.bytes)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        rest = f"\n... and {len(failures) - 10} more" if len(failures) > 10 else ""
        raise DownloadError(
            f"{len(failures)} of {len(files)} files failed:\n" + "\n".join(failures[:10]) + rest
        )


def _ensure(file: RemoteFile, raw_dir: Path, obtain: Callable[[RemoteFile, Path], str]) -> None:
    target = raw_dir / file.path
    if target.is_file() and target.stat().st_size == file.bytes and sha256(target) == file.sha256:
        return
    if target.is_file():
        logger.warning("%s: differs from the manifest, fetching it again", target)
    for attempt in range(1, TRIES + 1):
        with_retry = attempt < TRIES
        try:
            with replacing(target) as partial:
                origin = obtain(file, partial)
                _verify(partial, file, origin)
            return
        except (Wrong, requests.RequestException) as error:
            if not with_retry or _is_final(error):
                raise DownloadError(_explain(file, error)) from error
            pause, text = _pause(error, attempt), without_password(str(error))
            logger.warning("%s: %s; try %d of %d in %.0f s", file.path, text, attempt + 1, TRIES, pause)
            time.sleep(pause)


def _pause(error: Exception, attempt: int) -> float:
    """Seconds until the next try: exponential back-off, or the server's ``Retry-After`` if longer."""
    response = getattr(error, "response", None)
    asked = "" if response is None else response.headers.get("Retry-After", "")
    own = FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
    return min(MOST_PAUSE_SECONDS, max(own, float(asked))) if asked.isdigit() else own


def _verify(path: Path, file: RemoteFile, origin: str) -> None:
    size = path.stat().st_size
    if size != file.bytes:
        raise Wrong(f"{origin} gave {size} bytes, expected {file.bytes}", final="://" not in origin)
    actual = sha256(path)
    if actual != file.sha256:
        raise Wrong(f"{origin} has sha256 {actual}, expected {file.sha256}", final="://" not in origin)


def _explain(file: RemoteFile, error: Exception) -> str:
    advice = "check the network and run again (finished files are kept)"
    if isinstance(error, Wrong):
        advice = "the copy there is damaged or another version; replace it or choose another mirror"
    elif _is_final(error):
        advice = "the file is not served there; check the manifest's address or the mirror"
    return f"{file.path}: {without_password(str(error))}; {advice}"


def _is_final(error: Exception) -> bool:
    """True if a retry cannot help."""
    if isinstance(error, Wrong):
        return error.final
    response = getattr(error, "response", None)
    status = 0 if response is None else response.status_code
    return status in FINAL_STATUS and status not in RETRIED_STATUS


def _source(mirror: str | None) -> Callable[[RemoteFile, Path], str]:
    """A function that fetches a file to a path and returns its origin."""
    if mirror is None or "://" in mirror:
        if mirror is not None and not mirror.startswith(("http://", "https://")):
            shown = without_password(mirror)
            raise ConfigError(f"mirror: expected a folder or an http(s) address, got {shown!r}")
        base = None if mirror is None else mirror.rstrip("/")
        return lambda file, path: _from_web(_address(file, base), path, file.bytes)
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"mirror: no such folder {folder} (from {Path.cwd()})")
    return lambda file, path: _from_folder(folder / _mirror_path(file), path)


def _address(file: RemoteFile, base: str | None) -> str:
    return file.url if base is None else f"{base}/{quote(_mirror_path(file))}"


def _mirror_path(file: RemoteFile) -> str:
    """``<host>/<path>`` of the original URL."""
    parts = urlsplit(file.url)
    return f"{parts.netloc}{parts.path}"


def _from_web(url: str, path: Path, most_bytes: int) -> str:
    web.fetch(url, path, most_bytes)
    return without_password(url)


def _from_folder(origin: Path, path: Path) -> str:
    if not origin.is_file():
        raise Wrong(f"the mirror has no {origin}", final=True)
    shutil.copyfile(origin, path)
    return str(origin)


def _file_entry(raw_dir: Path, name: str, known: str | None) -> dict[str, Any]:
    path = raw_dir / name  # an absolute name (a root outside the results) is unchanged
    return {"path": name, "bytes": path.stat().st_size, "sha256": known or sha256(path)}
