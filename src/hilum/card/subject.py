"""The subject of a card: a bundle by its record alone, and how one names it in a command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hilum.bundle import FOREIGN, Bundle, Manifest
from hilum.calibration import OperatingPoint
from hilum.card.markdown import code


@dataclass(frozen=True)
class Subject:
    """What a card is about.

    digest: of the bundle, by which results are known to be about it
    openings: of its ledger, oldest first
    """

    manifest: Manifest
    digest: str
    openings: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, bundle: Bundle) -> Subject:
        return cls(bundle.manifest, bundle.digest, tuple(bundle.openings()))

    @property
    def foreign(self) -> bool:
        """Whether others made it: what it was made from is what they say, and no more."""
        return FOREIGN in self.manifest.recipe

    @property
    def own(self) -> str | None:
        """The source whose test films are its own; None where its makers do not name them."""
        return None if self.foreign else self.manifest.source

    @property
    def own_openings(self) -> list[Mapping[str, Any]]:
        """Of its own test films; where its makers do not name them, of any."""
        return [each for each in self.openings if self.foreign or each.get("source") == self.own]

    @property
    def roles(self) -> Mapping[str, Mapping[str, Any]]:
        """By role, how many images of which kind; empty for what others made."""
        roles: Mapping[str, Mapping[str, Any]] = self.manifest.roles.get("roles", {})
        return roles

    def points(self, finding: str) -> dict[str, OperatingPoint]:
        """Named thresholds, the deployed one first."""
        points = [OperatingPoint.from_dict(p) for p in self.manifest.operating_points[finding]]
        points.sort(key=lambda point: point.name != self.manifest.deployed)
        return {point.name: point for point in points}

    def command(self, line: str) -> str:
        """A command as code; NAME in it becomes what this bundle is called."""
        return code(f"hilum {line}".replace("NAME", shlex.quote(self.manifest.name)))

    def not_given(self, what: str, line: str) -> str:
        """That something is not known, and the command by which it would be."""
        return f"**{what}:** run {self.command(line)}, and give its folder to `hilum card`."
