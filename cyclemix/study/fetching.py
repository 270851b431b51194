"""Upstream files that a study needs and that are not in its results folder yet."""

from __future__ import annotations

from cyclemix.data.cases import list_cases
from cyclemix.data.manifests import needed_files
from cyclemix.files.layout import data_dir
from cyclemix.study.plan import Plan


def announce(plan: Plan) -> list[str]:
    """One line per source with files to fetch: their number, and megabytes according to the manifests.

    A file of the size in the manifest counts as fetched; `download` verifies checksums.
    """
    parts: dict[str, set[str]] = {}
    for dataset in plan.study.datasets:
        found = parts.setdefault(plan.datasets[dataset].data_label, set())
        for label in plan.labels(dataset):
            found |= {*plan.train_parts(dataset, label), plan.evaluated_part(dataset)}
    lines = []
    for source, names in parts.items():
        spec, raw = plan.datasets[source], data_dir(plan.study.results, source) / "raw"
        if not spec.upstream:
            continue
        cases = [case for part in sorted(names) for case in list_cases(spec, part, raw)]
        listed = [(file, raw / file.path) for file in needed_files(spec, cases)]
        files = [file for file, path in listed if not (path.is_file() and path.stat().st_size == file.bytes)]
        if files:
            megabytes = sum(file.bytes for file in files) / 1e6
            origin = "upstream" if plan.study.mirror is None else "the mirror"
            count = f"{len(files)} file" + "s" * (len(files) != 1)
            lines.append(f"{source}: {count} to fetch from {origin}, {megabytes:.1f} MB")
    return lines
