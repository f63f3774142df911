import json

import numpy as np
import pytest
from numpy.typing import NDArray

from hilum.calibration import OperatingPoint, target_sensitivity, target_specificity, youden
from hilum.errors import EvaluationError
from hilum.estimates import wilson

Floats = NDArray[np.float64]


def sample(seed: int, digits: int = 12, n: int = 80) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    y_n = (rng.random(n) < 0.4).astype(float)
    return np.round(1 / (1 + np.exp(-rng.normal(size=n) - y_n)), digits), y_n


def rates(prob_n: Floats, y_n: Floats, threshold: float) -> tuple[float, float]:
    called_n = prob_n >= threshold
    return float(called_n[y_n == 1].mean()), float((~called_n)[y_n == 0].mean())


# Every threshold that can matter: on each score, just above each, and the ends.
def candidates(prob_n: Floats) -> list[float]:
    return [0.0, *prob_n, *np.nextafter(prob_n, 2), 1.0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [1, 12])
def test_no_threshold_beats_youdens(seed: int, digits: int) -> None:
    prob_n, y_n = sample(seed, digits)
    point = youden(prob_n, y_n)
    best = max(sum(rates(prob_n, y_n, t)) for t in candidates(prob_n))
    assert sum(rates(prob_n, y_n, point.threshold)) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [1, 12])
@pytest.mark.parametrize("target", [0.5, 0.9, 0.95, 1.0])
def test_targets_are_reached_at_the_least_cost(seed: int, digits: int, target: float) -> None:
    prob_n, y_n = sample(seed, digits)
    every = [rates(prob_n, y_n, t) for t in candidates(prob_n)]
    sensitivity, specificity = rates(prob_n, y_n, target_sensitivity(prob_n, y_n, target).threshold)
    assert sensitivity >= target
    assert specificity == max(spec for sens, spec in every if sens >= target)
    sensitivity, specificity = rates(prob_n, y_n, target_specificity(prob_n, y_n, target).threshold)
    assert specificity >= target
    assert sensitivity == max(sens for sens, spec in every if spec >= target)


def test_a_point_says_what_it_yields_with_wilson_intervals() -> None:
    prob_n, y_n = sample(0)
    point = target_sensitivity(prob_n, y_n, 0.9, name="screening")
    called_n = prob_n >= point.threshold
    assert point.sensitivity == wilson(int(called_n[y_n == 1].sum()), int((y_n == 1).sum()))
    assert point.specificity == wilson(int((~called_n)[y_n == 0].sum()), int((y_n == 0).sum()))
    assert (point.name, point.rule, point.n) == ("screening", "sensitivity >= 0.9", 80)


def test_a_threshold_lies_midway_and_float_noise_changes_nothing() -> None:
    prob_n, y_n = np.array([0.1, 0.2, 0.6, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])
    point = youden(prob_n, y_n)
    assert point.threshold == pytest.approx(0.4)
    noisy_n = prob_n.astype(np.float32).astype(np.float64) + 1e-7
    assert ((noisy_n >= point.threshold) == (prob_n >= point.threshold)).all()


def test_neighbouring_floats_are_still_told_apart() -> None:
    low = 0.3
    prob_n, y_n = np.array([low, np.nextafter(low, 1)]), np.array([0.0, 1.0])
    assert list(prob_n >= youden(prob_n, y_n).threshold) == [False, True]


def test_nineteen_of_twenty_is_95_percent_in_spite_of_floats() -> None:
    prob_n = np.concatenate([np.linspace(0.1, 0.9, 20), [0.05]])
    y_n = np.concatenate([np.ones(20), [0.0]])
    assert target_sensitivity(prob_n, y_n, 0.95).sensitivity.value == 0.95


def test_equal_youden_points_go_to_the_one_that_misses_fewer() -> None:
    prob_n, y_n = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.0, 1.0, 0.0, 1.0])
    assert youden(prob_n, y_n).sensitivity.value == 1.0


def test_constant_scores_leave_one_side_empty() -> None:
    prob_n, y_n = np.full(6, 0.5), np.array([0.0, 1.0] * 3)
    assert youden(prob_n, y_n).sensitivity.value == 1.0
    assert target_specificity(prob_n, y_n, 0.9).specificity.value == 1.0


def test_a_specificity_out_of_reach_is_refused() -> None:
    prob_n, y_n = np.array([1.0, 1.0, 0.2]), np.array([0.0, 1.0, 0.0])
    with pytest.raises(EvaluationError, match="1 images without the finding score exactly 1"):
        target_specificity(prob_n, y_n, 0.9)
    assert target_specificity(prob_n, y_n, 0.5).specificity.value == 0.5


def test_unknown_labels_are_left_out() -> None:
    prob_n, y_n = sample(0)
    assert youden(np.append(prob_n, 0.99), np.append(y_n, np.nan)) == youden(prob_n, y_n)


@pytest.mark.parametrize("y_n", [[], [0.0, 0.0], [1.0], [np.nan, 0.0]])
def test_a_missing_class_is_refused(y_n: list[float]) -> None:
    for rule in (youden, lambda p, y: target_sensitivity(p, y, 0.9)):
        with pytest.raises(EvaluationError, match="expected both classes"):
            rule(np.full(len(y_n), 0.5), np.array(y_n))


@pytest.mark.parametrize("target", [0.0, 1.01, -1.0, float("nan")])
def test_a_target_that_is_no_rate_is_refused(target: float) -> None:
    with pytest.raises(EvaluationError, match="expected a number above 0 and up to 1"):
        target_sensitivity(*sample(0), target)


def test_logits_are_refused() -> None:
    with pytest.raises(EvaluationError, match="calibrated probabilities"):
        youden(np.array([-1.0, 2.0]), np.array([0.0, 1.0]))


def test_a_point_comes_back_from_json_to_the_last_digit() -> None:
    point = youden(*sample(3))
    again = OperatingPoint.from_dict(json.loads(json.dumps(point.to_dict(), allow_nan=False)))
    assert again.threshold == point.threshold
    assert again.to_dict() == point.to_dict()


@pytest.mark.parametrize("change", [{"threshold": None}, {"n": "3"}, {"sensitivity": 0.5}])
def test_another_shape_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(EvaluationError, match="operating point"):
        OperatingPoint.from_dict({**youden(*sample(3)).to_dict(), **change})
    with pytest.raises(EvaluationError, match="operating point"):
        OperatingPoint.from_dict({})
