"""griffe extension: each part of the recipe as one table of keys, with type, default and range.

Descriptions are those of the class's docstring, which `docstrings` turns into lists elsewhere.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_HEAD = ("| key | values | default | what it is |", "|---|---|---|---|")


class RecipeTables(griffe.Extension):
    """Comes before `docstrings`, which then finds no list left to make."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Put a table behind the words of every part's docstring."""
        if not isinstance(obj, griffe.Class) or "_Part" not in map(str, obj.bases):
            return
        if obj.module.path != "hilum.recipe" or obj.name == "Recipe" or obj.docstring is None:
            return
        keys = {name: each for name, each in obj.attributes.items() if name != "model_config"}
        words, told = parted(obj.docstring.value, set(keys))
        rows = (_row(each, told.get(name, "")) for name, each in keys.items())
        obj.docstring.value = "\n".join([words.strip(), "", *_HEAD, *rows])


def parted(docstring: str, keys: set[str]) -> tuple[str, dict[str, str]]:
    """What a docstring says in all, and what of each key.

    Also of several keys in a line: `low, high: …`, and `this: …; that: …`.
    """
    words: list[str] = []
    told: list[tuple[list[str], str]] = []
    for line in docstring.splitlines():
        names, colon, text = line.partition(": ")
        found = names.split(", ")
        if colon and keys.issuperset(found):
            told.append((found, text))
        elif told and line.startswith("    "):
            told[-1] = (told[-1][0], f"{told[-1][1]} {line.strip()}")
        else:
            words.append(line)
    said: dict[str, str] = {}
    for names_told, text in told:
        first, *more = re.split(rf"; (?=(?:{'|'.join(keys)}): )", text)
        said |= dict.fromkeys(names_told, first)
        said |= dict(part.split(": ", 1) for part in more)
    return "\n".join(words), said


def _row(key: griffe.Attribute, text: str) -> str:
    default, limits = _default(str(key.value)) if key.value is not None else ("needed", "")
    values = _values(str(key.annotation))
    if values == "number" and limits:
        values = limits
    elif limits:
        values = f"{values}, {limits}"
    cells = (f"`{key.name}`", values, default, text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(source: str) -> tuple[str, str]:
    """The default and the range in `Field(default=1, ge=0)`, or the default as it stands."""
    node = ast.parse(source, mode="eval").body
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "Field":
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        limits = ", ".join(f"{_LIMITS[k]} {v}" for k, v in given.items() if k in _LIMITS)
        return _shown(given.get("default")), limits
    return _shown(source), ""


def _shown(default: str | None) -> str:
    if default is None:
        return "needed"
    if default.endswith("Part()") or default.startswith("_"):
        return "its own"
    return {"()": "none", "{}": "none", "None": "not set"}.get(
        default,
        "`{}`".format(default.replace("'", '"').replace("True", "true").replace("False", "false")),
    )


def _values(annotation: str) -> str:
    if annotation.startswith("Literal["):
        inside = annotation.removeprefix("Literal[").removesuffix("]")
        return ", ".join(f"`{value}`" for value in inside.replace("'", '"').split(", "))
    words = {"int": "whole number", "float": "number", "bool": "true, false", "str": "text"}
    words |= {f"{k} | None": v for k, v in words.items()}
    words |= {
        "tuple[str, ...]": "list of texts",
        "tuple[Any, ...]": "list",
        "Bound": '`"point"`, `"lower"`',
    }
    if annotation.startswith(("dict[", "Uncertain", "Annotated")) or annotation.endswith("Part"):
        return "table" if not annotation.startswith("Uncertain") else "a word, or a table"
    return words.get(annotation, f"`{annotation}`")
