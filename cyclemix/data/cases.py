"""The cases of a data set and their files, from manifests or from a folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclemix.config.strict import ConfigError
from cyclemix.data.manifests import remote_files
from cyclemix.data.readers.volumes import files_in
from cyclemix.data.spec import DatasetSpec
from cyclemix.data.spec_blocks import KINDS

PLACEHOLDER = re.compile(r"\{(\w+)\}")
TOKENS = {
    "subject": r"[^/]+?",
    "frame": r"[^/_]+?",
    "view": r"[^/]+?",
    "part": r".+?",
    "folder": r".+?",
}
"""Regular expressions of the placeholders; ``view`` is a frame whose name may contain underscores."""


@dataclass(frozen=True, order=True)
class Identity:
    """Subject, frame and value of ``{folder}``, from an image's path."""

    subject: str
    frame: str = ""
    folder: str = ""


def list_cases(spec: DatasetSpec, part: str, raw_dir: Path) -> list[dict[str, Any]]:
    """Cases of a part, sorted by name, as listed in ``raw_{part}.json``.

    Args:
        spec: the data set.
        part: an official list, or ``all``.
        raw_dir: folder of downloaded (or generated) files.

    Returns:
        Dicts with case, subject, frame, part, image, label, scribble; the last three relative to ``raw_dir``
        or absolute (a ``root`` outside the results), None for missing files. Also slice_axis unless it is 3,
        and label_geometry, the reason, if the image's header is used for label and scribble.

    Raises:
        ConfigError: unknown part, a subject without images, or missing labels.
    """
    if part != "all" and part not in spec.official:
        raise ConfigError(
            f"{spec.label}: no official list {part!r}; it has {', '.join(spec.official) or 'none'}"
        )
    places = _Places(spec, raw_dir)
    cases: dict[str, dict[str, Any]] = {}
    folders: dict[str, str] = {}
    subjects = set()
    for identity in places.identities():
        case, subject = case_name(spec, identity), subject_name(spec, identity)
        subjects.add(subject)
        if folders.setdefault(case, identity.folder) != identity.folder:
            raise ConfigError(
                f"{spec.label}: two images are named {case}, in {folders[case]} and in {identity.folder}; "
                f'distinguish them by the folder, case: "{{folder}}_{spec.case}"'
            )
        official = None if {case, subject} & {*spec.exclude} else spec.part_of(subject)
        if official is not None and part in (official, "all"):
            if case in cases:
                first, second = cases[case]["image"], places.entry(identity, official)["image"]
                raise ConfigError(
                    f"{spec.label}: case {case} is two images, {first} and {second}; put {{frame}} into "
                    "`case`, or rename one"
                )
            cases[case] = places.entry(identity, official)
    if unknown := {*spec.exclude} - folders.keys() - subjects:
        raise ConfigError(
            f"{spec.label}: exclude names {', '.join(sorted(unknown))}, neither a case nor a subject here; "
            "remove or correct it"
        )
    if unknown := spec.label_geometry.keys() - folders.keys() - {"all"}:
        raise ConfigError(
            f"{spec.label}: label_geometry names {', '.join(sorted(unknown))}, neither a case nor `all`; "
            f"correct the name, as in {next(iter(sorted(folders)))}"
        )
    _check(spec, part, cases.values(), subjects)
    return [cases[name] for name in sorted(cases)]


def images_of(spec: DatasetSpec) -> dict[str, Path]:
    """Every image of a data set's own folder that matches the patterns, also `exclude`d ones, by case."""
    places = _Places(spec, Path())
    pattern, folder = places.pattern("image")
    return {
        case_name(spec, identity): (folder or Path()) / expand(spec, pattern or "", identity, "all")
        for identity in places.identities()
    }


def expand(spec: DatasetSpec, pattern: str, identity: Identity, part: str) -> str:
    """Fill in the placeholders of a pattern."""
    names = {"subject": identity.subject, "folder": identity.folder}
    names |= {"frame": identity.frame, "view": identity.frame}
    names["case"] = _case_in_files(spec).format(**names)
    return pattern.format(part=spec.folders.get(part, part), **names)  # type: ignore[call-overload]


def case_name(spec: DatasetSpec, identity: Identity) -> str:
    """The case's name; folders of ``{folder}`` are joined by hyphens."""
    folder = identity.folder.replace("/", "-")
    frame = identity.frame
    return spec.case.format(subject=identity.subject, frame=frame, view=frame, folder=folder)


def subject_name(spec: DatasetSpec, identity: Identity) -> str:
    """The subject's name, prefixed by the folder if the case's name is."""
    folder = identity.folder.replace("/", "-")
    return f"{folder}_{identity.subject}" if "{folder}" in spec.case else identity.subject


def _case_in_files(spec: DatasetSpec) -> str:
    """Value of {case} in patterns: without the folder, which precedes the file name there."""
    return spec.case.removeprefix("{folder}_")


def part_of_case(spec: DatasetSpec, case: str) -> str | None:
    """The official list of a case's subject, else None; ``all`` for a data set without lists."""
    hit = match(spec, "{case}").fullmatch(case)
    return spec.part_of(hit["subject"] if hit else case)


def match(spec: DatasetSpec, pattern: str) -> re.Pattern[str]:
    """Regular expression of a pattern's file, with the group ``subject`` and possibly ``frame``.

    Raises:
        ConfigError: an unknown placeholder, or no {case} or {subject}.
    """
    text, seen = "", set()
    for i, piece in enumerate(
        PLACEHOLDER.split(pattern.partition("::")[0].replace("{case}", _case_in_files(spec)))
    ):
        if i % 2 == 0:
            text += re.escape(piece)
        elif piece not in TOKENS:
            raise ConfigError(
                f"{spec.label}: unknown placeholder {{{piece}}} in {pattern!r}; known: case, "
                "subject, frame, view, part, folder"
            )
        elif piece in seen:
            text += f"(?P={piece})"
        else:
            seen.add(piece)
            folders = "|".join(map(re.escape, spec.folders.values()))
            text += f"(?P<{piece}>{folders if piece == 'part' and folders else TOKENS[piece]})"
    if "subject" not in seen:
        raise ConfigError(f"{spec.label}: image pattern {pattern!r} names no {{case}} or {{subject}}")
    return re.compile(text)


class _Places:
    """Location of a data set's files: manifests, own folder (``root``) or download folder."""

    def __init__(self, spec: DatasetSpec, raw_dir: Path) -> None:
        root = None if spec.root is None else spec.path(spec.root)
        if root is not None and not root.is_dir():
            raise ConfigError(f"{root}: no such folder (root of {spec.label}); correct it in the YAML file")
        self.spec, self.root, self.raw_dir, self.remote = spec, root, raw_dir, remote_files(spec)

    def pattern(self, kind: str) -> tuple[str | None, Path | None]:
        """The pattern of a kind of file and its base folder; None = the files of the manifests."""
        files = self.spec.files
        if self.root is not None:
            own = getattr(self.spec.root_files or files, kind)
            if own is not None:
                return own, self.root
        return getattr(files, kind), None if self.spec.upstream else (self.root or self.raw_dir)

    def identities(self) -> list[Identity]:
        """Identities of all images, from the manifests or else from the folder."""
        spec = self.spec
        if spec.upstream:
            names, where, pattern = list(self.remote), "the manifests", spec.files.image
            others = [spec.files.label, spec.files.scribble]
        else:
            pattern, folder = self.pattern("image")  # type: ignore[assignment]
            names = [path.relative_to(folder).as_posix() for path in files_in(folder)]  # type: ignore[arg-type]
            where, others = str(folder), [self.pattern("label")[0], self.pattern("scribble")[0]]
        expression = match(spec, pattern)
        masks = [match(spec, o) for o in others if o and "{" in _file(o) != _file(pattern)]
        named = [n for n in names if not any(mask.fullmatch(n) for mask in masks)]
        found = _identities(spec, expression, named)
        if not found:
            raise ConfigError(f"{spec.label}: no image in {where} matches the pattern {pattern!r}")
        for mask in masks:
            for identity, name in _identities(spec, mask, names).items():
                if spec.upstream and identity not in found:
                    raise ConfigError(
                        f"{spec.label}: {where} list {name}, but no image of it; add the image's line or "
                        "remove this one"
                    )
        return sorted(found)

    def entry(self, identity: Identity, part: str) -> dict[str, Any]:
        """One case of the receipt; missing files are None."""
        case, subject = case_name(self.spec, identity), subject_name(self.spec, identity)
        entry: dict[str, Any] = {"case": case, "subject": subject, "frame": identity.frame, "part": part}
        if self.spec.slice_axis != 3:
            entry["slice_axis"] = self.spec.slice_axis
        if reason := self.spec.header_wrong(case):
            entry["label_geometry"] = reason
        for kind in KINDS:
            pattern, folder = self.pattern(kind)
            path = "" if pattern is None else expand(self.spec, pattern, identity, part)
            there = _file(path) in self.remote if folder is None else (folder / _file(path)).is_file()
            if path and not there and folder is not None:
                _refuse_lookalike(folder / _file(path))
            outside = folder is not None and folder == self.root
            entry[kind] = (str(folder / path) if outside else path) if path and there else None  # type: ignore[operator]
        return entry


def _identities(spec: DatasetSpec, expression: re.Pattern[str], names: Iterable[str]) -> dict[Identity, str]:
    """File name by identity, of the names that the pattern matches.

    Raises:
        ConfigError: two files with the same identity, or a name with characters that tables or references
            cannot contain.
    """
    found: dict[Identity, str] = {}
    for name in names:
        if not (hit := expression.fullmatch(name)):
            continue
        if "::" in name or not name.isprintable():
            raise ConfigError(
                f"{spec.label}: file name {name!r} holds `::`, a control character or bytes that are not "
                "UTF-8; rename the file"
            )
        groups = hit.groupdict()
        frame = groups.get("frame") or groups.get("view", "")
        identity = Identity(hit["subject"], frame, groups.get("folder", ""))
        if identity in found:
            who = " ".join(filter(None, (identity.folder, identity.subject, identity.frame)))
            raise ConfigError(
                f"{spec.label}: {found[identity]} and {name} are both {who}; rename or remove one"
            )
        found[identity] = name
    return found


def _refuse_lookalike(path: Path) -> None:
    """Refuse a missing file if its name exists in another Unicode normalisation."""
    if path.name.isascii() or not path.parent.is_dir():
        return
    same = unicodedata.normalize("NFC", path.name)
    for other in path.parent.iterdir():
        if unicodedata.normalize("NFC", other.name) == same:
            raise ConfigError(
                f"{other}: its name looks like the expected {path.name!r}, but its accents are stored "
                "otherwise (Unicode NFC and NFD); rename all files alike, e.g. with `convmv --nfc`"
            )


def _file(reference: str) -> str:
    return reference.partition("::")[0]


def _check(
    spec: DatasetSpec, part: str, cases: Collection[Mapping[str, Any]], subjects: Collection[str]
) -> None:
    """Check that every listed subject has images, and every image the labels of its list."""
    wanted = spec.subjects if part == "all" else spec.official[part]  # type: ignore[index]
    missing = sorted(set(wanted) - {case["subject"] for case in cases} - {*spec.exclude})
    if missing:
        there = ", ".join(sorted(subjects)[:8]) + ", ..." * (len(subjects) > 8)
        raise ConfigError(
            f"{spec.label}: no image of {', '.join(missing[:8])} (list {part}), but of {there or 'nobody'}; "
            f"correct `{'split_table' if spec.split_table else 'official'}` or `files`"
        )
    for case in cases:
        if case["image"] is None:
            raise ConfigError(f"{spec.label}: case {case['case']} of the manifests has no image in `root`")
        if not (case["label"] or case["scribble"]):
            raise ConfigError(
                f"{spec.label}: case {case['case']} has neither a dense label nor a scribble; correct "
                "the patterns of `files` or remove its image"
            )
        if case["part"] == "train" and not spec.upstream:
            continue  # training cases of an own folder may be dense or scribbled
        for kind, parts in (("label", spec.dense), ("scribble", spec.scribbled)):
            if spec.official and case["part"] in parts and not case[kind]:
                raise ConfigError(
                    f"{spec.label}: case {case['case']} has no {kind}, promised for {case['part']}; "
                    f"correct files.{kind} or {'dense' if kind == 'label' else 'scribbled'}_parts"
                )
