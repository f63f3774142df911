"""Which data sets and bundles are at hand, told by kind and count, without a name of a folder.

What a data set is known by is `at_hand`'s.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hilum.bundle import load_bundle
from hilum.data.checking.at_hand import found_in
from hilum.doctor.problem import Problem
from hilum.errors import HilumError
from hilum.shipped import shipped_bundle, shipped_bundles

ENVIRONMENT, CACHE = "HILUM_DATA", "~/.medmnist"
AGAIN = "install Hilum again, from where you have it"


@dataclass(frozen=True)
class Data:
    """By place, `HILUM_DATA` and `~/.medmnist`: kind of source -> how many lie there.

    None where the place is not named, is no folder, or cannot be listed.
    """

    found: Mapping[str, Mapping[str, int] | None]
    problems: tuple[Problem, ...]


def data_at_hand(named: str | None, home: Path | None) -> Data:
    """named: what HILUM_DATA says; home: None for a user without one"""
    told = []
    places: dict[str, Path | None] = {
        ENVIRONMENT: Path(named) if named else None,
        CACHE: home / ".medmnist" if home else None,
    }
    found: dict[str, dict[str, int] | None] = {}
    for name, place in places.items():
        found[name] = None
        if place is None:
            continue
        if not place.is_dir():
            if name == ENVIRONMENT:
                told.append(Problem(name, "names no folder", "name one that is there, or unset it"))
            continue
        try:
            found[name] = kinds(found_in(place))
        except HilumError:
            told.append(Problem(name, "cannot be listed", "let this user read it"))
    if not any("pneumoniamnist" in (each or {}) for each in found.values()):
        told.append(
            Problem(
                "PneumoniaMNIST",
                "not at hand",
                "hilum data fetch pneumoniamnist (4 MB), or name its folder by HILUM_DATA",
            )
        )
    return Data(found, tuple(told))


def kinds(sources: Iterable[str]) -> dict[str, int]:
    """`folder:site_b/labels.csv` is told as one `folder`: its name is nobody else's business."""
    return dict(Counter(source.partition(":")[0] for source in sources))


def shipped() -> tuple[dict[str, str], list[Problem]]:
    """Name -> digest of each bundle that came with Hilum, and what is wrong with any."""
    found, told = {}, []
    for name in shipped_bundles():
        folder = shipped_bundle(name)
        assert folder is not None
        try:
            found[name] = load_bundle(folder).digest
        except HilumError as error:
            told.append(
                Problem(
                    f"bundle {name}",
                    f"not as it was shipped ({error.found})",
                    AGAIN,
                    broken=True,
                )
            )
    return found, told


def home_folder() -> Path | None:
    """None for a user without one, as in many containers."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def environment() -> tuple[str | None, Path | None]:
    """What `data_at_hand` takes, of this process."""
    return os.environ.get(ENVIRONMENT), home_folder()
