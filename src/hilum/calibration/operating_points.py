"""Operating points: from which probability on an image is called positive, and by which rule.

They are chosen on the `calibrate` role; what they yield on `test` is left to `hilum.evaluation`.

Among equally good thresholds the lowest is taken, as a missed finding costs more than a false
alarm. Which thresholds there are is left to `thresholds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from hilum.calibration.thresholds import Scan, Side
from hilum.errors import EvaluationError
from hilum.estimates import Estimate
from hilum.recipe import (
    Bound,
    CostRule,
    FBetaRule,
    PointRule,
    SensitivityRule,
    SpecificityRule,
    YoudenRule,
)
from hilum.units import Units, proportion


@dataclass(frozen=True)
class OperatingPoint:
    """A named threshold on calibrated probability; positive is prob >= threshold.

    rule: how it was chosen, in words
    sensitivity, specificity: on the images it was chosen on, so a little optimistic; Wilson, with
        the patient as the unit where one is known
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


def choose(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    rule: PointRule,
    *,
    name: str,
    units: Units | None = None,
) -> OperatingPoint:
    """The operating point that a recipe's rule asks for; arguments and errors as in the rules."""
    match rule:
        case YoudenRule():
            return youden(prob_n, y_n, name=name, units=units)
        case SensitivityRule(target=target, bound=bound):
            return target_sensitivity(prob_n, y_n, target, bound=bound, name=name, units=units)
        case SpecificityRule(target=target, bound=bound):
            return target_specificity(prob_n, y_n, target, bound=bound, name=name, units=units)
        case CostRule(cost_ratio=ratio, prevalence=prevalence):
            return least_cost(prob_n, y_n, ratio, prevalence=prevalence, name=name, units=units)
        case FBetaRule(beta=beta):
            return greatest_f_beta(prob_n, y_n, beta, name=name, units=units)


def restated(
    point: OperatingPoint,
    rule: str,
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    *,
    units: Units,
) -> OperatingPoint:
    """The same threshold, with its sensitivity and specificity on other images.

    prob_n, y_n: as in the rules; labels that are unknown are left out
    """
    shares = [
        proportion((prob_n[of_n] >= point.threshold) == positive, units.where(of_n))
        for positive, of_n in ((True, y_n == 1), (False, y_n == 0))
    ]
    known = int((~np.isnan(y_n)).sum())
    return OperatingPoint(point.name, rule, point.threshold, shares[0], shares[1], known)


def youden(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    *,
    name: str = "youden",
    units: Units | None = None,
) -> OperatingPoint:
    """The threshold with the greatest sensitivity + specificity - 1.

    prob_n: calibrated probability in [0, 1], shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    units: patients, of the same images; None when each image stands for itself
    Raises EvaluationError when n = 0 or a class is missing.
    Source: Youden 1950.
    """
    scan = Scan.of(prob_n, y_n, units)
    # tp/P + tn/N in whole numbers, so that equals are equal.
    merit_t = scan.tp_t * scan.absent.n + scan.tn_t * scan.present.n
    return _point(scan, int(np.argmax(merit_t)), name, "greatest sensitivity + specificity - 1")


def target_sensitivity(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    target: float,
    *,
    bound: Bound = "point",
    name: str = "target_sensitivity",
    units: Units | None = None,
) -> OperatingPoint:
    """The highest threshold whose sensitivity reaches `target`.

    bound: whether the estimate itself must reach it ("point"), which half of all such points will
        not do on other images, or its lower 95 % limit ("lower")
    Other arguments and errors as in `youden`; target in (0, 1], below 1 for "lower". Raises
    EvaluationError also when no threshold's lower limit reaches it.
    """
    scan = Scan.of(prob_n, y_n, units)
    reached_t, rule = _reached(scan.present, target, bound, "sensitivity", "with")
    # Threshold 0 calls everything positive, so an estimate always reaches it.
    return _point(scan, int(np.flatnonzero(reached_t)[-1]), name, rule)


def target_specificity(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    target: float,
    *,
    bound: Bound = "point",
    name: str = "target_specificity",
    units: Units | None = None,
) -> OperatingPoint:
    """The lowest threshold whose specificity reaches `target`.

    Arguments and errors as in `target_sensitivity`. Raises EvaluationError also when images without
    the finding score exactly 1, so that no threshold reaches it.
    """
    scan = Scan.of(prob_n, y_n, units)
    reached_t, rule = _reached(scan.absent, target, bound, "specificity", "without")
    return _point(scan, int(np.argmax(reached_t)), name, rule)


def least_cost(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    cost_ratio: float,
    *,
    prevalence: float | None = None,
    name: str = "least_cost",
    units: Units | None = None,
) -> OperatingPoint:
    """The threshold with the least expected cost per image.

    cost_ratio: what a missed finding costs over what a false alarm costs, above 0
    prevalence: share with the finding where it will be used, in (0, 1); None takes that of these
        images
    Other arguments and errors as in `youden`.
    Source: Zweig & Campbell 1993, by counting rather than by a slope on the ROC curve.
    """
    if not (isfinite(cost_ratio) and cost_ratio > 0):
        raise EvaluationError("cost ratio", f"{cost_ratio:g}", expected="a finite number above 0")
    if prevalence is not None and not 0 < prevalence < 1:
        raise EvaluationError("prevalence", f"{prevalence:g}", expected="a number between 0 and 1")
    scan = Scan.of(prob_n, y_n, units)
    rule = f"least expected cost where a missed finding costs {cost_ratio:g} false alarms"
    if prevalence is None:
        cost_t = cost_ratio * scan.fn_t + scan.fp_t
    else:
        rule += f", at prevalence {prevalence:g}"
        missed_t, alarm_t = scan.fn_t / scan.present.n, scan.fp_t / scan.absent.n
        cost_t = cost_ratio * prevalence * missed_t + (1 - prevalence) * alarm_t
    # Sums of products of floats: equals are equal but for their last digits.
    return _point(scan, int(np.argmax(cost_t <= cost_t.min() * (1 + 1e-12))), name, rule)


def greatest_f_beta(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    beta: float = 1.0,
    *,
    name: str = "f_beta",
    units: Units | None = None,
) -> OperatingPoint:
    """The threshold with the greatest F-beta, the weighted harmonic mean of PPV and sensitivity.

    beta: how many times more sensitivity counts than PPV, above 0
    Other arguments and errors as in `youden`. F-beta moves with the prevalence of these images.
    Source: van Rijsbergen 1979, chapter 7.
    """
    if not (isfinite(beta) and beta > 0):
        raise EvaluationError("beta", f"{beta:g}", expected="a finite number above 0")
    scan = Scan.of(prob_n, y_n, units)
    hits_t = (1 + beta**2) * scan.tp_t
    f_t = hits_t / (hits_t + beta**2 * scan.fn_t + scan.fp_t)
    best = int(np.argmax(f_t >= f_t.max() * (1 - 1e-12)))
    return _point(scan, best, name, f"greatest F{beta:g}")


def _reached(
    side: Side, target: float, bound: Bound, figure: str, word: str
) -> tuple[NDArray[np.bool_], str]:
    """Which thresholds reach the target, some at least, and the rule in words."""
    where = f"target {figure}"
    if not 0 < target <= 1 or (target == 1 and bound == "lower"):
        top = "below" if bound == "lower" else "up to"
        raise EvaluationError(where, f"{target:g}", expected=f"a number above 0 and {top} 1")
    if bound == "point":
        # 0.95 * 20 is 19.000000000000004 in floats; 19 of 20 is enough.
        reached_t = side.hit_t >= np.ceil(target * side.n - 1e-9 * side.n)
        if not reached_t.any():
            raise EvaluationError(
                where,
                f"{side.n - int(side.hit_t.max())} images {word} the finding score exactly 1",
                expected=f"a threshold with {figure} >= {target:g}",
                remedy="set a lower target",
            )
        return reached_t, f"{figure} >= {target:g}"
    lower_t = side.lower_t()
    reached_t = lower_t >= target - 1e-12
    if not reached_t.any():
        of = f" of {side.units.count} patients" if side.units.clustered else ""
        raise EvaluationError(
            where,
            f"no lower limit of {figure} above {lower_t.max():.4f} can be had from "
            f"{side.n} images {word} the finding{of}",
            expected=f"a threshold whose lower 95 % limit is >= {target:g}",
            remedy="set a lower target or bound = 'point', or calibrate on more images",
        )
    return reached_t, f"lower 95 % limit of {figure} >= {target:g}"


def _point(scan: Scan, t: int, name: str, rule: str) -> OperatingPoint:
    return OperatingPoint(
        name,
        rule,
        float(scan.threshold_t[t]),
        scan.present.rate(t),
        scan.absent.rate(t),
        scan.present.n + scan.absent.n,
    )
