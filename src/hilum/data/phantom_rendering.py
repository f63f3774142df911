"""Drawing of synthetic frontal chest radiographs: anatomy, opacities and film, as NumPy arrays.

Who has which anatomy, finding and film is drawn by lot in `hilum.data.sources.phantom`.

Body coordinates: u runs across, 0 at the spine, -1 and +1 at the widest points of the patient's
right and left lung; v runs down, 0 at the lung apices, 1 near the domes of the diaphragm. Every
contour is a table over u or v that the pixels look up, so a film costs a few hundred array
operations and no loop over pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Pattern = Literal["lobar", "segmental", "interstitial"]
View = Literal["PA", "AP"]
Floats = NDArray[np.float32]

V_LOW, V_HIGH = -1.5, 2.5  # span of the tables over v
U_SPAN = 2.5  # tables over u reach from -U_SPAN to +U_SPAN
RIBS = 12
RIB_SPACING = 0.098  # in v
Q_SPAN, Q_STEPS, P_STEPS = 1.25, 640, 64  # rib tables: u over half-width, and between two ribs
MAIN_VESSELS, TWIGS = 8, (5, 4)  # on each side; branches of each main vessel and of each branch
MIN_WORKING_SIZE = 112  # smaller films are drawn at a multiple and averaged down, as a scanner does


_Q = (np.arange(Q_STEPS) + 0.5) * (Q_SPAN / Q_STEPS)


@dataclass(frozen=True)
class Anatomy:
    """One patient's build and stance. Lengths are fractions of the film's side unless said.

    outline_seed: seed of what varies finely: vessels, warp of the outline, single ribs
    centre, apex: where the spine and the lung apices stand
    half_width, height: of the lung field, so that u = ±1 and v = 1 lie there
    tilt: rotation in the plane of the film, radians
    turn: rotation about the long axis; shifts heart and mediastinum, in units of u
    heart: scale of the cardiac shadow, 1 = a cardiothoracic ratio near 0.45
    flare: breadth of the upper lung field, 0 = narrow (adult), 1 = barrel (infant)
    rib_drop: how far a rib falls from spine to sternum, in units of v
    bone, fat: scale of bone density and of soft tissue
    arms: angle of the arms from hanging (0) to overhead (pi)
    chin: share of the jaw that stands within the film
    breast: density of breast shadows, 0 = none
    scapula: how far the scapulae overlie the lungs, 0 = clear of them
    stomach: volume of air under the left dome, 0 = none
    inspiration: shift of the diaphragm, in units of v, positive = deeper
    """

    outline_seed: tuple[int, ...]
    centre: float = 0.5
    apex: float = 0.17
    half_width: float = 0.41
    height: float = 0.58
    tilt: float = 0.0
    turn: float = 0.0
    heart: float = 1.0
    flare: float = 0.5
    rib_drop: float = 0.36
    bone: float = 1.0
    fat: float = 1.0
    arms: float = 2.4
    chin: float = 0.0
    breast: float = 0.0
    scapula: float = 0.3
    stomach: float = 0.5
    inspiration: float = 0.0


@dataclass(frozen=True)
class Focus:
    """One region of altered lung: `side` -1 right or +1 left, extent in v and in q.

    q: place between mediastinal (0) and lateral (1) border of the lung
    soft_*: how gradually the region ends, in the same units; a fissure is sharp
    """

    side: int
    v_top: float
    v_bottom: float
    q_medial: float
    q_lateral: float
    soft_top: float = 0.1
    soft_bottom: float = 0.1
    soft_q: float = 0.3


@dataclass(frozen=True)
class Opacity:
    """What pneumonia does to the lungs.

    density: share of the air that is replaced where the opacity is densest
    texture_seed: seed of its ragged edge and fine texture
    """

    pattern: Pattern
    density: float
    foci: tuple[Focus, ...]
    texture_seed: tuple[int, ...]


@dataclass(frozen=True)
class Film:
    """How one exposure was taken.

    exposure: shift of the film curve, positive = darker film
    contrast: slope of the film curve
    noise: standard deviation of quantum noise at mid grey, in units of the image
    scatter: share of scattered radiation
    border: collimated margin left, top, right, bottom, fractions of the side
    marker: letters, "" = none; marker_x, marker_y, marker_height: their centre and size
    extra_marker: further letters below the marker
    noise_seed: seed of the quantum noise
    """

    noise_seed: tuple[int, ...]
    exposure: float = 0.0
    contrast: float = 1.0
    noise: float = 0.01
    scatter: float = 0.1
    border: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    marker: str = ""
    marker_x: float = 0.06
    marker_y: float = 0.2
    marker_height: float = 0.05
    extra_marker: str = ""


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


def draw(anatomy: Anatomy, film: Film, opacity: Opacity | None, size: int) -> Floats:
    """The radiograph, float32 [size, size] in [0, 1], air dark and bone bright."""
    factor = _oversampling(size)
    side = size * factor
    body = geometry(anatomy, side)
    attenuation = _attenuation(anatomy, body, opacity)
    return _expose(attenuation, film, size, factor)


def lung_mask(anatomy: Anatomy, size: int) -> NDArray[np.bool_]:
    """Aerated lung clear of heart and diaphragm, bool [size, size]."""
    factor = _oversampling(size)
    return _average(_in_lung(geometry(anatomy, size * factor)).astype(np.float32), factor) > 0.5


def opacity_mask(anatomy: Anatomy, opacity: Opacity, size: int) -> NDArray[np.bool_]:
    """Where the opacity has at least a third of its greatest density, bool [size, size]."""
    factor = _oversampling(size)
    body = geometry(anatomy, size * factor)
    return _average(_opaque(body, opacity).astype(np.float32), factor) > 0.5


def opacity_boxes(
    anatomy: Anatomy, opacity: Opacity, *, grid: int = 80
) -> list[tuple[float, float, float, float]]:
    """(x, y, width, height) of the opacity in each lung it touches, fractions of the side."""
    body = geometry(anatomy, grid)
    mask = _opaque(body, opacity)
    boxes = []
    for part in (mask & ~body.left, mask & body.left):
        rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        if len(rows):
            # One grid step of margin: a finer grid may find the edge up to that far out.
            left, top = max(columns[0] - 1, 0) / grid, max(rows[0] - 1, 0) / grid
            right, bottom = min(columns[-1] + 2, grid) / grid, min(rows[-1] + 2, grid) / grid
            boxes.append((left, top, right - left, bottom - top))
    return boxes


# ------------------------------------------------------------------------------------- geometry


def geometry(anatomy: Anatomy, size: int) -> Geometry:
    """Body coordinates and contours of one patient on a grid of `size` pixels a side."""
    x, y = _axis(size)[None, :], _axis(size)[:, None]
    rng = np.random.default_rng((*anatomy.outline_seed, 1))
    warp = rng.normal(0, 0.014, (2, 6, 6)).astype(np.float32)
    jitter = rng.normal(0, 1, (3, 12))
    scoliosis = np.float32(rng.normal(0, 0.02))
    dx: Floats = x - np.float32(anatomy.centre)
    tilt = np.float32(anatomy.tilt)
    u: Floats = dx - (y - np.float32(0.5)) * tilt
    u /= np.float32(anatomy.half_width)
    u += _enlarge(warp[0], size) + scoliosis * np.sin(4 * y)
    v: Floats = y - np.float32(anatomy.apex) + dx * tilt
    v /= np.float32(anatomy.height)
    v += _enlarge(warp[1], size)
    across, left = np.abs(u), u > 0

    k = max(512, 4 * size)
    row = np.clip((v - V_LOW) * (k / (V_HIGH - V_LOW)), 0, k - 1).astype(np.intp)
    row_by_side = row + left * np.intp(k)
    column = np.clip((u + U_SPAN) * (k / (2 * U_SPAN)), 0, k - 1).astype(np.intp)

    heart_tables = [
        _mediastinum_table(anatomy, k, left=False, jitter=jitter[1]),
        _mediastinum_table(anatomy, k, left=True, jitter=jitter[2]),
    ]
    wall = _wall_table(anatomy, jitter[0], k).take(row)
    inner: Floats = across - np.concatenate(heart_tables).take(row_by_side)
    outer: Floats = wall - across
    above: Floats = _dome_table(anatomy, jitter[0], k).take(column) - v
    below: Floats = np.minimum(np.square(across - np.float32(0.37)), np.float32(0.032))
    below = v - below * np.float32(2.6)
    q: Floats = inner / np.maximum(inner + outer, np.float32(0.05))
    torso = _torso_table(anatomy, k).take(row)
    return Geometry(u, v, across, left, wall, outer, inner, above, below, q, torso)


def _in_lung(body: Geometry) -> NDArray[np.bool_]:
    return (body.outer > 0) & (body.inner > 0) & (body.above > 0) & (body.below > 0)


def _table(knots: list[tuple[float, float]], low: float, high: float, k: int) -> Floats:
    """Knots (place, value) as a smooth table of k steps from low to high."""
    place, value = zip(*knots, strict=True)
    return _table_weights(place, low, high, k) @ np.array(value, dtype=np.float32)


@lru_cache(maxsize=64)
def _table_weights(place: tuple[float, ...], low: float, high: float, k: int) -> Floats:
    """Matrix [k, knots] that joins knots by straight lines and rounds the corners."""
    at, hann = np.linspace(low, high, 513), np.hanning(15)
    columns = []
    for knot in np.eye(len(place)):
        line = np.pad(np.interp(at, place, knot), 7, mode="edge")
        rounded = np.convolve(line, hann / hann.sum(), mode="valid")
        columns.append(np.interp(np.linspace(low, high, k), at, rounded))
    return np.stack(columns, 1).astype(np.float32)


def _wall_table(a: Anatomy, jitter: NDArray[np.float64], k: int) -> Floats:
    """Half-width of the rib cage over v."""
    f = 0.10 * a.flare
    knots = [
        (-0.35, 0.20), (-0.12, 0.36), (-0.03, 0.48), (0.0, 0.52), (0.06, 0.59 + f / 2),
        (0.14, 0.66 + f), (0.27, 0.78 + f), (0.45, 0.88 + 0.7 * f), (0.65, 0.95 + 0.3 * f),
        (0.85, 0.99), (1.05, 1.0), (1.25, 0.97), (1.6, 0.88), (2.0, 0.8),
    ]  # fmt: skip
    knots = [(v, x * (1 + 0.012 * jitter[i % 12])) for i, (v, x) in enumerate(knots)]
    return _table(knots, V_LOW, V_HIGH, k)


def _mediastinum_table(a: Anatomy, k: int, *, left: bool, jitter: NDArray[np.float64]) -> Floats:
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
    return _table(knots, V_LOW, V_HIGH, k)


def _dome_table(a: Anatomy, jitter: NDArray[np.float64], k: int) -> Floats:
    """Height v of the diaphragm over u."""
    low = a.inspiration
    r, s = 0.02 * jitter[3], 0.05 + 0.02 * jitter[4]
    knots = [
        (-1.2, 1.3), (-1.03, 1.19 + r), (-0.95, 1.09 + r), (-0.8, 0.985 + r), (-0.6, 0.925 + r),
        (-0.4, 0.92 + r), (-0.2, 0.97), (0.0, 1.04), (0.25, 1.04), (0.45, 0.99 + s),
        (0.62, 0.96 + s), (0.8, 0.99 + s), (0.95, 1.07 + s), (1.03, 1.17 + s), (1.2, 1.3),
    ]  # fmt: skip
    return _table([(u, v + low) for u, v in knots], -U_SPAN, U_SPAN, k)


def _torso_table(a: Anatomy, k: int) -> Floats:
    """Half-width of the body over v: neck, shoulders, flanks."""
    f = a.fat
    knots = [
        (-1.0, 0.36), (-0.42, 0.36), (-0.28, 0.44 * f), (-0.18, 0.66 * f), (-0.09, 0.94),
        (0.02, 1.10), (0.2, 1.07 + 0.09 * f), (0.5, 1.02 + 0.11 * f), (0.9, 1.02 + 0.1 * f),
        (1.4, 1.03 + 0.13 * f),
    ]  # fmt: skip
    return _table(knots, V_LOW, V_HIGH, k)


# ------------------------------------------------------------------------------------ opacities


def _envelope(body: Geometry, opacity: Opacity, rng: np.random.Generator) -> Floats:
    """Density of the opacity without its fine texture, [h, w] in [0, density], 0 outside lung."""
    size = len(body.u)
    warp = _enlarge(rng.normal(0, 1, (3, 13, 13)).astype(np.float32), size)
    edge = 0.05 if opacity.pattern == "lobar" else 0.09
    v, q = body.v + edge * warp[0], body.q + 2 * edge * warp[1]
    densest = np.zeros_like(body.u)
    for focus in opacity.foci:
        in_side = body.left if focus.side > 0 else ~body.left
        columns = np.flatnonzero(in_side.any(0))
        part = slice(columns[0], columns[-1] + 1) if len(columns) else slice(0, 0)
        here = _ramp(v[:, part] - np.float32(focus.v_top), focus.soft_top)
        here *= _ramp(np.float32(focus.v_bottom) - v[:, part], focus.soft_bottom)
        here *= _ramp(q[:, part] - np.float32(focus.q_medial), focus.soft_q)
        here *= _ramp(np.float32(focus.q_lateral) - q[:, part], focus.soft_q)
        here *= in_side[:, part]
        np.maximum(densest[:, part], here, out=densest[:, part])
    mottle = {"lobar": 0.08, "segmental": 0.25, "interstitial": 0.2}[opacity.pattern]
    densest *= np.clip(1 - mottle + mottle * warp[2], 0, 1)
    densest *= np.float32(opacity.density)
    return densest


def _opaque(body: Geometry, opacity: Opacity) -> NDArray[np.bool_]:
    envelope = _envelope(body, opacity, np.random.default_rng(opacity.texture_seed))
    return (envelope > opacity.density / 3) & _in_lung(body)


def _consolidation(body: Geometry, opacity: Opacity, vessels: Floats) -> Floats:
    """Share of the air replaced by fluid, [h, w] in [0, 1]."""
    rng = np.random.default_rng(opacity.texture_seed)
    share = _envelope(body, opacity, rng)
    size = len(body.u)
    if opacity.pattern == "interstitial":
        # Zero crossings of band-limited noise form a net, like thickened septa.
        net = _enlarge(rng.normal(0, 1, (2, 58, 58)).astype(np.float32), size)
        ridge = np.maximum(1 - 2.6 * np.abs(net), 0).max(0)
        share *= np.float32(0.7) + np.float32(0.65) * ridge
    elif opacity.pattern == "segmental":
        patch = _enlarge(rng.normal(0, 1, (28, 28)).astype(np.float32), size)
        share *= np.clip(0.9 + 0.16 * patch, 0, 1.2)
        # Bronchi run with the vessels and stay aerated: dark twigs in the opacity.
        share *= 1 - np.minimum(np.roll(vessels, size // 75, axis=1) * 2.2, 0.45)
    return np.minimum(share, np.float32(0.97))


# ---------------------------------------------------------------------------------- attenuation


def _attenuation(a: Anatomy, body: Geometry, opacity: Opacity | None) -> Floats:
    """Attenuation along each ray (optical depth), [h, w], 0 = air; 1.2 at mid chest."""
    size = len(body.u)
    rng = np.random.default_rng((*a.outline_seed, 2))
    soft = max(0.012, 1.5 / (size * a.half_width))  # no edge sharper than the pixels
    coarse = rng.normal(0, 0.6, (30, 30)).astype(np.float32)
    coarse += _enlarge(rng.normal(0, 1, (7, 7)).astype(np.float32), len(coarse))
    mottle = _enlarge(coarse, size)

    # Soft tissue: an elliptic trunk, deeper in the abdomen, with skin and muscle at its edge.
    total: Floats = body.u / body.torso
    np.square(total, out=total)
    np.subtract(1, total, out=total)
    np.maximum(total, 0, out=total)
    chord = np.sqrt(total, out=total)
    skin = np.minimum(3 * chord, 1)
    total = chord * np.float32(0.90)
    total += np.float32(0.35) * skin
    depth = np.clip(np.float32(0.5) - 2 * body.above, 0, 1)
    depth *= np.float32(0.10)
    depth += np.float32(0.98)
    depth += np.float32(0.02) * mottle
    total *= depth
    _, last = _rows(a, size, -1.5, 0.12)
    total[:last] *= 1 - np.float32(0.26) * _ramp(np.float32(-0.1) - body.v[:last], 0.3)
    _arms(a, body, chord, total, float(rng.normal(0.55, 0.15)))

    # Air in the lungs, its depth growing from the lateral wall inward and from the apex down; some
    # lies behind the heart and, in the sulcus, below the dome.
    edge = np.clip(body.outer * np.float32(1 / 0.06), 0, 1)
    np.sqrt(edge, out=edge)
    edge *= _ramp(body.below - np.float32(0.02), 0.09)
    lung = _ramp(body.inner, 2.5 * soft + 0.02)
    lung *= _ramp(body.above, 1.2 * soft + 0.012)
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
    vessels = _vessels(a, body, size)
    vessels *= lung
    air -= np.float32(0.17) * vessels
    if opacity is not None:
        air *= 1 - _consolidation(body, opacity, vessels)
    total -= air

    total += np.float32(a.bone) * _bones(a, body, rng)
    _midline(a, body, total, rng)
    _abdomen(a, body, total, mottle, rng)
    if a.breast:
        x, y = (body.across - 0.58) / 0.36, (body.v - 0.78) / 0.24
        gland = np.clip(1 - np.square(x) - np.square(y), 0, 1)
        total += np.float32(0.3 * a.breast) * gland
    np.maximum(total, 0, out=total)
    return total


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
    for part in (slice(0, right), slice(left, size)):
        dx = (body.across[:, part] - np.float32(1.10)) * half
        dy = (body.v[:, part] - np.float32(0.03)) * height
        head = np.square(dx) + np.square(dy)
        along = np.clip(dx * ex + dy * ey, 0, 1)
        dx -= along * ex
        dy -= along * ey
        r2 = np.square(dx) + np.square(dy)
        tissue = np.float32(0.62) * np.sqrt(np.maximum(1 - r2 * np.float32(flesh**-2), 0))
        tissue += np.float32(0.26 * a.bone) * _tube(r2 * np.float32(bone**-2))
        head *= np.float32(-(0.032**-2))
        head += 1
        tissue += np.float32(0.16 * a.bone) * np.sqrt(np.maximum(head, 0))
        tissue *= 1 - np.float32(0.75) * chord[:, part]
        total[:, part] += tissue
    if a.chin > 0:
        _, last = _rows(a, size, -1.5, -0.36 + 0.25 * a.chin)
        u, v = body.u[:last], body.v[:last]
        jaw = np.square(u / 0.42) + np.square((v + np.float32(0.62 - 0.25 * a.chin)) / 0.26)
        total[:last] += np.float32(0.75) * np.sqrt(np.maximum(1 - jaw, 0))


def _bones(a: Anatomy, body: Geometry, rng: np.random.Generator) -> Floats:
    """Ribs, clavicles and scapulae; [h, w]."""
    # A rib is an ellipse seen from the front: its back half falls from the spine to the chest wall,
    # its front half on to the sternum. All ribs of one half differ by a shift in v alone, so one
    # table over (place between two ribs, q) draws them all.
    size = len(body.u)
    q = body.across / body.wall
    column = np.minimum(q * np.float32(Q_STEPS / Q_SPAN), np.float32(Q_STEPS - 1)).astype(np.intp)
    total: Floats = _chest_wall().take(column)
    total *= body.v > 0
    root = np.sqrt(np.maximum(1 - np.square(_Q), 0.0))
    half_drop = 0.5 * a.rib_drop
    for front in (False, True):
        if front:
            fall = half_drop * (1 + root * (1 + 0.5 * (1 - np.minimum(_Q, 1))))
        else:
            fall = half_drop * (1 - root) - 0.012 * np.sin(np.pi * _Q)
        first, last = _rows(a, size, 0.0 if front else -0.2, 1.2 if front else 1.3)
        at = column[first:last]
        place = (fall * (-1 / RIB_SPACING) + rng.normal(0.75, 0.06)).astype(np.float32).take(at)
        place += body.v[first:last] * np.float32(1 / RIB_SPACING)
        place += _enlarge(rng.normal(0, 0.16, (9, 9)).astype(np.float32), size)[first:last]
        number = np.floor(place)
        place -= number
        place *= np.float32(P_STEPS)
        cell = place.astype(np.intp)
        cell *= np.intp(Q_STEPS)
        cell += at
        shade = _rib_table(front, round(a.rib_drop * a.height / a.half_width, 1)).take(cell)
        dense = rng.normal(1, 0.12, (2, RIBS + 2))
        dense[:, 1] *= 0.7
        dense[:, [0, -1]] = 0
        dense[:, -5:] *= (0.8, 0.5, 0, 0, 0) if front else (0.9, 0.7, 0.5, 0.35, 0)
        np.clip(number, -1, RIBS, out=number)
        number += body.left[first:last] * np.float32(RIBS + 2) + np.float32(1)
        shade *= dense.astype(np.float32).ravel().take(number.astype(np.intp))
        total[first:last] += shade

    first, last = _rows(a, len(total), -0.45, 0.12)
    t, v, skin = body.across[first:last], body.v[first:last], body.torso[first:last]
    lift, bend = np.float32(rng.normal(0.2, 0.07)), np.float32(rng.normal(0.035, 0.012))
    course = np.float32(0.075) - lift * t + bend * np.sin(6 * t)
    width = np.float32(0.022) + np.float32(0.016) * np.square(t - np.float32(0.5))
    clavicle = _tube(np.square((v - course) * np.float32(0.9) / width))
    clavicle *= np.clip(
        np.minimum((t - np.float32(0.125)) * 20, (np.float32(0.98) * skin - t) * 10), 0, 1
    )
    total[first:last] += np.float32(0.42) * clavicle

    # Scapula: a thin plate whose medial border stands over the lung unless the arms turn it out.
    first, last = _rows(a, len(total), -0.05, 0.56)
    t, v, skin = body.across[first:last], body.v[first:last], body.torso[first:last]
    medial = np.float32(0.989 - 0.3 * a.scapula) + np.float32(0.22) * v
    plate = np.minimum(t - medial, medial + np.float32(0.62) * (np.float32(0.5) - v) - t)
    np.minimum(plate, v + np.float32(0.02), out=plate)
    blade = np.float32(0.10) * _ramp(plate, 0.04)
    plate -= np.float32(0.02)
    plate *= np.float32(1 / 0.022)
    blade += np.float32(0.08) * np.exp(-np.square(plate))
    total[first:last] += blade * np.clip((skin - t) * np.float32(7) + np.float32(0.5), 0, 1)
    return total


@lru_cache(maxsize=64)
def _rib_table(front: bool, fall: float) -> Floats:
    """Attenuation over place between two ribs and q, flat [P_STEPS * Q_STEPS].

    fall: height over half-width of the ellipse that a rib describes on the film
    """
    from_axis = (np.arange(P_STEPS) + 0.5)[:, None] / P_STEPS - 0.5
    root = np.sqrt(np.maximum(1 - np.square(_Q), 0.1))
    oblique = 1 / np.sqrt(1 + np.square(0.5 * fall * _Q / root))
    thick = 0.029 if front else 0.026
    distance = from_axis * RIB_SPACING * oblique / thick
    # The lower edge of a back rib is a thin flange, the upper one round.
    shade = _tube(np.square(distance)) + (0 if front else 0.12 * (np.abs(distance - 0.75) < 0.2))
    shade *= 1 + 0.35 * _Q**8
    shade *= _ramp(1.02 - _Q, 0.04) * _ramp(_Q - 0.09, 0.06)
    # In front the cartilage does not show; behind, heart and spine hide much of a rib.
    shade *= 0.6 * _ramp(_Q - 0.45, 0.3) if front else 0.6 + 0.4 * _ramp(_Q - 0.4, 0.5)
    return (0.27 * shade).astype(np.float32).ravel()


@lru_cache(maxsize=1)
def _chest_wall() -> Floats:
    """Attenuation of the pleural edge and of ribs seen end-on at the wall, over q."""
    edge: Floats = (0.10 * np.exp(-np.square((_Q - 1.004) / 0.018))).astype(np.float32)
    return edge


def _rows(a: Anatomy, size: int, v_top: float, v_bottom: float) -> tuple[int, int]:
    """The rows that span v_top … v_bottom, with room for tilt and warp."""
    room = 0.03 + abs(a.tilt) * 0.5
    first = int((a.apex + v_top * a.height - room) * size)
    last = int((a.apex + v_bottom * a.height + room) * size) + 1
    return min(max(first, 0), size - 1), max(min(last, size), 1)


def _midline(a: Anatomy, body: Geometry, total: Floats, rng: np.random.Generator) -> None:
    """Adds vertebrae and takes away the trachea, in place, on the columns near the spine."""
    size = len(total)
    reach = 0.26 * a.half_width + abs(a.tilt) * 0.6 + 0.03
    columns = slice(
        max(int((a.centre - reach) * size), 0), min(int((a.centre + reach) * size) + 1, size)
    )
    u, v = body.u[:, columns], body.v[:, columns]
    half = np.float32(0.078) + np.float32(0.018) * v
    place = v / np.float32(0.092) + np.float32(rng.uniform(0, 1))
    phase = place - np.floor(place)
    disc = np.exp(-np.square((phase - 0.5) / np.float32(0.10)))
    plates = np.exp(-np.square((np.abs(phase - 0.5) - np.float32(0.2)) / np.float32(0.07)))
    s = np.abs(u) / half
    body_edge = _ramp(1 + np.float32(0.1) * plates - np.float32(0.12) * disc - s, 0.22)
    from_pedicle = phase - np.float32(0.05)
    from_pedicle -= from_pedicle > 0.5
    pedicle = np.exp(-np.square((s - 0.62) / 0.2) - np.square(from_pedicle / 0.16))
    spinous = np.exp(-np.square(s / 0.2) - np.square((phase - 0.3) / 0.16))
    spine = np.float32(0.24) * body_edge * (1 - np.float32(0.36) * disc + np.float32(0.2) * plates)
    spine += np.float32(0.07) * pedicle + np.float32(0.06) * spinous
    transverse = np.exp(-np.square((phase - 0.1) / 0.13)) * _ramp(np.float32(1.9) - s, 0.4)
    spine += np.float32(0.04) * transverse
    total[:, columns] += np.float32(a.bone) * spine

    fork = np.maximum(v - np.float32(0.34), 0)
    offset = np.abs(u - np.float32(0.02 + 0.8 * a.turn)) - fork
    width = np.float32(0.05) * (1 - np.float32(0.5) * _ramp(fork, 0.05))
    pipe = np.sqrt(np.clip(1 - np.square(offset / width), 0, 1))
    pipe *= _ramp(np.float32(0.5) - v, 0.16) * _ramp(v + np.float32(0.5), 0.25)
    total[:, columns] -= np.float32(0.22) * pipe


def _abdomen(
    a: Anatomy, body: Geometry, total: Floats, noise: Floats, rng: np.random.Generator
) -> None:
    """Takes away the air of stomach and bowel, in place."""
    first = max(int((a.apex + 0.85 * a.height) * len(total)), 0)
    if first >= len(total):
        return
    u, v, noise = body.u[first:], body.v[first:], noise[first:]
    below = _ramp(np.float32(-0.02) - body.above[first:], 0.05)
    if a.stomach > 0:
        cx, cy = rng.normal(0.45, 0.08), rng.normal(1.12, 0.03) + a.inspiration
        rx, ry = 0.26 * a.stomach + 0.08, 0.10 * a.stomach + 0.035
        r = np.square((u - cx) / rx) + np.square((v - cy) / ry) + 0.25 * noise
        total[first:] -= np.float32(0.24) * _ramp(1 - r, 0.9) * below
    gas = _ramp(noise - np.float32(rng.uniform(0.6, 1.8)), 0.7) * _ramp(v - np.float32(1.2), 0.2)
    total[first:] -= np.float32(0.2) * gas * below


def _vessels(a: Anatomy, body: Geometry, size: int) -> Floats:
    """Thickness of lung vessels and hila, [h, w] near [0, 1]."""
    rng = np.random.default_rng((*a.outline_seed, 3))
    x0, y0, ux, uy, length, width = _tree(rng)
    bend = rng.normal(0, 0.3, (len(x0), 1)).astype(np.float32)
    ink_hw = np.zeros((size, size), np.float32)
    big = 2 * MAIN_VESSELS * (1 + TWIGS[0])
    for part, points, spread, strength in (
        (slice(0, big), 28, 0.005, 36),
        (slice(big, None), 14, 0.0022, 24),
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
        drawn = _splat(fx[inside], fy[inside], ink[inside], size)
        if spread * size > 0.8:
            drawn = ndimage.gaussian_filter(drawn, spread * size, mode="nearest", truncate=2.0)
        ink_hw += drawn
    # Ink per pixel grows with the side: the same vessel is drawn on more, smaller pixels.
    ink_hw *= np.float32(size * 0.08)
    np.minimum(ink_hw, np.float32(1.2), out=ink_hw)
    first, last = _rows(a, size, 0.2, 0.75)
    hilum = np.square((body.inner[first:last] - np.float32(0.03)) * np.float32(1 / 0.12))
    hilum += np.square((body.v[first:last] - np.float32(0.47)) * np.float32(1 / 0.13))
    ink_hw[first:last] += np.float32(0.35) * np.exp(-hilum)
    return ink_hw


def _tree(rng: np.random.Generator) -> tuple[Floats, ...]:
    """Branches of both lungs: start x, y, direction x, y, length and width, in body coordinates."""
    mains = MAIN_VESSELS
    angle = np.tile(np.linspace(-1.05, 1.35, mains), 2) + rng.normal(0, 0.22, 2 * mains)
    side = np.repeat([-1.0, 1.0], mains)
    x0 = side * (0.22 + rng.normal(0, 0.02, 2 * mains) + 0.05 * np.sin(np.abs(angle)))
    y0 = 0.46 + 0.10 * np.sin(angle) + rng.normal(0, 0.02, 2 * mains)
    length = rng.uniform(0.35, 0.72, 2 * mains)
    width = rng.uniform(0.5, 0.95, 2 * mains)
    levels = [(x0, y0, side, angle, length, width)]
    for children in TWIGS:
        x, y, s, ang, ln, wd = (np.repeat(part, children) for part in levels[-1])
        at = rng.uniform(0.15, 1.0, len(x))
        x, y = x + s * np.cos(ang) * ln * at, y + np.sin(ang) * ln * at
        turn = rng.choice([-1.0, 1.0], len(x)) * rng.uniform(0.2, 0.8, len(x))
        levels.append(
            (x, y, s, ang + turn, ln * rng.uniform(0.35, 0.6, len(x)), wd * (1 - 0.5 * at))
        )
    x, y, s, ang, ln, wd = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    parts = (x, y, s * np.cos(ang), np.sin(ang), ln, wd)
    return tuple(part.astype(np.float32) for part in parts)


# ----------------------------------------------------------------------------------------- film


def _expose(attenuation: Floats, film: Film, size: int, factor: int) -> Floats:
    """Beer-Lambert, scatter, film curve, marker, collimator and noise."""
    side = len(attenuation)
    intensity = np.exp(-attenuation)
    weight = _spline(16, side)
    glow = weight.T @ intensity @ weight * np.float32((16 / side) ** 2)
    intensity *= np.float32(1 - film.scatter)
    intensity += _enlarge(np.float32(0.5 * film.scatter) * (glow + glow.mean()), side)
    image = _film_curve(intensity, film)
    if any(film.border):
        column, row = _axis(side)[None, :], _axis(side)[:, None]
        left, top, right, bottom = (np.float32(b) for b in film.border)
        open_x = _ramp(column - left, 0.008) * _ramp(1 - right - column, 0.008)
        open_y = _ramp(row - top, 0.008) * _ramp(1 - bottom - row, 0.008)
        image *= open_x * open_y
    x, y, height = film.marker_x, film.marker_y, film.marker_height
    _stamp(image, film.marker, x, y, height)
    _stamp(image, film.extra_marker, x, y + 1.1 * height, 0.04)
    image = _average(image, factor)
    rng = np.random.default_rng(film.noise_seed)
    # Four dice of 256 sides: near enough to normal, and three times as fast.
    grain = rng.integers(0, 256, (4, size, size), dtype=np.uint8).sum(0, dtype=np.uint16)
    noise = (grain - np.float32(510)) * np.float32(film.noise / 147.8)
    noise *= np.sqrt(image + np.float32(0.15))
    image += noise
    return np.clip(image, 0, 1, out=image)


def _film_curve(intensity: Floats, film: Film) -> Floats:
    """Film response: a sigmoid over optical depth, near 0 in air and close to 1 in dense bone."""
    slope = np.float32(2.9 * film.contrast)
    middle = np.float32(0.74 + film.exposure)
    # 1 / (1 + exp(-slope * (depth - middle))) with depth = -log(intensity)
    image = np.log(np.maximum(intensity, np.float32(1e-4)))
    image += middle
    image *= slope
    np.exp(image, out=image)
    image += 1
    np.reciprocal(image, out=image)
    image -= np.float32(0.9) / (1 + np.exp(slope * middle))
    return image


def _stamp(image: Floats, letters: str, x: float, y: float, height: float) -> None:
    """Lays lead letters over the image, in place, moved inside where they would be cut."""
    if not letters:
        return
    side = len(image)
    glyph = _letters(letters, max(int(height * side), 5))
    h, w = glyph.shape
    top = int(np.clip(y * side - h / 2, 0, max(side - h, 0)))
    left = int(np.clip(x * side - w / 2, 0, max(side - w, 0)))
    window = image[top : top + h, left : left + w]
    glyph = glyph[: window.shape[0], : window.shape[1]]
    window += glyph * (np.float32(0.97) - window)


@lru_cache(maxsize=64)
def _letters(text: str, height: int) -> Floats:
    font = ImageFont.load_default(size=height)
    left, top, right, bottom = font.getbbox(text)
    canvas = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(canvas).text((1 - left, 1 - top), text, fill=255, font=font)
    return np.asarray(canvas, np.float32) / np.float32(255)


# ---------------------------------------------------------------------------------------- tools


def _oversampling(size: int) -> int:
    return max(1, -(-MIN_WORKING_SIZE // size))


def _average(image: Floats, factor: int) -> Floats:
    if factor == 1:
        return image
    size = len(image) // factor
    averaged: Floats = image.reshape(size, factor, size, factor).mean((1, 3))
    return averaged


def _ramp(distance: Floats, width: float) -> Floats:
    """0 below -width/2, 1 above +width/2, smooth between."""
    t = distance * np.float32(1 / width)
    t += np.float32(0.5)
    np.clip(t, 0, 1, out=t)
    weight = t * np.float32(-2)
    weight += np.float32(3)
    weight *= t
    weight *= t
    return weight


def _tube(r2: Floats) -> Floats:
    """Chord through a hollow bone at squared relative distance r2 from its axis: bright cortex."""
    chord = 1 - r2
    np.maximum(chord, 0, out=chord)
    np.sqrt(chord, out=chord)
    marrow = np.float32(0.62) - r2
    np.maximum(marrow, 0, out=marrow)
    np.sqrt(marrow, out=marrow)
    marrow *= np.float32(0.55)
    chord -= marrow
    return chord


@lru_cache(maxsize=8)
def _axis(size: int) -> Floats:
    """Pixel centres as fractions of the side."""
    return ((np.arange(size) + 0.5) / size).astype(np.float32)


@lru_cache(maxsize=64)
def _spline(coarse: int, size: int) -> Floats:
    """Cubic B-spline weights [size, coarse] that enlarge a coarse grid smoothly."""
    place = _axis(size).astype(np.float64)[:, None] * (coarse - 1)
    d = np.abs(place - np.arange(coarse)[None, :])
    weight = np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.clip(2 - d, 0, None) ** 3 / 6)
    weight /= weight.sum(1, keepdims=True)
    return weight.astype(np.float32)


def _enlarge(coarse: Floats, size: int) -> Floats:
    """A field on a coarse square grid [..., k, k] as a smooth one [..., size, size]."""
    weight = _spline(coarse.shape[-1], size)
    enlarged: Floats = weight @ coarse.astype(np.float32) @ weight.T
    return enlarged


def _splat(x: Floats, y: Floats, ink: Floats, size: int) -> Floats:
    """Sum of points with weight `ink` at pixel places x, y, spread bilinearly; [size, size]."""
    left, top = x.astype(np.intp), y.astype(np.intp)
    fx, fy = x - left, y - top
    index = top * size + left
    where = np.concatenate([index, index + 1, index + size, index + size + 1])
    near, far = ink * (1 - fy), ink * fy
    weight = np.concatenate([near * (1 - fx), near * fx, far * (1 - fx), far * fx])
    flat = np.bincount(where, weight, minlength=size * size)
    return flat.reshape(size, size).astype(np.float32)
