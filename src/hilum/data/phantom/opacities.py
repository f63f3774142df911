"""What pneumonia does to the lungs: where air gives way to fluid, and with which texture.

Its foci and density are drawn by lot in `sampling`; the contours of the lung come from `geometry`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.data.phantom.fields import Floats, enlarge, positive, ramp
from hilum.data.phantom.geometry import Geometry, in_lung
from hilum.data.phantom.parameters import Opacity


def _envelope(body: Geometry, opacity: Opacity, rng: np.random.Generator) -> Floats:
    """Density of the opacity without its fine texture, [h, w] in [0, density], 0 outside lung."""
    edge = 0.05 if opacity.pattern == "lobar" else 0.09
    mottle = {"lobar": 0.08, "segmental": 0.25, "interstitial": 0.2}[opacity.pattern]
    coarse = rng.normal(0, 1, (3, 13, 13))
    coarse *= np.array([edge, 2 * edge, mottle])[:, None, None]
    coarse[2] += 1 - mottle
    dv, dq, patches = enlarge(coarse.astype(np.float32), len(body.u))
    densest = np.zeros_like(body.u)
    for focus in opacity.foci:
        in_side = body.left if focus.side > 0 else ~body.left
        columns = np.flatnonzero(in_side.any(0))
        part = slice(columns[0], columns[-1] + 1) if len(columns) else slice(0, 0)
        v, q = body.v[:, part] + dv[:, part], body.q[:, part] + dq[:, part]
        here = ramp(v, focus.v_top, focus.soft_top)
        here *= ramp(v, focus.v_bottom, -focus.soft_bottom)
        here *= ramp(q, focus.q_medial, focus.soft_q)
        here *= ramp(q, focus.q_lateral, -focus.soft_q)
        here *= in_side[:, part]
        np.maximum(densest[:, part], here, out=densest[:, part])
    densest *= np.clip(patches, 0, 1, out=patches)
    densest *= np.float32(opacity.density)
    return densest


def opaque(body: Geometry, opacity: Opacity) -> NDArray[np.bool_]:
    envelope = _envelope(body, opacity, np.random.default_rng(opacity.texture_seed))
    return (envelope > opacity.density / 3) & in_lung(body)


def consolidation(body: Geometry, opacity: Opacity, vessels: Floats) -> Floats:
    """Share of the air replaced by fluid, [h, w] in [0, 1]."""
    rng = np.random.default_rng(opacity.texture_seed)
    share = _envelope(body, opacity, rng)
    size = len(body.u)
    if opacity.pattern == "interstitial":
        # Zero crossings of band-limited noise form a net, like thickened septa.
        net = np.abs(enlarge(rng.normal(0, 2.6, (2, 58, 58)).astype(np.float32), size))
        ridge = positive(1 - np.minimum(net[0], net[1]))
        share *= np.float32(0.7) + np.float32(0.65) * ridge
    elif opacity.pattern == "segmental":
        patch = enlarge(rng.normal(0.9, 0.16, (28, 28)).astype(np.float32), size)
        share *= np.clip(patch, 0, 1.2, out=patch)
        # Bronchi run with the vessels and stay aerated: dark twigs in the opacity.
        share *= 1 - np.clip(np.roll(vessels, size // 75, axis=1) * 2.2, 0, 0.45)
    return np.clip(share, 0, 0.97, out=share)
