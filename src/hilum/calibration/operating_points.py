"""Operating points: from which probability on an image is called positive, and by which rule.

They are chosen on the `calibrate` role; what they yield on `test` is left to `hilum.evaluation`.

A threshold lies midway between two adjacent observed probabilities. All images between which no
threshold can tell (ties) fall on one side together, and a probability that comes out a last digit
different on another machine does not change sides, as it would with a threshold set on a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from hilum.errors import EvaluationError
from hilum.estimates import Estimate, wilson


@dataclass(frozen=True)
class OperatingPoint:
    """A named threshold on calibrated probability; positive is prob >= threshold.

    rule: how it was chosen, in words
    sensitivity, specificity: on the images it was chosen on, so a little optimistic; Wilson
    n: how many images it was chosen on
    """

    name: str
    rule: str
    threshold: float
    sensitivity: Estimate
    specificity: Estimate
    n: int

    def to_dict(self) -> dict[str, object]:
        """Plain values for strict JSON; the threshold keeps every digit."""
        return {
            "name": self.name,
            "rule": self.rule,
            "threshold": self.threshold,
            "sensitivity": self.sensitivity.to_dict(),
            "specificity": self.specificity.to_dict(),
            "n": self.n,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> OperatingPoint:
        """The inverse of `to_dict`. Raises EvaluationError on other shapes."""
        try:
            sensitivity, specificity = fields["sensitivity"], fields["specificity"]
            threshold, n = fields["threshold"], fields["n"]
            if not (isinstance(sensitivity, Mapping) and isinstance(specificity, Mapping)):
                raise TypeError("sensitivity and specificity are estimates")
            if not (isinstance(threshold, int | float) and isfinite(threshold)):
                raise TypeError(f"threshold {threshold!r}")
            if not isinstance(n, int):
                raise TypeError(f"n {n!r}")
            return cls(
                str(fields["name"]),
                str(fields["rule"]),
                float(threshold),
                Estimate.from_dict(sensitivity),
                Estimate.from_dict(specificity),
                n,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(
                "operating point", f"not as written by to_dict ({error})"
            ) from error


def youden(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], *, name: str = "youden"
) -> OperatingPoint:
    """The threshold with the greatest sensitivity + specificity - 1.

    Among equals the lowest threshold, as a missed finding costs more than a false alarm.
    prob_n: calibrated probability in [0, 1], shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    Raises EvaluationError when n = 0 or a class is missing.
    Source: Youden 1950.
    """
    scan = _Scan.of(prob_n, y_n)
    # tp/P + tn/N in whole numbers, so that equals are equal.
    merit_t = scan.tp_t * scan.absent + scan.tn_t * scan.present
    return scan.point(int(np.argmax(merit_t)), name, "greatest sensitivity + specificity - 1")


def target_sensitivity(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    target: float,
    *,
    name: str = "target_sensitivity",
) -> OperatingPoint:
    """The highest threshold whose sensitivity (point estimate) reaches `target`.

    Arguments and errors as in `youden`; target in (0, 1].
    """
    scan = _Scan.of(prob_n, y_n)
    reached_t = scan.tp_t >= _needed(target, scan.present, "target sensitivity")
    # Threshold 0 calls everything positive, so one always reaches it.
    return scan.point(int(np.flatnonzero(reached_t)[-1]), name, f"sensitivity >= {target:g}")


def target_specificity(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    target: float,
    *,
    name: str = "target_specificity",
) -> OperatingPoint:
    """The lowest threshold whose specificity (point estimate) reaches `target`.

    Arguments and errors as in `youden`; target in (0, 1]. Raises EvaluationError also when images
    without the finding score exactly 1, so that no threshold reaches it.
    """
    scan = _Scan.of(prob_n, y_n)
    reached_t = scan.tn_t >= _needed(target, scan.absent, "target specificity")
    if not reached_t.any():
        raise EvaluationError(
            "target specificity",
            f"{scan.absent - int(scan.tn_t[-1])} images without the finding score exactly 1",
            expected=f"a threshold with specificity >= {target:g}",
            remedy="set a lower target",
        )
    return scan.point(int(np.argmax(reached_t)), name, f"specificity >= {target:g}")


@dataclass(frozen=True)
class _Scan:
    """Every threshold that tells images apart, ascending, with its counts; t thresholds."""

    threshold_t: NDArray[np.float64]
    tp_t: NDArray[np.int64]
    tn_t: NDArray[np.int64]
    present: int
    absent: int

    @classmethod
    def of(cls, prob_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> _Scan:
        prob_n, y_n = np.asarray(prob_n, dtype=np.float64), np.asarray(y_n, dtype=np.float64)
        known_n = ~np.isnan(y_n)
        prob_n, y_n = prob_n[known_n], y_n[known_n]
        present_n, absent_n = np.sort(prob_n[y_n == 1]), np.sort(prob_n[y_n == 0])
        if not (len(present_n) and len(absent_n)):
            raise EvaluationError(
                "operating point",
                f"{len(present_n)} images with the finding among {len(y_n)}",
                expected="both classes among the images it is chosen on",
                remedy="give the calibrate role more images",
            )
        if not ((prob_n >= 0) & (prob_n <= 1)).all():
            raise EvaluationError(
                "operating point", "a score outside [0, 1]", expected="calibrated probabilities"
            )
        threshold_t = _between(np.unique(prob_n))
        return cls(
            threshold_t,
            len(present_n) - np.searchsorted(present_n, threshold_t, side="left"),
            np.searchsorted(absent_n, threshold_t, side="left"),
            len(present_n),
            len(absent_n),
        )

    def point(self, t: int, name: str, rule: str) -> OperatingPoint:
        return OperatingPoint(
            name,
            rule,
            float(self.threshold_t[t]),
            wilson(int(self.tp_t[t]), self.present),
            wilson(int(self.tn_t[t]), self.absent),
            self.present + self.absent,
        )


def _between(score_k: NDArray[np.float64]) -> NDArray[np.float64]:
    """0, the middles between ascending distinct scores, and the middle between the last and 1."""
    upper_k = np.append(score_k[1:], 1.0)
    middle_k = score_k + (upper_k - score_k) / 2
    # Between two neighbouring floats there is no middle: the upper keeps the lower one out.
    middle_k = np.where(middle_k > score_k, middle_k, upper_k)
    if score_k[-1] == 1.0:  # nothing lies above 1
        middle_k = middle_k[:-1]
    return np.append(0.0, middle_k)


def _needed(target: float, n: int, where: str) -> int:
    if not 0 < target <= 1:
        raise EvaluationError(where, f"{target:g}", expected="a number above 0 and up to 1")
    # 0.95 * 20 is 19.000000000000004 in floats; 19 of 20 is enough.
    return int(np.ceil(target * n - 1e-9 * n))
