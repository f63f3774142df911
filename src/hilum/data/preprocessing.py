"""The steps from a radiograph to a network's input, as a bundle stores them.

Reading the file is `radiograph`'s job; what a network does with grey values, `model`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

Interpolation = Literal["bilinear", "bicubic", "area"]

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
}


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CentreSquare(_Step):
    """Cut the largest centred square: [h, w] → [s, s], s = min(h, w)."""

    step: Literal["centre_square"] = "centre_square"

    def apply(self, image_hw: NDArray[np.float32]) -> NDArray[np.float32]:
        height, width = image_hw.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return image_hw[top : top + side, left : left + side]


class Resize(_Step):
    """Bring to `height` x `width` pixels, antialiased when it shrinks; values stay in [0, 1]."""

    step: Literal["resize"] = "resize"
    height: int = Field(ge=16, le=4096)
    width: int = Field(ge=16, le=4096)
    interpolation: Interpolation = "bicubic"

    def apply(self, image_hw: NDArray[np.float32]) -> NDArray[np.float32]:
        if image_hw.shape == (self.height, self.width):
            return image_hw
        resized = Image.fromarray(image_hw).resize(
            (self.width, self.height), _RESAMPLING[self.interpolation]
        )
        # Bicubic overshoots at sharp edges; nothing is darker than air.
        return np.clip(np.asarray(resized, dtype=np.float32), 0.0, 1.0)


Step = Annotated[CentreSquare | Resize, Field(discriminator="step")]


def preprocess(image_hw: NDArray[np.float32], steps: Sequence[Step]) -> NDArray[np.float32]:
    """Apply the steps in order.

    image_hw: radiograph in [0, 1], air dark and bone bright
    Returns float32 [1, h, w] in [0, 1], one grey channel: what `Classifier` takes.
    """
    for step in steps:
        image_hw = step.apply(image_hw)
    return np.ascontiguousarray(image_hw, dtype=np.float32)[np.newaxis]


def reduction_to(side: int) -> tuple[Step, ...]:
    """What MedMNIST did to its films: centre square, then `side` x `side`.

    Bilinear comes nearest to the published pixels, see docs/decisions/reduction.md.
    Source: Yang et al. 2023, MedMNIST v2, Scientific Data 10:41, section "PneumoniaMNIST".
    """
    return (CentreSquare(), Resize(height=side, width=side, interpolation="bilinear"))
