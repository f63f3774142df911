"""Fitting: all that a bundle holds of one finding's `calibrate` role, in the order it is fitted.

How each part is fitted is left to the module of its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.calibration.calibrators import ChosenCalibrator, fit_calibrator
from hilum.calibration.conformal import ConformalLimits, conformal_limits
from hilum.calibration.operating_points import OperatingPoint, choose, restated
from hilum.errors import EvaluationError
from hilum.recipe import CalibrationPart
from hilum.units import Units


@dataclass(frozen=True)
class Calibration:
    """What one finding's logits on `calibrate` fixed.

    points: by name; limits: of prediction sets
    warnings: the points that could not be reached, and why
    """

    chosen: ChosenCalibrator
    points: Mapping[str, OperatingPoint]
    limits: ConformalLimits
    warnings: tuple[str, ...]


def fit_calibration(
    finding: str,
    logit_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    settings: CalibrationPart,
    *,
    units: Units,
    rng: np.random.Generator,
    faulty_kn: NDArray[np.floating] | None = None,
) -> Calibration:
    """Calibrator, operating points and conformal limits of one finding.

    finding: what errors and warnings name
    logit_n: raw logits of the `calibrate` role, shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    units: patients, of the same images
    rng: deals units to folds
    faulty_kn: logits of the same films under k acquisition faults, shape (k, n). Calibrator and
        thresholds are then fitted on all of them; sensitivity and specificity are still stated on
        the films as they are, and prediction sets fitted on these, whose promise needs films drawn
        like those to come
    Raises EvaluationError when the calibrator cannot be fitted or the deployed point not reached;
    any other point that cannot be reached is left out, with a warning.
    """
    faulty_kn = np.empty((0, len(logit_n))) if faulty_kn is None else faulty_kn
    k = len(faulty_kn)
    logit_m = np.concatenate([logit_n, faulty_kn.ravel()])
    y_m, units_m = np.tile(y_n, k + 1), units.where(np.tile(np.arange(len(y_n)), k + 1))
    chosen = fit_calibrator(logit_m, y_m, settings.calibrator, rng=rng, units=units_m)
    prob_n, prob_m = chosen.calibrator.prob(logit_n), chosen.calibrator.prob(logit_m)
    points: dict[str, OperatingPoint] = {}
    warnings = []
    for name, rule in settings.operating_points.items():
        try:
            point = choose(prob_m, y_m, rule, name=name, units=units_m)
            points[name] = point
            if k:
                rule_in_words = f"{point.rule}, as they are and under {k} acquisition faults"
                points[name] = restated(point, rule_in_words, prob_n, y_n, units=units)
        except EvaluationError as error:
            if name == settings.deployed:
                raise EvaluationError(
                    f"calibration.operating_points.{name} for {finding}",
                    error.found,
                    expected=error.expected,
                    remedy=error.remedy,
                ) from error
            warnings.append(
                f"{finding} has no operating point {name}: {error.found}; expected {error.expected}"
            )
    limits = conformal_limits(prob_n, y_n, settings.coverage)
    return Calibration(chosen, points, limits, tuple(warnings))
