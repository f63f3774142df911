"""Outline: a film as a thumbnail, and which way its edges run in each part of it.

What is a chest and what is not is `gate`'s to say, and what is usual `novelty`'s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32  # pixels of a thumbnail's side: all that tells a chest from what is none
CELLS = 4  # parts of each side
DIRECTIONS = 8
LENGTH = CELLS * CELLS * DIRECTIONS
_FLAT = 0.02  # of full scale: a film of less contrast is not stretched any further


def thumbnails(image_nhw: NDArray[np.floating]) -> NDArray[np.float32]:
    """Films of any size as [n, 32, 32], each pixel the mean of what it covers."""
    if image_nhw.shape[1:] == (SIDE, SIDE):
        return np.asarray(image_nhw, dtype=np.float32)
    return np.stack(
        [
            np.asarray(
                Image.fromarray(np.asarray(image_hw, dtype=np.float32)).resize(
                    (SIDE, SIDE), Image.Resampling.BOX
                )
            )
            for image_hw in image_nhw
        ]
    )


def outline(thumb_nhw: NDArray[np.floating]) -> NDArray[np.float32]:
    """Histograms of signed edge directions over 4 x 4 parts, shape (n, 128), sum of squares 1.

    thumb_nhw: thumbnails, shape (n, 32, 32)
    Contrast is taken out first, so that dose and window do not count; polarity stays, since an edge
    from dark to bright is not one from bright to dark. Zero where nothing has an edge.
    Source: Dalal & Triggs 2005, with one block over the whole film and square roots (RootHOG).
    """
    thumb_nhw = np.asarray(thumb_nhw, dtype=np.float32)
    n = len(thumb_nhw)
    spread_n = np.maximum(thumb_nhw.std(axis=(1, 2), keepdims=True), _FLAT)
    level_nhw = (thumb_nhw - thumb_nhw.mean(axis=(1, 2), keepdims=True)) / spread_n
    down_nhw, across_nhw = np.gradient(level_nhw, axis=(1, 2))
    size_nhw = np.hypot(across_nhw, down_nhw)
    turn_nhw = np.mod(np.arctan2(down_nhw, across_nhw) / (2 * np.pi), 1.0) * DIRECTIONS
    lower_nhw = np.floor(turn_nhw)
    share_nhw = turn_nhw - lower_nhw  # an edge between two directions counts in both
    # One index for film, part and direction: a single count then sums all.
    part_hw = np.arange(SIDE) * CELLS // SIDE
    cell_hw = part_hw[:, None] * CELLS + part_hw[None, :]
    place_nhw = (np.arange(n)[:, None, None] * CELLS * CELLS + cell_hw) * DIRECTIONS
    first_nhw = lower_nhw.astype(np.intp) % DIRECTIONS
    second_nhw = (first_nhw + 1) % DIRECTIONS
    total = np.bincount(
        np.concatenate([(place_nhw + first_nhw).ravel(), (place_nhw + second_nhw).ravel()]),
        np.concatenate([(size_nhw * (1 - share_nhw)).ravel(), (size_nhw * share_nhw).ravel()]),
        minlength=n * LENGTH,
    ).reshape(n, LENGTH)
    whole_n = total.sum(axis=1, keepdims=True)
    return np.sqrt(total / np.where(whole_n > 0, whole_n, 1.0)).astype(np.float32)
