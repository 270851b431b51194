"""Download of one file: no redirect from https to http, and a limit on its size."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

from cyclemix.files.urls import without_password

TIMEOUT_SECONDS = 60
"""Timeout of a connection, and between two chunks of data."""

MOST_REDIRECTS = 5
CHUNK = 1 << 18


class Wrong(Exception):
    """A download that differs from the manifest; ``final`` if a retry cannot help."""

    def __init__(self, message: str, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def fetch(url: str, path: Path, most_bytes: int) -> None:
    """Download a file; the caller verifies its content.

    Redirects are followed one by one: from https only to https, from the plain http of a mirror to either.

    Args:
        url: http or https.
        path: the file to write.
        most_bytes: limit of the size, independent of the declared length.

    Raises:
        Wrong: too many bytes or redirects, or a redirect to another scheme.
        requests.RequestException: network error, or an error status.
    """
    kinds = ("https",) if urlsplit(url).scheme == "https" else ("https", "http")
    for _ in range(MOST_REDIRECTS + 1):
        # identity: requests would unpack a transparent gzip, whose content may not match the manifest's hash
        headers = {"Accept-Encoding": "identity"}
        with requests.get(
            url, stream=True, timeout=TIMEOUT_SECONDS, headers=headers, allow_redirects=False
        ) as response:
            if not response.is_redirect:
                response.raise_for_status()
                _write(response, path, most_bytes)
                return
            target = urljoin(url, response.headers["location"])
        if urlsplit(target).scheme not in kinds:
            raise Wrong(
                f"{without_password(url)} redirects to {without_password(target)}; expected an address of "
                f"{' or '.join(kinds)}",
                final=True,
            )
        url = target
    raise Wrong(f"{without_password(url)}: more than {MOST_REDIRECTS} redirects", final=True)


def _write(response: requests.Response, path: Path, most_bytes: int) -> None:
    count = 0
    with path.open("wb") as stream:
        for chunk in response.iter_content(CHUNK):
            count += len(chunk)
            if count > most_bytes:
                raise Wrong(
                    f"{without_password(response.url)} sends more than the {most_bytes} bytes expected"
                )
            stream.write(chunk)
