import numpy as np
import pytest
from scipy.special import expit

from hilum.calibration import conformal_limits, fit_calibration, youden
from hilum.errors import EvaluationError
from hilum.recipe import CalibrationPart
from hilum.units import Units, units_of


def fitted(settings: CalibrationPart, logit_n: np.ndarray, y_n: np.ndarray, units: Units | None):
    units = Units("image", np.arange(len(y_n)), len(y_n)) if units is None else units
    return fit_calibration(
        "Pneumonia", logit_n, y_n, settings, units=units, rng=np.random.default_rng(0)
    )


def sample(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logit_n = rng.normal(0, 2, n)
    return logit_n, (rng.random(n) < expit(logit_n)).astype(float)


def test_points_and_limits_rest_on_the_chosen_calibrators_probabilities() -> None:
    logit_n, y_n = sample()
    found = fitted(CalibrationPart(coverage=0.8), logit_n, y_n, None)
    prob_n = found.chosen.calibrator.prob(logit_n)
    assert found.points["youden"] == youden(prob_n, y_n)
    assert found.limits == conformal_limits(prob_n, y_n, 0.8)
    assert list(found.points) == ["youden", "sensitivity_95", "specificity_95"]
    assert found.points["sensitivity_95"].sensitivity.value >= 0.95
    assert found.points["specificity_95"].specificity.value >= 0.95
    assert found.warnings == ()


def test_patients_are_the_units_of_points() -> None:
    logit_n, y_n = (np.repeat(each, 3) for each in sample())
    units = units_of(np.repeat(np.arange(200).astype(str).astype(object), 3))
    found = fitted(CalibrationPart(), logit_n, y_n, units)
    assert "patients" in found.points["youden"].sensitivity.method


def settings(deployed: str) -> CalibrationPart:
    return CalibrationPart.model_validate(
        {
            "calibrator": "temperature",
            "deployed": deployed,
            "operating_points": {
                "youden": {"rule": "youden"},
                "strict": {"rule": "sensitivity", "target": 0.999, "bound": "lower"},
                "specificity_95": {"rule": "specificity", "target": 0.95},
            },
        }
    )


def test_a_point_out_of_reach_is_left_out_with_a_warning_that_says_why() -> None:
    found = fitted(settings("youden"), *sample(), None)
    assert list(found.points) == ["youden", "specificity_95"]
    (warning,) = found.warnings
    assert "Pneumonia has no operating point strict: no lower limit of sensitivity above" in warning
    # Saturated logits without the finding: their probability is exactly 1.
    logit_n, y_n = sample()
    logit_n[y_n == 0] = 1e6
    found = fitted(settings("youden"), logit_n, y_n, None)
    assert "no operating point specificity_95" in found.warnings[1]
    assert "score exactly 1" in found.warnings[1]


def test_the_deployed_point_out_of_reach_is_an_error_that_names_its_key() -> None:
    with pytest.raises(
        EvaluationError,
        match=r"calibration\.operating_points\.strict for Pneumonia: no lower limit .* set a lower",
    ):
        fitted(settings("strict"), *sample(), None)


def test_films_under_faults_move_the_point_and_its_figures_are_those_of_the_films_as_they_are() -> (
    None
):
    logit_n, y_n = sample()
    faulty_kn = np.stack([logit_n + 2, logit_n + 3])  # every fault makes the network see more
    units = Units("image", np.arange(len(y_n)), len(y_n))
    settings = CalibrationPart(calibrator="temperature")
    found = fit_calibration(
        "Pneumonia",
        logit_n,
        y_n,
        settings,
        units=units,
        rng=np.random.default_rng(0),
        faulty_kn=faulty_kn,
    )
    plain = fitted(settings, logit_n, y_n, None)
    point = found.points["youden"]
    prob_n = found.chosen.calibrator.prob(logit_n)
    every_m = found.chosen.calibrator.prob(np.concatenate([logit_n, *faulty_kn]))
    assert point.threshold == youden(every_m, np.tile(y_n, 3)).threshold
    assert point.threshold > plain.points["youden"].threshold
    positive_n = prob_n >= point.threshold
    assert point.sensitivity.value == positive_n[y_n == 1].mean()
    assert point.specificity.value == (~positive_n)[y_n == 0].mean()
    assert point.n == len(y_n)
    assert "under 2 acquisition faults" in point.rule
    assert found.limits == conformal_limits(prob_n, y_n, 0.9)
