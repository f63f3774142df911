"""Recalibration: which small change of a deployed calibrator a handful of local labels speaks for.

A calibrator made from nothing is `calibrators`' work; how many labels it takes, `robustness`'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.calibration.calibrators import deal_folds, held_out_losses
from hilum.calibration.labelled import Floats, labelled
from hilum.calibration.logistic import Platt, fit_platt, smoothed
from hilum.calibration.temperature import Temperature, fit_temperature
from hilum.errors import EvaluationError
from hilum.units import Units

Change = Platt | Temperature

AS_DEPLOYED = "as deployed"
FOLDS = 5
ONE_CLASS = "fewer than two patients of a class: a shift is all they can tell"
_CERTAIN = 40.0  # a logit whose probability is 1 but for rounding


@dataclass(frozen=True)
class Recalibration:
    """A change of the deployed probability's logit. kind: a key of KINDS; reason: why this one."""

    kind: str
    change: Change
    reason: str


def fit_intercept(logit_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> Platt:
    """The shift in logits with the least log loss, the slope held at 1.

    logit_n: of the deployed probability, finite, shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    Labels are smoothed as `logistic` does, so that one class is enough: ten films without the
    finding say that it is rare. Raises EvaluationError without any label.
    Source: Steyerberg et al. 2004 (recalibration in the large); Platt 1999 (smoothing).
    """
    from scipy.optimize import brentq  # here, since it is slow to import

    logit_n, y_n = labelled(logit_n, y_n, "intercept", fewest=0)
    if not len(y_n):
        raise EvaluationError("intercept", "no image has a label", expected="one or more")
    wanted = float(smoothed(y_n).sum())

    def excess(shift: float) -> float:
        return float(expit(logit_n + shift).sum()) - wanted

    ends = -float(logit_n.max()) - _CERTAIN, -float(logit_n.min()) + _CERTAIN
    return Platt(1.0, float(brentq(excess, *ends, xtol=1e-9)))


def leave(logit_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> Platt:
    """No change at all."""
    return Platt(1.0, 0.0)


# From the simplest on: among equals the first is taken.
KINDS: dict[str, Callable[[Floats, Floats], Change]] = {
    AS_DEPLOYED: leave,
    "intercept": fit_intercept,
    "temperature": fit_temperature,
    "platt": fit_platt,
}


def recalibrate(
    logit_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    *,
    units: Units,
    rng: np.random.Generator,
    folds: int = FOLDS,
) -> Recalibration:
    """The change with the least cross-validated log loss; among equals the simplest.

    logit_n: of the deployed probability, finite, shape (n,); one or more with a label
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    units: patients, of the same images, whole ones in a fold; rng: deals them
    folds: fewer where a class has fewer patients. With fewer than two of a class nothing can be
        compared, and a shift is taken, which is all that such labels can tell.
    A standard error in favour of the simplest, as for the calibrator of a bundle, would have a
    handful of labels change nothing where everything is wrong.
    """
    known_n = ~np.isnan(np.asarray(y_n, dtype=np.float64))
    logit_n = np.asarray(logit_n, dtype=np.float64)[known_n]
    y_n, units = np.asarray(y_n, dtype=np.float64)[known_n], units.where(known_n)
    fewest = min(len(np.unique(units.unit_n[y_n == y])) for y in (0, 1))
    fold_n = deal_folds(y_n, units, min(folds, fewest), rng) if fewest >= 2 else None
    if fold_n is None:
        return Recalibration("intercept", fit_intercept(logit_n, y_n), ONE_CLASS)
    loss_n = held_out_losses(logit_n, y_n, fold_n, KINDS)
    kind = min(loss_n, key=lambda each: float(loss_n[each].mean()))
    return Recalibration(kind, KINDS[kind](logit_n, y_n), "the least cross-validated log loss")
