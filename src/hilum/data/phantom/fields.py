"""Smooth fields on square grids: soft steps, B-spline enlargement, averaging, scattered points.

What the fields stand for is left to the modules that call these functions.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@lru_cache(maxsize=8)
def axis(size: int) -> Floats:
    """Pixel centres as fractions of the side."""
    return ((np.arange(size) + 0.5) / size).astype(np.float32)


@lru_cache(maxsize=64)
def spline(coarse: int, size: int) -> Floats:
    """Cubic B-spline weights [size, coarse] that enlarge a coarse grid smoothly."""
    place = axis(size).astype(np.float64)[:, None] * (coarse - 1)
    d = np.abs(place - np.arange(coarse)[None, :])
    weight = np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.clip(2 - d, 0, None) ** 3 / 6)
    weight /= weight.sum(1, keepdims=True)
    return weight.astype(np.float32)


def enlarge(coarse: Floats, size: int, first: int = 0, last: int | None = None) -> Floats:
    """A field on a coarse square grid [..., k, k] as a smooth one [..., size, size].

    first, last: of its rows, those that are wanted
    """
    weight = spline(coarse.shape[-1], size)
    enlarged: NDArray[np.float32] = np.matmul(np.matmul(weight[first:last], coarse), weight.T)
    return enlarged


def average(image: Floats, factor: int) -> Floats:
    if factor == 1:
        return image
    size = len(image) // factor
    averaged: Floats = image.reshape(size, factor, size, factor).mean((1, 3))
    return averaged


def positive(field: Floats) -> Floats:
    """Raises what is below 0 to 0, in place. np.maximum with a scalar takes twice as long."""
    return np.clip(field, 0, np.inf, out=field)


def ramp(field: Floats, at: float, width: float) -> Floats:
    """0 below at - width/2, 1 above at + width/2, smooth between; a negative width falls."""
    t = field * np.float32(1 / width)
    t += np.float32(0.5 - at / width)
    np.clip(t, 0, 1, out=t)
    weight = t * np.float32(-2)
    weight += np.float32(3)
    weight *= t
    weight *= t
    return weight


def tube(r2: Floats) -> Floats:
    """Chord through a hollow bone at squared relative distance r2 from its axis: bright cortex."""
    chord = 1 - r2
    np.sqrt(positive(chord), out=chord)
    marrow = np.float32(0.62) - r2
    np.sqrt(positive(marrow), out=marrow)
    marrow *= np.float32(0.55)
    chord -= marrow
    return chord


def splat(x: Floats, y: Floats, ink: Floats, shape: tuple[int, int]) -> Floats:
    """Sum of points with weight `ink` at pixel places x, y, spread bilinearly; `shape` [h, w].

    0 <= x <= w - 1 and 0 <= y <= h - 1.
    """
    left, top = x.astype(np.int32), y.astype(np.int32)
    fx, fy = x - left.astype(np.float32), y - top.astype(np.float32)
    index = top * np.int32(shape[1]) + left
    where = np.concatenate([index, index + 1, index + shape[1], index + shape[1] + 1])
    far = ink * fy
    near = ink - far
    near_right, far_right = near * fx, far * fx
    weight = np.concatenate([near - near_right, near_right, far - far_right, far_right])
    flat = np.bincount(where, weight, minlength=shape[0] * shape[1])
    # A point on the very last row or pixel has a weight of 0 for what would lie beyond it.
    return flat[: shape[0] * shape[1]].astype(np.float32).reshape(shape)


def blur(field: Floats, sigma: float) -> Floats:
    """Gaussian blur of a field that is 0 near its sides, `sigma` in pixels, cut at two sigma."""
    reach = int(2 * sigma + 0.5)
    weight = np.exp(-0.5 * np.square(np.arange(reach + 1) / sigma))
    weight = (weight / (2 * weight.sum() - 1)).astype(np.float32)
    flat = field.ravel()
    for stride in (1, field.shape[1]):
        blurred = flat * weight[0]
        for k in range(1, reach + 1):
            pair = flat[2 * k * stride :] + flat[: -2 * k * stride]
            pair *= weight[k]
            blurred[k * stride : -k * stride] += pair
        flat = blurred
    return flat.reshape(field.shape)
