import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.special import expit, logit

from hilum.evaluation.smooth_calibration import QUANTILES, SmoothCurve

Floats = NDArray[np.float64]


def drawn(n: int, seed: int = 0, slope: float = 1.0, shift: float = 0.0) -> tuple[Floats, Floats]:
    """Probabilities in descending order and labels whose log odds are slope * logit + shift."""
    rng = np.random.default_rng(seed)
    prob_n = np.sort(expit(rng.normal(-0.5, 1.5, n)))[::-1].copy()
    y_n = (rng.random(n) < expit(slope * logit(prob_n) + shift)).astype(float)
    return prob_n, y_n


def curve_of(prob_n: Floats, y_n: Floats) -> SmoothCurve:
    curve = SmoothCurve.fit(prob_n, y_n)
    assert isinstance(curve, SmoothCurve), curve
    return curve


def harrells_basis(x_n: Floats) -> Floats:
    """Restricted cubic spline by the formula in his book, one column at a time."""
    t = np.quantile(x_n, QUANTILES[5])
    columns = [np.ones(len(x_n)), x_n]
    for j in range(3):
        column = [
            max(x - t[j], 0) ** 3
            - max(x - t[3], 0) ** 3 * (t[4] - t[j]) / (t[4] - t[3])
            + max(x - t[4], 0) ** 3 * (t[3] - t[j]) / (t[4] - t[3])
            for x in x_n
        ]
        columns.append(np.array(column))
    return np.column_stack(columns)


def test_the_curve_is_statsmodels_regression_on_harrells_spline() -> None:
    prob_n, y_n = drawn(800, slope=0.6, shift=0.5)
    fitted = sm.GLM(y_n, harrells_basis(logit(prob_n)), family=sm.families.Binomial()).fit()
    curve = curve_of(prob_n, y_n)
    np.testing.assert_allclose(curve.at(prob_n)[0], fitted.fittedvalues, atol=1e-6)
    assert curve.ici(prob_n) == pytest.approx(np.abs(fitted.fittedvalues - prob_n).mean(), abs=1e-6)


def test_the_index_is_near_zero_for_right_and_near_the_truth_for_wrong_probabilities() -> None:
    prob_n, y_n = drawn(40_000, seed=1)
    assert curve_of(prob_n, y_n).ici(prob_n) < 0.01
    prob_n, y_n = drawn(40_000, seed=2, slope=0.5, shift=0.4)
    truth = np.abs(expit(0.5 * logit(prob_n) + 0.4) - prob_n).mean()
    assert curve_of(prob_n, y_n).ici(prob_n) == pytest.approx(truth, abs=0.01)


def test_a_resample_has_the_curve_of_its_repeated_images() -> None:
    prob_n, y_n = drawn(150, seed=3)
    curve = curve_of(prob_n, y_n)
    assert len(curve.starts) == 150  # a group each
    count_bn = np.random.default_rng(0).multinomial(150, np.ones(150) / 150, size=4)
    coefficient_bp, ici_b = curve.refitted(count_bn.astype(float), count_bn * y_n)
    basis_np = np.column_stack([np.ones(150), curve.x_gp[:, 1:]])
    for b, count_n in enumerate(count_bn):
        images = np.repeat(np.arange(150), count_n)
        fitted = sm.GLM(y_n[images], basis_np[images], family=sm.families.Binomial()).fit()
        np.testing.assert_allclose(coefficient_bp[b], fitted.params, rtol=1e-4, atol=1e-5)
        assert ici_b[b] == pytest.approx(
            np.abs(fitted.fittedvalues - prob_n[images]).mean(), abs=1e-5
        )


@pytest.mark.parametrize(
    ("prob", "y", "words"),
    [
        (np.linspace(0.9, 0.1, 20), np.repeat([1.0, 0.0], 10), "fewer than 20 images of a class"),
        (np.full(100, 0.5), np.tile([0.0, 1.0], 50), "too few distinct probabilities"),
        (np.linspace(0.9, 0.1, 200), np.repeat([1.0, 0.0], 100), "separate"),
    ],
)
def test_what_has_no_curve_says_why(prob: Floats, y: Floats, words: str) -> None:
    found = SmoothCurve.fit(prob, y)
    assert isinstance(found, str)
    assert words in found


def test_probabilities_of_exactly_zero_and_one_are_no_trouble() -> None:
    prob_n, y_n = drawn(2000, seed=5)
    prob_n[:20], prob_n[-20:] = 1.0, 0.0
    curve = curve_of(prob_n, y_n)
    assert np.isfinite(curve.at(np.array([1.0, 0.5, 0.0]))).all()


def test_fewer_images_get_a_stiffer_curve() -> None:
    assert len(curve_of(*drawn(70, seed=6)).knots) == 3
    assert len(curve_of(*drawn(500, seed=6)).knots) == 5
