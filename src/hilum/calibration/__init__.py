"""From raw logits to probabilities and decisions; all of it fitted on the `calibrate` role.

How good they then are on other images is left to `hilum.evaluation`.
"""

from hilum.calibration.calibrators import (
    Calibrator,
    ChosenCalibrator,
    calibrator_from_dict,
    fit_calibrator,
)
from hilum.calibration.conformal import ConformalLimits, conformal_limits
from hilum.calibration.fitting import Calibration, fit_calibration
from hilum.calibration.isotonic import Isotonic, fit_isotonic
from hilum.calibration.logistic import Beta, Platt, fit_beta, fit_platt
from hilum.calibration.operating_points import (
    OperatingPoint,
    choose,
    greatest_f_beta,
    least_cost,
    target_sensitivity,
    target_specificity,
    youden,
)
from hilum.calibration.temperature import Temperature, fit_temperature

__all__ = [
    "Beta",
    "Calibration",
    "Calibrator",
    "ChosenCalibrator",
    "ConformalLimits",
    "Isotonic",
    "OperatingPoint",
    "Platt",
    "Temperature",
    "calibrator_from_dict",
    "choose",
    "conformal_limits",
    "fit_beta",
    "fit_calibration",
    "fit_calibrator",
    "fit_isotonic",
    "fit_platt",
    "fit_temperature",
    "greatest_f_beta",
    "least_cost",
    "target_sensitivity",
    "target_specificity",
    "youden",
]
