"""From raw logits to probabilities and decisions; all of it fitted on the `calibrate` role.

How good they then are on other images is left to `hilum.evaluation`.
"""

from hilum.calibration.operating_points import (
    OperatingPoint,
    target_sensitivity,
    target_specificity,
    youden,
)
from hilum.calibration.temperature import Temperature, fit_temperature

__all__ = [
    "OperatingPoint",
    "Temperature",
    "fit_temperature",
    "target_sensitivity",
    "target_specificity",
    "youden",
]
