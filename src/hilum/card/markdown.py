"""Markdown: words, tables and lists in which nothing that others named is taken for a mark.

What a section says is left to the modules beside this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hilum.estimates import Estimate

Lines = list[str]
DASH = "\N{EN DASH}"


def plain(words: object) -> str:
    """Words on one line in which Markdown and HTML find no marks of their own."""
    text = re.sub(r"([\\`*\[\]|])", r"\\\1", " ".join(str(words).split()))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def code(words: str) -> str:
    """A command or a file as code, on one line, safe in a table, too."""
    return f"`{' '.join(words.split()).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def cell(found: Estimate | None, digits: int = 3) -> str:
    """`0.921 (0.899 to 0.938)`, why there is none, or a dash for what was not computed."""
    return DASH if found is None else plain(found.in_words(digits))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    """A table and the empty line after it; cells are Markdown already. Nothing without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return []
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines, ""]


def bullets(entries: Iterable[str]) -> Lines:
    """A list and the empty line after it; nothing without entries."""
    lines = [f"- {entry}" for entry in entries]
    return [*lines, ""] if lines else []
