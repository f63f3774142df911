"""Platt scaling and beta calibration: a sigmoid of one or two rising functions of the logit.

Both are logistic regressions whose slopes may not fall below 0, so that neither turns the order of
the images round. Which calibrator is used is left to `calibrators`.

Labels are smoothed as Platt did: a finding that is present counts (N₊ + 1) / (N₊ + 2), one that is
absent 1 / (N₋ + 2). Classes that the logit separates then still have a finite sigmoid, and with
many images it makes no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from hilum.calibration.fields import numbers
from hilum.calibration.labelled import Floats, labelled
from hilum.errors import EvaluationError

STEPS = 200  # Newton needs about ten; more means that something else is wrong


@dataclass(frozen=True)
class Platt:
    """P(finding) = sigmoid(slope · logit + intercept).

    slope: 0 or more; 0 where the logits say nothing, or the contrary
    intercept: above 0 it raises every probability, as for a higher prevalence
    Raises EvaluationError on a negative slope or a number that is not finite.
    """

    slope: float
    intercept: float

    kind = "platt"

    def __post_init__(self) -> None:
        _refuse("platt", {"slope": self.slope}, self.intercept)

    def prob(self, logit: NDArray[np.floating]) -> Floats:
        """Calibrated probability in [0, 1] of raw logits, of the same shape."""
        prob: Floats = expit(self.slope * np.asarray(logit, dtype=np.float64) + self.intercept)
        return prob

    def in_words(self) -> str:
        """`platt (slope 0.61, intercept -0.3)`."""
        return f"{self.kind} (slope {self.slope:.4g}, intercept {self.intercept:.4g})"

    def to_dict(self) -> dict[str, object]:
        """`kind` names the calibrator, so that others can stand in its place."""
        return {"kind": self.kind, "slope": self.slope, "intercept": self.intercept}

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> Platt:
        """The inverse of `to_dict`. Raises EvaluationError on anything else."""
        return cls(*numbers(fields, cls.kind, "slope", "intercept"))


@dataclass(frozen=True)
class Beta:
    """P(finding) = sigmoid(a · log s - b · log(1 - s) + c), where s = sigmoid(logit).

    a, b: 0 or more; a bends low probabilities, b high ones; a = b is Platt scaling
    c: above 0 it raises every probability
    Computed from the logit, so it stays exact where s rounds to 0 or 1.
    Raises EvaluationError on a negative a or b or a number that is not finite.
    Source: Kull, Silva Filho & Flach 2017, equation 6.
    """

    a: float
    b: float
    c: float

    kind = "beta"

    def __post_init__(self) -> None:
        _refuse("beta", {"a": self.a, "b": self.b}, self.c)

    def prob(self, logit: NDArray[np.floating]) -> Floats:
        """Calibrated probability in [0, 1] of raw logits, of the same shape."""
        below, above = _halves(np.asarray(logit, dtype=np.float64))
        prob: Floats = expit(self.a * below + self.b * above + self.c)
        return prob

    def in_words(self) -> str:
        """`beta (a 0.61, b 1.2, c -0.3)`."""
        return f"{self.kind} (a {self.a:.4g}, b {self.b:.4g}, c {self.c:.4g})"

    def to_dict(self) -> dict[str, object]:
        """`kind` names the calibrator, so that others can stand in its place."""
        return {"kind": self.kind, "a": self.a, "b": self.b, "c": self.c}

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> Beta:
        """The inverse of `to_dict`. Raises EvaluationError on anything else."""
        return cls(*numbers(fields, cls.kind, "a", "b", "c"))


def fit_platt(logit_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> Platt:
    """The slope (0 or more) and intercept with the least log loss against smoothed labels.

    logit_n: raw logits of the `calibrate` role, shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    Raises EvaluationError when n = 0, a class is missing, or a logit is not finite.
    Source: Platt 1999, section 2.2; the sign of his A is turned. Unlike his, and scikit-learn's,
    the slope is held at 0 where the best would be negative.
    """
    logit_n, y_n = labelled(logit_n, y_n, "platt")
    (slope,), intercept = rising_sigmoid(logit_n[:, None], smoothed(y_n))
    return Platt(slope, intercept)


def fit_beta(logit_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> Beta:
    """The a and b (0 or more) and c with the least log loss against smoothed labels.

    Arguments and errors as in `fit_platt`.
    Source: Kull, Silva Filho & Flach 2017. Their package `betacal` differs in three ways: it does
    not smooth labels, so separated classes end at whatever its solver stops at; it clips s to
    [2^-52, 1 - 2^-52]; and where both slopes would be negative it keeps a negative b.
    """
    logit_n, y_n = labelled(logit_n, y_n, "beta")
    (a, b), c = rising_sigmoid(np.column_stack(_halves(logit_n)), smoothed(y_n))
    return Beta(a, b, c)


def smoothed(y_n: Floats) -> Floats:
    """Platt's targets in place of 0 and 1, shape (n,). Source: Platt 1999, section 2.2."""
    present = int((y_n == 1).sum())
    return np.where(y_n == 1, (present + 1) / (present + 2), 1 / (len(y_n) - present + 2))


def rising_sigmoid(feature_nk: Floats, target_n: Floats) -> tuple[tuple[float, ...], float]:
    """Slopes (each 0 or more) and intercept of the logistic regression with the least log loss.

    feature_nk: shape (n, k), k small: every subset of the features is tried
    target_n: the share with the finding, strictly between 0 and 1, shape (n,)
    The loss is convex, so where a slope would be negative the best lies where some are exactly 0:
    it is the best among the fits whose slopes are all positive.
    """
    size = feature_nk.shape[1]
    best, best_slope_k, best_intercept = inf, np.zeros(size), 0.0
    # All features first: if those slopes are positive nothing can be better.
    for count in range(size, -1, -1):
        for chosen in combinations(range(size), count):
            slope, intercept, loss = _free_sigmoid(feature_nk[:, chosen], target_n)
            if (slope < 0).any() or loss >= best:
                continue
            best, best_intercept, best_slope_k = loss, intercept, np.zeros(size)
            best_slope_k[list(chosen)] = slope
            if count == size:
                return tuple(best_slope_k.tolist()), best_intercept
    return tuple(best_slope_k.tolist()), best_intercept


def _free_sigmoid(feature_nk: Floats, target_n: Floats) -> tuple[Floats, float, float]:
    """Slopes of any sign, intercept and mean log loss, by damped Newton on centred features."""
    centre_k, spread_k = feature_nk.mean(axis=0), feature_nk.std(axis=0)
    # A feature that is the same in every image, but for rounding, gets the slope 0.
    varies_k = spread_k > 1e-12 * np.maximum(1.0, np.abs(centre_k))
    spread_k = np.where(varies_k, spread_k, 1.0)
    scaled_nk = np.where(varies_k, (feature_nk - centre_k) / spread_k, 0.0)
    design_nk = np.column_stack([scaled_nk, np.ones(len(target_n))])
    weight_k = np.zeros(design_nk.shape[1])
    weight_k[-1] = logit(target_n.mean())
    # A trace of the identity keeps the Hessian invertible where features are all but the same.
    trace_kk = 1e-12 * np.eye(len(weight_k))

    def mean_loss(weight_k: Floats) -> float:
        eta_n = design_nk @ weight_k
        return float(np.mean(np.logaddexp(0.0, eta_n) - target_n * eta_n))

    loss = mean_loss(weight_k)
    for _ in range(STEPS):
        prob_n = expit(design_nk @ weight_k)
        gradient_k = design_nk.T @ (prob_n - target_n) / len(target_n)
        curve_n = prob_n * (1 - prob_n) / len(target_n)
        hessian_kk = design_nk.T @ (design_nk * curve_n[:, None]) + trace_kk
        step_k = np.linalg.solve(hessian_kk, gradient_k)
        promise = float(gradient_k @ step_k)  # twice what a full step would gain
        if promise <= 1e-15:
            break
        length = 1.0
        while (found := mean_loss(weight_k - length * step_k)) > loss - 1e-4 * length * promise:
            length /= 2
            if length < 1e-10:  # rounding hides what is left to gain
                break
        if length < 1e-10:
            break
        weight_k, loss = weight_k - length * step_k, found
    else:
        raise EvaluationError("logistic regression", f"not settled after {STEPS} steps")
    slope_k = weight_k[:-1] / spread_k
    return slope_k, float(weight_k[-1] - slope_k @ centre_k), loss


def _halves(logit_n: Floats) -> tuple[Floats, Floats]:
    """log s and -log(1 - s) for s = sigmoid(logit); both rise with it, and their sum is it."""
    return -np.logaddexp(0.0, -logit_n), np.logaddexp(0.0, logit_n)


def _refuse(kind: str, slopes: Mapping[str, float], intercept: float) -> None:
    for name, slope in slopes.items():
        if not (isfinite(slope) and slope >= 0):
            raise EvaluationError(kind, f"{name} {slope}", expected="a finite number, 0 or more")
    if not isfinite(intercept):
        raise EvaluationError(kind, f"intercept {intercept}", expected="a finite number")
