"""What a shell offers after the Tab key where a word is a name; files it offers by itself.

Nothing heavy is imported here: a person waits for the answer.
"""

from __future__ import annotations

from hilum.recipes import recipe_names
from hilum.shipped import shipped_bundles

# As in `hilum.data.sources`, which takes too long to import.
SOURCES = ("pneumoniamnist", "phantom", "nih:", "rsna:", "chexpert:", "folder:", "shards:")


def recipes(incomplete: str) -> list[str]:
    """Recipes that come with Hilum."""
    return _beginning(recipe_names(), incomplete)


def bundles(incomplete: str) -> list[str]:
    """Bundles that come with Hilum."""
    return _beginning(shipped_bundles(), incomplete)


def sources(incomplete: str) -> list[str]:
    """Sources, up to the place that some of them need."""
    return _beginning(SOURCES, incomplete)


def _beginning(names: tuple[str, ...], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
