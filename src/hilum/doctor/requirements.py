"""What Hilum asks of other packages, and what is installed, without importing any of them.

Whether what is installed works is found by `probing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from hilum.doctor.problem import Problem

BASE = "base"


@dataclass(frozen=True)
class Library:
    """One package that Hilum asks for.

    part: `base`, or the extra that asks
    asked: versions that will do, such as `>=3.0,<4`
    installed: None where it is not
    """

    name: str
    part: str
    asked: str
    installed: str | None

    @property
    def suffices(self) -> bool:
        if self.installed is None:
            return False
        return Requirement(f"{self.name}{self.asked}").specifier.contains(
            self.installed, prereleases=True
        )


def libraries(asked: Iterable[str], version: Callable[[str], str | None]) -> tuple[Library, ...]:
    """Every package asked for here, by part and name.

    asked: requirements as a package's metadata state them, extras in their markers
    version: of an installed package; None where it is not installed
    """
    found = []
    for text in asked:
        requirement = Requirement(text)
        part = _part(requirement)
        if part is not None:
            name = requirement.name
            found.append(Library(name, part, str(requirement.specifier), version(name)))
    return tuple(sorted(found, key=lambda each: (each.part != BASE, each.part, each.name)))


def asked_by_hilum() -> list[str]:
    """Hilum's own requirements, as it was installed with them."""
    return metadata.requires("hilum") or []


def installed_version(name: str) -> str | None:
    """Of a package in this environment."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def parts(found: Iterable[Library]) -> dict[str, bool]:
    """By extra: whether all that it asks for is installed."""
    whole: dict[str, bool] = {}
    for each in found:
        if each.part != BASE:
            whole[each.part] = whole.get(each.part, True) and each.installed is not None
    return whole


def problems(found: Iterable[Library]) -> list[Problem]:
    """What is missing from the base, and what is there in a version that will not do."""
    found = tuple(found)
    whole = parts(found)
    told = []
    for each in found:
        if each.suffices:
            continue
        base = each.part == BASE
        if each.installed is None:
            if base:
                told.append(
                    Problem(
                        each.name,
                        "not installed, and nothing works without it",
                        f"pip install '{each.name}{each.asked}'",
                        broken=True,
                    )
                )
            continue
        told.append(
            Problem(
                each.name,
                f"{each.installed}, and {'hilum' if base else f'the part {each.part!r}'} asks for "
                f"{each.asked}",
                f"pip install --upgrade '{each.name}{each.asked}'",
                broken=base or whole[each.part],
            )
        )
    return told


def by_part(found: Iterable[Library]) -> Mapping[str, list[Library]]:
    """The libraries of each part, the base first."""
    grouped: dict[str, list[Library]] = {}
    for each in found:
        grouped.setdefault(each.part, []).append(each)
    return grouped


def _part(requirement: Requirement) -> str | None:
    """The part that asks; None where the marker rules it out on this platform."""
    marker = requirement.marker
    if marker is None or marker.evaluate({"extra": ""}):
        return BASE
    extras: list[str] = metadata.metadata("hilum").get_all("Provides-Extra") or []
    return next((extra for extra in extras if marker.evaluate({"extra": extra})), None)
