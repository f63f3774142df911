"""Group figures: one figure on part of the images with its interval, and the gap between two parts.

Which parts there are, and the correction for how many are compared, is left to `subgroups`.

Everywhere the patient is the unit. A patient may have images in both parts, as when films are
grouped by view; two figures then rise and fall together, and the gap takes that into account.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from hilum.estimates import Z95, Estimate, wilson
from hilum.evaluation.intervals import FEW, delong, on_logits
from hilum.evaluation.reliability import (
    bins_for,
    brier_scores,
    debiased_square_errors,
    equal_mass_bins,
)
from hilum.units import Units, effective_size

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

LEAST_SHARED = 0.05  # of its variance that a difference within patients is left with, at least


@dataclass(frozen=True)
class Part:
    """One figure on part of the images.

    value, low, high: the figure and its 95 % limits
    n: images in the part; weight: as how many independent ones they count, few units allowed for
    degrees: of freedom of the error: units less one where they hold several images, else infinite
    widened: whether the limits allow for few units already
    method: how the limits were made
    push_u: by how much each unit moves the figure, 0 for units not in the part; their squares add
        up to about its variance. Shape (units of all images,)
    """

    value: float
    low: float
    high: float
    n: int
    weight: float
    degrees: float
    method: str
    push_u: Floats
    widened: bool = False

    @property
    def estimate(self) -> Estimate:
        return Estimate(self.value, self.low, self.high, self.n, self.method)


def rate(hit_n: NDArray[np.bool_], units: Units, at_k: Positions) -> Part:
    """The share of hits among the images at `at_k` (one or more); as `units.proportion` has it.

    hit_n, units: of all images, shape (n,)
    """
    unit_k, hit_k, n = units.unit_n[at_k], hit_n[at_k], len(at_k)
    hits, seen = int(hit_k.sum()), distinct(units, at_k)
    p = hits / n
    push_u = np.bincount(unit_k, weights=hit_k - p, minlength=units.count) / n
    independent = effective_size(hit_k, units.where(at_k))
    weight = float(n) if independent is None else independent
    found = wilson(hits, n, effective_n=independent)
    degrees = np.inf if seen == n else max(1, seen - 1)
    low, high = found.low or 0.0, found.high or 0.0
    return Part(p, low, high, n, weight, degrees, found.method, push_u, widened=True)


def auroc(rank_n: NDArray[np.floating], y_n: Floats, units: Units, at_k: Positions) -> Part:
    """AUROC of the images at `at_k`, which hold both classes; as `intervals.delong` has it.

    rank_n: falls or stays from image to image, so that nothing needs sorting again
    y_n: 1 = finding present, 0 absent; both, and units, of all images, shape (n,)
    at_k: ascending
    """
    present_k, unit_k, n = y_n[at_k] == 1, units.unit_n[at_k], len(at_k)
    m, k = int(present_k.sum()), n - int(present_k.sum())
    tie_k = np.cumsum(np.diff(rank_n[at_k], prepend=rank_n[at_k[0]]) != 0)
    # The share of the other class on the right side of each image, ties counted half.
    place_k = np.where(present_k, 1 - _above(~present_k, tie_k) / k, _above(present_k, tie_k) / m)
    value = float(place_k[present_k].mean())
    excess_k = place_k - value
    push_mu, push_ku = (
        np.bincount(unit_k, weights=np.where(of_k, excess_k, 0.0), minlength=units.count) / size
        for of_k, size in ((present_k, m), (~present_k, k))
    )
    m_units, k_units = distinct(units, at_k[present_k]), distinct(units, at_k[~present_k])
    clustered = distinct(units, at_k) < n
    degrees = max(1, min(m_units, k_units) - 1) if clustered else np.inf
    if min(m_units, k_units) >= FEW and 0 < value < 1:
        variance = (
            m_units / (m_units - 1) * float(push_mu @ push_mu)
            + k_units / (k_units - 1) * float(push_ku @ push_ku)
            + 2 * float(push_mu @ push_ku)
        )
        if variance > 1e-20:
            low, high = on_logits(value, float(np.sqrt(variance)))
            method = "DeLong, logit scale" + (", by patient" if clustered else "")
            return Part(value, low, high, n, n, degrees, method, push_mu + push_ku)
    found = delong(rank_n[at_k], y_n[at_k], units.where(at_k))
    nothing_u = np.zeros(units.count)
    return Part(value, found.low or 0.0, found.high or 0.0, n, n, degrees, found.method, nothing_u)


def brier(prob_n: Floats, y_n: Floats, units: Units, at_k: Positions) -> Estimate:
    """Mean squared error of the probabilities at `at_k` (one or more).

    The interval is normal on the logit scale, its error a sandwich over units (Liang & Zeger 1986).
    """
    loss_k, n, seen = brier_scores(prob_n[at_k], y_n[at_k]), len(at_k), distinct(units, at_k)
    value = float(loss_k.mean())
    if seen < 2:
        return Estimate(
            value, None, None, n, "none", f"an interval needs two or more {units.kind}s"
        )
    excess_u = np.bincount(units.unit_n[at_k], weights=loss_k - value, minlength=units.count)
    variance = seen / (seen - 1) * float(excess_u @ excess_u) / n**2
    if variance <= 1e-20 or not 0 < value < 1:
        return Estimate(value, None, None, n, "none", "every image has the same squared error")
    method = f"normal on the logit scale, sandwich by {units.kind}"
    return Estimate(value, *on_logits(value, float(np.sqrt(variance))), n, method)


def calibration_error(prob_n: Floats, y_n: Floats, units: Units, at_k: Positions) -> Estimate:
    """Debiased calibration error at `at_k` (one or more), as in `reliability`.

    The interval is normal on the square of the error, the root taken last. A bin's gap g between
    stated and observed, of variance v, has a square of variance 4 E[g]² v + 2 v²; here g² - v
    stands for E[g]², and v is a sandwich over units.
    """
    prob_k, y_k, n = prob_n[at_k], y_n[at_k], len(at_k)
    bin_k = equal_mass_bins(prob_k, bins_for(n))
    n_b, prob_b, present_b = (
        np.bincount(bin_k, weights=weight_k).astype(np.float64)
        for weight_k in (np.ones(n), prob_k, y_k)
    )
    square = float(debiased_square_errors(n_b[None], prob_b[None], present_b[None])[0])
    value = float(np.sqrt(max(0.0, square)))
    here = units.where(at_k)
    if here.count < 2:
        return Estimate(
            value, None, None, n, "none", f"an interval needs two or more {units.kind}s"
        )
    gap_b = (prob_b - present_b) / n_b
    excess_k = prob_k - y_k - gap_b[bin_k]
    if here.clustered:
        key_k = here.unit_n * len(n_b) + bin_k
        sum_bu = np.bincount(key_k, weights=excess_k, minlength=here.count * len(n_b))
        spread_b = (sum_bu.reshape(here.count, -1) ** 2).sum(axis=0)
    else:
        spread_b = np.bincount(bin_k, weights=excess_k**2)
    of_noise = float((2 * (spread_b / n_b / n) ** 2).sum())
    push_u = np.bincount(here.unit_n, weights=2 * gap_b[bin_k] * excess_k / n)
    # With gaps of mere noise the second term alone is right; less than that is luck.
    half = Z95 * np.sqrt(max(float(push_u @ push_u) - of_noise, of_noise))
    if half <= 1e-10 or square + half <= 0:
        reason = "the gaps of the bins spread less than chance has them do"
        return Estimate(value, None, None, n, "none", reason)
    low, high = (float(np.sqrt(max(0.0, limit))) for limit in (square - half, square + half))
    method = f"normal on the squared error, sandwich by {units.kind}"
    return Estimate(value, low, high, n, method)


def gap(part: Part, rest: Part) -> Estimate:
    """The figure of `part` less that of `rest`, from the limits of each.

    Newcombe's hybrid: each limit lies as far from the difference as the two limits on that side lie
    from their figures, added in squares; for figures that move together, less twice their product
    times the correlation. Where patients have several images the distance is that of Student's t,
    as an error seen in few patients is itself uncertain.
    Source: Newcombe 1998 (method 10); Zou & Donner 2008; Zou 2007 (with correlation).
    """
    value, r = part.value - rest.value, _correlation(part, rest)
    widened = part.widened and rest.widened
    few = 1.0 if widened else float(stdtrit(_degrees(part, rest), 0.975)) / Z95
    below = few * _hypotenuse(part.value - part.low, rest.high - rest.value, r)
    above = few * _hypotenuse(part.high - part.value, rest.value - rest.low, r)
    each = part.method if part.method == rest.method else f"{part.method}; {rest.method}"
    method = f"Newcombe's hybrid ({each})" + (", patients on both sides allowed for" if r else "")
    low, high = max(-1.0, value - below), min(1.0, value + above)
    return Estimate(value, low, high, part.n + rest.n, method)


def p_of_gap(part: Part, rest: Part) -> float:
    """Two-sided p: how many standard errors, as `gap` has them on that side, the gap is from 0."""
    found, degrees = gap(part, rest), _degrees(part, rest)
    value, low, high = part.value - rest.value, found.low or 0.0, found.high or 0.0
    half = value - low if value > 0 else high - value
    if half <= 0:
        return 1.0
    return 2 * float(stdtr(degrees, -float(stdtrit(degrees, 0.975)) * abs(value) / half))


def p_of_rates(part: Part, rest: Part) -> float:
    """Fisher's exact test, two-sided, that two rates are the same.

    Where patients have several images the counts are divided by the design effect, with an
    allowance for few patients, and both by what patients on both sides take from the variance of
    the difference. Exact, as a rare miss in a small group makes normal tests cry wolf.
    Source: Fisher 1935; Rao & Scott 1992; Korn & Graubard 1998.
    """
    from scipy.stats import fisher_exact  # here, since it is slow to import

    own = float(part.push_u @ part.push_u) + float(rest.push_u @ rest.push_u)
    together = own - 2 * float(part.push_u @ rest.push_u)
    shared = max(together / own, LEAST_SHARED) if own > 0 else 1.0
    table = []
    for side in (part, rest):
        whole = max(1, round(side.weight / shared))
        hits = round(side.value * whole)
        table.append((hits, whole - hits))
    return float(fisher_exact(np.array(table)).pvalue)


def distinct(units: Units, at_k: Positions) -> int:
    """How many units the images at `at_k` come from."""
    if not units.clustered:
        return len(at_k)
    seen_u = np.zeros(units.count, dtype=bool)
    seen_u[units.unit_n[at_k]] = True
    return int(seen_u.sum())


def _above(other_k: NDArray[np.bool_], tie_k: NDArray[np.intp]) -> Floats:
    """Per image, how many of the other class rank above it, ties counted half; in falling order."""
    tied_t = np.bincount(tie_k, weights=other_k)
    above_k: Floats = (np.cumsum(tied_t) - tied_t / 2)[tie_k]
    return above_k


def _degrees(part: Part, rest: Part) -> float:
    return min(part.degrees, rest.degrees)


def _correlation(part: Part, rest: Part) -> float:
    """Of the two figures over the units they share; 0 without any."""
    both = float(part.push_u @ rest.push_u)
    own = float(part.push_u @ part.push_u) * float(rest.push_u @ rest.push_u)
    return float(np.clip(both / np.sqrt(own), -1.0, 1.0)) if both and own > 0 else 0.0


def _hypotenuse(a: float, b: float, r: float) -> float:
    return float(np.sqrt(max(0.0, a * a + b * b - 2 * r * a * b)))
