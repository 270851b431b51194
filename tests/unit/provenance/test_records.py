"""Records: sealed, relative, the same bytes for the same files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from cyclemix.provenance import records


@pytest.fixture
def record(tmp_path: Path) -> Path:
    for name in ("data/x y.csv", "runs/a/model.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    path = tmp_path / "runs" / "a" / records.NAME
    made = {"stage": "train", "code_digest": "c0de", "settings": {"values": {10: "a", 9: "b"}}}
    records.write(path, made, [tmp_path / "data" / "x y.csv"], [tmp_path / "runs" / "a" / "model.pt"])
    return path


def test_it_names_files_from_its_own_folder_with_their_sha256(record: Path, tmp_path: Path) -> None:
    content = records.read(record)
    sha256 = hashlib.sha256(b"data/x y.csv").hexdigest()
    assert content["inputs"] == {"../../data/x y.csv": sha256}
    assert list(content["outputs"]) == ["model.pt"]
    assert records.locate(record, "../../data/x y.csv") == tmp_path / "data" / "x y.csv"


def test_it_may_be_moved_and_written_again(record: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("data", "runs"):
        (tmp_path / name).rename(moved / name)
    again = moved / "runs" / "a" / records.NAME
    assert records.read(again)["stage"] == "train"
    before = again.read_bytes()
    made = {
        key: value for key, value in json.loads(before).items() if key in ("stage", "code_digest", "settings")
    }
    records.write(again, made, [moved / "data" / "x y.csv"], [moved / "runs" / "a" / "model.pt"])
    assert again.read_bytes() == before


def test_a_changed_digit_breaks_the_seal(record: Path) -> None:
    record.write_text(record.read_text().replace("c0de", "c0df"))
    with pytest.raises(ValueError, match=r"runs/a/provenance\.json: its checksum does not fit its content"):
        records.read(record)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"provenance\.json: not a record"),
        ("\udcff", r"provenance\.json: not a record"),
        ('{"commit": "c0ffee"}', "no record of inputs and outputs; an older version wrote it"),
    ],
)
def test_what_is_no_record_is_refused(record: Path, text: str, message: str) -> None:
    record.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=message):
        records.read(record)


def test_files_are_held_against_what_their_stage_wrote(record: Path, tmp_path: Path) -> None:
    model = record.with_name("model.pt")
    there = [model, tmp_path / "runs" / ".." / "runs" / "a" / "model.pt", tmp_path / "absent"]
    records.check([record, tmp_path / "no_record.json"], there)
    model.write_text("another")
    digest = hashlib.sha256(b"another").hexdigest()[:16]
    known = hashlib.sha256(b"runs/a/model.pt").hexdigest()[:16]
    message = (
        rf"model\.pt: damaged or altered since `train` wrote it \(sha256 {digest}\.\.\., "
        rf"its record says {known}\.\.\.\); delete it and run `train` again"
    )
    for name in there[:2]:
        with pytest.raises(ValueError, match=message):
            records.check([record], [name])
    records.check([], [model])
    records.check([record], [tmp_path / "data" / "x y.csv"])  # an input: covered by its own stage


def test_an_altered_record_vouches_for_nothing(record: Path) -> None:
    record.write_text(record.read_text().replace("c0de", "c0df"))
    with pytest.raises(
        ValueError, match=r"its checksum does not fit .*; delete it and run the stage that writes it"
    ):
        records.check([record], [])
    record.write_text('{"commit": "c0ffee"}')
    record.with_name("model.pt").write_text("another")
    records.check(
        [record], [record.with_name("model.pt")]
    )  # of an older version, which says nothing of files


def test_an_absent_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.json: no such record"):
        records.read(tmp_path / "gone.json")
