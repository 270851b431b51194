"""Links to what the site does not hold (a configuration, a source file) lead to a page that shows the file.

So the pages read alike in the repository and on the site, and the site needs no address of the repository.
The files of ``PAGES`` become pages as they are.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]

PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
"""Pages of the site that are files of the top folder."""

LINK = re.compile(r"(?<=\]\()([^)#\s]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json", ".smk": "python", ".csv": "text"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of ``PAGES`` and one for every file that a page links to."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text()))
    linked: set[Path] = set()
    for file in files.documentation_pages():
        linked |= set(_outside(file.content_string, _folder(file.src_uri)))
    for path in sorted(linked):
        files.append(File.generated(config, _page_of(path), content=_shown(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links by the repository's paths into links by the site's."""
    folder = _folder(page.file.src_uri)

    def on_site(match: re.Match[str]) -> str:
        path = _target(match[1], folder)
        if path is None:
            return match[0]
        name = next((page for page, source in PAGES.items() if ROOT / source == path), None)
        if name is None:
            name = _page_of(path) if _needs_page(path) else str(path.relative_to(ROOT / "docs"))
        return os.path.relpath(name, Path(page.file.src_uri).parent) + (match[2] or "")

    parts = FENCE.split(markdown)
    return "".join(_nested(part, i % 2 == 1, on_site) for i, part in enumerate(parts))


def _nested(part: str, fenced: bool, replace: Callable[[re.Match[str]], str]) -> str:
    """A text with its links replaced, or a fenced block as it is; both indented as this Markdown nests lists.

    What belongs to an item of a list is indented by 4, where the repository's pages do with 2 or 3.
    """
    if not fenced:
        return re.sub(r"^ {2,3}(?=\S)", "    ", LINK.sub(replace, part), flags=re.MULTILINE)
    indent = len(part) - len(part.lstrip(" "))
    return textwrap.indent(part, " " * (4 - indent)) if indent in (2, 3) else part


def _outside(markdown: str, folder: Path) -> list[Path]:
    """Files and folders that a page links to and the site does not hold."""
    found = []
    for i, part in enumerate(FENCE.split(markdown)):
        targets = [] if i % 2 else [_target(match[1], folder) for match in LINK.finditer(part)]
        found += [path for path in targets if path is not None]
    return [path for path in found if path.exists() and _needs_page(path)]


def _needs_page(path: Path) -> bool:
    """Whether a linked file is none of the site's own: it lies outside docs/, or is code there."""
    if path in {ROOT / source for source in PAGES.values()}:
        return False
    return not path.is_relative_to(ROOT / "docs") or path.suffix == ".py"


def _target(link: str, folder: Path) -> Path | None:
    """The file that a link names; None for an address."""
    return None if "://" in link or link.startswith("mailto:") else (folder / link).resolve()


def _folder(src_uri: str) -> Path:
    """Where the links of a page start."""
    return ROOT if src_uri in PAGES else (ROOT / "docs" / src_uri).parent


def _page_of(path: Path) -> str:
    return f"source/{path.relative_to(ROOT)}.md"


def _shown(path: Path) -> str:
    """A page that shows a file, or lists a folder."""
    name = path.relative_to(ROOT)
    if path.is_dir():
        entries = sorted(p.name for p in path.iterdir() if not p.name.startswith(("_", ".")))
        body = "\n".join(f"- `{entry}`" for entry in entries)
    else:
        body = f"````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text()}\n````"
    return f"---\nsearch: {{exclude: true}}\n---\n\n# `{name}`\n\n{body}\n"
