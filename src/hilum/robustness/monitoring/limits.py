"""Limits: how far a quiet service strays from its reference, by simulation from the reference.

Which measures are taken is left to `measures`, and what an alarm means to `words`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hilum.robustness.monitoring.days import Stream
from hilum.robustness.monitoring.measures import (
    WINDOWS,
    Coded,
    Tally,
    distances,
    tally,
)

PERMUTATIONS = 200
_RIDGE = 0.05  # of the variance of a value, where values go together
ALIKE = 0.1  # days count as alike unless fewer permutations than this differ as much


@dataclass(frozen=True)
class DayEffect:
    """How much the reference days differ from one another, beyond the chance of few films.

    p: share of permutations of films over days that differ as much
    share: of the variance of day means, what is the days' own; 0 where they are taken as alike
    lean_dn: log weight of each film on a day that is as each reference day is, less chance
    """

    p: float
    share: float
    lean_dn: NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """limit_wj: what no quiet run should exceed, by window and statistic, times `growth`.

    exceeded: share of the simulated runs in which anything exceeded its limit
    """

    limit_wj: NDArray[np.float64]
    exceeded: float
    runs: int
    horizon: int
    effect: DayEffect


def day_effect(
    reference: Stream, days: Sequence[NDArray[np.intp]], rng: np.random.Generator
) -> DayEffect:
    """Whether days differ, from the largest F ratio over ranks, features and refusals.

    days: positions of each day's films
    F is the mean square between days over that within. Of the variance of day means the share
    1 - 1/F is the days' own, with the F of permuted films for 1. A day leans by exponential
    tilting: log weights are linear in the films' values, so that their mean becomes that day's.
    """
    value_sn = np.vstack(
        [
            rankdata(np.vstack([reference.logit_nf.T, reference.attribute_na.T]), axis=1),
            reference.feature_nk.T,
            reference.referred_n[None].astype(np.float64),
        ]
    )
    value_sn = value_sn[np.ptp(value_sn, axis=1) > 0]
    alike_dn = np.zeros((len(days), len(reference)))
    if len(days) < 2 or len(value_sn) == 0:
        return DayEffect(1.0, 0.0, alike_dn)
    row_m = np.concatenate(days)
    start_t = np.cumsum([0, *(len(rows) for rows in days)])[:-1]
    observed = _largest_f(value_sn[:, row_m], start_t)
    chance_b = np.array(
        [_largest_f(value_sn[:, rng.permutation(row_m)], start_t) for _ in range(PERMUTATIONS)]
    )
    p = float((1 + (chance_b >= observed).sum()) / (1 + PERMUTATIONS))
    own = 1 - float(np.median(chance_b)) / observed
    if p >= ALIKE or own <= 0:
        return DayEffect(p, 0.0, alike_dn)
    z_sn = (value_sn - value_sn.mean(axis=1, keepdims=True)) / value_sn.std(axis=1, keepdims=True)
    mean_sd = np.array([z_sn[:, rows].mean(axis=1) for rows in days]).T
    spread_ss = np.cov(z_sn) + _RIDGE * np.eye(len(z_sn))
    return DayEffect(p, own, np.sqrt(own) * (mean_sd.T @ np.linalg.solve(spread_ss, z_sn)))


def _largest_f(value_sm: NDArray[np.float64], start_t: NDArray[np.intp]) -> float:
    """The largest ratio of the mean square between days to that within them."""
    m = value_sm.shape[1]
    n_t = np.diff([*start_t, m])
    mean_st = np.add.reduceat(value_sm, start_t, axis=1) / n_t
    centred_s = value_sm.mean(axis=1, keepdims=True)
    between_s = (n_t * (mean_st - centred_s) ** 2).sum(axis=1) / (len(n_t) - 1)
    within_s = ((value_sm - np.repeat(mean_st, n_t, axis=1)) ** 2).sum(axis=1) / (m - len(n_t))
    return float((between_s / np.maximum(within_s, 1e-12)).max())


def limits_of(
    coded: Coded,
    days: Sequence[NDArray[np.intp]],
    effect: DayEffect,
    *,
    share: float,
    horizon: int,
    runs: int,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Limits:
    """Limits that any statistic of any window exceeds in a `share` of quiet runs of `horizon` days.

    coded: films of the reference; days: positions of each day's films
    The reference stands for all films there are. In each run a reference of its own and then
    `horizon` days are drawn from it, so a day is never held against itself, and the chance of the
    reference is in the limits, too. A limit is the median of a run's maximum and so many times the
    way from there to its 90th percentile; the number is the same for all, and makes the share.
    """
    reference = _with_unseen(coded, rng)
    most_bk = []
    for run in range(runs):
        # What a few days tell of the spread of days is uncertain, as a variance from them is.
        free = len(days) - 1
        spread = np.sqrt(free / rng.chisquare(free)) if effect.share > 0 else 0.0
        own = _drawn(reference, days, spread * effect.lean_dn, np.arange(len(days)), rng).total()
        sizes = rng.integers(len(days), size=horizon)
        quiet = _drawn(reference, days, spread * effect.lean_dn, sizes, rng)
        most_bk.append(np.concatenate([distances(own, quiet.over(w)).max(axis=0) for w in WINDOWS]))
        progress(run + 1, runs)
    maximum_bk = np.array(most_bk)
    middle_k, high_k = np.quantile(maximum_bk, (0.5, 0.9), axis=0)
    spread_k = np.maximum(high_k - middle_k, 1e-9)
    times = float(np.quantile(((maximum_bk - middle_k) / spread_k).max(axis=1), 1 - share))
    limit_k = middle_k + times * spread_k
    return Limits(
        limit_k.reshape(len(WINDOWS), -1),
        float((maximum_bk > limit_k).any(axis=1).mean()),
        runs,
        horizon,
        effect,
    )


def _with_unseen(coded: Coded, rng: np.random.Generator) -> Coded:
    """The reference's films and one such as it never had: refused, and beyond all in everything.

    By the rule of succession a next film is such a one with a chance of about 1 / n, so a
    reference in which nothing was refused does not forbid a first refusal.
    """
    q = coded.wave_nq.shape[1] // 2
    angle_q = rng.uniform(0, 2 * np.pi, q)
    wave_q = np.concatenate([np.cos(angle_q), np.sin(angle_q)]) / np.sqrt(q)
    return Coded(
        np.column_stack([coded.step_sn, coded.step_sn.max(axis=1) + 1]),
        np.column_stack([coded.decile_fn, coded.decile_fn.max(axis=1)]),
        np.vstack([coded.wave_nq, wave_q.astype(np.float32)]),
        np.append(coded.referred_n, True),
    )


def _drawn(
    coded: Coded,
    days: Sequence[NDArray[np.intp]],
    lean_dn: NDArray[np.float64],
    like_t: NDArray[np.intp],
    rng: np.random.Generator,
) -> Tally:
    """Days drawn from the films, each as large as the reference day it is like.

    lean_dn: by which days differ; each day leans by a normal combination of them, so that day means
        have the covariance of the reference's, and may lie beyond any of them
    """
    n = len(coded) - 1
    n_d = np.array([len(rows) for rows in days])
    day_m = np.repeat(np.arange(len(like_t)), n_d[like_t])
    if lean_dn.any():
        lean_tn = rng.standard_normal((len(like_t), len(days))) @ lean_dn / np.sqrt(len(days) - 1)
        weight_tn = np.exp(lean_tn - lean_tn.max(axis=1, keepdims=True))
        reached_tn = np.cumsum(weight_tn, axis=1)
        # All days in one search: day t's shares lie between t and t + 1.
        reached_tn = reached_tn / reached_tn[:, -1:] + np.arange(len(like_t))[:, None]
        place_m = np.searchsorted(reached_tn.ravel(), day_m + rng.random(len(day_m)))
        film_m = np.minimum(place_m - day_m * n, n - 1)
    else:
        film_m = rng.integers(n, size=len(day_m))
    unseen_m = rng.random(len(day_m)) < 1 / (n + 1)
    return tally(coded, np.where(unseen_m, n, film_m), day_m, len(like_t))
