"""Pooling: one figure of several sites as a mean, how far they lie apart, what a new one may see.

Figures alone come in; which of them belong together is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import chdtrc, expit, logit, stdtrit

from hilum.estimates import Z95, Estimate

Floats = NDArray[np.float64]

METHOD = "REML, modified Hartung-Knapp"
FEWEST_TO_PREDICT = 3


@dataclass(frozen=True)
class RandomEffects:
    """Sites as draws from a normal distribution of sites.

    mean, error: on the scale that was given; low, high: 95 % interval of the mean
    tau2: variance between sites; q, p_q: Cochran's Q and its p
    i2: share of the spread that is not chance, in [0, 1]
    new_low, new_high: 95 % prediction interval of one more site; None with fewer than three
    """

    mean: float
    error: float
    low: float
    high: float
    tau2: float
    q: float
    p_q: float
    i2: float
    new_low: float | None
    new_high: float | None


@dataclass(frozen=True)
class Pooled:
    """AUROC of several sites.

    summary: the mean over sites; expected: prediction interval of a further site's, with the same
        value
    tau2: between sites, on the logit scale
    left_out: site -> why it has no part in this
    """

    sites: tuple[str, ...]
    summary: Estimate
    expected: Estimate
    tau2: float | None
    q: float | None
    p_q: float | None
    i2: float | None
    left_out: Mapping[str, str]


def random_effects(value_s: Floats, error_s: Floats) -> RandomEffects:
    """The mean of two or more sites, and the variance between them.

    value_s: a figure on a scale on which it is about normal, shape (s,)
    error_s: its standard errors, above 0, shape (s,)
    The variance between sites is REML's; the interval of the mean is Hartung and Knapp's, never
    narrower than without heterogeneity seen (Röver et al. 2015); the prediction interval has
    Student's t with s - 2 degrees of freedom (Higgins et al. 2009).
    Raises ValueError with fewer than two sites or an error that is not above 0.
    Source: Debray et al. 2017, BMJ 356:i6460; IntHout et al. 2014; Viechtbauer 2005 (REML).
    """
    value_s, variance_s = np.asarray(value_s, dtype=np.float64), np.square(error_s)
    sites = len(value_s)
    if sites < 2 or not (variance_s > 0).all():
        raise ValueError("two or more sites are needed, each with an error above 0")
    tau2 = _reml(value_s, variance_s)
    weight_s = 1 / (variance_s + tau2)
    mean = float(weight_s @ value_s / weight_s.sum())
    excess = float(weight_s @ (value_s - mean) ** 2) / (sites - 1)
    error = float(np.sqrt(max(1.0, excess) / weight_s.sum()))
    half = float(stdtrit(sites - 1, 0.975)) * error
    fixed_s = 1 / variance_s
    q = float(fixed_s @ (value_s - fixed_s @ value_s / fixed_s.sum()) ** 2)
    new = None
    if sites >= FEWEST_TO_PREDICT:
        new = float(stdtrit(sites - 2, 0.975) * np.sqrt(tau2 + error**2))
    return RandomEffects(
        mean,
        error,
        mean - half,
        mean + half,
        tau2,
        q,
        float(chdtrc(sites - 1, q)),
        max(0.0, (q - (sites - 1)) / q) if q > 0 else 0.0,
        None if new is None else mean - new,
        None if new is None else mean + new,
    )


def pool_auroc(auroc: Mapping[str, Estimate]) -> Pooled:
    """AUROC of several sites on the logit scale, each with the error that its interval shows.

    auroc: site -> AUROC with its interval; one without, or of exactly 0 or 1, is left out
    Source: Debray et al. 2017 (logit scale, delta method; the intervals here are set on it).
    """
    left_out = {site: reason for site, found in auroc.items() if (reason := _no_part(found))}
    taken = [site for site in auroc if site not in left_out]
    n = sum(auroc[site].n for site in taken)
    if len(taken) < 2:
        missing = Estimate.missing("a summary needs two or more sites", n)
        return Pooled(tuple(taken), missing, missing, None, None, None, None, left_out)
    value_s = logit(np.array([auroc[site].value for site in taken], dtype=np.float64))
    error_s = np.array([_error(auroc[site]) for site in taken])
    found = random_effects(value_s, error_s)
    mean, low, high = (float(expit(end)) for end in (found.mean, found.low, found.high))
    summary = Estimate(mean, low, high, n, f"{METHOD}, logit scale, {len(taken)} sites")
    if found.new_low is None or found.new_high is None:
        why = f"a prediction interval needs {FEWEST_TO_PREDICT} or more sites"
        expected = Estimate(mean, None, None, n, "none", why)
    else:
        ends = float(expit(found.new_low)), float(expit(found.new_high))
        expected = Estimate(mean, *ends, n, "prediction interval, Student's t, logit scale")
    return Pooled(
        tuple(taken), summary, expected, found.tau2, found.q, found.p_q, found.i2, left_out
    )


def _no_part(found: Estimate) -> str:
    if found.value is None or found.low is None or found.high is None:
        return found.reason or "no interval"
    if not 0 < found.value < 1 or not 0 < found.low < found.high < 1:
        return f"an AUROC of {found.value:g} has no logit with an error"
    return ""


def _error(found: Estimate) -> float:
    """The standard error on the logit scale that a 95 % interval stands for."""
    low, high = logit(np.array([found.low, found.high], dtype=np.float64))
    return float(high - low) / (2 * Z95)


def _reml(value_s: Floats, variance_s: Floats) -> float:
    """The variance between sites with the greatest restricted likelihood, 0 or more."""

    def lost(root: float) -> float:
        weight_s = 1 / (variance_s + root * root)
        excess_s = value_s - weight_s @ value_s / weight_s.sum()
        parts = np.log(weight_s).sum() - np.log(weight_s.sum()) - weight_s @ excess_s**2
        return -float(parts) / 2

    # In the root, which is of the size of the spread itself; beyond it nothing is likelier.
    most = 4 * float(np.ptp(value_s)) + float(np.sqrt(variance_s.max()))
    found = _least(lost, most)
    return found * found if lost(found) < lost(0.0) else 0.0


def _least(lost: Callable[[float], float], most: float) -> float:
    """Where a function of one number in [0, most] is least: the best of a grid, made finer."""
    at_k = np.linspace(0, most, 201)
    k = int(np.argmin([lost(float(at)) for at in at_k]))
    ends = float(at_k[max(0, k - 1)]), float(at_k[min(len(at_k) - 1, k + 1)])
    return float(minimize_scalar(lost, bounds=ends, method="bounded", options={"xatol": 1e-9}).x)
