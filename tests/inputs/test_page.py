"""docs/reference/bad-inputs.md: each row of its tables is a test here, and each test a row."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from scripts import load_script

TABLES = {
    "test_bad_volumes.py": ["CASES"],
    "test_repairs.py": ["CASES", "WORKS"],
    "test_bad_containers.py": ["CASES"],
    "test_bad_lists.py": ["CASES"],
    "test_bad_configs.py": ["CASES"],
}


def asserted() -> Counter[str]:
    """Names of all parametrised cases."""
    found: Counter[str] = Counter()
    for file, names in TABLES.items():
        module = load_script(f"tests/inputs/{file}")
        for name in names:
            found.update(list(getattr(module, name)))
    return found


def test_rows_and_tests_are_the_same(repository: Path) -> None:
    text = (repository / "docs" / "reference" / "bad-inputs.md").read_text()
    rows = re.findall(r"^\| (.+?) \| .+? \| .+? \|$", text, re.MULTILINE)
    documented = Counter(row for row in rows if row != "input")
    assert documented == asserted()
    assert set(documented.values()) == {1}
