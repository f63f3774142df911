"""Intervals: bootstrap by patient, and DeLong for AUROC; all 95 %.

What is resampled or counted is left to `discrimination` and `reliability`; proportions, to `units`.

Images of one patient are alike. Where a patient has several, every interval here takes the patient
as the unit: the bootstrap draws patients, Wilson divides n by the design effect, DeLong adds up
within patients. Where each patient has one image these are the usual formulas, to the digit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.estimates import Z95, Estimate
from hilum.units import Units

CHUNK = 1 << 20  # resampled image counts held at a time: some tens of megabytes with their sums
FEW = 20  # units of a class, below which DeLong's variance is too uncertain to rest on
NEWCOMBE = "Newcombe's method 5, as DeLong's variance is 0 or rests on too few"
ENOUGH = 0.5  # of the resamples must give a figure before their percentiles are given
SAME = "every resample gives the same figure, which tells nothing of its uncertainty"


@dataclass(frozen=True)
class Resampling:
    """Draws of as many units as there are, with replacement, in chunks that need little memory.

    Each chunk has a seed of its own: every finding meets the same draws, and the threads that work
    on chunks leave no trace in the result.
    """

    units: Units
    resamples: int
    rows: int
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, units: Units, rng: np.random.Generator, resamples: int) -> Resampling:
        rows = max(1, CHUNK // max(1, len(units.unit_n)))
        chunks = -(-resamples // rows)
        return cls(units, resamples, rows, tuple(rng.integers(2**63, size=chunks).tolist()))

    def counts(self, chunk: int, drawn_n: NDArray[np.intp]) -> NDArray[np.int32]:
        """How often each image stands in each resample of one chunk, shape (b, n).

        drawn_n: which unit an image belongs to, shape (n,)
        """
        rng = np.random.default_rng(self.seeds[chunk])
        size = min(self.rows, self.resamples - chunk * self.rows)
        drawn_bu = rng.integers(self.units.count, size=(size, self.units.count), dtype=np.int32)
        count_bu = np.empty(drawn_bu.shape, dtype=np.int32)
        for b, drawn_u in enumerate(drawn_bu):
            count_bu[b] = np.bincount(drawn_u, minlength=self.units.count)
        return count_bu[:, drawn_n]

    def over(
        self,
        drawn_n: NDArray[np.intp],
        statistics: Callable[[NDArray[np.int32]], Mapping[str, NDArray[np.float64]]],
    ) -> dict[str, NDArray[np.float64]]:
        """Every statistic on every resample, shape (b, k) each, by all processors."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            parts = list(
                pool.map(lambda c: statistics(self.counts(c, drawn_n)), range(len(self.seeds)))
            )
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentile(value: float, value_b: NDArray[np.float64], n: int, units: Units) -> Estimate:
    """A figure with the 2.5th and 97.5th percentile of its resamples.

    value: the figure on all images
    value_b: the figure per resample, NaN where it has none (a class was not drawn)
    Source: Efron & Tibshirani 1993, chapter 13.
    """
    given_b = value_b[~np.isnan(value_b)]
    why_not = _refusal(given_b, len(value_b), units)
    if why_not is not None:
        return Estimate(value, None, None, n, "none", why_not)
    low, high = np.quantile(given_b, (0.025, 0.975))
    return Estimate(value, float(low), float(high), n, _drawn(given_b, value_b, units))


def moved(value: float, value_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Resamples less what they exceed the figure by on average; NaN stays NaN."""
    given_b = value_b[~np.isnan(value_b)]
    bias = float(given_b.mean()) - value if len(given_b) else 0.0
    return value_b - bias


def moved_percentile(value: float, value_b: NDArray[np.float64], n: int, units: Units) -> Estimate:
    """`percentile` of a figure that noise alone raises, with the bootstrap's own bias taken away.

    Drawing from the data adds their noise a second time, so resamples lie too high by what they
    exceed the figure on average; their percentiles are moved down by it.
    Source: Efron & Tibshirani 1993, section 10.2 (bootstrap estimate of bias).
    """
    found = percentile(value, moved(value, value_b), n, units)
    if found.reason is not None:
        return found
    return replace(found, method=f"{found.method}, moved by their bias")


def bootstrap_on_logits(
    value: float, value_b: NDArray[np.float64], n: int, units: Units
) -> Estimate:
    """A figure in (0, 1) with a normal interval on the logit scale, its error from the resamples.

    For average precision, whose resamples hold images twice and so rank them too well: percentiles
    then lie too high and cover less than they say. This covers better, if still a little short of
    95 % (see the test beside it). Arguments as in `percentile`.
    Source of the scale: Boyd, Eng & Page 2013; their binomial error would be far too wide.
    """
    given_b = value_b[~np.isnan(value_b)]
    why_not = _refusal(given_b, len(value_b), units)
    if why_not is None and not 0 < value < 1:
        why_not = f"a figure of {value:g} has no logit"
    if why_not is not None:
        return Estimate(value, None, None, n, "none", why_not)
    low, high = on_logits(value, float(given_b.std()))
    method = f"{_drawn(given_b, value_b, units)}, logit scale"
    return Estimate(value, low, high, n, method)


def _refusal(given_b: NDArray[np.float64], resamples: int, units: Units) -> str | None:
    """Why these resamples make no interval, if they make none."""
    if units.count < 2:
        return f"an interval needs two or more {units.kind}s"
    if len(given_b) == 0 or len(given_b) < ENOUGH * resamples:
        return f"only {len(given_b)} of {resamples} resamples give the figure"
    if np.ptp(given_b) <= 1e-12:
        # A resample cannot hold an error that no image shows; a width of 0 would be a boast.
        return SAME
    return None


def _drawn(given_b: NDArray[np.float64], value_b: NDArray[np.float64], units: Units) -> str:
    method = f"bootstrap by {units.kind}, {len(value_b)} resamples"
    without = len(value_b) - len(given_b)
    return f"{method}, {without} of them without the figure" if without else method


def on_logits(value: float, error: float) -> tuple[float, float]:
    """Limits 1.96 standard errors away on the logit scale, by the delta method."""
    centre, half = float(np.log(value / (1 - value))), Z95 * error / (value * (1 - value))
    return float(expit(centre - half)), float(expit(centre + half))


def delong(score_n: NDArray[np.floating], y_n: NDArray[np.floating], units: Units) -> Estimate:
    """AUROC with its DeLong interval, set on the logit scale so that it stays within [0, 1].

    score_n: any score that rises with the finding, shape (n,)
    y_n: 1 = finding present, 0 absent, shape (n,)
    Where DeLong's variance is 0 (AUROC of 0 or 1, constant scores) or a class has fewer than FEW
    images (patients), when it covers far less than 95 %, the interval is Newcombe's method 5;
    `method` says which.
    O(n log n). Source: DeLong et al. 1988; Sun & Xu 2014 (midranks); Obuchowski 1997 (several
    images per patient); Newcombe 2006, part 2.
    """
    from scipy.stats import rankdata  # here, since it is slow to import

    present_n = y_n == 1
    m, k = int(present_n.sum()), int(len(y_n) - present_n.sum())
    if m == 0 or k == 0:
        return Estimate.missing(one_class(m, len(y_n)), len(y_n))
    score_n = np.asarray(score_n, dtype=np.float64)
    rank_n = rankdata(score_n)
    # The share of the other class that each image outranks, ties counted half.
    place_m = (rank_n[present_n] - rankdata(score_n[present_n])) / k
    place_k = 1 - (rank_n[~present_n] - rankdata(score_n[~present_n])) / m
    value = float((rank_n[present_n].sum() - m * (m + 1) / 2) / (m * k))
    unit_m, unit_k = units.unit_n[present_n], units.unit_n[~present_n]
    m_units, k_units = len(np.unique(unit_m)), len(np.unique(unit_k))
    if min(m_units, k_units) >= FEW:
        sum_mu = np.bincount(unit_m, weights=place_m - value, minlength=units.count)
        sum_ku = np.bincount(unit_k, weights=place_k - value, minlength=units.count)
        variance = (
            m_units / (m_units - 1) * float(sum_mu @ sum_mu) / m**2
            + k_units / (k_units - 1) * float(sum_ku @ sum_ku) / k**2
            + 2 * float(sum_mu @ sum_ku) / (m * k)
        )
        if variance > 1e-20 and 0 < value < 1:
            low, high = on_logits(value, float(np.sqrt(variance)))
            method = "DeLong, logit scale" + (", by patient" if units.clustered else "")
            return Estimate(value, low, high, len(y_n), method)
    low, high = _newcombe(value, m_units, k_units)
    return Estimate(value, low, high, len(y_n), NEWCOMBE)


def _newcombe(auroc: float, m: int, k: int) -> tuple[float, float]:
    """The AUROCs from which `auroc` lies 1.96 standard errors away.

    Hanley & McNeil's variance at the limit, not at the estimate, so it does not vanish at 1; their
    class sizes in the numerator are replaced by the mean of both, less 1. Newcombe 2006, part 2.
    """
    from scipy.optimize import brentq  # here, since it is slow to import

    size = (m + k) / 2 - 1

    def lower(auroc: float) -> float:
        def excess(theta: float) -> float:
            spread = 1 + size * ((1 - theta) / (2 - theta) + theta / (1 + theta))
            return (auroc - theta) ** 2 - Z95**2 * theta * (1 - theta) * spread / (m * k)

        # 1 is always a root for an AUROC of 1; the limit is the other one.
        return float(brentq(excess, 0.0, min(auroc, 1 - 1e-9))) if auroc > 0 else 0.0

    return lower(auroc), 1 - lower(1 - auroc)


def one_class(present: int, n: int) -> str:
    """Why a figure that needs both classes has none."""
    if n == 0:
        return "no image has a label"
    which = "with" if present == 0 else "without"
    return f"no image {which} the finding among {n}"


def holm(p_k: Sequence[float]) -> list[float]:
    """p values adjusted so that the chance of any false alarm among them stays at the
    level, whatever their dependence; in the order given. Source: Holm 1979."""
    adjusted, running = [0.0] * len(p_k), 0.0
    for rank, k in enumerate(sorted(range(len(p_k)), key=lambda k: p_k[k])):
        running = max(running, min(1.0, (len(p_k) - rank) * p_k[k]))
        adjusted[k] = running
    return adjusted
