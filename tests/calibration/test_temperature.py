import numpy as np
import pytest
from scipy.special import expit

from hilum.calibration import Temperature, fit_temperature
from hilum.errors import EvaluationError


def sample(scale: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    true_n = rng.normal(0, 2, n)
    return true_n * scale, (rng.random(n) < expit(true_n)).astype(float)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5, 8.0])
def test_the_temperature_undoes_overconfidence(scale: float) -> None:
    logit_n, y_n = sample(scale)
    assert fit_temperature(logit_n, y_n).temperature == pytest.approx(scale, rel=0.1)


def test_no_temperature_on_a_fine_grid_has_less_log_loss() -> None:
    logit_n, y_n = sample(2.0, n=300)

    def loss(t: float) -> float:
        return float(np.logaddexp(0, np.where(y_n == 1, -logit_n, logit_n) / t).mean())

    found = fit_temperature(logit_n, y_n).temperature
    assert loss(found) <= min(loss(t) for t in np.geomspace(0.05, 20, 4001)) + 1e-10


def test_it_agrees_with_scikit_learn() -> None:
    from sklearn.calibration import _TemperatureScaling

    logit_n, y_n = sample(2.0)
    ours = fit_temperature(logit_n, y_n)
    by_prob = _TemperatureScaling().fit(np.column_stack([expit(-logit_n), expit(logit_n)]), y_n)
    assert ours.temperature == pytest.approx(1 / by_prob.beta_, rel=1e-4)
    # Of a single score x it makes the logits (-x, x), so its number is half of what ours is; the
    # probabilities are the same.
    by_score = _TemperatureScaling().fit(logit_n[:, None], y_n)
    assert ours.temperature == pytest.approx(1 / by_score.beta_ / 2, rel=1e-4)
    theirs_n = by_score.predict(logit_n[:, None])[:, 1]
    np.testing.assert_allclose(ours.prob(logit_n), theirs_n, atol=1e-5)


def test_separated_classes_stop_at_the_coldest() -> None:
    found = fit_temperature(np.array([-3.0, -1.0, 1.0, 3.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert found.temperature == pytest.approx(0.05, rel=1e-3)


def test_scores_the_wrong_way_round_stop_at_the_hottest() -> None:
    found = fit_temperature(np.array([-3.0, -1.0, 1.0, 3.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert found.temperature == pytest.approx(20, rel=1e-3)


def test_unknown_labels_are_left_out() -> None:
    logit_n, y_n = sample(2.0, n=300)
    more = fit_temperature(np.append(logit_n, [9.0, np.nan]), np.append(y_n, [np.nan, np.nan]))
    assert more == fit_temperature(logit_n, y_n)


@pytest.mark.parametrize("y_n", [[], [1.0, 1.0], [0.0], [np.nan, 1.0]])
def test_a_missing_class_is_refused(y_n: list[float]) -> None:
    with pytest.raises(EvaluationError, match="expected both classes"):
        fit_temperature(np.zeros(len(y_n)), np.array(y_n))


def test_a_logit_that_is_not_finite_is_refused() -> None:
    with pytest.raises(EvaluationError, match="not finite"):
        fit_temperature(np.array([1.0, np.inf]), np.array([0.0, 1.0]))


def test_probabilities_keep_shape_and_order_and_stay_in_bounds() -> None:
    logit_nf = np.array([[-900.0, 0.0, 900.0]], dtype=np.float32)
    prob_nf = Temperature(1.5).prob(logit_nf)
    np.testing.assert_allclose(prob_nf, [[0, 0.5, 1]], atol=1e-200)
    assert Temperature(2.0).prob(np.array([2.0]))[0] == pytest.approx(expit(1.0))


def test_it_comes_back_from_its_dict_and_says_what_it_is() -> None:
    found = Temperature(1.734)
    assert found.to_dict() == {"kind": "temperature", "temperature": 1.734}
    assert Temperature.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "platt", "temperature": 1.0},
        {"kind": "temperature"},
        {"kind": "temperature", "temperature": "1"},
        {"kind": "temperature", "temperature": 0.0},
        {"kind": "temperature", "temperature": float("nan")},
    ],
)
def test_other_dicts_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(EvaluationError):
        Temperature.from_dict(fields)
