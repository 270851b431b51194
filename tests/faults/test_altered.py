"""A file altered after its stage wrote it: the next one refuses it, even if its reader would see nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import stages


def damage(path: Path) -> None:
    """Alter what no reader looks at: the time in the header of a zip or gzip; of a table the last digit."""
    content = bytearray(path.read_bytes())
    place = {".npz": 10, ".pt": 10, ".gz": 4}.get(path.suffix, len(content) - 2)
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("stage", "file", "writer"),
    [
        ("train", "data/phantom/prepared/3.2mm_64px/heart001_frame01.npz", "prepare"),
        ("train", "data/phantom/prepared/3.2mm_64px/index_val.csv", "prepare"),
        ("predict", "data/phantom/prepared/3.2mm_64px/heart020_frame01.npz", "prepare"),
        ("predict", "runs/phantom/unet_pce/fold0_seed0/model.pt", "train"),
        ("evaluate", "runs/phantom/unet_pce/fold0_seed0/predictions/heart020_frame01.nii.gz", "predict"),
        ("tabulate", "runs/phantom/unet_pce/fold0_seed0/metrics.csv", "evaluate"),
        ("tabulate", "runs/phantom/unet_pce/fold0_seed0/metrics_by_level.csv", "evaluate"),
        ("figures", "runs/phantom/unet_pce/fold0_seed0/metrics.csv", "evaluate"),
        ("figures", "runs/phantom/unet_pce/fold0_seed0/history.csv", "train"),
    ],
)
def test_refused_by_the_next_stage(
    stage: str, file: str, writer: str, server: Any, reference: Any, tmp_path: Path
) -> None:
    folder = stages.copy(reference.before[stage], tmp_path / "study")
    path = folder / "results" / file
    damage(path)
    answer = server.run(folder, reference.jobs[stage].arguments)
    assert answer.status == 1, answer.text
    assert f"results/{file}: damaged or altered since `{writer}` wrote it (sha256 " in answer.text
    assert f"delete it and run `{writer}` again" in answer.text
    made = reference.jobs[stage].made & stages.files(folder)
    assert {name for name in made if "figures/" not in name} == set(), "made from an altered file"


def test_an_altered_record_is_refused_too(server: Any, reference: Any, tmp_path: Path) -> None:
    folder = stages.copy(reference.before["predict"], tmp_path / "study")
    record = folder / "results/runs/phantom/unet_pce/fold0_seed0/provenance.json"
    record.write_text(record.read_text().replace('"steps": 4', '"steps": 5'))
    answer = server.run(folder, reference.jobs["predict"].arguments)
    assert answer.status == 1, answer.text
    expected = (
        "provenance.json: its checksum does not fit its content; it was altered; delete it and run the stage"
    )
    assert expected in answer.text


def test_what_has_no_record_is_not_compared(server: Any, reference: Any, tmp_path: Path) -> None:
    folder = stages.copy(reference.before["evaluate"], tmp_path / "study")
    predictions = folder / "results/runs/phantom/unet_pce/fold0_seed0/predictions"
    (predictions / "provenance.json").unlink()
    damage(predictions / "heart020_frame01.nii.gz")
    answer = server.run(folder, reference.jobs["evaluate"].arguments)
    assert answer.status == 0, answer.text
