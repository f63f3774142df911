"""The code blocks of README, docs and examples, as Markdown has them, and the commands in them.

What is done with a block is left to `typist`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent.parent
PAGES = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
)


@dataclass(frozen=True)
class Block:
    """One code block; `line` is where it begins in its page, from 1. Indented ones have no kind."""

    page: Path
    line: int
    kind: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One line to type, without its comment."""

    where: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """All code blocks of a page, in order, those inside lists and notes, too."""
    found = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [
        Block(page, each.map[0] + 1, each.info.strip().partition(" ")[0], each.content)
        for each in found
        if each.type in ("fence", "code_block") and each.map
    ]


def commands_of(block: Block) -> list[Command]:
    """A shell block's lines; one that ends in a backslash goes on in the next."""
    commands, at, text = [], 0, ""
    for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
        at = at or number
        text += line.strip()
        if text.endswith("\\"):
            text = text.removesuffix("\\")
            continue
        if bare := re.sub(r"(^|\s)#\s.*$", "", text).strip():
            commands.append(Command(f"{block.page.relative_to(ROOT)}:{at}", bare))
        at, text = 0, ""
    return commands
