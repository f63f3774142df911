import json
import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from hilum.calibration import Beta, Platt, fit_beta, fit_platt
from hilum.calibration.logistic import rising_sigmoid, smoothed
from hilum.errors import EvaluationError

FITS = (fit_platt, fit_beta)


def sample(n: int = 400, seed: int = 0, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logit_n = rng.normal(0.5, spread, n)
    return logit_n, (rng.random(n) < expit(0.6 * logit_n - 0.8)).astype(float)


def loss(prob_n: np.ndarray, target_n: np.ndarray) -> float:
    return float(-(target_n * np.log(prob_n) + (1 - target_n) * np.log1p(-prob_n)).mean())


def by_scipy(feature_nk: np.ndarray, target_n: np.ndarray) -> np.ndarray:
    """The same problem by a general solver with bounds: slow, and less exact."""

    def objective(w: np.ndarray) -> float:
        eta_n = feature_nk @ w[:-1] + w[-1]
        return float(np.mean(np.logaddexp(0, eta_n) - target_n * eta_n))

    k = feature_nk.shape[1]
    bounds = [(0, None)] * k + [(None, None)]
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000}
    found = minimize(objective, np.zeros(k + 1), bounds=bounds, method="L-BFGS-B", options=options)
    return np.asarray(found.x)


def halves(logit_n: np.ndarray) -> np.ndarray:
    s_n = expit(logit_n)
    return np.column_stack([np.log(s_n), -np.log(1 - s_n)])


@pytest.mark.parametrize("seed", range(5))
def test_platt_is_what_a_general_solver_finds(seed: int) -> None:
    logit_n, y_n = sample(seed=seed, n=80)
    found = fit_platt(logit_n, y_n)
    slope, intercept = by_scipy(logit_n[:, None], smoothed(y_n))
    assert found.slope == pytest.approx(slope, abs=1e-4)
    assert found.intercept == pytest.approx(intercept, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_beta_has_no_more_loss_than_a_general_solver_finds(seed: int, turn: float) -> None:
    logit_n, y_n = sample(seed=seed, n=80)
    y_n = y_n if turn > 0 else 1 - y_n
    found, target_n = fit_beta(logit_n, y_n), smoothed(y_n)
    *slopes, c = by_scipy(halves(logit_n), target_n)
    general = loss(expit(halves(logit_n) @ np.array(slopes) + c), target_n)
    assert loss(found.prob(logit_n), target_n) <= general + 1e-9
    assert min(found.a, found.b) >= 0


def test_platt_agrees_with_scikit_learn() -> None:
    from sklearn.calibration import _SigmoidCalibration

    logit_n, y_n = sample()
    theirs = _SigmoidCalibration().fit(logit_n, y_n)
    found = fit_platt(logit_n, y_n)
    np.testing.assert_allclose(found.prob(logit_n), theirs.predict(logit_n), atol=1e-5)
    assert found.slope == pytest.approx(-theirs.a_, abs=1e-4)  # they keep Platt's sign


def test_scikit_learns_platt_turns_round_scores_that_are_the_wrong_way_and_ours_does_not() -> None:
    from sklearn.calibration import _SigmoidCalibration

    logit_n, y_n = sample()
    assert _SigmoidCalibration().fit(logit_n, 1 - y_n).a_ > 0
    found = fit_platt(logit_n, 1 - y_n)
    assert found.slope == 0
    assert found.prob(logit_n) == pytest.approx(np.mean(smoothed(1 - y_n)), abs=1e-9)


def betacal(logit_n: np.ndarray, y_n: np.ndarray, weight_n: np.ndarray | None = None) -> np.ndarray:
    """a, b and the prediction of Kull et al.'s package, which silences all warnings for good."""
    with warnings.catch_warnings():
        from betacal import BetaCalibration

        theirs = BetaCalibration("abm").fit(expit(logit_n), y_n, weight_n)
    return np.array([*theirs.calibrator_.map_[:2], *theirs.predict(expit(sample()[0]))])


# Data with both slopes, with a = 0 and with b = 0 in the best fit.
@pytest.mark.parametrize(("below", "above"), [(0.6, 0.9), (-1.0, 1.2), (1.2, -1.0)])
def test_beta_agrees_with_betacal_on_the_same_smoothed_labels(below: float, above: float) -> None:
    rng, logit_n = np.random.default_rng(1), sample(n=600)[0]
    y_n = (rng.random(600) < expit(halves(logit_n) @ np.array([below, above]))).astype(float)
    found, target_n = fit_beta(logit_n, y_n), smoothed(y_n)
    # A target of 0.9 is nine tenths of an image with the finding and one of one without.
    theirs = betacal(
        np.tile(logit_n, 2), np.repeat([1.0, 0.0], 600), np.concatenate([target_n, 1 - target_n])
    )
    assert (found.a == 0, found.b == 0) == (below < 0, above < 0)
    np.testing.assert_allclose([found.a, found.b], theirs[:2], atol=5e-3)
    np.testing.assert_allclose(found.prob(sample()[0]), theirs[2:], atol=2e-3)


def test_without_smoothing_beta_is_betacals_and_with_many_images_it_makes_no_difference() -> None:
    logit_n, y_n = sample(n=20_000)
    theirs = betacal(logit_n, y_n)
    slopes, _ = rising_sigmoid(halves(logit_n), np.clip(y_n, 1e-9, 1 - 1e-9))
    np.testing.assert_allclose(slopes, theirs[:2], atol=2e-3)
    found = fit_beta(logit_n, y_n)
    np.testing.assert_allclose(found.prob(sample()[0]), theirs[2:], atol=2e-3)


def test_betacal_lets_scores_the_wrong_way_round_turn_the_order_and_ours_does_not() -> None:
    logit_n, y_n = sample()
    assert betacal(logit_n, 1 - y_n)[1] < 0
    found = fit_beta(logit_n, 1 - y_n)
    assert (found.a, found.b) == (0, 0)


def test_betacal_clips_what_ours_tells_apart_and_switches_warnings_off() -> None:
    from betacal import BetaCalibration

    logit_n, y_n = sample()
    with warnings.catch_warnings():
        theirs = BetaCalibration("abm").fit(expit(logit_n), y_n)
        assert warnings.filters[0][0] == "ignore"
    # Where 1 - s is below 2^-52 it clips; ours goes on with the logit.
    far = np.array([40.0, 60.0])
    assert np.ptp(theirs.predict(expit(-far))) == 0
    assert np.ptp(fit_beta(logit_n, y_n).prob(-far)) > 0


def test_beta_with_equal_slopes_is_platt() -> None:
    logit_n = np.linspace(-50, 50, 101)
    np.testing.assert_allclose(
        Beta(0.7, 0.7, -0.2).prob(logit_n), Platt(0.7, -0.2).prob(logit_n), atol=1e-14
    )


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_separated_classes_still_have_a_finite_sigmoid(fit: object, scale: float) -> None:
    logit_n = np.concatenate([np.linspace(-3, -1, 30), np.linspace(1, 3, 30)]) * scale
    y_n = np.repeat([0.0, 1.0], 30)
    prob_n = fit(logit_n, y_n).prob(logit_n)
    assert prob_n.mean() == pytest.approx(0.5, abs=1e-6)
    assert (prob_n[30:] > 0.8).all()
    assert (prob_n[30:] < 0.9999).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("level", [0.0, 3.7, -900.0, 1e9])
def test_constant_logits_give_the_prevalence(fit: object, level: float) -> None:
    y_n = np.repeat([0.0, 1.0], [30, 10])
    prob_n = fit(np.full(40, level), y_n).prob(np.array([level]))
    assert prob_n[0] == pytest.approx(smoothed(y_n).mean(), abs=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_one_image_of_each_class_is_enough_to_fit(fit: object) -> None:
    prob_n = fit(np.array([-1.0, 1.0]), np.array([0.0, 1.0])).prob(np.array([-1.0, 1.0]))
    np.testing.assert_allclose(prob_n, [1 / 3, 2 / 3], atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_at_one_in_ten_thousand_the_mean_probability_is_the_prevalence(fit: object) -> None:
    rng = np.random.default_rng(0)
    y_n = np.zeros(100_000)
    y_n[:10] = 1
    logit_n = rng.normal(-6, 1.5, 100_000) + 5 * y_n
    assert fit(logit_n, y_n).prob(logit_n).mean() == pytest.approx(smoothed(y_n).mean(), rel=1e-6)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("seed", range(5))
def test_no_image_overtakes_another(fit: object, seed: int) -> None:
    logit_n, y_n = sample(n=50, seed=seed)
    for label_n in (y_n, 1 - y_n):
        prob_n = fit(logit_n, label_n).prob(np.linspace(-800, 800, 4001))
        assert (np.diff(prob_n) >= 0).all()
        assert ((prob_n >= 0) & (prob_n <= 1)).all()


@pytest.mark.parametrize("fit", FITS)
def test_unknown_labels_are_left_out(fit: object) -> None:
    logit_n, y_n = sample()
    more = fit(np.append(logit_n, [9.0, np.nan]), np.append(y_n, [np.nan, np.nan]))
    assert more == fit(logit_n, y_n)


@pytest.mark.parametrize("fit", FITS)
def test_a_missing_class_and_a_logit_that_is_not_finite_are_refused(fit: object) -> None:
    for y in ([], [1.0, 1.0], [np.nan, 0.0]):
        with pytest.raises(EvaluationError, match="expected both classes"):
            fit(np.zeros(len(y)), np.array(y))
    with pytest.raises(EvaluationError, match="not finite"):
        fit(np.array([1.0, np.inf]), np.array([0.0, 1.0]))


@pytest.mark.parametrize("calibrator", [Platt(0.61, -0.3), Beta(0.61, 1.2, -0.3)])
def test_they_come_back_from_json_and_keep_shape(calibrator: Platt | Beta) -> None:
    again = type(calibrator).from_dict(json.loads(json.dumps(calibrator.to_dict())))
    assert again == calibrator
    assert calibrator.prob(np.zeros((2, 3), dtype=np.float32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Platt, {"kind": "platt", "slope": -0.1, "intercept": 0.0}),
        (Platt, {"kind": "platt", "slope": 1.0}),
        (Platt, {"kind": "beta", "slope": 1.0, "intercept": 0.0}),
        (Platt, {"kind": "platt", "slope": 1.0, "intercept": float("inf")}),
        (Platt, {"kind": "platt", "slope": 10**400, "intercept": 0.0}),
        (Platt, {"kind": "platt", "slope": True, "intercept": 0.0}),
        (Beta, {"kind": "beta", "a": 1.0, "b": -1e-9, "c": 0.0}),
        (Beta, {"kind": "beta", "a": "1", "b": 1.0, "c": 0.0}),
        (Beta, {"kind": "beta", "a": 1.0, "b": 1.0, "c": float("nan")}),
    ],
)
def test_other_dicts_are_refused(kind: type[Platt | Beta], fields: dict[str, object]) -> None:
    with pytest.raises(EvaluationError):
        kind.from_dict(fields)
