"""Check the wording of pages, docstrings, comments and messages: `make lint` runs it.

    python docs/wording.py [FILE ...]     # without files: all text files of the repository

The rules are in CONTRIBUTING.md under Style. A line that must keep such words ends with ``# wording: keep``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = {".md", ".py", ".smk", ".yaml", ".yml", ".toml", ".rst", ".html", ".jinja", ""}
SKIPPED = ("docs/wording.py", "tests/unit/project/test_wording.py", "benchmarks/results/", "CHANGELOG.md")

UNIT = (
    "row|line|job|case|method|figure|file|point|run|step|class|image|patient|subject|slice|fold|seed|"
    "sample|batch|axis|voxel|structure|panel|name|number|value|key"
)
COUNTED = "seconds|milliseconds|ms|images|pieces|jobs|bytes|tasks|calls|pixels|slices"
RULES = {
    rf"\b(?:one|a|an) (?:{UNIT}) an? (?:{UNIT})\b": "write `one X per Y`",
    rf"\b(?:{COUNTED}) an? (?:{UNIT}|GPU)\b": "write `per`",
    r"\bcom(?:e|es|ing) home\b|\b(?:bring|brings|brought) \w+ home\b": "write `resample to the native grid`",
    r"\bvouch(?:es|ed)?\b": "write `verify` or `record`",
    r"\bof one's own\b": "write `your own` or `separate`",
    r"\blook-alikes?\b": "write `distant structures that resemble ...`",
    r"\blets? (?:it|the \w+) down\b": "name the failure",
    r"\b(?:is|are) no (?:image|label|mask|number|prediction|report|grid|volume)s?\b": "write `is not a ...`",
    r"\b(?:start|begin)s? afresh\b": "write `starts from step 0`, `starts again`",
    r"\b(?:goes|go|going) on from\b": "write `resumes from` or `continues`",
    r"\b(?:is|are) told\b": "write `is reported` or `is stated`",
    r"\btold apart\b": "write `distinguished`",
    r"\bannotation effort\b|\beffort of annotation\b": "write `annotation budget`",
    r"\ba (?:row|line|job|seed|point) more\b": "write `adding a row ...`",
}
"""Pattern and what to write instead."""


def files() -> list[Path]:
    """All tracked text files."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.splitlines()]


def findings(path: Path) -> Iterator[str]:
    """``FILE:LINE: words: what to write instead``; also found where the words are wrapped over lines."""
    name = path.relative_to(ROOT).as_posix()
    if path.suffix not in SUFFIXES or name.startswith(SKIPPED):
        return
    text = path.read_text()
    for pattern, better in RULES.items():
        for match in re.finditer(pattern.replace(" ", r"\s+(?:#\s+)?"), text, re.IGNORECASE):
            line = text.count("\n", 0, match.start())
            if "wording: keep" not in text.splitlines()[line]:
                yield f"{name}:{line + 1}: {' '.join(match[0].split())!r}: {better}"


def main() -> int:
    """Print all findings; exit status 1 if there are any."""
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or files()
    found = [line for path in chosen if path.is_file() for line in findings(path)]
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
