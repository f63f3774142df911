"""Exchanging: permutation tests of two places in which whole patients change sides.

What is compared is left to the caller; the null is that a patient could have come to either place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.units import Units

CHUNK = 1 << 23  # sides of films held at a time
Outside = NDArray[np.bool_]


@dataclass(frozen=True)
class Exchanges:
    """Draws of sides for the films of both places, the inside ones first.

    unit_n: patients of both, numbered through; outside_u: the true side of each
    """

    unit_n: NDArray[np.intp]
    outside_u: Outside
    permutations: int
    seed: int

    @classmethod
    def of(
        cls, internal: Units, external: Units, rng: np.random.Generator, permutations: int
    ) -> Exchanges:
        """A patient of one place is another than a patient of the other, whatever the ids."""
        return cls(
            np.concatenate([internal.unit_n, external.unit_n + internal.count]),
            np.arange(internal.count + external.count) >= internal.count,
            permutations,
            int(rng.integers(2**63)),
        )

    @property
    def outside_n(self) -> Outside:
        """The true sides, shape (n,)."""
        return self.outside_u[self.unit_n]

    def p(self, statistic: Callable[[Outside], NDArray[np.float64]]) -> tuple[float, float]:
        """A statistic on the true sides, and its p: the share of draws that reach it.

        statistic: sides of shape (b, n) -> the figure of each row, higher is further apart; NaN
            where a draw leaves a side empty, which counts as reaching it
        The truth counts as one of the draws. Source: Phipson & Smyth 2010.
        """
        truth = float(statistic(self.outside_n[None])[0])
        rows = max(1, CHUNK // len(self.unit_n))
        rng, reached = np.random.default_rng(self.seed), 0
        for start in range(0, self.permutations, rows):
            size = min(rows, self.permutations - start)
            outside_bu = rng.permuted(np.tile(self.outside_u, (size, 1)), axis=1)
            drawn_b = statistic(outside_bu[:, self.unit_n])
            # A float's last digit must not part a draw from the truth that it repeats.
            reached += int((~(drawn_b < truth - 1e-12)).sum())
        return truth, (1 + reached) / (1 + self.permutations)


def distances(value_n: NDArray[np.float64]) -> Callable[[Outside], NDArray[np.float64]]:
    """Kolmogorov-Smirnov distance of numbers inside and outside, per row of sides.

    value_n: NaN where unknown, which is then left out, shape (n,)
    """
    known = np.flatnonzero(~np.isnan(value_n))
    order = known[np.argsort(value_n[known], kind="stable")]
    end_e = np.flatnonzero(np.append(np.diff(value_n[order]) > 0, [True] * min(1, len(order))))

    def statistic(outside_bn: Outside) -> NDArray[np.float64]:
        outside_be = np.cumsum(outside_bn[:, order], axis=1, dtype=np.int32)[:, end_e]
        inside_be = end_e + 1 - outside_be
        with np.errstate(invalid="ignore", divide="ignore"):
            gap_be = outside_be / outside_be[:, -1:] - inside_be / inside_be[:, -1:]
        return np.asarray(np.abs(gap_be).max(axis=1))

    return statistic


def variations(code_n: NDArray[np.intp]) -> Callable[[Outside], NDArray[np.float64]]:
    """Total variation distance of words inside and outside, per row of sides.

    code_n: a number for each word, -1 unknown, which is left out, shape (n,)
    """
    known = np.flatnonzero(code_n >= 0)
    word_nk = (code_n[known, None] == np.unique(code_n[known])).astype(np.float64)

    def statistic(outside_bn: Outside) -> NDArray[np.float64]:
        outside_bk = outside_bn[:, known] @ word_nk
        inside_bk = word_nk.sum(axis=0) - outside_bk
        with np.errstate(invalid="ignore", divide="ignore"):
            gap_bk = outside_bk / outside_bk.sum(axis=1, keepdims=True)
            gap_bk -= inside_bk / inside_bk.sum(axis=1, keepdims=True)
        return np.asarray(np.abs(gap_bk).sum(axis=1) / 2)

    return statistic
