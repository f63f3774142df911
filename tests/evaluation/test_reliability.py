import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from hilum.evaluation import reliability as rel
from hilum.units import Units, units_of

Floats = NDArray[np.float64]


def images(n: int) -> Units:
    return units_of(np.full(n, None, dtype=object))


def calibrated(n: int, rng: np.random.Generator, slope: float = 1.0) -> tuple[Floats, Floats]:
    """Probabilities whose logits are `slope` times the true ones' inverse, and labels."""
    true_n = rng.normal(0, 1.5, n)
    return expit(true_n / slope), (rng.random(n) < expit(true_n)).astype(float)


def test_log_loss_is_scikit_learns_from_logits_and_from_probabilities() -> None:
    prob_n, y_n = calibrated(200, np.random.default_rng(0))
    expected = metrics.log_loss(y_n, prob_n)
    assert rel.log_losses(prob_n, y_n).mean() == pytest.approx(expected)
    assert rel.log_losses_of_logits(logit(prob_n), y_n).mean() == pytest.approx(expected)


def test_log_loss_of_a_huge_logit_is_the_logit() -> None:
    losses = rel.log_losses_of_logits(np.array([-800.0, 800.0, 800.0]), np.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(losses, [800, 800, 0])


def test_log_loss_of_a_certain_error_is_finite_and_documented() -> None:
    losses = rel.log_losses(np.array([0.0, 1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0]))
    np.testing.assert_allclose(losses, [52 * np.log(2)] * 2 + [0, 0], atol=1e-12)


def test_brier_is_scikit_learns() -> None:
    prob_n, y_n = calibrated(100, np.random.default_rng(1))
    expected = metrics.brier_score_loss(y_n, prob_n)
    assert rel.brier_scores(prob_n, y_n).mean() == pytest.approx(expected)


def test_equal_mass_bins_hold_about_as_many_and_ignore_row_order() -> None:
    rng = np.random.default_rng(2)
    prob_n = rng.random(624)
    bin_n = rel.equal_mass_bins(prob_n)
    assert set(np.bincount(bin_n)) <= {41, 42}
    order_n = rng.permutation(624)
    np.testing.assert_array_equal(rel.equal_mass_bins(prob_n[order_n]), bin_n[order_n])


def test_ties_share_a_bin() -> None:
    prob_n = np.random.default_rng(3).choice([0.1, 0.2, 0.9], size=200)
    bin_n = rel.equal_mass_bins(prob_n)
    assert [len(set(bin_n[prob_n == p])) for p in (0.1, 0.2, 0.9)] == [1, 1, 1]
    assert set(rel.equal_mass_bins(np.full(50, 0.4))) == {0}
    assert list(rel.equal_mass_bins(np.array([0.3]))) == [0]


def test_equal_width_bins_put_one_into_the_last() -> None:
    bin_n = rel.equal_width_bins(np.array([0.0, 0.0999, 0.1, 0.95, 1.0]), bins=10)
    assert list(bin_n) == [0, 0, 1, 9, 9]


def slow_errors(prob_n: Floats, y_n: Floats, bin_n: NDArray[np.intp]) -> tuple[float, float]:
    absolute = square = 0.0
    for k in set(bin_n):
        p, y = prob_n[bin_n == k], y_n[bin_n == k]
        absolute += len(p) * abs(p.mean() - y.mean()) / len(prob_n)
        noise = y.var() / (len(y) - 1) if len(y) > 1 else 0.0
        square += len(p) * ((p.mean() - y.mean()) ** 2 - noise) / len(prob_n)
    return absolute, float(np.sqrt(max(0.0, square)))


@pytest.mark.parametrize("binning", [rel.equal_mass_bins, rel.equal_width_bins])
@pytest.mark.parametrize("digits", [1, 9])
def test_calibration_errors_are_the_slow_ones(binning: object, digits: int) -> None:
    assert callable(binning)
    prob_n, y_n = calibrated(300, np.random.default_rng(4), slope=0.6)
    prob_n = np.round(prob_n, digits)
    bin_n = binning(prob_n)
    absolute, debiased = slow_errors(prob_n, y_n, bin_n)
    assert rel.calibration_error(prob_n, y_n, bin_n) == pytest.approx(absolute)
    assert rel.debiased_calibration_error(prob_n, y_n, bin_n) == pytest.approx(debiased)


def test_debiasing_takes_away_what_chance_puts_in() -> None:
    rng, plain, square = np.random.default_rng(5), [], []
    for _ in range(300):
        prob_n, y_n = calibrated(300, rng)
        bin_n = rel.equal_mass_bins(prob_n)
        sums = [np.bincount(bin_n, weights=w)[None] for w in (np.ones(300), prob_n, y_n)]
        square.append(rel.debiased_square_errors(*sums)[0])
        plain.append(rel.calibration_error(prob_n, y_n, bin_n))
    assert np.mean(plain) > 0.05  # what a perfect model is charged with
    error = np.std(square) / np.sqrt(300)
    assert abs(np.mean(square)) < 3.5 * error + 2e-4


def test_intercept_and_slope_are_those_of_logistic_regression() -> None:
    prob_n, y_n = calibrated(500, np.random.default_rng(6), slope=0.7)
    slope = rel.calibration_slope(prob_n, y_n, images(500))
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=500).fit(logit(prob_n)[:, None], y_n)
    assert slope.value == pytest.approx(model.coef_[0, 0], rel=1e-5)
    intercept = rel.calibration_intercept(prob_n, y_n, images(500))
    assert intercept.value is not None
    # At the right intercept as many are expected as there are.
    assert expit(logit(prob_n) + intercept.value).sum() == pytest.approx(y_n.sum())


def test_intercept_and_slope_cover_the_truth() -> None:
    rng, hits = np.random.default_rng(7), [0, 0]
    for _ in range(300):
        prob_n, y_n = calibrated(300, rng, slope=0.7)
        slope = rel.calibration_slope(prob_n, y_n, images(300))
        prob_n, y_n = calibrated(300, rng)
        intercept = rel.calibration_intercept(prob_n, y_n, images(300))
        for k, (found, truth) in enumerate(((slope, 0.7), (intercept, 0.0))):
            assert found.low is not None
            assert found.high is not None
            hits[k] += found.low <= truth <= found.high
    assert all(0.91 <= hit / 300 <= 0.985 for hit in hits)


def test_separated_classes_have_no_slope_but_an_intercept() -> None:
    prob_n, y_n = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    for sign in (prob_n, 1 - prob_n):
        slope = rel.calibration_slope(sign, y_n, images(4))
        assert slope.value is None
        assert "separate" in str(slope.reason)
        assert rel.calibration_intercept(sign, y_n, images(4)).value == pytest.approx(0, abs=1e-9)


def test_certain_probabilities_and_constant_ones_end_well() -> None:
    rng = np.random.default_rng(8)
    y_n = (rng.random(100) < 0.5).astype(float)
    certain_n = np.where(rng.random(100) < 0.8, y_n, 1 - y_n)
    for figure in (rel.calibration_slope, rel.calibration_intercept):
        found = figure(certain_n, y_n, images(100))
        assert found.value is None
        assert "wrong with certainty" in str(found.reason)
    right_n = np.where(rng.random(100) < 0.3, y_n, 0.2 + 0.6 * rng.random(100))
    assert rel.calibration_intercept(right_n, y_n, images(100)).value is not None
    constant = rel.calibration_slope(np.full(100, 0.3), y_n, images(100))
    assert constant.reason == "all probabilities are equal"


def test_one_class_has_neither_intercept_nor_slope() -> None:
    for figure in (rel.calibration_intercept, rel.calibration_slope):
        found = figure(np.array([0.2, 0.4]), np.ones(2), images(2))
        assert found.reason == "no image without the finding among 2"


def test_the_curve_counts_every_image_and_keeps_to_its_bars() -> None:
    prob_n, y_n = calibrated(624, np.random.default_rng(9))
    curve = rel.reliability_curve(prob_n, y_n, images(624))
    assert len(curve.n) == 10
    assert sum(curve.n) == 624
    assert sum(curve.present) == y_n.sum()
    assert list(curve.mean_prob) == sorted(curve.mean_prob)
    for low, observed, high in zip(curve.low, curve.observed, curve.high, strict=True):
        assert 0 <= low <= observed <= high <= 1
    assert rel.reliability_curve(prob_n[:1], y_n[:1], images(1)).n == (1,)


def counted(prob_n: Floats, y_n: Floats, bin_n: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    n_k, prob_k, present_k = (
        np.bincount(bin_n, weights=w).astype(float)[None]
        for w in (np.ones(len(bin_n)), prob_n, y_n)
    )
    return n_k, prob_k, present_k


def test_miscalibration_resolution_and_uncertainty_add_up_to_the_brier_score_of_murphy() -> None:
    """Where each bin holds one probability, Murphy's three terms are exact, before debiasing."""
    rng = np.random.default_rng(3)
    prob_n = rng.choice([0.1, 0.3, 0.6, 0.9], 400)
    y_n = (rng.random(400) < 0.1 + 0.8 * prob_n).astype(float)
    bin_n = np.searchsorted([0.1, 0.3, 0.6, 0.9], prob_n)
    rel_slow = res_slow = noise = 0.0
    for k in range(4):
        of = y_n[bin_n == k]
        share = len(of) / 400
        rel_slow += share * (prob_n[bin_n == k].mean() - of.mean()) ** 2
        res_slow += share * (of.mean() - y_n.mean()) ** 2
        noise += share * of.mean() * (1 - of.mean()) / (len(of) - 1)
    unc_slow = y_n.mean() * (1 - y_n.mean())
    brier = metrics.brier_score_loss(y_n, prob_n)
    assert rel_slow - res_slow + unc_slow == pytest.approx(brier)
    n_k, prob_k, present_k = counted(prob_n, y_n, bin_n)
    reliability = rel.debiased_square_errors(n_k, prob_k, present_k)[0]
    uncertainty = rel.uncertainties(n_k.sum(axis=1), present_k.sum(axis=1))[0]
    resolution = reliability + uncertainty - brier
    assert reliability == pytest.approx(rel_slow - noise)
    assert uncertainty == pytest.approx(unc_slow + unc_slow / 399)
    assert resolution == pytest.approx(res_slow - noise + unc_slow / 399)


def test_uncertainty_is_unbiased_and_needs_two_images() -> None:
    rng = np.random.default_rng(0)
    present_b = rng.binomial(8, 0.2, 200_000).astype(float)
    assert rel.uncertainties(np.full(200_000, 8.0), present_b).mean() == pytest.approx(
        0.16, abs=1e-3
    )
    assert np.isnan(rel.uncertainties(np.array([1.0]), np.array([1.0]))[0])


def test_equal_width_error_is_torchmetrics_l1() -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.classification import BinaryCalibrationError

    prob_n, y_n = calibrated(500, np.random.default_rng(8), slope=0.6)
    theirs = BinaryCalibrationError(n_bins=15, norm="l1")(
        torch.tensor(prob_n), torch.tensor(y_n).long()
    )
    bin_n = rel.equal_width_bins(prob_n)
    assert rel.calibration_error(prob_n, y_n, bin_n) == pytest.approx(float(theirs), abs=1e-6)
    assert rel.calibration_errors(*counted(prob_n, y_n, bin_n))[0] == pytest.approx(
        float(theirs), abs=1e-6
    )
