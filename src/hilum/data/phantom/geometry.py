"""Where each pixel lies in the body: coordinates that follow chest wall, heart and diaphragm.

What stands at these places is left to `attenuation`, `bones`, `vessels` and `opacities`.

Body coordinates: u runs across, 0 at the spine, -1 and +1 at the widest points of the patient's
right and left lung; v runs down, 0 at the lung apices, 1 near the domes of the diaphragm. Every
contour is a table over u or v that the pixels look up, so a film costs a few hundred array
operations and no loop over pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.data.phantom import contours
from hilum.data.phantom.contours import U_SPAN, V_HIGH, V_LOW
from hilum.data.phantom.fields import Floats, axis, enlarge
from hilum.data.phantom.parameters import Anatomy


@dataclass(frozen=True)
class Geometry:
    """Where each pixel lies in the body; all arrays [h, w].

    outer, inner: distance to chest wall and mediastinum in u, positive in lung
    above, below: distance to the dome and to the apical pleura in v, positive in lung
    q: place between mediastinal (0) and lateral (1) border of the lung
    """

    u: Floats
    v: Floats
    across: Floats
    left: NDArray[np.bool_]
    wall: Floats
    outer: Floats
    inner: Floats
    above: Floats
    below: Floats
    q: Floats
    torso: Floats


def geometry(anatomy: Anatomy, size: int) -> Geometry:
    """Body coordinates and contours of one patient on a grid of `size` pixels a side."""
    x, y = axis(size)[None, :], axis(size)[:, None]
    rng = np.random.default_rng((*anatomy.outline_seed, 1))
    warp = rng.normal(0, 0.014, (2, 6, 6)).astype(np.float32)
    jitter: list[list[float]] = rng.normal(0, 1, (3, 12)).tolist()
    scoliosis = np.float32(rng.normal(0, 0.02))
    dx: Floats = x - np.float32(anatomy.centre)
    tilt = np.float32(anatomy.tilt)
    u: Floats = dx - (y - np.float32(0.5)) * tilt
    u /= np.float32(anatomy.half_width)
    u += enlarge(warp[0], size) + scoliosis * np.sin(4 * y)
    v: Floats = y - np.float32(anatomy.apex) + dx * tilt
    v /= np.float32(anatomy.height)
    v += enlarge(warp[1], size)
    across, left = np.abs(u), u > 0

    k = max(512, 4 * size)
    row = np.clip((v - V_LOW) * (k / (V_HIGH - V_LOW)), 0, k - 1).astype(np.int32)
    row_by_side = row + left * np.int32(k)
    column = np.clip((u + U_SPAN) * (k / (2 * U_SPAN)), 0, k - 1).astype(np.int32)
    row = row.astype(np.intp)

    heart_tables = [
        contours.mediastinum(anatomy, k, left=False, jitter=jitter[1]),
        contours.mediastinum(anatomy, k, left=True, jitter=jitter[2]),
    ]
    wall = contours.chest_wall(anatomy, jitter[0], k).take(row)
    inner: Floats = across - np.concatenate(heart_tables).take(row_by_side)
    outer: Floats = wall - across
    above: Floats = contours.diaphragm(anatomy, jitter[0], k).take(column) - v
    below: Floats = np.clip(np.square(across - np.float32(0.37)), 0, 0.032)
    below = v - below * np.float32(2.6)
    q: Floats = inner / np.clip(inner + outer, 0.05, np.inf)
    torso = contours.trunk(anatomy, k).take(row)
    return Geometry(u, v, across, left, wall, outer, inner, above, below, q, torso)


def in_lung(body: Geometry) -> NDArray[np.bool_]:
    return (body.outer > 0) & (body.inner > 0) & (body.above > 0) & (body.below > 0)


def rows_between(a: Anatomy, size: int, v_top: float, v_bottom: float) -> tuple[int, int]:
    """The rows that span v_top … v_bottom, with room for tilt and warp."""
    room = 0.03 + abs(a.tilt) * 0.5
    first = int((a.apex + v_top * a.height - room) * size)
    last = int((a.apex + v_bottom * a.height + room) * size) + 1
    return min(max(first, 0), size - 1), max(min(last, size), 1)
