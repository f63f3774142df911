"""Places: what `--on`, `--option` and `--finding` of `hilum generalise` mean.

How a source is opened is `hilum.data.sources`' business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hilum.recipe import DataPart, Recipe

# Of the recipe's [data], what is as good for any place: how films are shared among the
# roles. A test split is published or not, place by place.
_SHARED = ("tune_fraction", "calibrate_fraction", "duplicates", "broken_limit")


def places_of(
    on: Sequence[str], options: Sequence[str], findings: Sequence[str], recipe: Recipe
) -> dict[str, DataPart]:
    """Name -> how that place's source is opened.

    on: texts of places, `SOURCE` or `NAME=SOURCE`, parted by commas; the name is otherwise the
        source's kind
    options: `NAME:KEY=VALUE`, keys of a recipe's [data]
    findings: asked of every place whose options do not name its own; none given, the recipe's
    The source of the recipe is read as the recipe says, any other by its own options; the roles of
    all are drawn by the recipe's shares.
    Raises HilumError for under two places, a name that is none or stands twice, or an option
    without a place; RecipeError for an option that is none.
    """
    from hilum.errors import HilumError

    source_of = _sources(on)
    if len(source_of) < 2:
        raise HilumError(
            "--on",
            f"{len(source_of)} place{'s' if len(source_of) != 1 else ''}",
            expected="two or more, such as --on a=nih:nih,b=rsna:rsna",
        )
    option_of: dict[str, list[str]] = {name: [] for name in source_of}
    for text in options:
        name, colon, change = text.partition(":")
        if not colon or name not in option_of:
            found = (
                f"no place {name!r}" if colon and "=" not in name else f"{text!r} names no place"
            )
            raise HilumError(
                "--option",
                found,
                expected=f"PLACE:KEY=VALUE with one of {', '.join(option_of)}",
            )
        option_of[name].append(change)
    return {
        name: _settings(name, source, option_of[name], findings, recipe)
        for name, source in source_of.items()
    }


def _sources(on: Sequence[str]) -> dict[str, str]:
    from hilum.errors import HilumError

    source_of: dict[str, str] = {}
    for text in (part.strip() for each in on for part in each.split(",")):
        if not text:
            continue
        named = re.match(r"([^=:@/]*)=(.*)", text)
        name = named[1].strip() if named else re.split("[:@]", text)[0]
        source = named[2].strip() if named else text
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise HilumError(
                "--on",
                f"name {name!r}",
                expected="letters, digits, '.', '_' and '-', as in a=nih:nih",
            )
        if name.casefold() in map(str.casefold, source_of):
            raise HilumError(
                "--on",
                f"two places called {name!r}",
                remedy=f"name them, such as {name}1={source_of.get(name, source)},{name}2={source}",
            )
        source_of[name] = source
    return source_of


def _settings(
    name: str, source: str, changes: Sequence[str], findings: Sequence[str], recipe: Recipe
) -> DataPart:
    from hilum.errors import HilumError
    from hilum.recipe import DataPart, ReadingPart, source_options

    asked, reading = source_options([*changes, f"source={source}"])
    if reading != ReadingPart():
        raise HilumError(
            f"--option {name}:reading",
            "a classifier reads every place's films alike",
            remedy="set it for all with --set reading.KEY=VALUE",
        )
    default = DataPart()
    given = {
        key: getattr(asked, key)
        for key in DataPart.model_fields
        if getattr(asked, key) != getattr(default, key)
    }
    own = source == recipe.data.source
    base = (
        recipe.data
        if own
        else default.model_copy(update={key: getattr(recipe.data, key) for key in _SHARED})
    )
    settings = base.model_copy(update={**given, "source": source})
    chosen = asked.findings or tuple(findings) or recipe.data.findings
    return settings.model_copy(update={"findings": chosen})


def shared_findings(findings_of: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The findings that every place has. Raises HilumError where there is none."""
    from hilum.errors import HilumError

    first, *others = findings_of.values()
    shared = tuple(f for f in first if all(f in other for other in others))
    if not shared:
        told = "; ".join(f"{name} {', '.join(each)}" for name, each in findings_of.items())
        raise HilumError(
            "--on",
            f"no finding that every place has: {told}",
            remedy="ask all for one with --finding, or rename one place's with --option "
            "PLACE:findings=NAME; see docs/findings.md",
        )
    return shared
