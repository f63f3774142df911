"""griffe extension: Hilum's docstrings as Markdown, a list entry for each thing they describe.

What they say is the source's business; which of them are shown, `docs/reference`'s.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

# `label_nf: what it is`, `low, high: …`, also several in a line parted by semicolons.
_ENTRY = re.compile(r"^(?P<names>[A-Za-z_*][\w.*]*(?:, [A-Za-z_*][\w.*]*)*): (?P<text>\S.*)$")
_CLOSING = re.compile(r"^(?P<word>Returns|Raises|Source:)(?= )")
_PLACEHOLDER = re.compile(r"(?<![`\w])(\w*_?\{\w+\}\w*)(?![`\w])")
_SHAPE = re.compile(r"(?<!`)\[([a-z](?: [a-z])+|h, w)\]")


def as_markdown(docstring: str) -> str:
    """The same words, with what a reader of plain text sees by its indentation said in Markdown."""
    lines: list[str] = []
    in_entry = False
    for line in docstring.splitlines():
        entry, closing = _ENTRY.match(line), _CLOSING.match(line)
        if closing:
            lines += ["", line.replace(closing["word"], f"**{closing['word']}**", 1)]
            in_entry = False
        elif entry and not line.startswith(("Example:", "Source:")):
            names = ", ".join(f"`{name}`" for name in entry["names"].split(", "))
            lines += ["" if not in_entry else None, f"- {names}: {entry['text']}"]  # type: ignore[list-item]
            in_entry = True
        elif in_entry and line.startswith("    "):
            lines.append("  " + line.strip())
        else:
            if in_entry and line.strip():
                lines.append("")
            in_entry = in_entry and not line.strip()
            lines.append(line)
    text = "\n".join(line for line in lines if line is not None)
    text = _PLACEHOLDER.sub(r"`\1`", text)
    return _SHAPE.sub(r"`[\1]`", text)


class Docstrings(griffe.Extension):
    """Rewrites each docstring once the tree of objects is there."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
