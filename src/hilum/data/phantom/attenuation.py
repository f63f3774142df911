"""How much of the beam each ray loses: trunk, limbs, air, and what bones and vessels add.

How the lost share becomes grey on a film is left to `film`.
"""

from __future__ import annotations

import numpy as np

from hilum.data.phantom.bones import bones, spine_and_trachea
from hilum.data.phantom.fields import Floats, enlarge, positive, ramp, tube
from hilum.data.phantom.geometry import Geometry, rows_between
from hilum.data.phantom.opacities import consolidation
from hilum.data.phantom.parameters import Anatomy, Opacity
from hilum.data.phantom.vessels import lung_vessels


def attenuation(a: Anatomy, body: Geometry, opacity: Opacity | None) -> Floats:
    """Attenuation along each ray (optical depth), [h, w], 0 = air; 1.2 at mid chest."""
    size = len(body.u)
    rng = np.random.default_rng((*a.outline_seed, 2))
    soft = max(0.012, 1.5 / (size * a.half_width))  # no edge sharper than the pixels
    coarse = rng.normal(0, 0.6, (30, 30)).astype(np.float32)
    coarse += enlarge(rng.normal(0, 1, (7, 7)).astype(np.float32), len(coarse))
    mottle = enlarge(coarse, size)

    # Soft tissue: an elliptic trunk, deeper in the abdomen, with skin and muscle at its edge.
    total: Floats = body.u / body.torso
    np.square(total, out=total)
    np.subtract(1, total, out=total)
    chord = np.sqrt(positive(total), out=total)
    skin = np.clip(3 * chord, 0, 1)
    total = chord * np.float32(0.90)
    total += np.float32(0.35) * skin
    depth = np.clip(np.float32(0.5) - 2 * body.above, 0, 1)
    depth *= np.float32(0.10)
    depth += np.float32(0.98)
    depth += np.float32(0.02) * mottle
    total *= depth
    _, last = rows_between(a, size, -1.5, 0.12)
    total[:last] *= 1 - np.float32(0.26) * ramp(body.v[:last], -0.1, -0.3)
    _arms(a, body, chord, total, float(rng.normal(0.55, 0.15)))

    # Air in the lungs, its depth growing from the lateral wall inward and from the apex down; some
    # lies behind the heart and, in the sulcus, below the dome.
    edge = np.clip(body.outer * np.float32(1 / 0.06), 0, 1)
    np.sqrt(edge, out=edge)
    edge *= ramp(body.below, 0.02, 0.09)
    lung = ramp(body.inner, 0.0, 2.5 * soft + 0.02)
    lung *= ramp(body.above, 0.0, 1.2 * soft + 0.012)
    behind = np.clip(body.above * np.float32(6) + np.float32(1.3), 0, 1)
    behind *= np.clip(body.inner * np.float32(3) + np.float32(1.3), 0, 1)
    air = np.float32(0.70) * lung
    air += np.float32(0.13) * behind
    air *= edge
    lung *= edge
    fullness = np.float32(0.05) * mottle
    fullness += np.float32(0.82)
    fullness += np.float32(0.12) * body.v
    air *= fullness
    vessels = lung_vessels(a, body, size)
    vessels *= lung
    air -= np.float32(0.17) * vessels
    if opacity is not None:
        air *= 1 - consolidation(body, opacity, vessels)
    total -= air

    total += np.float32(a.bone) * bones(a, body, rng)
    spine_and_trachea(a, body, total, rng)
    _abdomen(a, body, total, mottle, rng)
    if a.breast:
        x, y = (body.across - 0.58) / 0.36, (body.v - 0.78) / 0.24
        gland = np.clip(1 - np.square(x) - np.square(y), 0, 1)
        total += np.float32(0.3 * a.breast) * gland
    return positive(total)


def _arms(a: Anatomy, body: Geometry, chord: Floats, total: Floats, lean: float) -> None:
    """Adds arms with humerus and the jaw, in place."""
    size = len(total)
    half, height = np.float32(a.half_width), np.float32(a.height)
    direction = (np.sin(a.arms) * 0.6 + 0.3 * lean, np.cos(a.arms))
    length = float(np.hypot(*direction))
    ex, ey = np.float32(direction[0] / length), np.float32(direction[1] / length)
    flesh, bone = 0.095 * a.fat, 0.017
    reach = 1.10 * a.half_width - flesh - abs(a.tilt) * 0.6 - 0.02
    right = max(int((a.centre - reach) * size), 0)
    left = min(int((a.centre + reach) * size), size)
    # An arm that hangs leaves the rows above the shoulder alone, a raised one those below it.
    shoulder, thick = 0.03, flesh / a.height
    hangs = direction[1] > 0
    first, last = rows_between(
        a, size, shoulder - thick if hangs else -1.5, 2.5 if hangs else shoulder + thick
    )
    for columns in (slice(0, right), slice(left, size)):
        part = (slice(first, last), columns)
        dx = (body.across[part] - np.float32(1.10)) * half
        dy = (body.v[part] - np.float32(shoulder)) * height
        head = np.square(dx) + np.square(dy)
        along = np.clip(dx * ex + dy * ey, 0, 1)
        dx -= along * ex
        dy -= along * ey
        r2 = np.square(dx) + np.square(dy)
        tissue = np.float32(0.62) * np.sqrt(positive(1 - r2 * np.float32(flesh**-2)))
        tissue += np.float32(0.26 * a.bone) * tube(r2 * np.float32(bone**-2))
        head *= np.float32(-(0.032**-2))
        head += 1
        tissue += np.float32(0.16 * a.bone) * np.sqrt(positive(head))
        tissue *= 1 - np.float32(0.75) * chord[part]
        total[part] += tissue
    if a.chin > 0:
        _, last = rows_between(a, size, -1.5, -0.36 + 0.25 * a.chin)
        u, v = body.u[:last], body.v[:last]
        jaw = np.square(u / 0.42) + np.square((v + np.float32(0.62 - 0.25 * a.chin)) / 0.26)
        total[:last] += np.float32(0.75) * np.sqrt(positive(1 - jaw))


def _abdomen(
    a: Anatomy, body: Geometry, total: Floats, noise: Floats, rng: np.random.Generator
) -> None:
    """Takes away the air of stomach and bowel, in place."""
    first = max(int((a.apex + 0.85 * a.height) * len(total)), 0)
    if first >= len(total):
        return
    u, v, noise = body.u[first:], body.v[first:], noise[first:]
    below = ramp(body.above[first:], -0.02, -0.05)
    if a.stomach > 0:
        cx, cy = rng.normal(0.45, 0.08), rng.normal(1.12, 0.03) + a.inspiration
        rx, ry = 0.26 * a.stomach + 0.08, 0.10 * a.stomach + 0.035
        r = np.square((u - cx) / rx) + np.square((v - cy) / ry) + 0.25 * noise
        total[first:] -= np.float32(0.24) * ramp(r, 1.0, -0.9) * below
    gas = ramp(noise, rng.uniform(0.6, 1.8), 0.7) * ramp(v, 1.2, 0.2)
    total[first:] -= np.float32(0.2) * gas * below
