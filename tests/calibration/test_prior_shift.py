from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from hilum.calibration.prior_shift import corrected, prevalences, prior_shift
from hilum.errors import EvaluationError
from hilum.units import units_of


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def alone(n: int):  # type: ignore[no-untyped-def]
    return units_of(np.full(n, None, dtype=object))


def films(n: int, prevalence: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities calibrated at a prevalence of 0.7, of films among which fewer or more have it.

    Scores of the two classes are normal, 1.5 apart, so that their likelihood ratio is known.
    """
    y_n = (rng.random(n) < prevalence).astype(float)
    score_n = rng.normal(1.5 * y_n, 1.0)
    log_ratio_n = 1.5 * score_n - 1.5**2 / 2
    return expit(log_ratio_n + np.log(0.7 / 0.3)), y_n


def em(prob_n: np.ndarray, training: float) -> float:
    """Saerens's loop as it is written, far past the point where anything moves."""
    at = training
    for _ in range(20_000):
        joint = at / training * prob_n
        joint = joint / (joint + (1 - at) / (1 - training) * (1 - prob_n))
        at = float(joint.mean())
    return at


def test_it_is_where_the_published_loop_comes_to_rest() -> None:
    made = rng()
    for prevalence in (0.02, 0.2, 0.7, 0.95):
        prob_n, _ = films(300, prevalence, made)
        found = prevalences(prob_n, 0.7, np.ones((1, 300)))[0]
        assert found == pytest.approx(em(prob_n, 0.7), abs=1e-6)


def test_a_prevalence_is_found_without_a_label_and_probabilities_follow() -> None:
    prob_n, y_n = films(4000, 0.2, rng())
    found = prior_shift(prob_n, 0.7, units=alone(4000), rng=rng(), resamples=300)
    assert found.prevalence.value == pytest.approx(0.2, abs=0.03)
    assert found.prevalence.low is not None
    assert found.prevalence.high is not None
    assert found.prevalence.low < 0.2 < found.prevalence.high
    # At its own estimate the corrected probabilities sum to it: the loop's fixed point.
    assert found.prob_n.mean() == pytest.approx(found.prevalence.value, abs=1e-6)

    def loss(prob_n: np.ndarray) -> float:
        return float(-np.log(np.where(y_n == 1, prob_n, 1 - prob_n)).mean())

    assert loss(found.prob_n) < loss(prob_n) - 0.1


def test_its_interval_covers_as_often_as_it_says() -> None:
    made, hits = rng(), 0
    for _ in range(200):
        prob_n, _ = films(200, 0.3, made)
        found = prior_shift(prob_n, 0.7, units=alone(200), rng=made, resamples=200).prevalence
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.3 <= found.high
    assert 0.90 <= hits / 200 <= 0.99


def test_films_of_one_patient_widen_the_interval() -> None:
    prob_n, _ = films(60, 0.3, rng())
    patients = units_of(np.repeat([f"p{k}" for k in range(60)], 5).astype(object))
    clustered = prior_shift(np.repeat(prob_n, 5), 0.7, units=patients, rng=rng()).prevalence
    single = prior_shift(np.repeat(prob_n, 5), 0.7, units=alone(300), rng=rng()).prevalence
    assert clustered.value == single.value
    assert clustered.low is not None
    assert single.low is not None
    assert clustered.high is not None
    assert single.high is not None
    assert clustered.high - clustered.low > 1.8 * (single.high - single.low)
    assert clustered.method == "bootstrap by patient, 2000 resamples"


def test_bayes_rule_is_undone_by_going_back() -> None:
    prob_n = np.array([0.01, 0.4, 0.99])
    np.testing.assert_allclose(corrected(corrected(prob_n, 0.7, 0.1), 0.1, 0.7), prob_n)
    # Odds are multiplied by the ratio of the prior odds.
    assert corrected(np.array([0.5]), 0.5, 0.2)[0] == pytest.approx(0.2)


def test_certain_films_are_counted_and_one_patient_has_no_interval() -> None:
    prob_n = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    one = units_of(np.full(5, "p", dtype=object))
    found = prior_shift(prob_n, 0.7, units=one, rng=rng())
    assert found.prevalence.value == pytest.approx(0.4)
    assert found.prevalence.low is None
    assert found.prevalence.reason == "an interval needs two or more patients"


@pytest.mark.parametrize(
    ("prob_n", "training", "says"),
    [([], 0.5, "no film"), ([1.2], 0.5, "outside"), ([0.4], 1.0, "training prevalence 1")],
)
def test_what_is_no_probability_is_refused(prob_n: list[float], training: float, says: str) -> None:
    with pytest.raises(EvaluationError, match=says):
        prior_shift(np.array(prob_n), training, units=alone(len(prob_n)), rng=rng())
