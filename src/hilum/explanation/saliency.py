"""Saliency maps: what each place adds to the logit, on the network's grid and on the film.

Grad-CAM comes from the engine's second output, with no gradient and no torch; methods that need a
network to differentiate stand in `gradients`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.bundle import Bundle
from hilum.data.preprocessing import Window
from hilum.explanation.grid import Grid, grid_of_engine, placed
from hilum.explanation.head import Head, head_of, refuse_other_head
from hilum.predict import Answer

Method = Literal["grad_cam", "hires_cam", "integrated_gradients", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)
NAMES: Mapping[Method, str] = {
    "grad_cam": "Grad-CAM",
    "hires_cam": "HiResCAM",
    "integrated_gradients": "Integrated gradients",
    "occlusion": "Occlusion",
}
# A head in bf16 keeps 8 bits of each number that it adds; int8 engines keep theirs in fp32.
_BF16 = np.float32(2.0**-8)
LAST = "last feature map"  # that the head pools, whatever its network calls it


@dataclass(frozen=True)
class Saliency:
    """Maps of a cohort's films by one method.

    method: its name; layer: whose maps they are, in words
    map_nfhw: raw, signed, in the unit that the method has, shape (n, f, h, w) on the method's own
        grid; NaN for a film that could not be read
    grid: where on the network's input the cells stand
    """

    method: Method
    layer: str
    map_nfhw: NDArray[np.float32]
    grid: Grid

    def densities(self) -> NDArray[np.float32]:
        """The maps in a unit that is the same for every grid, shape (n, f, h, w).

        For what adds up to the logit: what the film would add if all of it were like this place.
        For occlusion the fall of the logit, as it is.
        """
        if self.method == "occlusion":
            return self.map_nfhw
        rows, columns = self.map_nfhw.shape[-2:]
        return self.map_nfhw * np.float32(rows * columns)


def same_maps(method: Method, layer: str) -> str:
    """One name for all that makes the same maps of a classifier, for what is kept about them.

    layer: as `Saliency` has it. At the map that a linear head pools HiResCAM is Grad-CAM, whoever
    computes it.
    """
    if method == "hires_cam" and layer.startswith(LAST):
        method = "grad_cam"
    return f"{method} at {re.sub(r' [(].*?[)]', '', layer)}"


@dataclass
class GradCam:
    """Collects Grad-CAM of every batch that `predict` passes: `predict(..., look=GradCam(...))`.

    For a head on pooled features the gradient of the logit by a feature map is the head's weight
    over h · w at every place, so the map is that weighted sum of channels. It is not cut off at
    nought as in the paper: what speaks against the finding is kept, with its sign, and with the
    bias all places add up to the logit.
    Source: Zhou et al. 2016 (CAM); Selvaraju et al. 2017, section 3.1 (its equality to Grad-CAM).
    """

    bundle: Bundle
    n: int
    head: Head | None = field(default=None, repr=False)  # None reads it of the bundle
    grid: Grid | None = None  # None reads it of the bundle's engine
    _map_nfhw: NDArray[np.float32] | None = field(default=None, repr=False)

    def __call__(self, answer: Answer) -> None:
        """Take one batch. Raises BundleError where the head is not one layer on pooled features."""
        _, channels, height, width = answer.feature_nchw.shape
        if self.head is None:
            self.head = head_of(self.bundle, channels)
        if self._map_nfhw is None:
            findings = len(self.bundle.findings)
            self._map_nfhw = np.full((self.n, findings, height, width), np.nan, np.float32)
        added_nfhw = self.head.adds(answer.feature_nchw)
        slack = (
            _BF16 * self.head.magnitude(answer.feature_nchw)
            if answer.engine == "openvino-bf16"
            else 0.0
        )
        refuse_other_head(self.bundle, self.head, added_nfhw, answer.logit_nf, slack=slack)
        self._map_nfhw[answer.positions] = added_nfhw

    def saliency(self) -> Saliency:
        """The maps of all films that were passed. Raises ValueError where there was none."""
        if self._map_nfhw is None:
            raise ValueError("no film was passed")
        rows, columns = self._map_nfhw.shape[-2:]
        side = self.bundle.manifest.engine.input_size
        grid = self.grid or placed(grid_of_engine(self.bundle.engine), side, rows)
        layer = f"{LAST}, {rows} × {columns}"
        return Saliency("grad_cam", layer, self._map_nfhw, grid)


def on_film(
    map_hw: NDArray[np.floating], grid: Grid, window: Window, height: int, width: int
) -> NDArray[np.float32]:
    """A map of the network's grid on the film it came from, float32 [height, width].

    grid: where on the network's input the cells of the map stand
    window: the part of the film that the network saw, from `shown`, in pixels of [height, width]
    Bilinear between the places of the cells, flat beyond the outermost. NaN where the film was cut
    off before the network saw it: of that nothing is known.
    """
    down_h = (np.arange(height) + 0.5 - window.top) / window.height
    across_w = (np.arange(width) + 0.5 - window.left) / window.width
    places = np.meshgrid(
        *((share * grid.side - 0.5 - grid.first) / grid.step for share in (down_h, across_w)),
        indexing="ij",
    )
    film_hw = ndimage.map_coordinates(map_hw.astype(np.float32), places, order=1, mode="nearest")
    film_hw[(down_h < 0) | (down_h > 1)] = np.nan
    film_hw[:, (across_w < 0) | (across_w > 1)] = np.nan
    return np.asarray(film_hw, dtype=np.float32)
