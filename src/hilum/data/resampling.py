"""Resampling of grey values, rows then columns: Pillow's float resize, several times as fast.

Which size a film is brought to is left to `preprocessing`.
Source: Pillow, src/libImaging/Resample.c, `precompute_coeffs`: filters, supports and rounding.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hilum.data.grey import Grey, full_scale

Interpolation = Literal["bilinear", "bicubic", "area"]
_Doubles = NDArray[np.float64]

_PANEL = 1 << 18  # pixels made floats at a time: a megabyte, which a core's cache holds
_LINE = 16  # floats in a line of the cache
_scratch = threading.local()


def resample(
    grey_hw: Grey, height: int, width: int, interpolation: Interpolation
) -> NDArray[np.float32]:
    """Bring to `height` x `width` pixels, antialiased where it shrinks.

    Returns float32 of full scale 1. Bicubic overshoots at edges, to below 0 and above 1.
    """
    film_height, film_width = grey_hw.shape
    rows = _weights(film_height, height, interpolation)
    columns = _weights(film_width, width, interpolation)
    # A sparse product adds rows to rows, in vector instructions and without Python's lock. Panels
    # of columns, since converting and turning a whole film would wait for memory; an odd number of
    # lines wide, or the rows of a panel would crowd into few sets of the cache when it is turned.
    step = (_PANEL // (film_height * _LINE) | 1) * _LINE
    turned_wh = _room("turned", film_width, height)
    for left in range(0, film_width, step):
        part_hw = grey_hw[:, left : left + step]
        panel_hw = _room("panel", *part_hw.shape)
        np.copyto(panel_hw, part_hw)
        turned_wh[left : left + step] = (rows @ panel_hw).T
    resampled_wh = columns @ turned_wh
    resampled_wh /= full_scale(grey_hw)
    return np.ascontiguousarray(resampled_wh.T)


def _room(name: str, height: int, width: int) -> NDArray[np.float32]:
    """Floats to work in, of whatever value; they stay with the thread.

    Asked for anew, megabytes may cost more than the work: the system clears each page of them.
    """
    kept: NDArray[np.float32] | None = getattr(_scratch, name, None)
    if kept is None or kept.size < height * width:
        kept = np.empty(height * width, dtype=np.float32)
        setattr(_scratch, name, kept)
    return kept[: height * width].reshape(height, width)


@lru_cache(maxsize=128)
def _weights(n: int, m: int, interpolation: Interpolation) -> csr_array:
    """What each of `n` pixels gives to each of `m`, shape (m, n); each row adds up to 1."""
    kernel, reach = _KERNELS[interpolation]
    scale = n / m
    stretch = max(scale, 1.0)
    centre_m1 = (np.arange(m)[:, None] + 0.5) * scale
    first_m1 = np.maximum((centre_m1 - reach * stretch + 0.5).astype(np.int64), 0)
    end_m1 = np.minimum((centre_m1 + reach * stretch + 0.5).astype(np.int64), n)
    pixel_mt = first_m1 + np.arange((end_m1 - first_m1).max())
    weight_mt = kernel((pixel_mt - centre_m1 + 0.5) * (1 / stretch))
    taken_mt = pixel_mt < end_m1
    weight_mt = np.where(taken_mt, weight_mt, 0)
    weight_mt /= weight_mt.sum(axis=1, keepdims=True)
    start = np.concatenate([[0], np.cumsum(end_m1 - first_m1)])
    return csr_array((weight_mt[taken_mt].astype(np.float32), pixel_mt[taken_mt], start), (m, n))


def _box(x: _Doubles) -> _Doubles:
    inside: _Doubles = ((x > -0.5) & (x <= 0.5)).astype(np.float64)
    return inside


def _triangle(x: _Doubles) -> _Doubles:
    height: _Doubles = np.maximum(1 - np.abs(x), 0)
    return height


def _cubic(x: _Doubles) -> _Doubles:
    """Keys 1981, eq. 4, with a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


# Each filter, and how far it reaches in pixels of the larger grid.
_KERNELS: dict[Interpolation, tuple[Callable[[_Doubles], _Doubles], float]] = {
    "area": (_box, 0.5),
    "bilinear": (_triangle, 1.0),
    "bicubic": (_cubic, 2.0),
}
