"""Patients and pneumonias drawn by lot: build and stance, and the foci of an opacity.

Who is a child, who is ill and how severely is left to `hilum.data.sources.phantom`.
"""

from __future__ import annotations

import numpy as np

from hilum.data.phantom.parameters import Anatomy, Focus, Opacity, Pattern

# Where each lobe projects: side, v from … to, q from … to, softness above, below, across.
LOBES = (
    Focus(-1, -0.2, 0.43, -0.3, 1.3, 0.1, 0.035, 0.1),  # right upper, on the minor fissure
    Focus(-1, 0.45, 0.86, -0.3, 0.72, 0.035, 0.22, 0.3),  # right middle, beside the heart
    Focus(-1, 0.55, 1.4, 0.02, 1.3, 0.22, 0.1, 0.2),  # right lower
    Focus(1, -0.2, 0.50, -0.3, 1.3, 0.1, 0.25, 0.1),  # left upper
    Focus(1, 0.45, 0.90, -0.4, 0.60, 0.15, 0.15, 0.3),  # lingula
    Focus(1, 0.52, 1.4, -0.4, 1.3, 0.22, 0.1, 0.2),  # left lower
)


def sample_anatomy(
    of_patient: np.random.Generator,
    of_film: np.random.Generator,
    *,
    outline_seed: tuple[int, ...],
    age: float,
    female: bool,
    ap: bool,
) -> Anatomy:
    """A patient's build from `of_patient`, and the stance in one film from `of_film`."""
    child = age < 16
    infant = _within((5 - age) / 4, 0, 1) if child else 0.0
    # Lists, for a NumPy scalar of 64 bits would widen each array of 32 bits that it meets.
    p: list[float] = of_patient.standard_normal(8).tolist()
    f: list[float] = of_film.standard_normal(8).tolist()
    chance: list[float] = of_patient.random(4).tolist()
    still = 1.5 if child else 1.0  # small children turn and move
    overhead = child and of_film.random() < 0.55
    width = (0.440 if child else 0.435) + 0.018 * p[0] + 0.012 * f[0]
    height = (0.625 - 0.03 * infant if child else 0.66) + 0.022 * p[1] + 0.015 * f[1]
    return Anatomy(
        outline_seed=outline_seed,
        centre=0.5 + 0.018 * still * f[2],
        apex=(0.155 if child else 0.12) + 0.022 * f[3],
        half_width=width,
        height=height,
        tilt=0.018 * still * f[4],
        turn=0.022 * still * f[5],
        heart=(1.0 + 0.08 * infant) * (1.07 if ap else 0.98) * (1 + 0.05 * p[2]),
        flare=_within((0.55 + 0.3 * infant if child else 0.15) + 0.15 * p[3], 0, 1.2),
        rib_drop=_within((0.34 if child else 0.44) + 0.035 * p[4], 0.24, 0.56),
        bone=_within((0.92 if child else 1.02) + 0.1 * p[5], 0.65, 1.35),
        fat=_within(1 + 0.12 * p[6], 0.75, 1.4),
        arms=2.7 + 0.2 * f[6] if overhead else 0.25 + 0.15 * f[6],
        chin=float(of_film.uniform(0, 1)) if child and of_film.random() < 0.4 else 0.0,
        breast=0.4 + 0.6 * chance[0] if female and not child and chance[1] < 0.8 else 0.0,
        scapula=float(of_film.uniform(0.5, 1.1) if ap else of_film.uniform(-0.2, 0.35)),
        stomach=float(of_film.uniform(0.2, 1)) if of_film.random() < 0.5 else 0.0,
        inspiration=(-0.03 if ap else 0.01) + 0.025 * f[7],
    )


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def sample_opacity(
    rng: np.random.Generator,
    pattern: Pattern,
    severity: float,
    *,
    small: bool,
    texture_seed: tuple[int, ...],
) -> Opacity:
    """Foci and density of one pneumonia; severity in [0, 1] scales both extent and density."""
    foci: list[Focus] = []
    if pattern == "lobar":
        density = 0.30 + 0.64 * severity
        lobes = rng.permutation(len(LOBES))[: 2 if rng.random() < 0.35 * severity else 1]
        foci = [LOBES[k] for k in lobes]
    elif pattern == "segmental":
        density = 0.45 + 0.4 * severity if small else 0.33 + 0.54 * severity
        sides = rng.permutation([-1, 1])[: 2 if not small and rng.random() < 0.4 else 1]
        for side in sides:
            v, q = rng.uniform(0.2, 0.74), rng.uniform(0.3, 0.7)
            dv = 0.075 + 0.045 * severity if small else 0.15 + 0.13 * severity
            dq = 0.13 + 0.07 * severity if small else 0.26 + 0.24 * severity
            foci.append(
                Focus(int(side), v - dv, v + dv, q - dq, q + dq, 1.2 * dv, 1.2 * dv, 1.2 * dq)
            )
    else:
        density = 0.11 + 0.42 * severity
        sides = rng.permutation([-1, 1])[: 2 if rng.random() < 0.85 else 1]
        for side in sides:
            top, bottom = rng.uniform(-0.1, 0.2), rng.uniform(0.8, 1.2)
            reach = rng.uniform(0.55, 0.8) + 0.3 * severity
            foci.append(Focus(int(side), top, bottom, -0.5, reach, 0.3, 0.3, 0.5))
    return Opacity(pattern, density, tuple(foci), texture_seed)
