"""Recognise images, labels and scribbles in a folder, group them by case, and derive file patterns.

A file's role is given by a word in its name (``p1_gt``, ``seg.mha``) or in the name of one of its folders
(``labels/p1``). The rest of the path identifies the case.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cyclemix.data.readers.roles import CHANNEL, ROLE, role_of_name
from cyclemix.data.readers.volumes import stem, suffix_of
from cyclemix.data.spec_blocks import KINDS
from cyclemix.own_data.case_names import naming_of
from cyclemix.own_data.facts import some


@dataclass(frozen=True)
class Found:
    """One file: its role, the key of its case, and its path as a template of the key."""

    path: Path
    kind: str
    key: tuple[str, ...]
    """Folders without role (at most two, outer ones joined), and the name without role affix, if any."""
    template: str
    """The path with ``{0}``, ``{1}``, ... for the parts of the key."""
    named: str = ""
    """The role given by a word in the path; empty if there is none."""


@dataclass(frozen=True)
class CaseFiles:
    """Subject and files of a case."""

    subject: str
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Layout:
    """The layout of a folder.

    Attributes:
        patterns: by kind, for the YAML file.
        case: pattern of case names.
        cases: cases with an image and a label or scribble.
        exclude: names of other images that match the patterns, as `init` finds them.
        loose: volumes without case: images without label and scribble, and files that match no pattern.
        checks: choices that the user should check, one sentence each.
        notes: further notes for the user.
    """

    patterns: dict[str, str]
    case: str
    cases: list[CaseFiles]
    exclude: list[str] = field(default_factory=list)
    loose: list[Path] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def used(self) -> int:
        """Number of files in cases."""
        return sum(len(case.files) for case in self.cases)


def find_layout(folder: Path, paths: Sequence[Path], roles: Mapping[Path, str] | None = None) -> Layout:
    """Group the volumes of a folder into cases; no cases if no image has a label or scribble.

    Args:
        folder: base folder of the patterns.
        paths: volumes below it.
        roles: roles of files determined by content; those of other files are taken from their names.
    """
    # `scan 2` may be a name, or the image of case 2: the interpretation that pairs more files is used.
    readings = [_found(folder, paths, roles or {}, image_words) for image_words in (False, True)]
    return max((_layout(folder, found) for found in readings), key=lambda layout: layout.used)


def _layout(folder: Path, found: list[Found]) -> Layout:
    """Group the files of the most frequent templates by case."""
    usual: dict[str, str | None] = {kind: _usual_template(found, kind) for kind in KINDS}
    groups: dict[tuple[str, ...], dict[str, Path]] = defaultdict(dict)
    for file in found:
        if file.template == usual[file.kind]:
            groups[file.key][file.kind] = file.path
    whole = {key: files for key, files in groups.items() if "image" in files and len(files) > 1}
    if not whole:
        return Layout({}, "", [], loose=[file.path for file in found])
    naming = naming_of(sorted(whole))
    templates = {kind: usual[kind] for kind in usual if any(kind in files for files in whole.values())}
    patterns = {kind: naming.fill(template) for kind, template in templates.items() if template is not None}
    cases = [CaseFiles(naming.subject(key), whole[key]) for key in sorted(whole)]
    bare = {key: files["image"] for key, files in groups.items() if "image" in files and key not in whole}
    used = {*bare.values(), *(path for files in whole.values() for path in files.values())}
    rivals = {kind: _rivals(found, kind, usual[kind], whole) for kind in patterns}
    named = {path for others in rivals.values() for paths in others.values() for path in paths}
    unused = [file.path for file in found if file.path not in used]
    own = {kind: [files[kind] for files in whole.values() if kind in files] for kind in patterns}
    checks = [
        f"there are several {kind} files per case: {_first(folder, own[kind])} is "
        f"used, {_first(folder, paths)} is not. If the other is right, change files.{kind}"
        for kind, others in rivals.items()
        for _, paths in sorted(others.items())
    ]
    notes = []
    if bare:
        what = f"{len(bare)} images have neither label nor scribble and are left out"
        notes.append(f"{what}: {some(sorted(naming.name(key) for key in bare))}")
    if others := [path.relative_to(folder).as_posix() for path in unused if path not in named]:
        what = f"{len(others)} other volumes are not used, since they fit no pattern of the rest"
        notes.append(f"{what}: {some(others)}")
    loose = [*bare.values(), *unused]
    return Layout(patterns, naming.case, cases, loose=loose, checks=checks, notes=notes)


def _rivals(
    found: list[Found], kind: str, chosen: str | None, cases: Collection[tuple[str, ...]]
) -> dict[str, list[Path]]:
    """Other files of the same kind and cases as the chosen ones, by template."""
    others: dict[str, list[Path]] = defaultdict(list)
    for file in found:
        if file.kind == kind and file.template != chosen and file.key in cases:
            others[file.template].append(file.path)
    return others


def _first(folder: Path, paths: list[Path]) -> str:
    first = min(paths).relative_to(folder).as_posix()
    return f"{first} ({len(paths)} such files)" if len(paths) > 1 else first


def _found(folder: Path, paths: Sequence[Path], roles: Mapping[Path, str], image_words: bool) -> list[Found]:
    named = [_classify(path, folder, image_words) for path in paths if path not in roles]
    cases = {file.key for file in named if file.kind == "image"}
    return named + [_by_content(path, folder, kind, cases) for path, kind in roles.items()]


def _by_content(path: Path, folder: Path, kind: str, cases: Collection[tuple[str, ...]]) -> Found:
    """A file with its role from content; its case is the image whose name its own starts or ends with."""
    plain = _classify(path, folder, image_words=False)
    relative, name = path.relative_to(folder), stem(path)
    best: tuple[str, tuple[str, ...]] = ("", ())
    for key in cases:
        known = key[-1] if key else ""
        around = name.partition(known)[::2] if known and known in name else ("x", "x")
        bounded = not around[0][-1:].isalnum() and not around[1][:1].isalnum()
        if bounded and not all(around) and key[:-1] in (plain.key[:-1], ()) and len(known) > len(best[0]):
            best = (known, key)
    known, key = best
    if not known:
        return replace(plain, kind=plain.named or kind)
    folders = "".join(f"{_literal(part)}/" for part in relative.parts[:-1])
    if len(key) > 1:
        folders = plain.template.rpartition("/")[0] + "/"
    before, after = name.partition(known)[::2]
    template = f"{folders}{_literal(before)}{{{len(key) - 1}}}{_literal(after + suffix_of(path))}"
    return Found(path, plain.named or kind, key, template)


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
    return Found(path, kind or "image", (*key, rest) if rest else tuple(key), template, kind)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _usual_template(found: list[Found], kind: str) -> str | None:
    """The most frequent template of a role among files with a partner; ties by the order of role words."""
    partners = {file.key for file in found if (file.kind == "image") == (kind != "image")}
    files = [file for file in found if file.kind == kind]
    counts = Counter(file.template for file in files if file.key in partners) or Counter(
        file.template for file in files if kind != "image"
    )
    return max(counts, key=lambda template: (counts[template], -_rank(template), template), default=None)


def _rank(template: str) -> int:
    """Rank of the template's role word; words for manual labels precede words for segmentations."""
    bounded = (rf"(?<![a-z]){word}(?![a-z])" for word in ROLE)
    return next((i for i, word in enumerate(bounded) if re.search(word, template.lower())), len(ROLE))
