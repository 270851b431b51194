"""Parallel processing of files with a progress bar; pending work is cancelled on interruption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def parallel(
    work: Callable[[_Item], _Result], items: Sequence[_Item], threads: int, title: str, unit: str
) -> list[_Result]:
    """``[work(item) for item in items]`` on several threads; stops at the first exception."""
    pool = ThreadPoolExecutor(max(1, threads))
    try:
        return list(tqdm(pool.map(work, items), title, len(items), unit=unit, disable=None))
    finally:
        pool.shutdown(cancel_futures=True)
