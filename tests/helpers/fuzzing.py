"""Random damage to a file, read again and again in a process of bounded memory.

``python fuzzing.py READER FILE SEED COUNT`` damages FILE in COUNT ways and reads each. Allowed are a right
read and a refusal that names the file; anything else is printed and ends with status 1.
"""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SPARE_BYTES = 768 * 2**20
"""Memory above what the interpreter holds before the first read."""

SLOWEST_SECONDS = 5.0


def fuzz(reader: str, file: Path, seed: int, count: int, limit_seconds: float = 60.0) -> dict[str, int]:
    """How often damaged copies of ``file`` were ``read`` and ``refused``; fails on every other outcome."""
    command = [sys.executable, __file__, reader, str(file), str(seed), str(count)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit_seconds,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, (
        f"{reader}, seed {seed}: status {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return json.loads(done.stdout.splitlines()[-1])


def damage(content: bytes, rng: np.random.Generator, start: int) -> bytes:
    """A few changed bytes, a hole, a cut, or some bytes more; half of them among the first ``start``."""
    data = bytearray(content)
    end = min(start, len(data)) if rng.random() < 0.5 else len(data)
    kind = rng.choice(["bytes", "bytes", "bits", "cut", "hole", "insert", "extreme"])
    place = int(rng.integers(end))
    if kind == "cut":
        del data[place:]
    elif kind == "insert":
        data[place:place] = rng.bytes(int(rng.integers(1, 9)))
    elif kind == "hole":
        size = min(int(rng.integers(1, 65)), len(data) - place)
        data[place : place + size] = bytes(size)
    elif kind == "extreme":  # a field of a header at its limit
        value = rng.choice(
            [b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f"]
        )
        data[place : place + 4] = value
    else:
        for at in rng.integers(end, size=int(rng.integers(1, 9))):
            data[at] = data[at] ^ (1 << rng.integers(8)) if kind == "bits" else rng.integers(256)
    return bytes(data)


def read_nifti(path: Path) -> Any:
    from cyclemix.data.readers.native import read_image

    return read_image(path)[0]


def read_member(path: Path) -> Any:
    from cyclemix.data.readers.native import load_volume

    return load_volume(Path(), {"case": "v", "image": f"{path}::v.nii.gz"}, "image")[0]


def read_h5(path: Path) -> Any:
    from cyclemix.data.readers.native import load_volume

    return load_volume(Path(), {"case": "v", "image": f"{path}::label"}, "image")[0]


def read_case(path: Path) -> Any:
    from cyclemix.data.store import load_case

    case = load_case(path)
    return np.stack([case.image, case.scribble, case.label])


def read_index(path: Path) -> Any:
    from cyclemix.data import store

    return len(store.read_index([path]))


def read_folds(path: Path) -> Any:
    from cyclemix.data import receipts

    return len(receipts.read_folds(path))


def read_receipt(path: Path) -> Any:
    from cyclemix.data import receipts

    return len(receipts.read_receipt(path))


def read_study(path: Path) -> Any:
    from cyclemix.config.strict import load_yaml, validate
    from cyclemix.config.study import Study

    return str(validate(Study, load_yaml(path), str(path)))


def read_dataset(path: Path) -> Any:
    from cyclemix.data.datasets import load_dataset

    return str(load_dataset(path))


def read_manifest(path: Path) -> Any:
    from cyclemix.data.datasets import load_dataset
    from cyclemix.data.manifests import remote_files

    return len(remote_files(load_dataset(path.with_name("own.yaml"))))


READERS: dict[str, Callable[[Path], Any]] = {
    name.removeprefix("read_"): value for name, value in list(globals().items()) if name.startswith("read_")
}

CHECKSUMMED = {"nifti.gz", "member", "case"}
"""Whatever is read in spite of the damage must be what was written."""


def main(reader: str, file: Path, seed: int, count: int) -> int:
    """Damage and read; the counts as the last line."""
    warnings.simplefilter("ignore")
    read, repack = READERS[reader.partition(".")[0]], reader.endswith(".repacked")
    content, rng = file.read_bytes(), np.random.default_rng(seed)
    whole = read(file)
    resource.setrlimit(resource.RLIMIT_AS, (_held() + SPARE_BYTES,) * 2)
    counts = {"read": 0, "refused": 0}
    for number in range(count):
        if repack:
            file.write_bytes(gzip.compress(damage(gzip.decompress(content), rng, 400), 1))
        else:
            file.write_bytes(damage(content, rng, 400))
        start, wrong = time.monotonic(), None
        try:
            found = read(file)
            counts["read"] += 1
            if reader in CHECKSUMMED and not np.array_equal(found, whole):
                wrong = "read other values than were written"
        except ValueError as error:
            counts["refused"] += 1
            if file.parent.name not in str(error) or isinstance(error, UnicodeError):
                wrong = f"the message does not name the file: {error!r}\n{traceback.format_exc()}"
        except BaseException:  # noqa: BLE001 (every other outcome is the finding)
            wrong = traceback.format_exc()
        if time.monotonic() - start > SLOWEST_SECONDS:
            wrong = f"took {time.monotonic() - start:.1f} s"
        if wrong:
            print(f"damage {number}: {wrong}\nfirst bytes: {file.read_bytes()[:400]!r}")
            return 1
    print(json.dumps(counts))
    return 0


def _held() -> int:
    """Bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
