"""The house stays one: few rooms, short modules, tests beside them, and a map that points to files."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "cyclemix"
MOST_ROOMS, MOST_LINES, FEWEST_CHANGES = 16, 320, 10


def test_the_package_has_few_rooms() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("__")}
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)


def test_no_module_is_long() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_tests_lie_in_the_rooms_of_the_package() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith("__")}
    folders = {path.name for path in (ROOT / "tests" / "unit").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == rooms | {"project"}


def test_the_map_names_files_that_exist() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## To change X")[2].partition("\n\n")[2]
    rows = [line for line in table.partition("\n\n")[0].splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= FEWEST_CHANGES
    named = re.findall(r"`((?:cyclemix|config|rules)/[\w/.]*)`", "\n".join(rows))
    assert len(named) >= max(20, len(rows) - 2)
    assert [path for path in named if "NAME" not in path and not (ROOT / path).exists()] == []
