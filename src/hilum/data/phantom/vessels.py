"""Lung vessels and hila: two random trees, drawn as ink on the grid.

How much they attenuate, and that they end with the lung, is left to `attenuation`.
"""

from __future__ import annotations

import numpy as np

from hilum.data.phantom.fields import Floats, blur, splat
from hilum.data.phantom.geometry import Geometry, rows_between
from hilum.data.phantom.parameters import Anatomy

MAIN_VESSELS, TWIGS = 8, (5, 4)  # on each side; branches of each main vessel and of each branch


def lung_vessels(a: Anatomy, body: Geometry, size: int) -> Floats:
    """Thickness of lung vessels and hila, [h, w] near [0, 1]."""
    rng = np.random.default_rng((*a.outline_seed, 3))
    x0, y0, ux, uy, length, width = _tree(rng)
    bend = rng.normal(0, 0.3, (len(x0), 1)).astype(np.float32)
    large = 2 * MAIN_VESSELS * (1 + TWIGS[0])
    # Large branches and twigs are drawn one below the other, for they are blurred apart.
    drawn_xyi: list[list[Floats]] = []
    for part, points, strength, offset in (
        (slice(0, large), 28, 36, 0),
        (slice(large, None), 14, 24, size),
    ):
        t = np.linspace(0, 1, points * max(size // 224, 1), dtype=np.float32)[None, :]
        step = length[part, None] * t
        sway = bend[part] * step * t
        px = x0[part, None] + ux[part, None] * step - uy[part, None] * sway
        py = y0[part, None] + uy[part, None] * step + ux[part, None] * sway
        ink = (
            width[part, None]
            * (1 - np.float32(0.75) * t)
            * step[:, -1:]
            * np.float32(strength / t.size)
        )
        # Body to film; the tilt moves the trees with the lungs, the warp is too small to matter.
        fy = (py * np.float32(a.height * size)) + np.float32(a.apex * size - 0.5)
        fy -= np.float32(a.tilt * a.half_width * size) * px
        fx = px * np.float32(a.half_width * size) + np.float32(a.centre * size - 0.5)
        fx += np.float32(a.tilt) * (fy - np.float32(0.5 * size))
        inside = (fx > 0) & (fy > 0) & (fx < size - 1) & (fy < size - 1)
        drawn_xyi.append([fx[inside], fy[inside] + np.float32(offset), ink[inside]])
    x, y, ink = (np.concatenate(parts) for parts in zip(*drawn_xyi, strict=True))
    drawn = splat(x, y, ink, (2 * size, size))
    ink_hw = _blurred(drawn[:size], 0.005)
    ink_hw += _blurred(drawn[size:], 0.0022)
    # Ink per pixel grows with the side: the same vessel is drawn on more, smaller pixels.
    ink_hw *= np.float32(size * 0.08)
    np.clip(ink_hw, 0, 1.2, out=ink_hw)
    first, last = rows_between(a, size, 0.2, 0.75)
    hilum = np.square((body.inner[first:last] - np.float32(0.03)) * np.float32(1 / 0.12))
    hilum += np.square((body.v[first:last] - np.float32(0.47)) * np.float32(1 / 0.13))
    ink_hw[first:last] += np.float32(0.35) * np.exp(-hilum)
    return ink_hw


def _blurred(ink: Floats, spread: float) -> Floats:
    """Ink blurred by `spread`, a fraction of the side, unless that is less than a pixel."""
    sigma = spread * len(ink)
    return blur(ink, sigma) if sigma > 0.8 else ink


def _tree(rng: np.random.Generator) -> tuple[Floats, ...]:
    """Branches of both lungs: start x, y, direction x, y, length and width, in body coordinates."""
    mains = MAIN_VESSELS
    angle = np.tile(np.linspace(-1.05, 1.35, mains), 2) + rng.normal(0, 0.22, 2 * mains)
    side = np.repeat([-1.0, 1.0], mains)
    x0 = side * (0.22 + rng.normal(0, 0.02, 2 * mains) + 0.05 * np.sin(np.abs(angle)))
    y0 = 0.46 + 0.10 * np.sin(angle) + rng.normal(0, 0.02, 2 * mains)
    length = rng.uniform(0.35, 0.72, 2 * mains)
    width = rng.uniform(0.5, 0.95, 2 * mains)
    levels = [np.stack([x0, y0, side, angle, length, width])]
    for children in TWIGS:
        x, y, s, ang, ln, wd = np.repeat(levels[-1], children, axis=1)
        at = rng.uniform(0.15, 1.0, len(x))
        x, y = x + s * np.cos(ang) * ln * at, y + np.sin(ang) * ln * at
        turn = (2.0 * rng.integers(0, 2, len(x)) - 1) * rng.uniform(0.2, 0.8, len(x))
        ln, wd = ln * rng.uniform(0.35, 0.6, len(x)), wd * (1 - 0.5 * at)
        levels.append(np.stack([x, y, s, ang + turn, ln, wd]))
    x, y, s, ang, ln, wd = np.concatenate(levels, axis=1)
    tree = np.stack([x, y, s * np.cos(ang), np.sin(ang), ln, wd])
    return tuple(tree.astype(np.float32))
