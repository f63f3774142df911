"""Where a cohort's pixels come from: an array, files, or a generator; read by the table's index.

How a file becomes pixels is left to `radiograph`, and shards to `shards`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from hilum.data.grey import Grey
from hilum.data.oddities import Oddities
from hilum.data.preprocessing import undo_squash
from hilum.data.radiograph import Radiograph, read_radiograph
from hilum.recipe import ReadingPart


class Pixels(Protocol):
    """Where a cohort's pixels come from: an array, files, or a generator. Threads read from it."""

    def read(self, index: int) -> Grey:
        """Image `index` as grey values [h, w] as they are stored, air dark and bone bright."""


@dataclass(frozen=True)
class ArrayPixels:
    """Pixels held in memory, uint8, shape (n, h, w), 255 = brightest."""

    image_nhw: NDArray[np.uint8]

    def read(self, index: int) -> Grey:
        image_hw: NDArray[np.uint8] = self.image_nhw[index]
        return image_hw


class RememberedPixels:
    """Pixels that are costly to read or draw, kept after the first time while they fit in memory.

    limit_bytes: beyond this an image is read anew each time
    """

    def __init__(self, pixels: Pixels, limit_bytes: int = 256 << 20) -> None:
        self._pixels = pixels
        self._room = limit_bytes
        self._kept: dict[int, Grey] = {}

    @property
    def source(self) -> Pixels:
        """What is read or drawn the first time."""
        return self._pixels

    def read(self, index: int) -> Grey:
        grey_hw = self._kept.get(index)
        if grey_hw is None:
            grey_hw = self._pixels.read(index)
            if self._room >= grey_hw.nbytes:
                self._room -= grey_hw.nbytes
                self._kept[index] = grey_hw
        return grey_hw


@dataclass(frozen=True)
class FilePixels:
    """Pixels read from files, one film each, when they are asked for.

    name_n: path of each film below `root`, by index; of a million, an Arrow array of strings takes
        the least memory
    aspect_n: width over height of the true film, NaN where the file has it right; None: all have.
        A film whose proportions were squashed has its shorter side shrunk back.
    strict: refuse what is no frontal chest film, not only note it
    noted: what was odd about the films read so far
    """

    root: Path
    name_n: Sequence[str] | NDArray[np.str_] | ExtensionArray
    reading: ReadingPart = field(default_factory=ReadingPart)
    aspect_n: NDArray[np.float64] | None = None
    strict: bool = False
    noted: Oddities = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "noted", Oddities(len(self.name_n)))

    def path(self, index: int) -> Path:
        return self.root / str(self.name_n[index])

    def radiograph(self, index: int) -> Radiograph:
        """The film with what its file says of it, its proportions as they are stored.

        Raises RadiographError.
        """
        film = read_radiograph(self.path(index), self.reading, strict=self.strict)
        self.noted.add(index, film.warnings)
        return film

    def restored(self, film: Radiograph, index: int) -> Grey:
        """The grey values of a film read from here, in its true proportions."""
        aspect = np.nan if self.aspect_n is None else self.aspect_n[index]
        return film.stored_hw if np.isnan(aspect) else undo_squash(film.stored_hw, float(aspect))

    def read(self, index: int) -> Grey:
        return self.restored(self.radiograph(index), index)
