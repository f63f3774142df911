"""Appearance: what a film looks like in five numbers, whatever it shows.

They are taken of the image that a network is given, so that films of any size compare; what a
change of them means is left to those who compare sites and days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

ATTRIBUTES: Mapping[str, str] = {
    "exposure": "median grey, 0 black to 1 white",
    "contrast": "from the 5th to the 95th percentile of grey",
    "sharpness": "mean step from pixel to pixel, of the contrast",
    "field_of_view": "share of rows and columns that are more than a margin",
    "noise": "what a median of three pixels takes away, of the contrast",
}
_EMPTY = 0.08  # of the contrast: a row whose greys differ by less shows nothing


def appearance(image_nhw: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """ATTRIBUTES of each image.

    image_nhw: greys in [0, 1], bone bright, shape (n, h, w) with h and w of 8 or more
    Returns name -> shape (n,), in [0, 1] or a little beyond; a blank film has no contrast, and 0 in
    all that is measured by it. Raises ValueError on smaller images.
    """
    n, height, width = image_nhw.shape
    if min(height, width) < 8:
        raise ValueError(f"images of {height} x {width} pixels; 8 x 8 or more")
    measured = _Measured.room(n, height, width)
    # One image after the other in the same memory, which stays in the processor's cache: of a
    # batch at once it takes three times as long.
    room = np.empty((3, height * width))
    for k, image_hw in enumerate(image_nhw):
        measured.take(k, image_hw, room)
    low_n, exposure_n, high_n = measured.percentile_3n
    contrast_n = high_n - low_n
    empty_n = _EMPTY * contrast_n
    shown_n = (_extent(measured.row_nh, empty_n) + _extent(measured.column_nw, empty_n)) / 2

    def of_contrast(value_n: NDArray[np.float64]) -> NDArray[np.float64]:
        share_n = np.zeros(n)
        np.divide(value_n, contrast_n, out=share_n, where=contrast_n > 0)
        return share_n

    return {
        "exposure": exposure_n,
        "contrast": contrast_n,
        "sharpness": of_contrast(measured.step_n),
        "field_of_view": np.where(contrast_n > 0, shown_n, 0.0),
        "noise": of_contrast(measured.left_over_n),
    }


@dataclass(frozen=True)
class _Measured:
    """What is measured of each image before it is set against the contrast.

    percentile_3n: 5th, 50th and 95th of grey; step_n, left_over_n: mean grey
    row_nh, column_nw: from the darkest to the brightest pixel of each
    """

    percentile_3n: NDArray[np.float64]
    step_n: NDArray[np.float64]
    left_over_n: NDArray[np.float64]
    row_nh: NDArray[np.float64]
    column_nw: NDArray[np.float64]

    @classmethod
    def room(cls, n: int, height: int, width: int) -> Self:
        shapes = ((3, n), n, n, (n, height), (n, width))
        return cls(*(np.empty(shape) for shape in shapes))

    def take(self, k: int, image_hw: NDArray[np.floating], room: NDArray[np.float64]) -> None:
        """Measure image k. room: three rows of its pixels, to work in."""
        height, width = image_hw.shape
        grey_hw = room[0].reshape(height, width)
        np.copyto(grey_hw, image_hw)
        across = _apart(grey_hw[:, 1:], grey_hw[:, :-1], room[1])
        down = _apart(grey_hw[1:], grey_hw[:-1], room[1])
        self.step_n[k] = (across + down) / 2
        # Each pixel less the median of itself and its neighbours along a row: no neighbour, no
        # noise. The same as np.median of the three, in a third of its time.
        left, middle, right = grey_hw[:, :-2], grey_hw[:, 1:-1], grey_hw[:, 2:]
        median = room[1, : middle.size].reshape(middle.shape)
        lower = room[2, : middle.size].reshape(middle.shape)
        np.minimum(np.maximum(left, middle, out=median), right, out=median)
        np.maximum(np.minimum(left, middle, out=lower), median, out=median)
        self.left_over_n[k] = _apart(middle, median, room[2])
        self.row_nh[k] = np.ptp(grey_hw, axis=1)
        self.column_nw[k] = np.ptp(grey_hw, axis=0)
        self.percentile_3n[:, k] = np.percentile(room[0], (5, 50, 95), overwrite_input=True)


def _apart(a_hw: NDArray[np.float64], b_hw: NDArray[np.float64], room: NDArray[np.float64]) -> Any:
    """Mean absolute difference. room: memory for it."""
    apart_hw = room[: a_hw.size].reshape(a_hw.shape)
    return np.abs(np.subtract(a_hw, b_hw, out=apart_hw), out=apart_hw).mean()


def _extent(spread_nk: NDArray[np.float64], empty_n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of lines from the first to the last that shows something, shape (n,)."""
    full_nk = spread_nk > empty_n[:, None]
    first_n = np.argmax(full_nk, axis=1)
    last_n = full_nk.shape[1] - np.argmax(full_nk[:, ::-1], axis=1)
    return np.where(full_nk.any(axis=1), (last_n - first_n) / full_nk.shape[1], 0.0)
