from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from hilum.calibration.recalibration import ONE_CLASS, fit_intercept, recalibrate
from hilum.errors import EvaluationError
from hilum.units import units_of


def drawn(n: int, slope: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a deployed probability, and labels that follow slope · logit + shift."""
    rng = np.random.default_rng(11)
    logit_n = rng.normal(0, 2, n)
    return logit_n, (rng.random(n) < expit(slope * logit_n + shift)).astype(float)


def alone(n: int):  # type: ignore[no-untyped-def]
    return units_of(np.full(n, None, dtype=object))


def kind_of(n: int, slope: float, shift: float) -> str:
    logit_n, y_n = drawn(n, slope, shift)
    return recalibrate(logit_n, y_n, units=alone(n), rng=np.random.default_rng(0)).kind


def test_the_shift_makes_the_mean_probability_the_smoothed_prevalence() -> None:
    logit_n, y_n = drawn(400, 1.0, -1.5)
    change = fit_intercept(logit_n, y_n)
    assert change.slope == 1
    assert change.intercept == pytest.approx(-1.5, abs=0.35)
    assert change.prob(logit_n).mean() == pytest.approx(y_n.mean(), abs=0.005)


def test_each_kind_of_fault_gets_the_change_that_mends_it() -> None:
    assert kind_of(2000, 1.0, -1.5) == "intercept"
    assert kind_of(2000, 0.4, 0.0) == "temperature"
    assert kind_of(2000, 0.4, -1.5) == "platt"
    # Where nothing is wrong any choice is as good as another: it changes next to nothing.
    logit_n, y_n = drawn(2000, 1.0, 0.0)
    found = recalibrate(logit_n, y_n, units=alone(2000), rng=np.random.default_rng(0))
    assert abs(found.change.prob(logit_n) - expit(logit_n)).max() < 0.03


def test_labels_of_one_class_shift_the_probabilities_towards_it() -> None:
    logit_n, y_n = np.full(20, 2.0), np.zeros(20)
    found = recalibrate(logit_n, y_n, units=alone(20), rng=np.random.default_rng(0))
    assert found.kind == "intercept"
    assert found.reason == ONE_CLASS
    # Platt's smoothing: none of 20 counts as 1 / 22.
    np.testing.assert_allclose(found.change.prob(logit_n), 1 / 22, atol=1e-6)


def test_unknown_labels_are_left_out() -> None:
    logit_n, y_n = drawn(400, 1.0, -1.5)
    with_unknown = np.append(logit_n, [0.0] * 9), np.append(y_n, [np.nan] * 9)
    found = recalibrate(*with_unknown, units=alone(409), rng=np.random.default_rng(0))
    assert found == recalibrate(logit_n, y_n, units=alone(400), rng=np.random.default_rng(0))


def test_a_shift_needs_a_label() -> None:
    with pytest.raises(EvaluationError, match="no image has a label"):
        fit_intercept(np.zeros(3), np.full(3, np.nan))
