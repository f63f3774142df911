"""Bytes → Film, behind limits: what a file holds can end its decoding, never the service."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.data.preprocessing import Step
from hilum.errors import RadiographError
from hilum.recipe import ReadingPart
from hilum.serving.film import Film, prepare
from hilum.serving.rejection import Kind, Rejected


class Decoder:
    """Reads films as one bundle wants them. Many threads may ask at once."""

    def __init__(self, reading: ReadingPart, steps: Sequence[Step]) -> None:
        self.reading, self.steps = reading, tuple(steps)

    def decode(self, content: bytes, *, picture: bool = False) -> Film:
        """Read one film. Raises Rejected."""
        try:
            return prepare(content, self.reading, self.steps, picture=picture)
        except RadiographError as error:
            raise Rejected(Kind.UNREADABLE, str(error)) from None

    def close(self) -> None:
        """End what decodes."""
