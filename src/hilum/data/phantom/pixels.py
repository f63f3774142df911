"""The pixels of a phantom cohort: each image drawn when it is asked for, from its seeds alone.

Which patient is ill and which image is whose is left to `hilum.data.sources.phantom`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilum.data.phantom.drawing import draw, lung_mask, opacity_boxes, opacity_mask
from hilum.data.phantom.parameters import PATTERNS, Anatomy, Film, Opacity
from hilum.data.phantom.sampling import sample_anatomy, sample_opacity
from hilum.data.phantom.sites import Site, sample_film

OpacitySize = Literal["any", "small"]


@dataclass(frozen=True, eq=False)
class PhantomPixels:
    """Draws image `index` when asked, the same in every process and in any order of reading.

    Arrays have one entry per image of the whole cohort, shape (n,); nothing else is kept.
    """

    size: int
    seed: int
    sites: tuple[Site, ...]
    opacity_size: OpacitySize
    patient_n: NDArray[np.int64]
    site_n: NDArray[np.int64]
    ap_n: NDArray[np.bool_]
    age_n: NDArray[np.float64]
    female_n: NDArray[np.bool_]
    pattern_n: NDArray[np.int64]  # place in PATTERNS, -1 = no opacity
    severity_n: NDArray[np.float64]
    extra_marker_n: NDArray[np.bool_]

    def read(self, index: int) -> NDArray[np.float32]:
        """Image `index` as float32 [size, size] in [0, 1], air dark and bone bright."""
        return draw(self._anatomy(index), self._film(index), self._opacity(index), self.size)

    def read_without_opacity(self, index: int) -> NDArray[np.float32]:
        """The same patient, film and noise without the pneumonia, float32 [size, size]."""
        return draw(self._anatomy(index), self._film(index), None, self.size)

    def opacity_mask(self, index: int) -> NDArray[np.bool_]:
        """Where the opacity of image `index` stands, bool [size, size]; all False when normal."""
        opacity = self._opacity(index)
        if opacity is None:
            return np.zeros((self.size, self.size), dtype=np.bool_)
        return opacity_mask(self._anatomy(index), opacity, self.size)

    def lung_mask(self, index: int) -> NDArray[np.bool_]:
        """Lung of image `index` clear of heart and diaphragm, bool [size, size]."""
        return lung_mask(self._anatomy(index), self.size)

    def boxes(self, index: int) -> list[tuple[float, float, float, float]]:
        """(x, y, width, height) in pixels, one for each lung with an opacity."""
        opacity = self._opacity(index)
        if opacity is None:
            return []
        found = opacity_boxes(self._anatomy(index), opacity)
        return [
            (x * self.size, y * self.size, w * self.size, h * self.size) for x, y, w, h in found
        ]

    def _anatomy(self, index: int) -> Anatomy:
        patient = int(self.patient_n[index])
        return sample_anatomy(
            np.random.default_rng((self.seed, 1, patient)),
            np.random.default_rng((self.seed, 2, index)),
            outline_seed=(self.seed, 3, patient),
            age=float(self.age_n[index]),
            female=bool(self.female_n[index]),
            ap=bool(self.ap_n[index]),
        )

    def _film(self, index: int) -> Film:
        rng = np.random.default_rng((self.seed, 4, index))
        film_seed = (self.seed, 5, index)
        site = self.sites[int(self.site_n[index])]
        return sample_film(rng, site, film_seed, extra=bool(self.extra_marker_n[index]))

    def _opacity(self, index: int) -> Opacity | None:
        kind = int(self.pattern_n[index])
        if kind < 0:
            return None
        return sample_opacity(
            np.random.default_rng((self.seed, 6, index)),
            PATTERNS[kind],
            float(self.severity_n[index]),
            small=self.opacity_size == "small",
            texture_seed=(self.seed, 7, index),
        )
