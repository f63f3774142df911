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
ALIKE = 0.1  # days count as alike unless fewer permutations than this differ as much


@dataclass(frozen=True)
class DayEffect:
    """How much the reference days differ from one another, beyond the chance of few films.

    p: share of permutations of films over days that differ as much
    weight: share of a simulated day's films that come from one reference day, in [0, 1]
    """

    p: float
    weight: float


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
    1 - 1/F is the days' own; a day whose films come from reference day d with probability w, and
    from all days otherwise, has w² of it, so w is its root, with the F of permuted films for 1.
    """
    value_sn = np.vstack(
        [
            rankdata(np.vstack([reference.logit_nf.T, reference.attribute_na.T]), axis=1),
            reference.feature_nk.T,
            reference.referred_n[None].astype(np.float64),
        ]
    )
    value_sn = value_sn[np.ptp(value_sn, axis=1) > 0]
    row_m = np.concatenate(days)
    start_t = np.cumsum([0, *(len(rows) for rows in days)])[:-1]
    if len(days) < 2 or len(value_sn) == 0:
        return DayEffect(1.0, 0.0)
    observed = _largest_f(value_sn[:, row_m], start_t)
    chance_b = np.array(
        [_largest_f(value_sn[:, rng.permutation(row_m)], start_t) for _ in range(PERMUTATIONS)]
    )
    p = float((1 + (chance_b >= observed).sum()) / (1 + PERMUTATIONS))
    own = max(0.0, 1 - float(np.median(chance_b)) / observed)
    return DayEffect(p, float(np.sqrt(own)) if p < ALIKE else 0.0)


def _largest_f(value_sm: NDArray[np.float64], start_t: NDArray[np.intp]) -> float:
    """The largest ratio of the mean square between days to that within them."""
    s, m = value_sm.shape
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
        own = _drawn(reference, days, effect.weight, np.arange(len(days)), rng).total()
        sizes = rng.integers(len(days), size=horizon)
        quiet = _drawn(reference, days, effect.weight, sizes, rng)
        most_bk.append(
            np.concatenate([distances(own, quiet.over(w)).max(axis=0) for w in WINDOWS])
        )
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
    weight: float,
    like_t: NDArray[np.intp],
    rng: np.random.Generator,
) -> Tally:
    """Days drawn from the films, each as large as the reference day it is like.

    weight: share of films that come from a reference day drawn by lot; the rest from all
    """
    row_m = np.concatenate(days)
    n_d = np.array([len(rows) for rows in days])
    start_d = np.cumsum(n_d) - n_d
    day_m = np.repeat(np.arange(len(like_t)), n_d[like_t])
    drawn_m = rng.integers(len(row_m), size=len(day_m))
    if weight > 0:
        of_m = rng.integers(len(days), size=len(like_t))[day_m]
        inside_m = start_d[of_m] + (rng.random(len(day_m)) * n_d[of_m]).astype(np.intp)
        drawn_m = np.where(rng.random(len(day_m)) < weight, inside_m, drawn_m)
    unseen_m = rng.random(len(day_m)) < 1 / (len(row_m) + 1)
    film_m = np.where(unseen_m, len(coded) - 1, row_m[drawn_m])
    return tally(coded, film_m, day_m, len(like_t))


