"""What the MLflow mirror costs a training: off, sqlite, a server that is up, down, or never answers.

A small U-Net on a few made-up hearts tells a row every 5 steps, far more often than a training of minutes
does. Kinds of mirror take turns. Two costs are measured: the slowdown of the training loop, and the seconds
before and after it (connecting, sending the rest), which hardly grow with the training.

    python benchmarks/tracking.py        # measures a server where MLflow's is installed: make install-ui
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pandas as pd
import requests
import torch
import yaml
from lib import record

from cyclemix.cli.stages import Silent
from cyclemix.config.models import Grid, Protocol, Recipe, Tracking, Training
from cyclemix.config.study import MethodBlock
from cyclemix.data import download, prepare, split
from cyclemix.files import layout
from cyclemix.provenance.digests import hardware
from cyclemix.tracking import api
from cyclemix.training import resolve, train

RESULTS = record.RESULTS / "tracking.csv"
GRID = Grid(spacing_mm=3.2, crop_px=64)
RECIPE = Recipe(base_filters=8, levels=3, batch_size=8, max_steps=100, validate_every_steps=5)
REPEATS = 3
DOWN = "http://127.0.0.1:9"


def prepared(folder: Path) -> Path:
    """Three hearts of the phantom, prepared below ``folder``; returns the data set's file."""
    spec = yaml.safe_load((record.ROOT / "config" / "datasets" / "phantom.yaml").read_text())
    spec["official"] = {"train": [1, 2], "val": [11], "masks": [15], "test": [19]}
    path = folder / "phantom.yaml"
    path.write_text(yaml.safe_dump(spec))
    data = folder / "data" / "phantom"
    for part in ("train", "val"):
        download.run(path, part, data / f"raw_{part}.json")
        prepare.run(path, part, data / f"raw_{part}.json", GRID, data / GRID.name / f"index_{part}.csv")
    split.run(path, Protocol(), None, data / "folds.json")
    return path


def trained(dataset_file: Path, results: Path, uri: str | None) -> tuple[float, float]:
    """Seconds of the training loop, and of all else from opening the mirror to having closed it."""
    config = layout.method_dir(results, "phantom", "unet_pce") / "config.json"
    block = MethodBlock(method="unet_pce", summary="")
    resolve.run(dataset_file, "unet_pce", block, RECIPE, GRID, config)
    data = dataset_file.parent / "data" / "phantom"
    index = [data / GRID.name / f"index_{part}.csv" for part in ("train", "val")]
    folder, execution = layout.run_dir(results, "phantom", "unet_pce", 0, 0), Training()
    started = time.perf_counter()
    mirror: train.Reporter = Silent()
    if uri is not None:
        mirror = api.open_run(results, Tracking(uri=uri), config, 0, 0)
    train.run(config, data / "folds.json", index, 0, 0, folder, execution, mirror)
    total = time.perf_counter() - started
    loop = float(pd.read_csv(folder / "history.csv")["seconds"].iloc[-1])
    return loop, total - loop


@contextmanager
def server(folder: Path) -> Iterator[str | None]:
    """Address of a running MLflow server, None where it is not installed."""
    if importlib.util.find_spec("flask") is None:
        print("MLflow's server is not installed (make install-ui): left out")
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=folder, **quiet)  # type: ignore[call-overload]
    try:
        for _ in range(300):
            try:
                requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except requests.RequestException:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def measure(folder: Path, stores: dict[str, str | None]) -> pd.DataFrame:
    """One row per kind of mirror: medians over repeats. One training thread leaves a core for a server."""
    torch.set_num_threads(1)
    dataset_file = prepared(folder)
    trained(dataset_file, folder / "warm-up", None)
    rows = []
    for repeat in range(REPEATS):
        for name, uri in stores.items():
            loop, rest = trained(dataset_file, folder / name / str(repeat), uri)
            rows.append({"mirror": name, "loop_seconds": loop, "rest_seconds": rest})
    table = pd.DataFrame(rows).groupby("mirror", sort=False).median()
    table["loop_slowdown_percent"] = 100 * (table["loop_seconds"] / table.loc["off", "loop_seconds"] - 1)
    table["extra_seconds"] = table["rest_seconds"] - table.loc["off", "rest_seconds"]
    return table.drop(columns="rest_seconds").round(3).reset_index()


def import_seconds() -> float:
    """Seconds that a training spends on importing MLflow, in a process that has torch already."""
    code = "import time, cyclemix.training.train, cyclemix.tracking.api as t; a = time.perf_counter(); "
    code += "t.import_mlflow(); print(time.perf_counter() - a)"
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, cwd=record.ROOT, capture_output=True, text=True, check=True).stdout)


def surroundings() -> dict[str, str]:
    """Commit, hardware and versions of these numbers."""
    machine = hardware()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else machine["cpu"]
    versions = {"torch": metadata.version("torch"), "mlflow": metadata.version("mlflow-skinny")}
    return {"commit": record.commit(), "device": device, "cores": str(machine["cores"]), **versions}


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as scratch,
        socket.create_server(("127.0.0.1", 0)) as silent,
        server(Path(scratch)) as up,
    ):
        folder = Path(scratch)
        sqlite = f"sqlite:///{folder / 'mlflow.db'}"
        api.init(folder, Tracking(uri=sqlite), ["phantom"], folder / "sentinel.json")
        stores = {"off": None, "sqlite": sqlite, "server": up, "server down": DOWN}
        stores["server hangs"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if up is None:
            del stores["server"]
        table = measure(folder, stores)
    table = table.assign(repeats=REPEATS, rows=RECIPE.max_steps // RECIPE.validate_every_steps)
    table = table.assign(import_seconds=round(import_seconds(), 3), **surroundings())
    print(table.to_string(index=False))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(RESULTS, index=False)
    print(f"written to {RESULTS.relative_to(record.ROOT)}")


if __name__ == "__main__":
    main()
