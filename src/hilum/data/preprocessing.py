"""The steps from a radiograph to a network's input, as a bundle stores them.

Reading the file is `radiograph`'s job; what a network does with grey values, `model`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hilum.data.grey import Grey, as_float
from hilum.data.resampling import Interpolation, resample


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


class Resize(_Step):
    """Bring to `height` x `width` pixels, antialiased when it shrinks; values stay in [0, 1]."""

    step: Literal["resize"] = "resize"
    height: int = Field(ge=16, le=4096)
    width: int = Field(ge=16, le=4096)
    interpolation: Interpolation = "bicubic"

    def apply(self, grey_hw: Grey) -> Grey:
        return _resized(grey_hw, self.height, self.width, self.interpolation)


class ShorterSide(_Step):
    """Shrink until the shorter side is `size`, the aspect kept; a smaller film stays as it is."""

    step: Literal["shorter_side"] = "shorter_side"
    size: int = Field(ge=16, le=4096)
    interpolation: Interpolation = "bicubic"

    def apply(self, grey_hw: Grey) -> Grey:
        shorter = min(grey_hw.shape)
        if shorter <= self.size:
            return grey_hw
        height, width = (round(side * self.size / shorter) for side in grey_hw.shape)
        return _resized(grey_hw, height, width, self.interpolation)


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
