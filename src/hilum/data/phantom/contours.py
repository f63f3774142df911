"""Outlines of the body as tables over one body coordinate: chest wall, heart, diaphragm, trunk.

Body coordinates are defined in `geometry`, which looks the tables up for each pixel.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hilum.data.phantom.fields import Floats
from hilum.data.phantom.parameters import Anatomy

V_LOW, V_HIGH = -1.5, 2.5  # span of the tables over v
U_SPAN = 2.5  # tables over u reach from -U_SPAN to +U_SPAN


def chest_wall(a: Anatomy, jitter: list[float], k: int) -> Floats:
    """Half-width of the rib cage over v."""
    f = 0.10 * a.flare
    knots = [
        (-0.35, 0.20), (-0.12, 0.36), (-0.03, 0.48), (0.0, 0.52), (0.06, 0.59 + f / 2),
        (0.14, 0.66 + f), (0.27, 0.78 + f), (0.45, 0.88 + 0.7 * f), (0.65, 0.95 + 0.3 * f),
        (0.85, 0.99), (1.05, 1.0), (1.25, 0.97), (1.6, 0.88), (2.0, 0.8),
    ]  # fmt: skip
    knots = [(v, x * (1 + 0.012 * jitter[i % 12])) for i, (v, x) in enumerate(knots)]
    return table(knots, V_LOW, V_HIGH, k)


def mediastinum(a: Anatomy, k: int, *, left: bool, jitter: list[float]) -> Floats:
    """Half-width of mediastinum and heart over v, one side."""
    h, child = a.heart, a.flare
    apical = [(-0.35, 0.2), (0.0, 0.2), (0.06, 0.19)]
    if left:
        knob = 0.055 * (1 - 0.7 * child)
        knots = [
            *apical, (0.15, 0.165 + 0.03 * child), (0.22, 0.165 + knob + 0.04 * child),
            (0.28, 0.17 + knob + 0.04 * child), (0.35, 0.19 + 0.04 * child), (0.42, 0.235),
            (0.50, 0.30 * h), (0.60, 0.39 * h), (0.72, 0.49 * h), (0.83, 0.56 * h),
            (0.93, 0.585 * h), (1.02, 0.56 * h), (1.12, 0.42 * h), (1.3, 0.3),
        ]  # fmt: skip
    else:
        knots = [
            *apical, (0.15, 0.165 + 0.03 * child), (0.30, 0.155 + 0.03 * child), (0.42, 0.185),
            (0.52, 0.23 * h), (0.65, 0.29 * h), (0.78, 0.315 * h), (0.9, 0.295 * h),
            (1.0, 0.25 * h), (1.15, 0.2), (1.3, 0.2),
        ]  # fmt: skip
    shift = a.turn * (1 if left else -1)
    knots = [
        (v, x * (1 + 0.035 * jitter[i % 12]) + (shift * (0.3 + 0.7 * min(v, 1)) if v > 0 else 0))
        for i, (v, x) in enumerate(knots)
    ]
    return table(knots, V_LOW, V_HIGH, k)


def diaphragm(a: Anatomy, jitter: list[float], k: int) -> Floats:
    """Height v of the diaphragm over u."""
    low = a.inspiration
    r, s = 0.02 * jitter[3], 0.05 + 0.02 * jitter[4]
    knots = [
        (-1.2, 1.3), (-1.03, 1.19 + r), (-0.95, 1.09 + r), (-0.8, 0.985 + r), (-0.6, 0.925 + r),
        (-0.4, 0.92 + r), (-0.2, 0.97), (0.0, 1.04), (0.25, 1.04), (0.45, 0.99 + s),
        (0.62, 0.96 + s), (0.8, 0.99 + s), (0.95, 1.07 + s), (1.03, 1.17 + s), (1.2, 1.3),
    ]  # fmt: skip
    return table([(u, v + low) for u, v in knots], -U_SPAN, U_SPAN, k)


def trunk(a: Anatomy, k: int) -> Floats:
    """Half-width of the body over v: neck, shoulders, flanks."""
    f = a.fat
    knots = [
        (-1.0, 0.36), (-0.42, 0.36), (-0.28, 0.44 * f), (-0.18, 0.66 * f), (-0.09, 0.94),
        (0.02, 1.10), (0.2, 1.07 + 0.09 * f), (0.5, 1.02 + 0.11 * f), (0.9, 1.02 + 0.1 * f),
        (1.4, 1.03 + 0.13 * f),
    ]  # fmt: skip
    return table(knots, V_LOW, V_HIGH, k)


def table(knots: list[tuple[float, float]], low: float, high: float, k: int) -> Floats:
    """Knots (place, value) as a smooth table of k steps from low to high."""
    place, value = zip(*knots, strict=True)
    return _weights(place, low, high, k) @ np.array(value, dtype=np.float32)


@lru_cache(maxsize=64)
def _weights(place: tuple[float, ...], low: float, high: float, k: int) -> Floats:
    """Matrix [k, knots] that joins knots by straight lines and rounds the corners."""
    at, hann = np.linspace(low, high, 513), np.hanning(15)
    columns = []
    for knot in np.eye(len(place)):
        line = np.pad(np.interp(at, place, knot), 7, mode="edge")
        rounded = np.convolve(line, hann / hann.sum(), mode="valid")
        columns.append(np.interp(np.linspace(low, high, k), at, rounded))
    return np.stack(columns, 1).astype(np.float32)
