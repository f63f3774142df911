"""The bundles that come with Hilum, found by name, in folders beside this file.

`scripts/make-bundles` puts them there. What is noted when they are used stands elsewhere: see
`hilum.ledger`.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def shipped_bundles() -> tuple[str, ...]:
    """Their names, in order."""
    return tuple(sorted(each.parent.name for each in FOLDER.glob("*/bundle.json")))


def shipped_bundle(name: str | Path) -> Path | None:
    """The folder of the one of this name, such as `pneumoniamnist`; None where there is none.

    A name may be spelt with `_` in place of `-`.
    """
    called = str(name).replace("_", "-")
    return FOLDER / called if called in shipped_bundles() else None


def is_shipped(folder: Path) -> bool:
    """Whether this very folder came with Hilum; a copy of it elsewhere did not."""
    return folder.resolve().parent == FOLDER.resolve()
