"""The commands that the documentation shows, page by page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RUN = "<!-- run -->"
"""Stands before a block that a test runs; the blocks of a page run in order, in one copy of the project."""

FENCE = re.compile(r"^( *)(```+)(\w*)[^\n]*\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`((?:cyclemix|python -m cyclemix|snakemake|make) [^`]+)`(?!`)")
SEPARATORS = frozenset({"&&", "||", ";", "|", "&"})
REDIRECTIONS = frozenset({">", ">>", "<", "2>"})


def pages() -> list[Path]:
    """README, the other pages beside it, and every page of docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


SHELL = frozenset({"bash", "console"})


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, first line, language and text, and whether a test runs it."""

    page: str
    line: int
    language: str
    text: str
    run: bool

    def script(self) -> str:
        """What a person types: of a console that shows prompts, the lines behind them."""
        typed = [line[2:] for line in self.text.splitlines(keepends=True) if line.startswith("$ ")]
        return "".join(typed) if self.language == "console" and typed else self.text


@dataclass(frozen=True)
class Command:
    """One command, without the variables set for it; inside a sentence it may lack what it needs to run."""

    where: str
    words: tuple[str, ...]
    inline: bool = False

    def __str__(self) -> str:
        return shlex.join(self.words)


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page."""
    text, name = page.read_text(), str(page.relative_to(ROOT))
    found = []
    for match in FENCE.finditer(text):
        before, indent = text[: match.start()], len(match[1])
        content = "".join(line[indent:] for line in match[4].splitlines(keepends=True))
        marked = before.rstrip().endswith(RUN)
        found.append(Block(name, before.count("\n") + 1, match[3], content, marked))
    return found


def commands(block: Block) -> Iterator[Command]:
    """The commands of a shell block, continued lines joined, comments left out."""
    for line in block.script().replace("\\\n", " ").splitlines():
        for words in split(line):
            yield Command(f"{block.page}:{block.line}", words)


def inline_commands(page: Path) -> list[Command]:
    """Commands inside the sentences of a page."""
    text = FENCE.sub("", page.read_text())
    where = str(page.relative_to(ROOT))
    return [
        Command(where, words, inline=True)
        for match in INLINE.finditer(text)
        for words in split(" ".join(match[1].split()))
    ]


def split(line: str) -> Iterator[tuple[str, ...]]:
    """A shell line as the words of its commands."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    tokens = iter([*lexer, ";"])
    for token in tokens:
        if token in REDIRECTIONS:
            next(tokens)
        elif token not in SEPARATORS:
            words.append(token)
        else:
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                yield tuple(words)
            words = []
