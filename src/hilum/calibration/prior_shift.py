"""Prior shift: what probabilities come to where a finding is more, or less, common than at fitting.

It assumes that the prevalence alone has changed: films with the finding look as they did, and so
do films without. Whether that holds, and whether the probabilities were calibrated to begin with,
is the caller's to judge; no label is looked at here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import EvaluationError
from hilum.estimates import Estimate
from hilum.units import Units

Floats = NDArray[np.float64]

ASSUMPTION = (
    "It assumes that the prevalence alone has changed: that films with the finding look as they "
    "did where the probabilities were calibrated, and films without it, too."
)
EPS = float(np.finfo(np.float64).eps)
RESAMPLES = 2000
_HALVINGS = 40  # of [0, 1]: finer than any prevalence means
_ROWS = 1 << 21  # resampled images held at a time


@dataclass(frozen=True)
class PriorShift:
    """A prevalence read off unlabelled films, and the probabilities that go with it.

    training: the prevalence that the probabilities state
    prevalence: here, with its interval
    prob_n: corrected, in [0, 1], shape (n,)
    """

    training: float
    prevalence: Estimate
    prob_n: Floats


def prior_shift(
    prob_n: NDArray[np.floating],
    training: float,
    *,
    units: Units,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> PriorShift:
    """The prevalence that makes the films here the most likely, and corrected probabilities.

    prob_n: calibrated probability in [0, 1] of the films here, shape (n,); n > 0
    training: share with the finding where they were calibrated, in (0, 1)
    units: patients, of the same images; rng: draws them for the interval, which is the 2.5th and
        97.5th percentile
    Raises EvaluationError on no film, or a number out of range.
    Source: Saerens, Latinne & Decaestecker 2002, section 2.2. Their EM climbs a concave likelihood
    of one number, whose top is found here by halving an interval: the same, sooner.
    """
    score_n: Floats = np.asarray(prob_n, dtype=np.float64)
    if len(score_n) == 0 or not ((score_n >= 0) & (score_n <= 1)).all():
        raise EvaluationError(
            "prior shift", "no film or a score outside [0, 1]", expected="calibrated probabilities"
        )
    if not 0 < training < 1:
        raise EvaluationError(
            "prior shift", f"training prevalence {training:g}", expected="a number between 0 and 1"
        )
    n = len(score_n)
    value = float(prevalences(score_n, training, np.ones((1, n)))[0])
    if units.count < 2:
        why = f"an interval needs two or more {units.kind}s"
        found = Estimate(value, None, None, n, "none", why)
    else:
        drawn_b = _resampled(score_n, training, units, rng, resamples)
        low, high = np.quantile(drawn_b, (0.025, 0.975))
        method = f"bootstrap by {units.kind}, {resamples} resamples"
        found = Estimate(value, float(low), float(high), n, method)
    return PriorShift(training, found, corrected(score_n, training, value))


def corrected(prob_n: NDArray[np.floating], before: float, after: float) -> Floats:
    """Probabilities by Bayes' rule where the prevalence is `after` and not `before`, shape (n,).

    before: in (0, 1); after: in [0, 1]
    Source: Saerens, Latinne & Decaestecker 2002, equation 2.4.
    """
    with_n, without_n = _likelihoods(prob_n, before)
    joint_n = after * with_n
    prob: Floats = joint_n / (joint_n + (1 - after) * without_n)
    return prob


def prevalences(prob_n: Floats, training: float, count_bn: NDArray[np.number[Any]]) -> Floats:
    """The most likely prevalence when image n counts `count_bn` times, shape (b,)."""
    with_n, without_n = _likelihoods(prob_n, training)
    low_b, high_b = np.zeros(len(count_bn)), np.ones(len(count_bn))
    for _ in range(_HALVINGS):
        at_b = (low_b + high_b) / 2
        mixed_bn = at_b[:, None] * with_n + (1 - at_b[:, None]) * without_n
        rises_b = (count_bn * ((with_n - without_n) / mixed_bn)).sum(axis=1) > 0
        low_b, high_b = np.where(rises_b, at_b, low_b), np.where(rises_b, high_b, at_b)
    middle_b: Floats = (low_b + high_b) / 2
    return middle_b


def _likelihoods(prob_n: NDArray[np.floating], training: float) -> tuple[Floats, Floats]:
    """How likely each film is with and without the finding, but for a factor of its own."""
    score_n: Floats = np.clip(np.asarray(prob_n, dtype=np.float64), EPS, 1 - EPS)
    return score_n / training, (1 - score_n) / (1 - training)


def _resampled(
    prob_n: Floats, training: float, units: Units, rng: np.random.Generator, resamples: int
) -> Floats:
    rows = max(1, _ROWS // len(prob_n))
    parts = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        count_bu = rng.multinomial(units.count, np.full(units.count, 1 / units.count), size=size)
        parts.append(prevalences(prob_n, training, count_bu[:, units.unit_n]))
    return np.concatenate(parts)
