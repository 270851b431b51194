"""Provenance of a result: digests of code, config, data and lock, the commit, the machine, the versions.

The workflow passes `code_digest` to its rules as a parameter, so that an edit that can change a result reruns
the affected stages, and a comment reruns nothing.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the package: a clone of the project, or site-packages."""

EXCLUDED = (
    "cyclemix.cli",
    "cyclemix.config",
    "cyclemix.files",
    "cyclemix.provenance",
    "cyclemix.tracking",
)
"""Packages excluded from digests, with all their modules: they change no number, or (config) only through
values in ``config.json`` and other parameters of the rules."""

COUNTED = ("cyclemix.config.labels", "cyclemix.config.lengths")
"""Modules of `EXCLUDED` packages that digests cover: constants of the computation."""

LOGGERS = ("log", "logger")
"""Names of the modules' loggers."""

TEMPLATES = "templates"
"""Folder of the files that a module renders. They count with every module beside it that names it."""

STAGES = {
    "data.download": "cyclemix.data.download",
    "data.prepare": "cyclemix.data.prepare",
    "data.split": "cyclemix.data.split",
    "train": "cyclemix.training.train",
    "predict": "cyclemix.inference.predict",
    "evaluate": "cyclemix.evaluation.evaluate",
    "run_figures": "cyclemix.report.run_figures",
    "tables": "cyclemix.report.tables",
    "figures": "cyclemix.report.figures",
    "efficiency": "cyclemix.report.efficiency_figure",
    "ranking": "cyclemix.report.ranking",
}
"""The module of each stage, by the name that records and rules use."""

LIBRARIES = ("torch", "numpy", "scipy", "pandas", "nibabel", "SimpleITK", "pydantic", "snakemake")


def code_digest(
    module: str, extra: Sequence[str] = (), exclude: Sequence[str] = EXCLUDED, root: Path = ROOT
) -> str:
    """Digest of the code that ``module`` can run: itself and all modules of the package that it imports.

    Comments, formatting, docstrings and the texts of errors, log messages and ``description=`` are ignored.
    A page's templates count with the module that renders them. Modules loaded by name (a method) are given in
    ``extra``.

    Args:
        module: dotted name, e.g. ``cyclemix.training.train``.
        extra: further modules, with their own imports.
        exclude: modules and packages that are ignored, except `COUNTED`.
        root: folder that contains the package.

    Returns:
        16 hex digits.

    Raises:
        ValueError: a named module has no file.
    """
    lines = [f"{name} {digest}" for name, (_, digest) in closure([module, *extra], exclude, root).items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def sources(*modules: str, root: Path = ROOT) -> list[Path]:
    """Files of ``modules`` and of all of the package that they import."""
    return [path for path, _ in closure(modules, (), root).values()]


def closure(
    modules: Sequence[str], exclude: Sequence[str] = EXCLUDED, root: Path = ROOT
) -> dict[str, tuple[Path, str]]:
    """File and digest of the modules and of all of the package that they import, by name, sorted."""
    package = modules[0].split(".")[0]
    waiting, found = list(modules), {}
    for name in waiting:
        if _source(root, name) is None:
            raise ValueError(f"no module {name} under {root}; expected a file of the package")
    while waiting:
        name = waiting.pop()
        path = _source(root, name)
        if name in found or path is None or _is_excluded(name, exclude):
            continue
        inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
        digest, imports, renders = _read(path.read_text(), name, inside, package)
        if renders:
            digest += file_digest((path.parent / TEMPLATES).glob("*"))
        found[name] = path, digest
        waiting += imports
    return dict(sorted(found.items()))


def _is_excluded(name: str, exclude: Sequence[str]) -> bool:
    return name not in COUNTED and any(f"{name}.".startswith(f"{package}.") for package in exclude)


def _source(root: Path, name: str) -> Path | None:
    """File of a dotted module name, None where there is none."""
    base = root.joinpath(*name.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


@cache
def _read(source: str, name: str, inside: str, package: str) -> tuple[str, tuple[str, ...], bool]:
    """Of a source text: digest, the package's modules that it imports, whether it names `TEMPLATES`."""
    tree = ast.parse(source, filename=name)
    imports = tuple(sorted(_imports(tree, inside, package)))
    renders = TEMPLATES in source and any(
        isinstance(node, ast.Constant) and node.value == TEMPLATES for node in ast.walk(tree)
    )
    return hashlib.sha256(_canonical(tree).encode()).hexdigest(), imports, renders


def _imports(tree: ast.Module, inside: str, package: str) -> set[str]:
    """Dotted names of the package that ``tree`` may import; ``inside`` is the package that holds the file.

    ``from cyclemix.ops import graphcut`` gives the package and ``cyclemix.ops.graphcut``, which may or may
    not be a module. Parent packages are included: importing a module runs their ``__init__``.
    """
    names: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = inside.split(".")[: len(inside.split(".")) - node.level + 1]
                base = ".".join([*parent, *filter(None, [node.module])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    own = [name.split(".") for name in names if name.split(".")[0] == package]
    return {".".join(parts[:depth]) for parts in own for depth in range(1, len(parts) + 1)}


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement, also inside functions, classes and blocks, without walking through expressions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        yield (node := waiting.pop())
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, block, ())


def _canonical(node: Any, text: bool = True) -> str:
    """A syntax tree as text without positions, docstrings or empty fields (those differ between Pythons).

    Args:
        node: a tree, a list of trees or a field's value.
        text: whether strings count; False inside messages.
    """
    if isinstance(node, list):
        return f"[{','.join([_canonical(item, text) for item in node])}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    text = text and not _is_message(node)
    if not text and (isinstance(node, ast.JoinedStr) or _is_string(node)):
        return "Text"
    fields = []
    for field in node._fields:
        value = getattr(node, field, None)
        if field == "body" and isinstance(value, list):
            value = [line for line in value if not _is_docstring(line)]
        if value is not None and value != [] and field not in ("type_comment", "kind"):
            fields.append(f"{field}={_canonical(value, text)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _is_message(node: ast.AST) -> bool:
    """True for a ``raise``, a call of a module's logger and a keyword ``description``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return isinstance(node.func.value, ast.Name) and node.func.value.id in LOGGERS
    return isinstance(node, ast.Raise) or (isinstance(node, ast.keyword) and node.arg == "description")


def _is_docstring(node: ast.stmt) -> bool:
    """True for a string that is a statement of its own, also one that follows a constant."""
    return isinstance(node, ast.Expr) and _is_string(node.value)


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def file_digest(paths: Iterable[str | Path]) -> str:
    """Digest of the files' bytes, whatever their order and folders; 16 hex digits."""
    digests = sorted((Path(path).name, hashlib.sha256(Path(path).read_bytes()).hexdigest()) for path in paths)
    return hashlib.sha256(repr(digests).encode()).hexdigest()[:16]


def value_digest(values: Any) -> str:
    """Digest of what can be written as JSON; 16 hex digits."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def collect(config: Path, data: Iterable[str | Path], modules: Sequence[str]) -> dict[str, Any]:
    """Origin of a training, for ``provenance.json``.

    Args:
        data: the prepared cases that it reads.
        modules: what it loads by name, see `config.models.modules_of`.
    """
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if (changes := _git("status", "--porcelain")) is None else bool(changes),
        "code_digest": code_digest("cyclemix.training.train", modules),
        "config_digest": file_digest([config]),
        "data_digest": file_digest(data),
        "lock_digest": lock_digest(),
        "hardware": hardware(),
        "versions": versions(),
    }


def lock_digest() -> str | None:
    """Digest of ``envs/requirements.lock``; None where the package does not run from a clone."""
    lock = ROOT / "envs" / "requirements.lock"
    return file_digest([lock]) if lock.is_file() else None


def versions() -> dict[str, str | None]:
    """Versions of Python and of the libraries that can change results; None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def hardware() -> dict[str, Any]:
    """System, processor, the cores that this process may use, and the machine's NVIDIA GPUs."""
    affinity = getattr(os, "sched_getaffinity", None)
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or "unknown",
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "gpus": [_field(path, "Model") or "unknown" for path in gpus],
    }


def _field(path: Path, name: str) -> str | None:
    """Value of the first ``name : value`` line of a system file, None where there is none."""
    if path.is_file():
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None


def _git(*arguments: str) -> str | None:
    """Output of git about this project, None where the package does not run from its own clone."""
    if not (ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
