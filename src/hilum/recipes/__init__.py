"""The recipes that come with Hilum, found by name."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def recipe_names() -> tuple[str, ...]:
    """Names of all of them, in order."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def recipe_path(recipe: str) -> Path:
    """The file a user means: a recipe's name, such as `pneumoniamnist`, or a path."""
    builtin = _FOLDER / f"{recipe}.toml"
    return builtin if builtin.is_file() else Path(recipe)
