"""Which files of a folder are images, labels and scribbles, which belong together, and the patterns for them.

A file's role is given by a word in its name (``p1_gt``, ``seg.mha``) or in the name of one of its folders
(``labels/p1``). What is left of its path without these words names the case; files of one case share it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cyclemix.config.strict import ConfigError
from cyclemix.data.readers.roles import CHANNEL, ROLE, role_of_name
from cyclemix.data.readers.volumes import SUFFIXES, is_volume, stem, suffix_of

KINDS = ("image", "label", "scribble")


@dataclass(frozen=True)
class Found:
    """One file: its role, what names its case, and its path with the case's name left open."""

    path: Path
    kind: str
    key: tuple[str, ...]
    """Folders of no role (two at most, outer ones joined), and the name without affix if any is left."""
    template: str
    """The path with ``{0}``, ``{1}``, ... for the parts of the key."""


@dataclass(frozen=True)
class CaseFiles:
    """The files of a case and whose it is."""

    subject: str
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Layout:
    """How a folder is laid out.

    Attributes:
        patterns: by kind, as the YAML file takes them.
        case: how cases are named.
        notes: what was left out and why.
    """

    patterns: dict[str, str]
    case: str
    cases: list[CaseFiles]
    exclude: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_layout(folder: Path) -> Layout:
    """Look at every volume below ``folder``.

    Raises:
        ConfigError: no folder, no volume, or no image that has a label or a scribble.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name the one that holds images and labels")
    paths = [path for path in sorted(folder.rglob("*")) if is_volume(path)]
    if not paths:
        raise ConfigError(f"{folder}: no volume below it; expected files ending in {', '.join(SUFFIXES)}")
    # `scan 2` may be a name, or say that this is the image of case 2: what pairs more files is right.
    readings = [[_classify(path, folder, image_words) for path in paths] for image_words in (False, True)]
    made = [_layout(found) for found in readings]
    best = max(made, key=lambda layout: len(layout.cases))
    if not best.cases:
        raise ConfigError(
            f"{folder}: {len(paths)} volumes, but none is an image with a label or scribble of its name; "
            "name the folders images, labels and scribbles, or the files NAME, NAME_gt and NAME_scribble"
        )
    return best


def _layout(found: list[Found]) -> Layout:
    """Group the files of the commonest templates by case."""
    usual = {kind: _usual_template(found, kind) for kind in KINDS}
    groups: dict[tuple[str, ...], dict[str, Path]] = defaultdict(dict)
    for file in found:
        if file.template == usual[file.kind]:
            groups[file.key][file.kind] = file.path
    whole = {key: files for key, files in groups.items() if "image" in files and len(files) > 1}
    if not whole:
        return Layout({}, "", [])
    naming = _naming(sorted(whole))
    templates = {kind: usual[kind] for kind in KINDS if any(kind in files for files in whole.values())}
    patterns = {kind: naming.fill(template) for kind, template in templates.items() if template is not None}
    cases = [CaseFiles(naming.subject(key), whole[key]) for key in sorted(whole)]
    bare = sorted(naming.name(key) for key, files in groups.items() if "image" in files and key not in whole)
    others = len(found) - len(bare) - sum(len(files) for files in whole.values())
    notes = []
    if bare:
        notes.append(f"{len(bare)} images have neither label nor scribble; they stand under `exclude`")
    if others:
        notes.append(f"{others} other volumes fit no pattern of the rest and are not used")
    return Layout(patterns, naming.case, cases, bare, notes)


@dataclass(frozen=True)
class _Naming:
    """Which placeholder stands for each part of a key, and how a case is named."""

    parts: tuple[str, ...]
    case: str

    def fill(self, template: str) -> str:
        """A template as a pattern of the YAML file; neighbouring folders are one."""
        return template.format(*(f"{{{part}}}" for part in self.parts)).replace(
            "{folder}/{folder}", "{folder}"
        )

    def subject(self, key: tuple[str, ...]) -> str:
        """The subject's name as the data set will read it."""
        values = self._values(key)
        folder = values.get("folder", "")
        return f"{folder}_{values['subject']}" if "{folder}" in self.case else values["subject"]

    def name(self, key: tuple[str, ...]) -> str:
        """The case's name as the data set will read it."""
        return self.case.format(**{"frame": "", "folder": "", **self._values(key)})

    def _values(self, key: tuple[str, ...]) -> dict[str, str]:
        folders = [value for part, value in zip(self.parts, key, strict=True) if part == "folder"]
        values = {part: value for part, value in zip(self.parts, key, strict=True) if part != "folder"}
        values["folder"] = "-".join(folders).replace("/", "-")
        if "case" in values:
            name = values.pop("case")
            subject, _, frame = name.rpartition("_") if "{frame}" in self.case else (name, "", "")
            values = {"subject": subject, "frame": frame} | values
        return values


def _naming(keys: list[tuple[str, ...]]) -> _Naming:
    """Placeholders for the parts of keys, which are all equally long: folders, then the name."""
    names = [key[-1] for key in keys]
    case = "{subject}_{frame}" if _frames(names) else "{subject}"
    if len(keys[0]) == 1:
        return _Naming(("case",), case)
    folders = [key[-2] for key in keys]
    pairs = list(zip(folders, names, strict=True))
    if all(name == folder for folder, name in pairs):
        last, case = ("subject", "case"), "{subject}"
    elif all(name.startswith(f + "_") and "_" not in name[len(f) + 1 :] for f, name in pairs):
        last, case = ("subject", "case"), "{subject}_{frame}"
    elif len(set(names)) < len(set(folders)) and not any("_" in name for name in names):
        last, case = ("subject", "frame"), "{subject}_{frame}"
    else:
        last = ("folder", "case")
    naming = _Naming((*["folder"] * (len(keys[0]) - 2), *last), case)
    if "folder" in naming.parts and len({naming.name(key) for key in keys}) < len(keys):
        return _Naming(naming.parts, "{folder}_" + case)
    return naming


def _frames(names: list[str]) -> bool:
    """Whether names look like SUBJECT_FRAME: most subjects have several, and there are several subjects."""
    if not all(re.fullmatch(r".*[^_]_[^_]+", name) for name in names):
        return False
    per_subject = Counter(name.rpartition("_")[0] for name in names)
    several = sum(count > 1 for count in per_subject.values())
    return len(per_subject) >= 3 and several * 2 >= len(per_subject)


def _classify(path: Path, folder: Path, image_words: bool) -> Found:
    relative = path.relative_to(folder)
    bare, ending = stem(path), suffix_of(path)
    if bare.endswith(CHANNEL):
        bare, ending = bare.removesuffix(CHANNEL), CHANNEL + ending
    roles = [ROLE[name.lower()] for name in relative.parts[:-1] if name.lower() in ROLE]
    kind, before, rest, after = role_of_name(bare, image_words)
    if roles and (not kind or kind == "image" or roles[-1] == "scribble"):
        if kind == "image" or not kind:
            before, rest, after = "", bare, ""
        kind = roles[-1]
    pieces: list[tuple[bool, str]] = []  # (a part of the key, text)
    for name in relative.parts[:-1]:
        own = name.lower() not in ROLE
        if own and len(pieces) > 1 and pieces[-1][0] and pieces[-2][0]:
            pieces[-2:] = [(True, f"{pieces[-2][1]}/{pieces[-1][1]}")]
        pieces.append((own, name))
    key = [text for own, text in pieces if own]
    places = iter(range(len(key)))
    template = "".join(f"{{{next(places)}}}/" if own else _literal(text) + "/" for own, text in pieces)
    place = f"{{{len(key)}}}" if rest else ""
    template += _literal(before) + place + _literal(after + ending)
    return Found(path, kind or "image", (*key, rest) if rest else tuple(key), template)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _usual_template(found: list[Found], kind: str) -> str | None:
    """The commonest template of a role, of images with a partner among those; None where there is none."""
    partners = {file.key for file in found if file.kind != "image"}
    files = [file for file in found if file.kind == kind]
    counts = Counter(file.template for file in files if kind != "image" or file.key in partners)
    return max(counts, key=lambda template: (counts[template], template)) if counts else None
