"""Remedying: what could be done at a site, without labels and with a few of its own.

Without: the prevalence by prior shift, held against the labels that are here. With: the learning
curve of `local`. Nothing of it changes the bundle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.calibration.prior_shift import prior_shift
from hilum.estimates import Estimate
from hilum.evaluation.discrimination import share
from hilum.evaluation.intervals import Resampling, percentile
from hilum.evaluation.reliability import EPS, log_losses
from hilum.recipe import PointRule
from hilum.robustness.external.local import Local, learn_locally
from hilum.robustness.external.needing import Need, labels_needed
from hilum.units import Units, proportion

Floats = NDArray[np.float64]

RESAMPLES = 2000


@dataclass(frozen=True)
class PriorCorrection:
    """Prior shift, judged by the labels that are here.

    training: prevalence that the probabilities state
    estimated: prevalence without a label; labelled: by the labels
    log_loss: before and after; change: after less before, paired by patient
    """

    training: float
    estimated: Estimate
    labelled: Estimate
    before: float | None
    after: float | None
    change: Estimate


@dataclass(frozen=True)
class Remedies:
    """What could be done for one finding at one site. prior: None where the bundle does not say
    at which prevalence it was calibrated."""

    prior: PriorCorrection | None
    local: Local
    probabilities: Need
    decisions: Need


def remedies(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    *,
    threshold: float,
    rule: PointRule,
    training: float | None,
    units: Units,
    rng: np.random.Generator,
) -> Remedies:
    """Prior shift, recalibration and a local point for one finding.

    prob_n: deployed probability, shape (n,); y_n: 1, 0 or NaN, shape (n,); n > 0
    threshold, rule: the deployed point; training: prevalence of the calibrate role, None: unknown
    units: patients, of the same images
    """
    prior = None
    if training is not None and 0 < training < 1:
        prior = _prior(prob_n, y_n, training, units, rng)
    local = learn_locally(prob_n, y_n, threshold=threshold, rule=rule, units=units, rng=rng)
    return Remedies(
        prior, local, labels_needed(local, "log_loss"), labels_needed(local, "balanced_accuracy")
    )


def _prior(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    training: float,
    units: Units,
    rng: np.random.Generator,
) -> PriorCorrection:
    found = prior_shift(prob_n, training, units=units, rng=rng)
    known_n = ~np.isnan(y_n)
    y_m, units_m = np.asarray(y_n)[known_n], units.where(known_n)
    labelled = proportion(y_m == 1, units_m, "no film has a label")
    if not len(y_m):
        missing = Estimate.missing("no film has a label", 0)
        return PriorCorrection(training, found.prevalence, labelled, None, None, missing)
    before_m, after_m = (
        log_losses(np.clip(each, EPS, 1 - EPS), y_m)
        for each in (np.asarray(prob_n)[known_n], found.prob_n[known_n])
    )
    more_m = after_m - before_m

    def mean(count_bn: NDArray[np.integer]) -> dict[str, Floats]:
        return {"more": share(count_bn @ more_m, count_bn.sum(axis=1))}

    more_b = Resampling.of(units_m, rng, RESAMPLES).over(units_m.unit_n, mean)["more"]
    change = percentile(float(more_m.mean()), more_b, len(y_m), units_m)
    return PriorCorrection(
        training,
        found.prevalence,
        labelled,
        float(before_m.mean()),
        float(after_m.mean()),
        change,
    )
