"""Temperature scaling: one number that makes a classifier's confidence honest.

It leaves the order of the images, and so AUROC, as it was; decisions are `operating_points`' work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, isfinite, log

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.calibration.fields import numbers
from hilum.calibration.labelled import labelled
from hilum.errors import EvaluationError

# A temperature beyond these is a fault elsewhere; the bounds keep separable data finite.
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Temperature:
    """P(finding) = sigmoid(logit / temperature).

    temperature: above 0; above 1 it softens an overconfident classifier, 1 leaves it as it is
    Raises EvaluationError on a temperature that is not a finite number above 0.
    """

    temperature: float

    kind = "temperature"

    def __post_init__(self) -> None:
        if not (isfinite(self.temperature) and self.temperature > 0):
            raise EvaluationError(
                "temperature", f"{self.temperature}", expected="a finite number above 0"
            )

    def prob(self, logit: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probability in [0, 1] of raw logits, of the same shape."""
        prob: NDArray[np.float64] = expit(np.asarray(logit, dtype=np.float64) / self.temperature)
        return prob

    def in_words(self) -> str:
        """`temperature 1.734`."""
        return f"{self.kind} {self.temperature:.4g}"

    def to_dict(self) -> dict[str, object]:
        """`kind` names the calibrator, so that others can stand in its place."""
        return {"kind": self.kind, "temperature": self.temperature}

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> Temperature:
        """The inverse of `to_dict`. Raises EvaluationError on anything else."""
        return cls(*numbers(fields, cls.kind, "temperature"))


def fit_temperature(logit_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> Temperature:
    """The temperature with the least log loss.

    logit_n: raw logits of the `calibrate` role, shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    Returns a temperature in [0.05, 20]: the bound when the classes are separated perfectly.
    Raises EvaluationError when n = 0, a class is missing, or a logit is not finite.
    Source: Guo et al. 2017, section 4.2; the loss is convex in 1/T, so unimodal in log T.
    """
    from scipy.optimize import minimize_scalar  # here, since it is slow to import

    logit_n, y_n = labelled(logit_n, y_n, "temperature")
    toward_n = np.where(y_n == 1, -logit_n, logit_n)

    def log_loss(log_t: float) -> float:
        return float(np.logaddexp(0.0, toward_n * exp(-log_t)).mean())

    found = minimize_scalar(
        log_loss, bounds=(log(COLDEST), log(HOTTEST)), method="bounded", options={"xatol": 1e-6}
    )
    return Temperature(exp(float(found.x)))
