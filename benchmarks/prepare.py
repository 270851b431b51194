"""Cases per second of `prepare` against the number of cores, on generated hearts in upstream's layout.

python benchmarks/prepare.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from lib import record

from cyclemix.config.models import Grid
from cyclemix.data import download, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", nargs="+", type=int, default=sorted({1, os.cpu_count() or 1}))
    options = parser.parse_args()
    dataset, grid = record.ROOT / "config" / "datasets" / "phantom.yaml", Grid(spacing_mm=1.37, crop_px=212)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        receipt = Path(folder) / "phantom" / "raw_train.json"
        download.run(dataset, "train", receipt, threads=max(options.cores))
        for cores in options.cores:
            output = Path(folder) / "phantom" / f"prepared_{cores}" / "index_train.csv"
            start = time.perf_counter()
            prepare.run(dataset, "train", receipt, grid, output, threads=cores)
            seconds = time.perf_counter() - start
            cases = len(output.read_text().splitlines()) - 1
            rows.append({"cores": cores, "cases": cases, "cases_per_s": round(cases / seconds, 2)})
    record.save("prepare", rows, "cpu")


if __name__ == "__main__":
    main()
