"""What one synthetic radiograph is made of: a patient's anatomy, an opacity, an exposure.

Drawing them by lot is left to `sampling` and `sites`, turning them into pixels to `drawing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pattern = Literal["lobar", "segmental", "interstitial"]
PATTERNS: tuple[Pattern, ...] = ("lobar", "segmental", "interstitial")


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
