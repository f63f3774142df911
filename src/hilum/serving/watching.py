"""What the stages of the service tell of themselves; here they tell it to nobody.

`metrics` counts it for Prometheus.
"""

from __future__ import annotations


class Watch:
    """Hears what happens. A subclass keeps what it wants; calls come from many threads."""

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""

    def film(self, outcome: str, reason: str = "") -> None:
        """A film was answered, referred or rejected."""

    def stage(self, stage: str, seconds: float) -> None:
        """A stage of a film's way (decode, queue) took so long."""

    def batch(self, films: int, seconds: float) -> None:
        """The engine and what is made of its answer took so long for so many films."""

    def films_held(self, films: int) -> None:
        """So many films have been taken on and not answered yet."""

    def child_replaced(self) -> None:
        """A process that decodes was ended and another was started."""

    def bundle(self, digest: str, name: str, engine: str, *, at_work: bool) -> None:
        """A bundle began to answer, or no longer does."""

    def swap(self, outcome: str) -> None:
        """A new bundle was asked for: done or refused."""
