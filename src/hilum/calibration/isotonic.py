"""Isotonic calibration: the rising staircase that fits best, with its steps joined by lines.

It takes any shape, and so needs the most images. Which calibrator is used is left to `calibrators`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.calibration.fields import number_list
from hilum.calibration.labelled import Floats, labelled
from hilum.errors import EvaluationError

FEWEST = 20  # images of each class; with fewer the staircase is mostly the noise of its ends


@dataclass(frozen=True)
class Isotonic:
    """P(finding) on straight lines between knots, and level beyond the first and the last.

    thresholds: logits, rising
    values: probabilities there, in [0, 1], never falling
    Images on a level step share a probability; figures rank them by their logit.
    Raises EvaluationError on knots that are none of this.
    """

    thresholds: tuple[float, ...]
    values: tuple[float, ...]

    kind = "isotonic"

    def __post_init__(self) -> None:
        threshold_k, value_k = np.array(self.thresholds), np.array(self.values)
        if len(threshold_k) == 0 or len(threshold_k) != len(value_k):
            found = f"{len(threshold_k)} thresholds and {len(value_k)} values"
            raise EvaluationError("isotonic", found, expected="one value per threshold")
        if not np.isfinite(threshold_k).all() or (np.diff(threshold_k) <= 0).any():
            raise EvaluationError(
                "isotonic", "thresholds out of order", expected="finite logits that rise"
            )
        # Written so that NaN is refused too.
        if not ((value_k >= 0) & (value_k <= 1)).all() or (np.diff(value_k) < 0).any():
            raise EvaluationError(
                "isotonic", "values out of order", expected="probabilities that never fall"
            )

    def prob(self, logit: NDArray[np.floating]) -> Floats:
        """Calibrated probability in [0, 1] of raw logits, of the same shape."""
        logit = np.asarray(logit, dtype=np.float64)
        prob: Floats = np.interp(logit, self.thresholds, self.values)
        return prob

    def in_words(self) -> str:
        """`isotonic (24 knots)`."""
        return f"{self.kind} ({len(self.thresholds)} knots)"

    def to_dict(self) -> dict[str, object]:
        """`kind` names the calibrator, so that others can stand in its place."""
        return {
            "kind": self.kind,
            "thresholds": list(self.thresholds),
            "values": list(self.values),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> Isotonic:
        """The inverse of `to_dict`. Raises EvaluationError on anything else."""
        return cls(
            number_list(fields, cls.kind, "thresholds"), number_list(fields, cls.kind, "values")
        )


def fit_isotonic(logit_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> Isotonic:
    """The never-falling function of the logit with the least squared error, by pooling.

    logit_n: raw logits of the `calibrate` role, shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    Images with the same logit count as one of their number's weight. Each pool of images becomes
    a level step from its lowest to its highest logit. Where the first pool holds no finding, or
    the last nothing else, its share is (k + 1) / (m + 2) of its m images in place of k / m, but no
    further than its neighbour's: 30 normal films are no proof that the next one is normal.
    Raises EvaluationError on fewer than 20 images of either class, or a logit that is not finite.
    Source: Zadrozny & Elkan 2002 (pool adjacent violators); Laplace's rule of succession.
    scikit-learn's IsotonicRegression(out_of_bounds="clip") joins steps the same way and leaves the
    ends at 0 and 1.
    """
    from scipy.optimize import isotonic_regression  # here, since it is slow to import

    logit_n, y_n = labelled(logit_n, y_n, "isotonic", fewest=FEWEST)
    level_k, inverse_n, count_k = np.unique(logit_n, return_inverse=True, return_counts=True)
    share_k = np.bincount(inverse_n, weights=y_n) / count_k
    pooled = isotonic_regression(share_k, weights=count_k)
    first_p, last_p = pooled.blocks[:-1], pooled.blocks[1:] - 1
    value_p = pooled.x[first_p]
    size_p = np.add.reduceat(count_k, first_p)
    if value_p[0] <= 0:
        value_p[0] = min([1 / (size_p[0] + 2), *value_p[1:2]])
    if value_p[-1] >= 1:
        value_p[-1] = max([(size_p[-1] + 1) / (size_p[-1] + 2), *value_p[-2:-1]])
    # Two knots a step, but one where a step holds a single logit.
    knot_k = np.unique(np.concatenate([first_p, last_p]))
    step_k = np.searchsorted(first_p, knot_k, side="right") - 1
    return Isotonic(tuple(level_k[knot_k].tolist()), tuple(value_p[step_k].tolist()))
