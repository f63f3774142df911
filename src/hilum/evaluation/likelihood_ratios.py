"""Likelihood ratios at one threshold, and what they are worth at other prevalences.

Prevalence moves PPV and NPV and leaves sensitivity and specificity, so the interval of a likelihood
ratio is, through Bayes' rule, that of PPV or NPV at any prevalence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Z95, Estimate
from hilum.evaluation.results import AtPrevalence, Band, PrevalenceCurve
from hilum.units import Units

# From one in a thousand to nearly all, in equal steps of log odds.
PREVALENCES = tuple(
    round(float(1 / (1 + np.exp(-logit))), 6) for logit in np.linspace(-6.907, 4.595, 70)
)


@dataclass(frozen=True)
class Ratio:
    """A ratio of two shares, shares of called (or of not called) images in each class.

    value: infinite when the denominator is 0; None when both are, or a class is missing
    low, high: 95 %; one-sided where the value is 0 or infinite
    reason: why the value is None
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    reason: str | None = None


def likelihood_ratios(
    called_n: NDArray[np.bool_], y_n: NDArray[np.floating], units: Units
) -> tuple[Ratio, Ratio]:
    """LR+ and LR-: how much more often images with the finding are called positive (negative).

    called_n: decisions, shape (n,); y_n: 1 = finding present, 0 absent, shape (n,)
    Intervals on the log scale by the delta method, summed within patients; where one of the four
    counts is 0, half an image is added to each for the interval alone.
    Source: Simel, Samsa & Matchar 1991; Haldane 1956 (the half).
    """
    present_n = np.asarray(y_n) == 1
    return _ratio(called_n, present_n, units), _ratio(~called_n, present_n, units)


def _ratio(hit_n: NDArray[np.bool_], present_n: NDArray[np.bool_], units: Units) -> Ratio:
    n, m = len(hit_n), int(present_n.sum())
    k = n - m
    if m == 0 or k == 0:
        return Ratio(None, None, None, n, "none", "one class alone has no likelihood ratio")
    hits_m, hits_k = int(hit_n[present_n].sum()), int(hit_n[~present_n].sum())
    if hits_m == 0 and hits_k == 0:
        return Ratio(None, None, None, n, "none", "no image is called so in either class")
    value = float("inf") if hits_k == 0 else (hits_m / m) / (hits_k / k)
    if 0 < hits_m < m and 0 < hits_k < k and units.count > 1:
        centre = log(value)
        # What one image more would add to the log of each share.
        pull_n = np.where(present_n, hit_n / hits_m - 1 / m, 1 / k - hit_n / hits_k)
        pull_u = np.bincount(units.unit_n, weights=pull_n, minlength=units.count)
        many = units.count / (units.count - 1) if units.count > 1 else 1.0
        error = sqrt(many * float(pull_u @ pull_u))
        method = "log scale, delta method" + (", by patient" if units.clustered else "")
    else:
        # Patients that count as one image each, where copies would only pretend to be evidence.
        share = units.count / n if units.clustered else 1.0
        a, b, m_, k_ = (
            hits_m * share + 0.5,
            hits_k * share + 0.5,
            m * share + 1,
            k * share + 1,
        )
        centre = log((a / m_) / (b / k_))
        error = sqrt(max(0.0, 1 / a - 1 / m_) + max(0.0, 1 / b - 1 / k_))
        method = "log scale, delta method, half an image added"
    low, high = exp(centre - Z95 * error), exp(centre + Z95 * error)
    if value == 0:
        low = 0.0
    if hits_k == 0:
        return Ratio(value, low, None, n, method)
    return Ratio(value, low, high, n, method)


def as_estimate(ratio: Ratio, what: str) -> Estimate:
    """The ratio as an estimate; an infinite one is missing, and the reason gives its lower limit.

    what: the images that are not there, such as "no false positive"
    """
    if ratio.value is None:
        return Estimate.missing(ratio.reason or "", ratio.n)
    if not np.isfinite(ratio.value):
        return Estimate.missing(
            f"{what}, so it has no upper bound; above {ratio.low:.3g} (95 %, half an image added)",
            ratio.n,
        )
    return Estimate(ratio.value, ratio.low, ratio.high, ratio.n, ratio.method)


def at_prevalences(
    ratios: tuple[Ratio, Ratio], prevalences: Sequence[float]
) -> tuple[AtPrevalence, ...]:
    """PPV and NPV where a share `prevalence` in (0, 1) has the finding, by Bayes' rule."""
    found = []
    for prevalence in prevalences:
        odds = prevalence / (1 - prevalence)
        found.append(AtPrevalence(prevalence, _ppv(ratios[0], odds), _npv(ratios[1], odds)))
    return tuple(found)


def prevalence_curve(ratios: tuple[Ratio, Ratio]) -> PrevalenceCurve | None:
    """PPV and NPV over PREVALENCES; None when either cannot be computed."""
    points = at_prevalences(ratios, PREVALENCES)
    ppv, npv = [point.ppv for point in points], [point.npv for point in points]
    if any(estimate.value is None for estimate in (*ppv, *npv)):
        return None

    def band(estimates: list[Estimate]) -> Band:
        return Band(
            tuple(float(e.low or 0.0) for e in estimates),
            tuple(1.0 if e.high is None else e.high for e in estimates),
        )

    return PrevalenceCurve(
        PREVALENCES,
        tuple(float(e.value or 0.0) for e in ppv),
        tuple(float(e.value or 0.0) for e in npv),
        band(ppv),
        band(npv),
    )


def _ppv(positive: Ratio, odds: float) -> Estimate:
    if positive.value is None or positive.low is None:
        return Estimate.missing(positive.reason or "", positive.n)

    def share(ratio: float | None) -> float:
        return 1.0 if ratio is None or not np.isfinite(ratio) else ratio * odds / (1 + ratio * odds)

    method = f"Bayes from LR+: {positive.method}"
    return Estimate(
        share(positive.value), share(positive.low), share(positive.high), positive.n, method
    )


def _npv(negative: Ratio, odds: float) -> Estimate:
    if negative.value is None or negative.low is None:
        return Estimate.missing(negative.reason or "", negative.n)

    def share(ratio: float | None) -> float:
        return 0.0 if ratio is None or not np.isfinite(ratio) else 1 / (1 + ratio * odds)

    method = f"Bayes from LR-: {negative.method}"
    return Estimate(
        share(negative.value), share(negative.high), share(negative.low), negative.n, method
    )
