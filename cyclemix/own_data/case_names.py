"""Naming of a folder's cases: the parts of their paths that are subject and frame."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

SEPARATORS = "_-. "
"""Characters that separate a subject's name from the rest of a file name."""


@dataclass(frozen=True)
class Naming:
    """Placeholder of each part of a key, and the pattern of case names."""

    parts: tuple[str, ...]
    case: str

    def fill(self, template: str) -> str:
        """Fill a template's placeholders for the YAML file; adjacent folders are merged."""
        return template.format(*(f"{{{part}}}" for part in self.parts)).replace(
            "{folder}/{folder}", "{folder}"
        )

    def subject(self, key: tuple[str, ...]) -> str:
        """The subject's name, as determined later from the YAML file."""
        values = self._values(key)
        folder = values.get("folder", "")
        return f"{folder}_{values['subject']}" if "{folder}" in self.case else values["subject"]

    def name(self, key: tuple[str, ...]) -> str:
        """The case's name, as determined later from the YAML file."""
        return self.case.format(**{"frame": "", "view": "", "folder": "", **self._values(key)})

    def _values(self, key: tuple[str, ...]) -> dict[str, str]:
        folders = [value for part, value in zip(self.parts, key, strict=True) if part == "folder"]
        values = {part: value for part, value in zip(self.parts, key, strict=True) if part != "folder"}
        values["folder"] = "-".join(folders).replace("/", "-")
        if "case" in values:
            name = values.pop("case")
            if "{view}" in self.case:
                return values | {"view": name[len(values["subject"]) + 1 :]}
            subject, _, frame = name.rpartition("_") if "{frame}" in self.case else (name, "", "")
            values = {"subject": subject, "frame": frame} | values
        return values


def naming_of(keys: list[tuple[str, ...]]) -> Naming:
    """Placeholders for the parts of keys of equal length: folders, then the name.

    Folders are subjects if their names are prefixes of all their files, or if file names recur across them.
    """
    names = [key[-1] for key in keys]
    case = "{subject}_{frame}" if _frames(names) else "{subject}"
    if len(keys[0]) == 1:
        return Naming(("case",), case)
    folders = [key[-2] for key in keys]
    pairs = list(zip(folders, names, strict=True))
    if all(name == folder for folder, name in pairs):
        last, case = ("subject", "case"), "{subject}"
    elif all(name.startswith(f + "_") and "_" not in name[len(f) + 1 :] for f, name in pairs):
        last, case = ("subject", "case"), "{subject}_{frame}"
    elif separator := _separator(pairs):
        last, case = ("subject", "case"), f"{{subject}}{separator}{{view}}"
    elif len(set(names)) < len(set(folders)):
        frame = "view" if any("_" in name for name in names) else "frame"
        last, case = ("subject", frame), f"{{subject}}_{{{frame}}}"
    else:
        last = ("folder", "case")
    naming = Naming((*["folder"] * (len(keys[0]) - 2), *last), case)
    if "folder" in naming.parts and len({naming.name(key) for key in keys}) < len(keys):
        return Naming(naming.parts, "{folder}_" + case)
    return naming


def _frames(names: list[str]) -> bool:
    """Whether names look like SUBJECT_FRAME: at least three subjects, most of them with several frames."""
    if not all(re.fullmatch(r".*[^_]_[^_]+", name) for name in names):
        return False
    per_subject = Counter(name.rpartition("_")[0] for name in names)
    several = sum(count > 1 for count in per_subject.values())
    return len(per_subject) >= 3 and several * 2 >= len(per_subject)


def _separator(pairs: list[tuple[str, str]]) -> str | None:
    """The separator after the folder's name if all file names start with it, else None."""
    follow = {
        name[len(folder) : len(folder) + 1] if name.startswith(folder) else "" for folder, name in pairs
    }
    whole = all(len(name) > len(folder) + 1 for folder, name in pairs)
    return follow.pop() if len(follow) == 1 and whole and follow <= {*SEPARATORS} else None
