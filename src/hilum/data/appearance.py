"""Appearance: what a film looks like in five numbers, whatever it shows.

They are taken of the image that a network is given, so that films of any size compare; what a
change of them means is left to those who compare sites and days.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    image_nhw = np.asarray(image_nhw, dtype=np.float64)
    n, height, width = image_nhw.shape
    if min(height, width) < 8:
        raise ValueError(f"images of {height} x {width} pixels; 8 x 8 or more")
    low_n, exposure_n, high_n = np.percentile(image_nhw, (5, 50, 95), axis=(1, 2))
    contrast_n = high_n - low_n
    across = np.abs(np.diff(image_nhw, axis=2)).mean(axis=(1, 2))
    down = np.abs(np.diff(image_nhw, axis=1)).mean(axis=(1, 2))
    # Each pixel less the median of itself and its neighbours along a row: no neighbour, no noise.
    left, middle, right = image_nhw[:, :, :-2], image_nhw[:, :, 1:-1], image_nhw[:, :, 2:]
    # The same as np.median of the three, in a third of its time.
    median = np.maximum(np.minimum(left, middle), np.minimum(np.maximum(left, middle), right))
    left_over = np.abs(middle - median).mean(axis=(1, 2))
    empty_n = _EMPTY * contrast_n
    shown_n = (
        _extent(np.ptp(image_nhw, axis=2), empty_n) + _extent(np.ptp(image_nhw, axis=1), empty_n)
    ) / 2

    def of_contrast(value_n: NDArray[np.float64]) -> NDArray[np.float64]:
        share_n = np.zeros(n)
        np.divide(value_n, contrast_n, out=share_n, where=contrast_n > 0)
        return share_n

    return {
        "exposure": exposure_n,
        "contrast": contrast_n,
        "sharpness": of_contrast((across + down) / 2),
        "field_of_view": np.where(contrast_n > 0, shown_n, 0.0),
        "noise": of_contrast(left_over),
    }


def _extent(spread_nk: NDArray[np.float64], empty_n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of lines from the first to the last that shows something, shape (n,)."""
    full_nk = spread_nk > empty_n[:, None]
    first_n = np.argmax(full_nk, axis=1)
    last_n = full_nk.shape[1] - np.argmax(full_nk[:, ::-1], axis=1)
    return np.where(full_nk.any(axis=1), (last_n - first_n) / full_nk.shape[1], 0.0)
