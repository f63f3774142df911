"""Prediction sets: coverage and size of conformal sets, by class.

Their limits are fitted on the calibrate role, by `hilum.calibration.conformal`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation.intervals import one_class
from hilum.evaluation.results import PredictionSets, SetLimits
from hilum.units import Units, proportion

Mask = NDArray[np.bool_]


def prediction_sets(
    prob_n: NDArray[np.float64], y_n: NDArray[np.float64], units: Units, limits: SetLimits
) -> PredictionSets:
    """What the sets that these limits give hold, against the truth.

    prob_n: calibrated probability in [0, 1], shape (n,); n may be 0
    y_n: 1 = finding present, 0 absent, shape (n,)
    units: patients, of the same images
    Shares have Wilson intervals, by patient where one is known. A set holds both classes only where
    the limits overlap, and none only where they do not, so the mean size is 1 plus the share of
    both or 1 less the share of none, and so are its limits.
    Source: Angelopoulos & Bates 2023, sections 3 and 4.2.
    """
    n = len(y_n)
    holds_present_n, holds_absent_n = prob_n >= limits.present_from, prob_n <= limits.absent_to
    present_n, absent_n = y_n == 1, y_n == 0
    sets = {
        "absent": holds_absent_n & ~holds_present_n,
        "present": holds_present_n & ~holds_absent_n,
        "both": holds_present_n & holds_absent_n,
        "none": ~holds_present_n & ~holds_absent_n,
    }

    def share(hit_n: Mask, of_n: Mask, empty: str) -> Estimate:
        return proportion(hit_n[of_n], units.where(of_n), empty if n else one_class(0, 0))

    all_n, decided_n = np.ones(n, dtype=bool), sets["absent"] | sets["present"]
    right_n = np.where(present_n, holds_present_n, holds_absent_n)
    referred, none = (share(sets[name], all_n, one_class(0, 0)) for name in ("both", "none"))
    overlap = limits.present_from <= limits.absent_to
    return PredictionSets(
        limits,
        {
            name: {held: int((set_n & of_n).sum()) for held, set_n in sets.items()}
            for name, of_n in (("absent", absent_n), ("present", present_n))
        },
        {
            "coverage": share(right_n, all_n, one_class(0, 0)),
            "coverage_absent": share(right_n, absent_n, one_class(n, n)),
            "coverage_present": share(right_n, present_n, one_class(0, n)),
            "decided": share(decided_n, all_n, one_class(0, 0)),
            "referred": referred,
            "none": none,
            "error_when_decided": share(~right_n, decided_n, "no set holds one class alone"),
            "mean_size": _size(referred, none, overlap=overlap),
            **{
                f"mean_size_{name}": _size(
                    *(share(sets[held], of_n, missing) for held in ("both", "none")),
                    overlap=overlap,
                )
                for name, of_n, missing in (
                    ("absent", absent_n, one_class(n, n)),
                    ("present", present_n, one_class(0, n)),
                )
            },
        },
    )


def _size(referred: Estimate, none: Estimate, *, overlap: bool) -> Estimate:
    """Mean number of classes in a set."""
    return _one_plus(referred, 1) if overlap else _one_plus(none, -1)


def _one_plus(share: Estimate, sign: int) -> Estimate:
    """1 + sign · share, limits and all."""
    if share.value is None or share.low is None or share.high is None:
        return share
    limits = sorted((1 + sign * share.low, 1 + sign * share.high))
    what = "the share of both" if sign > 0 else "the share of none"
    method = f"{share.method}, from {what}"
    return replace(
        share, value=1 + sign * share.value, low=limits[0], high=limits[1], method=method
    )


def shortfall_in_words(finding: str, sets: PredictionSets) -> list[str]:
    """A warning per class whose sets hold the truth less often than was asked, beyond chance."""
    told = []
    for label, word in (("present", "with"), ("absent", "without")):
        found = sets.figures[f"coverage_{label}"]
        if found.high is not None and found.high < sets.limits.coverage:
            told.append(
                f"prediction sets hold the truth for {found.in_words(2)} of images {word} "
                f"{finding} where {sets.limits.coverage:g} was asked: these images differ from "
                "those the limits were fitted on"
            )
    return told
