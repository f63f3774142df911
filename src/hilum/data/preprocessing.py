"""The steps from a radiograph to a network's input, as a bundle stores them.

Reading the file is `radiograph`'s job; what a network does with grey values, `model`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hilum.data.grey import Grey, as_float
from hilum.data.resampling import Interpolation, resample


class Window(NamedTuple):
    """A rectangle of a film, in its pixels; it may reach beyond the film."""

    top: float
    left: float
    height: float
    width: float

    def scaled(self, down: float, across: float) -> Window:
        """The same part of the film in other pixels: `down` and `across` times as many."""
        return Window(self.top * down, self.left * across, self.height * down, self.width * across)


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CentreSquare(_Step):
    """Cut the largest centred square: [h, w] → [s, s], s = min(h, w)."""

    step: Literal["centre_square"] = "centre_square"

    def apply(self, grey_hw: Grey) -> Grey:
        height, width = grey_hw.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return grey_hw[top : top + side, left : left + side]

    def shows(self, height: int, width: int) -> tuple[Window, int, int]:
        side = min(height, width)
        return Window((height - side) // 2, (width - side) // 2, side, side), side, side


class PadSquare(_Step):
    """Add air on both sides of a film that is not square: [h, w] → [s, s], s = max(h, w)."""

    step: Literal["pad_square"] = "pad_square"

    def apply(self, grey_hw: Grey) -> Grey:
        height, width = grey_hw.shape
        if height == width:
            return grey_hw
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        square: Grey = np.zeros((side, side), dtype=grey_hw.dtype)
        square[top : top + height, left : left + width] = grey_hw
        return square

    def shows(self, height: int, width: int) -> tuple[Window, int, int]:
        side = max(height, width)
        return Window(-((side - height) // 2), -((side - width) // 2), side, side), side, side


class Resize(_Step):
    """Bring to `height` x `width` pixels, antialiased when it shrinks; values stay in [0, 1]."""

    step: Literal["resize"] = "resize"
    height: int = Field(ge=16, le=4096)
    width: int = Field(ge=16, le=4096)
    interpolation: Interpolation = "bicubic"

    def apply(self, grey_hw: Grey) -> Grey:
        return _resized(grey_hw, self.height, self.width, self.interpolation)

    def shows(self, height: int, width: int) -> tuple[Window, int, int]:
        return Window(0, 0, height, width), self.height, self.width


class ShorterSide(_Step):
    """Shrink until the shorter side is `size`, the aspect kept; a smaller film stays as it is."""

    step: Literal["shorter_side"] = "shorter_side"
    size: int = Field(ge=16, le=4096)
    interpolation: Interpolation = "bicubic"

    def apply(self, grey_hw: Grey) -> Grey:
        return _resized(grey_hw, *self._size_of(*grey_hw.shape), self.interpolation)

    def shows(self, height: int, width: int) -> tuple[Window, int, int]:
        return Window(0, 0, height, width), *self._size_of(height, width)

    def _size_of(self, height: int, width: int) -> tuple[int, int]:
        shorter = min(height, width)
        if shorter <= self.size:
            return height, width
        return round(height * self.size / shorter), round(width * self.size / shorter)


Step = Annotated[CentreSquare | PadSquare | Resize | ShorterSide, Field(discriminator="step")]


def preprocess(grey_hw: Grey, steps: Sequence[Step]) -> NDArray[np.float32]:
    """Apply the steps in order.

    grey_hw: radiograph, air dark and bone bright, as it was stored: the first step that resizes
        makes floats of it, which is much faster than resizing floats
    Returns float32 [1, h, w] in [0, 1], one grey channel: what `Classifier` takes.
    """
    for step in steps:
        grey_hw = step.apply(grey_hw)
    return np.ascontiguousarray(as_float(grey_hw))[np.newaxis]


def shown(height: int, width: int, steps: Sequence[Step]) -> Window:
    """The part of a film of this size that the last of the steps leaves, in the film's own pixels.

    Every step cuts, pads or resizes along the axes, so what is left is a rectangle.
    """
    window = Window(0.0, 0.0, float(height), float(width))
    for step in steps:
        down, across = window.height / height, window.width / width
        part, height, width = step.shows(height, width)
        window = Window(
            window.top + part.top * down,
            window.left + part.left * across,
            part.height * down,
            part.width * across,
        )
    return window


def undo_squash(grey_hw: Grey, aspect: float) -> Grey:
    """Shrink one side of a film until its width is `aspect` times its height.

    The longer side of the true film gets the longer side that the file has.
    """
    longer = max(grey_hw.shape)
    shorter = max(1, round(longer * min(aspect, 1 / aspect)))
    height, width = (shorter, longer) if aspect > 1 else (longer, shorter)
    return _resized(grey_hw, height, width, "bicubic")


def reduction_to(side: int) -> tuple[Step, ...]:
    """What MedMNIST did to its films: centre square, then `side` x `side`.

    Bilinear comes nearest to the published pixels, see docs/decisions/reduction.md.
    Source: Yang et al. 2023, MedMNIST v2, Scientific Data 10:41, section "PneumoniaMNIST".
    """
    return (CentreSquare(), Resize(height=side, width=side, interpolation="bilinear"))


def _resized(grey_hw: Grey, height: int, width: int, interpolation: Interpolation) -> Grey:
    if grey_hw.shape == (height, width):
        return grey_hw
    resized_hw = resample(grey_hw, height, width, interpolation)
    # Bicubic overshoots at sharp edges; nothing is darker than air.
    return np.clip(resized_hw, 0.0, 1.0, out=resized_hw)
