"""Thresholds: every one that tells images apart, with what it yields; rules then choose among them.

The rules are `operating_points`' work.

A threshold lies midway between two adjacent observed probabilities. All images between which no
threshold can tell (ties) fall on one side together, and a probability that comes out a last digit
different on another machine does not change sides, as it would with a threshold set on a score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.calibration.labelled import Floats
from hilum.errors import EvaluationError
from hilum.estimates import Z95, Estimate
from hilum.units import Units, few_units, proportion

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """The images of one class in the order in which thresholds take them in as hits.

    unit_n: the unit of each, hits first; hit_t: how many are hits at each threshold
    """

    units: Units
    hit_t: Counts

    @property
    def n(self) -> int:
        return len(self.units.unit_n)

    def rate(self, t: int) -> Estimate:
        """The share of hits at one threshold, with its Wilson interval by unit."""
        return proportion(np.arange(self.n) < self.hit_t[t], self.units)

    def lower_t(self) -> Floats:
        """The lower 95 % limit of `rate` at every threshold at once; shape (t,).

        The same figure as `hilum.units.proportion`, in O(n log n) for all of them: as one image
        after the other becomes a hit, a unit's sum of squares grows by 2 · (its hits so far) + 1.
        """
        n, count, unit_n = self.n, self.units.count, self.units.unit_n
        p_t = self.hit_t / n
        weight_t = np.full(len(p_t), float(n))
        if self.units.clustered:
            size_u = np.bincount(unit_n, minlength=count)
            by_unit_n = np.argsort(unit_n, kind="stable")
            before_n = np.empty(n, dtype=np.int64)  # hits of the same unit before this image
            before_n[by_unit_n] = np.arange(n) - np.repeat(np.cumsum(size_u) - size_u, size_u)
            square_t = np.append(0, np.cumsum(2 * before_n + 1))[self.hit_t]
            mixed_t = np.append(0, np.cumsum(size_u[unit_n]))[self.hit_t]
            excess_t = square_t - 2 * p_t * mixed_t + p_t**2 * float(size_u @ size_u)
            variance_t = count / max(1, count - 1) * excess_t / n**2
            varies_t = variance_t > 1e-15
            shrunk_t = p_t * (1 - p_t) / np.where(varies_t, variance_t, 1.0)
            weight_t = np.where(varies_t, np.minimum(n, shrunk_t), n)
            weight_t = weight_t * few_units(max(2, count))
            hitting_t = np.append(0, np.cumsum(before_n == 0))[self.hit_t]
            missing_t = count - np.append(0, np.cumsum(before_n == size_u[unit_n] - 1))[self.hit_t]
            weight_t = np.where(np.minimum(hitting_t, missing_t) < 2, count, weight_t)
        z2 = Z95 * Z95
        half_t = Z95 * np.sqrt(p_t * (1 - p_t) / weight_t + z2 / (4 * weight_t**2))
        lower_t: Floats = (p_t + z2 / (2 * weight_t) - half_t) / (1 + z2 / weight_t)
        return np.where(self.hit_t == 0, 0.0, np.maximum(0.0, lower_t))


@dataclass(frozen=True)
class Scan:
    """Every threshold that tells images apart, ascending, with its counts; t thresholds.

    present: images with the finding, called positive as thresholds fall
    absent: images without it, called negative as thresholds rise
    """

    threshold_t: Floats
    present: Side
    absent: Side

    @property
    def tp_t(self) -> Counts:
        return self.present.hit_t

    @property
    def tn_t(self) -> Counts:
        return self.absent.hit_t

    @property
    def fn_t(self) -> Counts:
        return self.present.n - self.tp_t

    @property
    def fp_t(self) -> Counts:
        return self.absent.n - self.tn_t

    @classmethod
    def of(
        cls, prob_n: NDArray[np.floating], y_n: NDArray[np.floating], units: Units | None
    ) -> Scan:
        """Scan the images whose label is known; `units` of all, None where each stands for itself.

        Raises EvaluationError on a missing class or a score outside [0, 1].
        """
        prob_n, y_n = np.asarray(prob_n, dtype=np.float64), np.asarray(y_n, dtype=np.float64)
        units = Units("image", np.arange(len(y_n)), len(y_n)) if units is None else units
        present_n, absent_n = np.flatnonzero(y_n == 1), np.flatnonzero(y_n == 0)
        if not (len(present_n) and len(absent_n)):
            raise EvaluationError(
                "operating point",
                f"{len(present_n)} images with the finding among {len(present_n) + len(absent_n)}",
                expected="both classes among the images it is chosen on",
                remedy="give the calibrate role more images",
            )
        known_m = prob_n[~np.isnan(y_n)]
        if not ((known_m >= 0) & (known_m <= 1)).all():
            raise EvaluationError(
                "operating point", "a score outside [0, 1]", expected="calibrated probabilities"
            )
        threshold_t = _between(np.unique(known_m))
        # Hits first: the highest probabilities with the finding, the lowest without.
        present_n = present_n[np.argsort(-prob_n[present_n], kind="stable")]
        absent_n = absent_n[np.argsort(prob_n[absent_n], kind="stable")]
        negative_t = np.searchsorted(prob_n[present_n][::-1], threshold_t, side="left")
        return cls(
            threshold_t,
            Side(units.where(present_n), len(present_n) - negative_t),
            Side(units.where(absent_n), np.searchsorted(prob_n[absent_n], threshold_t)),
        )


def _between(score_k: Floats) -> Floats:
    """0, the middles between ascending distinct scores, and the middle between the last and 1."""
    upper_k = np.append(score_k[1:], 1.0)
    middle_k = score_k + (upper_k - score_k) / 2
    # Between two neighbouring floats there is no middle: the upper keeps the lower one out.
    middle_k = np.where(middle_k > score_k, middle_k, upper_k)
    if score_k[-1] == 1.0:  # nothing lies above 1
        middle_k = middle_k[:-1]
    return np.append(0.0, middle_k)
