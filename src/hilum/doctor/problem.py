"""One thing that is not as it should be, as a line that can be acted on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """`where: found; remedy`.

    broken: Hilum, or a part of it that is installed, cannot work; otherwise it works, but worse or
        not at all of what somebody may want
    """

    where: str
    found: str
    remedy: str
    broken: bool = False

    @property
    def line(self) -> str:
        return f"{self.where}: {self.found}; {self.remedy}"
