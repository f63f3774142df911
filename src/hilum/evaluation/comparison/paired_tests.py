"""Paired tests: whether two classifiers differ on the same images, with the difference and p.

Figures without a test of their own are left to `paired_bootstrap`.

Every difference is b less a. Several images of one patient count as one unit throughout; where each
patient has one image these are the usual tests, to the digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit
from scipy.stats import binom, rankdata

from hilum.estimates import Z95, Estimate
from hilum.evaluation.intervals import FEW, delong, one_class
from hilum.units import Units

Floats = NDArray[np.float64]

# z of 97.5 % and z of 80 %: a true difference this many standard errors from 0 is found, at
# two-sided 5 %, four times in five.
DETECTABLE = Z95 + 0.8416212335729143
EXACT_UP_TO = 10_000  # discordant images; beyond, the normal form has the same leading digits


@dataclass(frozen=True)
class PairedTest:
    """One difference, b less a, put to the test.

    difference: with its 95 % interval; its reason says why there is no interval
    error: its standard error; None where it is 0 or unknown
    test: what the test is called
    p: two-sided; None where there is nothing to test or no way to
    same: True when the data hold no difference at all, not even one that cancels out
    degrees: of Student's t, where `error` is too uncertain for the normal distribution
    """

    difference: Estimate
    error: float | None
    test: str
    p: float | None
    same: bool = False
    degrees: int | None = None

    @property
    def detectable(self) -> float | None:
        """The true difference that such data show with 80 % power at two-sided 5 %."""
        if self.error is None:
            return None
        if self.degrees is None:
            return DETECTABLE * self.error
        return float(stdtrit(self.degrees, 0.975) + stdtrit(self.degrees, 0.8)) * self.error


@dataclass(frozen=True)
class PairedDecisions:
    """How often the decisions of a and b are right on the same images."""

    both_right: int
    only_a_right: int
    only_b_right: int
    neither_right: int


def paired_delong(
    score_a_n: NDArray[np.floating],
    score_b_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    units: Units,
) -> PairedTest:
    """AUROC of b less AUROC of a on the same images, by DeLong's test for correlated curves.

    score_a_n, score_b_n: scores that rise with the finding, shape (n,), in the order of y_n
    y_n: 1 = finding present, 0 absent, shape (n,)
    The interval is symmetric, cut off at -1 and 1. With fewer than FEW images (patients) of a class
    the variance rests on so few that the normal distribution would find differences that are not
    there; Student's t stands in, with as many degrees of freedom as the smaller class has images
    (patients), less 1, and `test` says so.
    Where the variance is 0 (perfect against constant scores) the interval is made from those of the
    two alone, as if they rested on different images, which is no narrower; there is no p.
    O(n log n). Source: DeLong et al. 1988; Sun & Xu 2014 (midranks); Obuchowski 1997 (several
    images per patient); Newcombe 1998, method 10, and Zou & Donner 2008 (from two intervals).
    """
    n, present_n = len(y_n), np.asarray(y_n) == 1
    present = int(present_n.sum())
    test = "paired DeLong" + (", by patient" if units.clustered else "")
    if present in (0, n):
        return PairedTest(Estimate.missing(one_class(present, n), n), None, test, None)
    # What an image contributes to the difference: the share of the other class it beats.
    gain_n = _places(score_b_n, present_n) - _places(score_a_n, present_n)
    value = float(gain_n[present_n].mean())
    if not gain_n.any():
        reason = "A and B order every image with the finding alike against every one without it"
        return PairedTest(Estimate(0.0, None, None, n, "none", reason), None, test, None, same=True)
    variance, fewest = 0.0, n
    sum_cu = []
    for of_n in (present_n, ~present_n):
        unit_m = units.unit_n[of_n]
        count = len(np.unique(unit_m))
        if count < 2:
            reason = f"an interval needs two or more {units.kind}s in each class"
            return PairedTest(Estimate(value, None, None, n, "none", reason), None, test, None)
        fewest = min(fewest, count)
        sum_u = np.bincount(unit_m, weights=gain_n[of_n] - value, minlength=units.count)
        sum_cu.append(sum_u / len(unit_m))
        variance += count / (count - 1) * float(sum_cu[-1] @ sum_cu[-1])
    variance += 2 * float(sum_cu[0] @ sum_cu[1])
    if variance < 1e-20:
        each = (delong(score_n, y_n, units) for score_n in (score_a_n, score_b_n))
        return PairedTest(_from_two(value, *each), None, "", None)
    error, degrees = sqrt(variance), None
    times, p = Z95, erfc(abs(value) / error / sqrt(2))
    if fewest < FEW:
        degrees = fewest - 1
        times, p = float(stdtrit(degrees, 0.975)), 2 * float(stdtr(degrees, -abs(value) / error))
        test += f", Student's t ({degrees} degrees of freedom)"
    low, high = max(-1.0, value - times * error), min(1.0, value + times * error)
    return PairedTest(Estimate(value, low, high, n, test), error, test, p, degrees=degrees)


def _from_two(value: float, a: Estimate, b: Estimate) -> Estimate:
    """The difference b less a, its limits from the limits of either; both have some."""

    def half(up: Estimate, down: Estimate) -> float:
        """How far the difference reaches when `up` is as high and `down` as low as can be."""
        rise, fall = (up.high or 0.0) - (up.value or 0.0), (down.value or 0.0) - (down.low or 0.0)
        return sqrt(rise * rise + fall * fall)

    low, high = max(-1.0, value - half(a, b)), min(1.0, value + half(b, a))
    method = "from the intervals of both AUROCs (Newcombe), as DeLong's variance is 0"
    return Estimate(value, low, high, b.n, method)


def _places(score_n: NDArray[np.floating], present_n: NDArray[np.bool_]) -> Floats:
    """The share of the other class on the right side of each image, ties counted half, (n,).

    The mean over either class is the AUROC. Source: Sun & Xu 2014, by midranks.
    """
    score_n = np.asarray(score_n, dtype=np.float64)
    rank_n, place_n = rankdata(score_n), np.empty(len(score_n))
    below_m = rank_n[present_n] - rankdata(score_n[present_n])
    below_k = rank_n[~present_n] - rankdata(score_n[~present_n])
    place_n[present_n] = below_m / len(below_k)
    place_n[~present_n] = 1 - below_k / len(below_m)
    return place_n


def mcnemar(
    right_a_n: NDArray[np.bool_], right_b_n: NDArray[np.bool_], units: Units, empty: str
) -> tuple[PairedTest, PairedDecisions]:
    """The share that b decides rightly less the share that a does, on the same images.

    right_a_n, right_b_n: whether each decision is right, shape (n,): the denominator and nothing
        else (for sensitivity the images with the finding); `units` of the same images
    empty: why there is no figure when n = 0

    The p value is McNemar's mid-p: how far b's gains less its losses lie from 0 if, in each unit,
    a and b had been swapped by the toss of a coin. A patient with several images is swapped as a
    whole; the square of the statistic in large samples is then Obuchowski's, and with one image a
    patient this is McNemar's test. Mid-p keeps its level without the exact test's loss of power.
    The interval is Bonett & Price's, with n over the design effect where patients have several
    images.
    Source: McNemar 1947; Fagerland et al. 2013 (mid-p); Obuchowski 1998 and Yang et al. 2010
    (patients); Bonett & Price 2012, recommended in Fagerland et al. 2014; Rao & Scott 1992.
    """
    n = len(right_a_n)
    lost, won = int((right_a_n & ~right_b_n).sum()), int((~right_a_n & right_b_n).sum())
    both = int((right_a_n & right_b_n).sum())
    table = PairedDecisions(both, lost, won, n - both - lost - won)
    test = "McNemar mid-p" + (", by patient" if units.clustered else "")
    if n == 0:
        return PairedTest(Estimate.missing(empty, 0), None, test, None), table
    value = (won - lost) / n
    if units.count < 2:
        reason = f"an interval needs two or more {units.kind}s"
        return PairedTest(Estimate(value, None, None, n, "none", reason), None, test, None), table
    net_n = right_b_n.astype(np.float64) - right_a_n
    net_u = np.bincount(units.unit_n, weights=net_n, minlength=units.count)
    away_u = np.bincount(units.unit_n, weights=net_n - value, minlength=units.count)
    variance = units.count / (units.count - 1) * float(away_u @ away_u) / n**2
    design = _design_effect(variance, lost + won, value, units)
    low, high = _bonett_price(lost / design, won / design, n / design)
    method = "Bonett-Price" + (", n over the design effect of patients" if units.clustered else "")
    same = lost + won == 0
    p = None if same else swap_mid_p(np.rint(net_u).astype(np.int64))
    error = sqrt(variance) if variance > 0 else None
    return PairedTest(Estimate(value, low, high, n, method), error, test, p, same), table


def swap_mid_p(net_u: NDArray[np.int64]) -> float:
    """Two-sided mid-p of the sum of `net_u` when the sign of each entry is a fair coin's.

    net_u: right decisions of b less those of a per unit, shape (u,)
    With entries of -1, 0 and 1 this is McNemar's mid-p. Units that change nothing have no say.
    """
    size_u = np.abs(net_u[net_u != 0])
    total, away = int(size_u.sum()), abs(int(net_u.sum()))
    if total > EXACT_UP_TO:
        return erfc(away / sqrt(2 * float(size_u @ size_u)))
    # How much of `total` falls on b's side: each group of equal sizes is binomial in its steps.
    chance_t = np.ones(1)
    for size, many in zip(*np.unique(size_u, return_counts=True), strict=True):
        wide = np.zeros(int(size * many) + 1)
        wide[::size] = binom.pmf(np.arange(many + 1), many, 0.5)
        chance_t = np.convolve(chance_t, wide)
    side = (total + away) // 2
    return min(1.0, float(2 * chance_t[side + 1 :].sum() + chance_t[side]))


def _design_effect(variance: float, discordant: int, value: float, units: Units) -> float:
    """By how much images of one patient are less than as many independent ones; at least 1."""
    n = len(units.unit_n)
    if not units.clustered:
        return 1.0
    independent = (discordant - n * value * value) / n**2
    # All alike: the effect cannot be seen, so the mean number of images per patient stands in.
    return max(1.0, variance / independent) if independent > 1e-20 else n / units.count


def _bonett_price(lost: float, won: float, n: float) -> tuple[float, float]:
    """95 % limits of (won - lost) / n, with one more of each and n + 2."""
    lost, won, n = (lost + 1) / (n + 2), (won + 1) / (n + 2), n + 2
    centre = won - lost
    half = Z95 * sqrt((won + lost - centre * centre) / n)
    return max(-1.0, centre - half), min(1.0, centre + half)
