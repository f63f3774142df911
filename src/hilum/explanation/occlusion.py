"""Occlusion by a bundle's own engine: how far the logit falls where a square is covered.

It needs no gradient, no torch and no layer, so it explains whatever answers. Methods that need a
network to differentiate stand in `gradients`.
Source: Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.bundle import Bundle
from hilum.engines import Engine
from hilum.explanation.grid import Grid
from hilum.explanation.saliency import Saliency
from hilum.predict import Answer

PATCHES = 14  # cells along a side; a square covers two by two of them in turn


def occlusion(
    engine: Engine, image_nchw: NDArray[np.float32], logit_nf: NDArray[np.floating]
) -> NDArray[np.float32]:
    """By how much each logit falls where a square of the film's mean grey lies, [n, f, h, w].

    image_nchw: films as the engine takes them, [n, 1, side, side]
    logit_nf: what the engine says of them as they are
    A place has the mean of the falls of all squares that cover it. The map has one cell a stride,
    about 14 along a side; one a pixel where the stride does not divide the side.
    """
    n, _, side, _ = image_nchw.shape
    stride = max(1, side // PATCHES)
    cell = stride if side % stride == 0 else 1  # pixels along a side of the map's cells
    total_nfhw = np.zeros((n, logit_nf.shape[1], side // cell, side // cell), dtype=np.float64)
    covers_hw = np.zeros(total_nfhw.shape[2:])
    grey_n111 = image_nchw.mean(axis=(1, 2, 3), keepdims=True)
    starts = range(0, -(-(side - 2 * stride) // stride) * stride + 1, stride)
    for top in starts:
        for left in starts:
            covered_nchw = image_nchw.copy()
            covered_nchw[:, :, top : top + 2 * stride, left : left + 2 * stride] = grey_n111
            fall_nf = logit_nf - engine(covered_nchw).logit_nf
            rows = slice(top // cell, (top + 2 * stride) // cell)
            columns = slice(left // cell, (left + 2 * stride) // cell)
            total_nfhw[:, :, rows, columns] += fall_nf[:, :, None, None]
            covers_hw[rows, columns] += 1
    return np.asarray(total_nfhw / covers_hw, dtype=np.float32)


class ByEngine:
    """Collects occlusion maps of every batch that `predict` passes.

    engine: the one that answers; its answer to a batch is done with when the batch is passed on
    n: films of the cohort
    """

    def __init__(self, bundle: Bundle, engine: Engine, n: int) -> None:
        self._engine, self._n = engine, n
        self._side = bundle.manifest.engine.input_size
        self._map_nfhw: NDArray[np.float32] | None = None

    def __call__(self, answer: Answer) -> None:
        # The engine goes on to use the memory that its answer lies in.
        image_nchw, logit_nf = np.array(answer.image_nchw), np.array(answer.logit_nf)
        made_nfhw = occlusion(self._engine, image_nchw, logit_nf)
        if self._map_nfhw is None:
            self._map_nfhw = np.full((self._n, *made_nfhw.shape[1:]), np.nan, dtype=np.float32)
        self._map_nfhw[answer.positions] = made_nfhw

    def saliency(self) -> Saliency:
        """The maps of all films that were passed. Raises ValueError where there was none."""
        if self._map_nfhw is None:
            raise ValueError("no film was passed")
        rows, columns = self._map_nfhw.shape[-2:]
        grid = Grid.of_tiles(self._side, rows)
        return Saliency("occlusion", f"the input, {rows} × {columns}", self._map_nfhw, grid)
