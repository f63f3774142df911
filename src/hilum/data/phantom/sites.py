"""Hospitals and how each takes its films: exposure, contrast, noise, collimation, lead letters.

Which patient goes to which hospital is left to `hilum.data.sources.phantom`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.data.phantom.parameters import Film
from hilum.errors import DataError

SHORTCUT_MARKER = "SUPINE"


@dataclass(frozen=True)
class Site:
    """How one hospital takes its films.

    share: its weight among all patients
    ap_share: share of AP views, in [0, 1]; the others are PA
    exposure, exposure_sd: mean and spread of the shift of the film curve, positive = darker
    contrast: slope of the film curve, 1 = the mean of the default sites
    noise: standard deviation of quantum noise at mid grey, in units of the image
    scatter: share of scattered radiation
    border: mean collimated margin, fraction of the side
    marker: lead letters; marker_x, marker_y, marker_height: their place and size
    """

    name: str
    share: float = 1.0
    ap_share: float = 0.7
    exposure: float = 0.0
    exposure_sd: float = 0.07
    contrast: float = 1.0
    noise: float = 0.012
    scatter: float = 0.10
    border: float = 0.0
    marker: str = "R"
    marker_x: float = 0.06
    marker_y: float = 0.25
    marker_height: float = 0.055

    def __post_init__(self) -> None:
        for name, low, high in (
            ("ap_share", 0.0, 1.0),
            ("exposure", -0.5, 0.5),
            ("exposure_sd", 0.0, 0.3),
            ("contrast", 0.3, 3.0),
            ("noise", 0.0, 0.3),
            ("scatter", 0.0, 0.9),
            ("border", 0.0, 0.2),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise DataError(
                    f"site {self.name!r}", f"{name} = {value:g}", expected=f"{low:g} to {high:g}"
                )
        if not self.share > 0:
            raise DataError(
                f"site {self.name!r}", f"share = {self.share:g}", expected="more than 0"
            )


DEFAULT_SITES = (
    Site("A", share=0.40, ap_share=0.8, exposure=0.02, contrast=1.05, noise=0.008, marker_y=0.30),
    Site(
        "B", share=0.25, ap_share=0.5, exposure=0.09, contrast=1.15, noise=0.014, border=0.01,
        marker="A-P", marker_x=0.09, marker_y=0.05, marker_height=0.045,
    ),
    Site(
        "C", share=0.20, ap_share=0.9, exposure=-0.08, contrast=0.88, noise=0.015, scatter=0.2,
        marker_x=0.05, marker_y=0.10, marker_height=0.09,
    ),
    Site(
        "D", share=0.15, ap_share=0.3, exposure=0.0, contrast=0.97, noise=0.011, border=0.035,
        marker="L", marker_x=0.91, marker_y=0.14, marker_height=0.06,
    ),
)  # fmt: skip


def sample_film(
    rng: np.random.Generator, site: Site, noise_seed: tuple[int, ...], *, extra: bool
) -> Film:
    """One exposure at a site; `extra` adds the marker of the shortcut."""
    border = (0.0, 0.0, 0.0, 0.0)
    if site.border > 0:
        left, top, right, bottom = rng.exponential(site.border, 4).clip(0, 0.12)
        border = (float(left), float(top), float(right), float(bottom))
    return Film(
        noise_seed=noise_seed,
        exposure=site.exposure + site.exposure_sd * rng.standard_normal(),
        contrast=site.contrast * float(np.exp(0.07 * rng.standard_normal())),
        noise=site.noise * float(np.exp(0.2 * rng.standard_normal())),
        scatter=site.scatter,
        border=border,
        marker=site.marker,
        marker_x=site.marker_x + 0.012 * rng.standard_normal(),
        marker_y=site.marker_y + 0.04 * rng.standard_normal(),
        marker_height=site.marker_height,
        extra_marker=SHORTCUT_MARKER if extra else "",
    )
