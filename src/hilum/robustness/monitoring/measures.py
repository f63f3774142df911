"""Measures: how far the films of some days lie from those of the reference.

Which distance is too far is left to `limits`. Everything is computed from counts, so that a
simulated day costs as little as a real one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.data.appearance import ATTRIBUTES
from hilum.robustness.monitoring.days import Stream

WINDOWS = (1, 3, 7)  # days: a failure at once, a plain drift, a slow one
STEPS = 128  # of the reference, at which distributions are held against one another
DECILES = 10
FREQUENCIES = 64
_MOST_PAIRED = 1000  # films whose distances make the median

Counts = NDArray[np.floating]  # of films: whole numbers, which 32 bits hold to 16 million


@dataclass(frozen=True)
class Coded:
    """Films in the terms of a yardstick.

    step_sn: place among the steps, for each score and attribute; decile_fn: of each score
    wave_nq: cosines and sines, of unit length; referred_n: the film was referred
    """

    step_sn: NDArray[np.intp]
    decile_fn: NDArray[np.intp]
    wave_nq: NDArray[np.float32]
    referred_n: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.referred_n)


@dataclass(frozen=True)
class Tally:
    """Sums over the films of each of t days, or of t windows of days.

    below_tsb: films at or below each step; decile_tfb: films in each decile
    """

    n_t: Counts
    below_tsb: Counts
    decile_tfb: Counts
    wave_tq: Counts
    referred_t: Counts

    def over(self, days: int) -> Tally:
        """Sums over each day and the days before it, `days` in all, as far as there are any."""

        def summed(value_t: Counts) -> Counts:
            total_t = np.cumsum(value_t, axis=0)
            total_t[days:] -= total_t[:-days].copy()
            return total_t

        if days == 1:
            return self
        return Tally(
            summed(self.n_t),
            summed(self.below_tsb),
            summed(self.decile_tfb),
            summed(self.wave_tq),
            summed(self.referred_t),
        )

    def total(self) -> Tally:
        """One row, the sum over all days."""
        return Tally(
            *(
                each.sum(axis=0, keepdims=True)
                for each in (
                    self.n_t, self.below_tsb, self.decile_tfb, self.wave_tq, self.referred_t
                )
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Yardstick:
    """What is fixed by the reference: steps, deciles, and the kernel's frequencies.

    names: of the statistics, in the order of `distances`
    """

    findings: tuple[str, ...]
    steps: tuple[NDArray[np.float64], ...]
    deciles: tuple[NDArray[np.float64], ...]
    frequency_kq: NDArray[np.float64]

    @classmethod
    def of(cls, reference: Stream, rng: np.random.Generator) -> Yardstick:
        """Steps at the reference's quantiles; a Gaussian kernel as wide as the median distance.

        Source: Gretton et al. 2012 (median heuristic); Rahimi & Recht 2007 (random frequencies).
        """
        value_sn = _values(reference)
        at = np.linspace(0, 1, STEPS + 1)
        steps = tuple(np.unique(np.quantile(v, at, method="inverted_cdf")) for v in value_sn)
        tenths = np.arange(1, DECILES) / DECILES
        deciles = tuple(np.unique(np.quantile(v, tenths)) for v in reference.logit_nf.T)
        feature_nk = reference.feature_nk
        some = rng.permutation(len(reference))[:_MOST_PAIRED]
        apart_nn = np.linalg.norm(feature_nk[some, None] - feature_nk[None, some], axis=2)
        width = float(np.median(apart_nn[np.triu_indices(len(some), k=1)]))
        frequency_kq = rng.standard_normal((feature_nk.shape[1], FREQUENCIES)) / (width or 1.0)
        return cls(reference.findings, steps, deciles, frequency_kq)

    @property
    def names(self) -> tuple[str, ...]:
        scores = [f"KS of the score, {finding}" for finding in self.findings]
        attributes = [f"KS of {name.replace('_', ' ')}" for name in ATTRIBUTES]
        psi = [f"PSI of the score, {finding}" for finding in self.findings]
        return (*scores, *attributes, *psi, "MMD of the features", "refusal rate")

    def coded(self, films: Stream) -> Coded:
        """Films in this yardstick's terms."""
        step_sn = [
            # Below, at and above a step are three places: what never varied is seen to vary.
            np.searchsorted(edge, value_n, "left") + np.searchsorted(edge, value_n, "right")
            for edge, value_n in zip(self.steps, _values(films), strict=True)
        ]
        decile_fn = [
            np.searchsorted(edge, value_n)
            for edge, value_n in zip(self.deciles, films.logit_nf.T, strict=True)
        ]
        angle_nq = films.feature_nk @ self.frequency_kq
        wave_nq = np.hstack([np.cos(angle_nq), np.sin(angle_nq)]) / np.sqrt(FREQUENCIES)
        return Coded(
            np.array(step_sn), np.array(decile_fn), wave_nq.astype(np.float32), films.referred_n
        )


def _values(films: Stream) -> NDArray[np.float64]:
    """Scores, then attributes, shape (s, n)."""
    return np.vstack([films.logit_nf.T, films.attribute_na.T])


def tally(coded: Coded, row_m: NDArray[np.intp], day_m: NDArray[np.intp], days: int) -> Tally:
    """Sums by day over draws of films.

    row_m, day_m: which film is drawn, for which day of 0 … days - 1, in the order of days
    """
    n_t = np.bincount(day_m, minlength=days).astype(np.float32)
    wave_tq = np.add.reduceat(coded.wave_nq[row_m], np.searchsorted(day_m, np.arange(days)), axis=0)
    return Tally(
        n_t,
        np.cumsum(_histograms(coded.step_sn[:, row_m], day_m, days, 2 * STEPS + 3), axis=2),
        _histograms(coded.decile_fn[:, row_m], day_m, days, DECILES),
        wave_tq,
        np.bincount(day_m, weights=coded.referred_n[row_m], minlength=days).astype(np.float32),
    )


def _histograms(
    place_sm: NDArray[np.intp], day_m: NDArray[np.intp], days: int, places: int
) -> Counts:
    s = len(place_sm)
    cell_sm = (day_m[None] * s + np.arange(s)[:, None]) * places + place_sm
    counted = np.bincount(cell_sm.ravel(), minlength=days * s * places)
    return counted.reshape(days, s, places).astype(np.float32)


def distances(reference: Tally, window: Tally) -> Counts:
    """Every statistic of each window against the reference, shape (t, statistics).

    reference: of one row
    Each is multiplied by its `growth`, so that a limit holds for windows of any number of films.
    KS: Kolmogorov 1933, Smirnov 1939. PSI: with half a film added to each decile. MMD: the unbiased
    square, Gretton et al. 2012, eq. 3. Refusals: the difference of arcsines, Cohen 1988.
    """
    n, m_t = reference.n_t[0], window.n_t
    apart_tsb = window.below_tsb / m_t[:, None, None] - reference.below_tsb[0] / n
    ks_ts = np.abs(apart_tsb).max(axis=2)

    share_tfb = (window.decile_tfb + 0.5) / (m_t[:, None, None] + DECILES / 2)
    share_fb = (reference.decile_tfb[0] + 0.5) / (n + DECILES / 2)
    psi_tf = ((share_tfb - share_fb) * np.log(share_tfb / share_fb)).sum(axis=2)

    wave_q = reference.wave_tq[0]
    within_t = ((window.wave_tq**2).sum(axis=1) - m_t) / (m_t * (m_t - 1))
    within = ((wave_q**2).sum() - n) / (n * (n - 1))
    mmd_t = within_t + within - 2 * (window.wave_tq @ wave_q) / (m_t * n)

    referred_t = 2 * np.arcsin(np.sqrt(window.referred_t / m_t))
    referred = 2 * np.arcsin(np.sqrt(reference.referred_t[0] / n))
    raw_tj = np.hstack([ks_ts, psi_tf, mmd_t[:, None], np.abs(referred_t - referred)[:, None]])
    return raw_tj * growth(n, m_t, ks_ts.shape[1], psi_tf.shape[1])


def growth(n: float, m_t: Counts, ranked: int, scores: int) -> Counts:
    """What a distance of n from m films grows by as films grow more, shape (t, statistics).

    The root of n m / (n + m) for KS and refusals; that itself for PSI and MMD, which are squares.
    """
    size_t = (n * m_t / (n + m_t))[:, None]
    power_j = np.array([0.5] * ranked + [1.0] * scores + [1.0, 0.5])
    return np.asarray(size_t**power_j)
