"""Side estimates: one classifier's figures with the intervals that `evaluate` gives them.

What lies between two classifiers is `paired_figures`' work.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation import likelihood_ratios as ratios
from hilum.evaluation.comparison.further_figures import NEED_BOTH
from hilum.evaluation.comparison.paired_bootstrap import Resampled, Side
from hilum.evaluation.figures import resampled_estimate
from hilum.evaluation.intervals import delong, one_class, percentile
from hilum.units import Units, proportion

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_NEED_BOTH = ("auroc", "average_precision", "balanced_accuracy", "mcc", *NEED_BOTH)


def _why_missing(name: str, present: int, n: int, called: int) -> str | None:
    """Why a figure cannot be computed from n images, `present` of them with the finding and
    `called` of them called positive; None when it can."""
    if (
        (name in _NEED_BOTH and present in (0, n))
        or (name in ("sensitivity", "f1") and present == 0)
        or (name == "specificity" and present == n)
    ):
        return one_class(present, n)
    if (called == 0 and name in ("mcc", "ppv")) or (called == n and name in ("mcc", "npv")):
        which = "no image is called" if name != "mcc" else "every image is called"
        positive = (called == 0) == (name != "mcc")
        return f"{which} {'posi' if positive else 'nega'}tive"
    return None


def estimate_of(
    name: str, y_n: Floats, called_n: Bools, side: Side, found: Resampled, units: Units
) -> Estimate:
    """One classifier's figure, its interval made as `evaluate` makes it.

    y_n: 1 present, 0 absent; called_n: decisions; shape (n,), n > 0; side, found, units: of the
    same images
    """
    present_n = y_n == 1
    n, present, called = len(y_n), int(present_n.sum()), int(called_n.sum())
    reason = _why_missing(name, present, n, called)
    if reason is not None:
        return Estimate.missing(reason, n)
    if name == "auroc":
        return delong(side.score_n, y_n, units)
    shares = {
        "sensitivity": (called_n, present_n),
        "specificity": (~called_n, ~present_n),
        "accuracy": (called_n == present_n, np.ones(n, dtype=bool)),
        "ppv": (present_n, called_n),
        "npv": (~present_n, ~called_n),
    }
    if name in shares:
        hit_n, of_n = shares[name]
        return proportion(hit_n[of_n], units.where(of_n))
    if name in ("lr_positive", "lr_negative"):
        positive, negative = ratios.likelihood_ratios(called_n, y_n, units)
        if name == "lr_positive":
            return ratios.as_estimate(positive, "no false positive")
        return ratios.as_estimate(negative, "no true negative")
    if name == "ici" and isinstance(side.further.smooth, str):
        return Estimate.missing(
            one_class(present, n) if present in (0, n) else side.further.smooth, n
        )
    if not np.isfinite(found.value[name]):
        reason = "the curve does not converge" if name == "ici" else "fewer than two images"
        return Estimate.missing(reason, n)
    return by_resamples(name, found, n, units)


def by_resamples(name: str, found: Resampled, n: int, units: Units) -> Estimate:
    """A figure with the interval that `evaluate` makes from its resamples."""
    value, value_b = found.value[name], found.value_b[name]
    if name != "ece":
        return resampled_estimate(name, value, value_b, n, units)
    estimate = percentile(value, value_b, n, units)  # moved and rooted already
    if estimate.reason is not None:
        return estimate
    return replace(estimate, method=f"{estimate.method}, moved by their bias")
