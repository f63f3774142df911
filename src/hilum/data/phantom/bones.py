"""Bones of the chest: ribs, clavicles, scapulae, spine, and the trachea before it.

Humerus and jaw belong to `attenuation`, which adds limbs to the trunk.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hilum.data.phantom.fields import Floats, enlarge, positive, ramp, tube
from hilum.data.phantom.geometry import Geometry, rows_between
from hilum.data.phantom.parameters import Anatomy

RIBS = 12
RIB_SPACING = 0.098  # in v
Q_SPAN, Q_STEPS, P_STEPS = 1.25, 640, 64  # rib tables: u over half-width, and between two ribs
S_SPAN, S_STEPS, PHASE_STEPS = 2.25, 192, 128  # vertebra table: across, and along one vertebra

_Q = (np.arange(Q_STEPS) + 0.5) * (Q_SPAN / Q_STEPS)


def bones(a: Anatomy, body: Geometry, rng: np.random.Generator) -> Floats:
    """Ribs, clavicles and scapulae; [h, w]."""
    total = _ribs(a, body, rng)
    _add_clavicles(a, body, total, rng)
    _add_scapulae(a, body, total)
    return total


def _ribs(a: Anatomy, body: Geometry, rng: np.random.Generator) -> Floats:
    # A rib is an ellipse seen from the front: its back half falls from the spine to the chest wall,
    # its front half on to the sternum. All ribs of one half differ by a shift in v alone, so one
    # table over (place between two ribs, q) draws them all.
    size = len(body.u)
    q = body.across / body.wall
    column = np.clip(q * np.float32(Q_STEPS / Q_SPAN), 0, Q_STEPS - 1).astype(np.int32)
    column_for_take = column.astype(np.intp)  # what `take` would make of it each time
    total: Floats = _chest_wall().take(column_for_take)
    total *= body.v > 0
    left = body.left * np.int32(RIBS + 2)
    left += 1
    root = np.sqrt(np.maximum(1 - np.square(_Q), 0.0))
    half_drop = 0.5 * a.rib_drop
    for front in (False, True):
        if front:
            fall = half_drop * (1 + root * (1 + 0.5 * (1 - np.minimum(_Q, 1))))
        else:
            fall = half_drop * (1 - root) - 0.012 * np.sin(np.pi * _Q)
        first, last = rows_between(a, size, 0.0 if front else -0.2, 1.2 if front else 1.3)
        place = (
            (fall * (-1 / RIB_SPACING) + rng.normal(0.75, 0.06))
            .astype(np.float32)
            .take(column_for_take[first:last])
        )
        place += body.v[first:last] * np.float32(1 / RIB_SPACING)
        place += enlarge(rng.normal(0, 0.16, (9, 9)).astype(np.float32), size, first, last)
        number = np.floor(place)
        place -= number
        place *= np.float32(P_STEPS)
        cell = place.astype(np.int32)
        # What lay a hair below a whole number has been rounded up to it.
        np.minimum(cell, np.int32(P_STEPS - 1), out=cell)
        cell *= np.int32(Q_STEPS)
        cell += column[first:last]
        shade = _rib_table(front, round(a.rib_drop * a.height / a.half_width, 1)).take(cell)
        dense = rng.normal(1, 0.12, (2, RIBS + 2))
        dense[:, 1] *= 0.7
        dense[:, [0, -1]] = 0
        dense[:, -5:] *= (0.8, 0.5, 0, 0, 0) if front else (0.9, 0.7, 0.5, 0.35, 0)
        rib = np.clip(number, -1, RIBS, out=number).astype(np.int32)
        rib += left[first:last]
        shade *= dense.astype(np.float32).ravel().take(rib)
        total[first:last] += shade
    return total


def _add_clavicles(a: Anatomy, body: Geometry, total: Floats, rng: np.random.Generator) -> None:
    first, last = rows_between(a, len(total), -0.45, 0.12)
    t, v, skin = body.across[first:last], body.v[first:last], body.torso[first:last]
    lift, bend = np.float32(rng.normal(0.2, 0.07)), np.float32(rng.normal(0.035, 0.012))
    course = np.float32(0.075) - lift * t + bend * np.sin(6 * t)
    width = np.float32(0.022) + np.float32(0.016) * np.square(t - np.float32(0.5))
    clavicle = tube(np.square((v - course) * np.float32(0.9) / width))
    clavicle *= np.clip(
        np.minimum((t - np.float32(0.125)) * 20, (np.float32(0.98) * skin - t) * 10), 0, 1
    )
    total[first:last] += np.float32(0.42) * clavicle


def _add_scapulae(a: Anatomy, body: Geometry, total: Floats) -> None:
    # A thin plate whose medial border stands over the lung unless the arms turn it out.
    first, last = rows_between(a, len(total), -0.05, 0.56)
    t, v, skin = body.across[first:last], body.v[first:last], body.torso[first:last]
    medial = np.float32(0.989 - 0.3 * a.scapula) + np.float32(0.22) * v
    plate = np.minimum(t - medial, medial + np.float32(0.62) * (np.float32(0.5) - v) - t)
    np.minimum(plate, v + np.float32(0.02), out=plate)
    blade = np.float32(0.10) * ramp(plate, 0.0, 0.04)
    plate -= np.float32(0.02)
    plate *= np.float32(1 / 0.022)
    blade += np.float32(0.08) * np.exp(-np.square(plate))
    total[first:last] += blade * np.clip((skin - t) * np.float32(7) + np.float32(0.5), 0, 1)


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
    shade = tube(np.square(distance)) + (0 if front else 0.12 * (np.abs(distance - 0.75) < 0.2))
    shade *= 1 + 0.35 * _Q**8
    shade *= ramp(_Q, 1.02, -0.04) * ramp(_Q, 0.09, 0.06)
    # In front the cartilage does not show; behind, heart and spine hide much of a rib.
    shade *= 0.6 * ramp(_Q, 0.45, 0.3) if front else 0.6 + 0.4 * ramp(_Q, 0.4, 0.5)
    return (0.27 * shade).astype(np.float32).ravel()


@lru_cache(maxsize=1)
def _chest_wall() -> Floats:
    """Attenuation of the pleural edge and of ribs seen end-on at the wall, over q."""
    edge: Floats = (0.10 * np.exp(-np.square((_Q - 1.004) / 0.018))).astype(np.float32)
    return edge


def spine_and_trachea(a: Anatomy, body: Geometry, total: Floats, rng: np.random.Generator) -> None:
    """Adds vertebrae and takes away the trachea, in place, on the columns near the spine."""
    size = len(total)
    reach = 0.26 * a.half_width + abs(a.tilt) * 0.6 + 0.03
    columns = slice(
        max(int((a.centre - reach) * size), 0), min(int((a.centre + reach) * size) + 1, size)
    )
    u = np.ascontiguousarray(body.u[:, columns])
    v = np.ascontiguousarray(body.v[:, columns])
    phase = v * np.float32(1 / 0.092)
    phase += np.float32(rng.uniform(0, 1))
    phase -= np.floor(phase)
    phase *= np.float32(PHASE_STEPS)
    s = np.abs(u)
    s /= np.float32(0.078 * S_SPAN / S_STEPS) + np.float32(0.018 * S_SPAN / S_STEPS) * v
    # The fraction of a tiny negative number rounds to 1.
    cell = np.minimum(phase.astype(np.int32), PHASE_STEPS - 1)
    cell *= np.int32(S_STEPS)
    cell += np.clip(s, 0, S_STEPS - 1).astype(np.int32)
    shade = _vertebra_table().take(cell)
    shade *= np.float32(a.bone)
    total[:, columns] += shade

    first, last = rows_between(a, size, -0.7, 0.6)
    u, v = u[first:last], v[first:last]
    fork = positive(v - np.float32(0.34))
    offset = np.abs(u - np.float32(0.02 + 0.8 * a.turn)) - fork
    width = np.float32(0.05) * (1 - np.float32(0.5) * ramp(fork, 0.0, 0.05))
    pipe = np.sqrt(np.clip(1 - np.square(offset / width), 0, 1))
    pipe *= ramp(v, 0.5, -0.16)
    pipe *= ramp(v, -0.5, 0.25)
    total[first:last, columns] -= np.float32(0.22) * pipe


@lru_cache(maxsize=1)
def _vertebra_table() -> Floats:
    """Attenuation over place in a vertebra's height and distance from the midline, flat.

    The distance s is in half-widths of a vertebral body; beyond S_SPAN there is nothing.
    """
    phase = ((np.arange(PHASE_STEPS) + 0.5) / PHASE_STEPS)[:, None]
    s = ((np.arange(S_STEPS) + 0.5) * (S_SPAN / S_STEPS))[None, :]
    disc = np.exp(-np.square((phase - 0.5) / 0.10))
    plates = np.exp(-np.square((np.abs(phase - 0.5) - 0.2) / 0.07))
    body_edge = ramp(1 + 0.1 * plates - 0.12 * disc - s, 0.0, 0.22)
    from_pedicle = phase - 0.05
    from_pedicle -= from_pedicle > 0.5
    pedicle = np.exp(-np.square((s - 0.62) / 0.2) - np.square(from_pedicle / 0.16))
    spinous = np.exp(-np.square(s / 0.2) - np.square((phase - 0.3) / 0.16))
    transverse = np.exp(-np.square((phase - 0.1) / 0.13)) * ramp(s, 1.9, -0.4)
    spine = 0.24 * body_edge * (1 - 0.36 * disc + 0.2 * plates)
    spine += 0.07 * pedicle + 0.06 * spinous + 0.04 * transverse
    return spine.astype(np.float32).ravel()
