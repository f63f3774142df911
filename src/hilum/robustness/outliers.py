"""Outliers: images that are no frontal chest film, made from films or from nothing.

What a bundle makes of them is measured in `novelty`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hilum.data.grey import Grey, as_float
from hilum.data.pixels import Pixels

Film = NDArray[np.float32]
Act = Callable[[Film, np.random.Generator], NDArray[np.floating]]
_LEAST = 256  # pixels of the side of a page or of grain, however small the film


def _corner(film_hw: Film, rng: np.random.Generator) -> Film:
    """The quarter of a film that holds one shoulder, or one flank."""
    height, width = (max(8, side // 2) for side in film_hw.shape)
    top = 0 if rng.random() < 0.5 else film_hw.shape[0] - height
    left = 0 if rng.random() < 0.5 else film_hw.shape[1] - width
    return film_hw[top : top + height, left : left + width]


def _blank(film_hw: Film, rng: np.random.Generator) -> NDArray[np.floating]:
    return np.full(film_hw.shape, rng.uniform()) + rng.normal(0, 0.004, film_hw.shape)


def _grain(film_hw: Film, rng: np.random.Generator) -> NDArray[np.floating]:
    return rng.uniform(size=[max(_LEAST, side) for side in film_hw.shape])


def _page(film_hw: Film, rng: np.random.Generator) -> NDArray[np.floating]:
    """A page of a letter, as it comes out of a scanner that is shared with the films."""
    side = max(_LEAST, *film_hw.shape)
    picture = Image.new("L", (side, side), 250)
    pen = ImageDraw.Draw(picture)
    for line in range(side // 12, side - side // 12, side // 20):
        letters = "".join(rng.choice(list("etaoinshrdlu    "), 60))
        pen.text((side // 12, line), letters, fill=20, font_size=side / 32)
    return np.asarray(picture, dtype=np.float32) / 255


OUTLIERS: Mapping[str, Act] = MappingProxyType(
    {
        "upside_down": lambda film_hw, rng: film_hw[::-1],
        "half_turn": lambda film_hw, rng: film_hw[::-1, ::-1],
        "quarter_turn": lambda film_hw, rng: np.rot90(film_hw, (1, 3)[rng.integers(2)]),
        "negative": lambda film_hw, rng: 1 - film_hw,
        "corner": _corner,
        "blank": _blank,
        "grain": _grain,
        "page": _page,
    }
)


@dataclass(frozen=True)
class OutlierPixels:
    """Pixels of which every film is made an outlier, drawn from seed, kind and index alone."""

    pixels: Pixels
    kind: str
    seed: int = 0

    def read(self, index: int) -> Grey:
        key = (self.seed, zlib.crc32(self.kind.encode()), index)
        made = OUTLIERS[self.kind](as_float(self.pixels.read(index)), np.random.default_rng(key))
        image_hw: Film = np.clip(np.ascontiguousarray(made), 0.0, 1.0).astype(np.float32)
        return image_hw
