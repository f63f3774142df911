import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.stats.contingency_tables import Table2x2

from hilum.evaluation.likelihood_ratios import (
    PREVALENCES,
    as_estimate,
    at_prevalences,
    likelihood_ratios,
    prevalence_curve,
)
from hilum.units import Units, units_of


def table(tp: int, fn: int, fp: int, tn: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    called_n = np.repeat([True, False, True, False], [tp, fn, fp, tn])
    return called_n, np.repeat([1.0, 0.0], [tp + fn, fp + tn])


def images(n: int) -> Units:
    return units_of(np.full(n, None, dtype=object))


def test_both_ratios_and_their_limits_are_statsmodels_risk_ratios() -> None:
    called_n, y_n = table(80, 20, 30, 170)
    positive, negative = likelihood_ratios(called_n, y_n, images(300))
    for found, rows in ((positive, [[80, 20], [30, 170]]), (negative, [[20, 80], [170, 30]])):
        oracle = Table2x2(np.array(rows))
        assert found.value == pytest.approx(oracle.riskratio)
        # The sum over patients divides by n - 1 where the textbook divides by n.
        assert (found.low, found.high) == pytest.approx(oracle.riskratio_confint(), rel=2e-3)


def test_copies_of_each_image_leave_the_limits_by_patient_as_they_were() -> None:
    called_n, y_n = table(40, 10, 15, 85)
    once = likelihood_ratios(called_n, y_n, images(150))
    patients = np.repeat(np.arange(150), 3).astype(str).astype(object)
    thrice = likelihood_ratios(np.repeat(called_n, 3), np.repeat(y_n, 3), units_of(patients))
    for one, three in zip(once, thrice, strict=True):
        assert (three.value, three.low, three.high) == pytest.approx(
            (one.value, one.low, one.high), rel=1e-9
        )
        assert "by patient" in three.method


def test_no_false_positive_gives_no_ratio_but_a_lower_limit_in_words() -> None:
    positive, negative = likelihood_ratios(*table(50, 50, 0, 100), images(200))
    estimate = as_estimate(positive, "no false positive")
    assert estimate.value is None
    assert "no false positive" in str(estimate.reason)
    assert positive.low is not None
    assert 1 < positive.low < 50
    assert negative.value == 0.5


def test_no_miss_gives_a_negative_ratio_of_zero_with_an_upper_limit() -> None:
    _, negative = likelihood_ratios(*table(100, 0, 20, 80), images(200))
    assert negative.value == 0.0
    assert negative.low == 0.0
    assert negative.high is not None
    assert 0 < negative.high < 0.2


@pytest.mark.parametrize("counts", [(5, 5, 0, 0), (0, 0, 5, 5), (0, 5, 0, 5)])
def test_one_class_or_nothing_called_has_no_positive_ratio(
    counts: tuple[int, int, int, int],
) -> None:
    called_n, y_n = table(*counts)
    positive, _ = likelihood_ratios(called_n, y_n, images(len(y_n)))
    assert positive.value is None
    assert as_estimate(positive, "x").reason
    assert at_prevalences((positive, positive), [0.1])[0].ppv.value is None
    assert prevalence_curve((positive, positive)) is None


def test_a_single_image_is_no_trouble() -> None:
    positive, _ = likelihood_ratios(np.array([True]), np.array([1.0]), images(1))
    assert positive.value is None


def test_at_the_prevalence_of_the_images_ppv_and_npv_are_those_of_the_images() -> None:
    ratios = likelihood_ratios(*table(80, 20, 30, 170), images(300))
    (found,) = at_prevalences(ratios, [1 / 3])
    assert found.ppv.value == pytest.approx(80 / 110)
    assert found.npv.value == pytest.approx(170 / 190)


def test_at_another_prevalence_they_are_those_of_images_weighted_to_it() -> None:
    ratios = likelihood_ratios(*table(80, 20, 30, 170), images(300))
    (found,) = at_prevalences(ratios, [0.02])
    assert found.ppv.value == pytest.approx(0.8 * 0.02 / (0.8 * 0.02 + 0.15 * 0.98))
    assert found.npv.value == pytest.approx(0.85 * 0.98 / (0.85 * 0.98 + 0.2 * 0.02))
    assert found.ppv.low is not None
    assert found.ppv.high is not None
    assert found.ppv.low < found.ppv.value < found.ppv.high


def test_the_curve_rises_for_ppv_and_falls_for_npv_within_its_band() -> None:
    curve = prevalence_curve(likelihood_ratios(*table(80, 20, 30, 170), images(300)))
    assert curve is not None
    assert curve.prevalence == PREVALENCES
    assert (np.diff(curve.ppv) > 0).all()
    assert (np.diff(curve.npv) < 0).all()
    for value, band in ((curve.ppv, curve.ppv_band), (curve.npv, curve.npv_band)):
        assert band is not None
        assert (np.array(band.low) <= value).all()
        assert (value <= np.array(band.high)).all()


@pytest.mark.parametrize("sens", [0.7, 0.97])
def test_the_interval_of_ppv_elsewhere_covers_about_95_percent(sens: float) -> None:
    rng, hits, runs = np.random.default_rng(4), 0, 1000
    truth = sens * 0.05 / (sens * 0.05 + 0.1 * 0.95)
    for _ in range(runs):
        tp, fp = int(rng.binomial(100, sens)), int(rng.binomial(150, 0.1))
        ratios = likelihood_ratios(*table(tp, 100 - tp, fp, 150 - fp), images(250))
        ppv = at_prevalences(ratios, [0.05])[0].ppv
        assert ppv.low is not None
        assert ppv.high is not None
        hits += ppv.low <= truth <= ppv.high
    assert 0.93 <= hits / runs <= 0.975


def test_perfect_sensitivity_on_few_images_is_no_certainty() -> None:
    positive, _ = likelihood_ratios(*table(1, 0, 100, 900), images(1001))
    assert positive.value == pytest.approx(10)
    assert positive.low is not None
    assert positive.low < 6  # one image with the finding may have been luck


def test_one_patient_or_one_decision_alone_has_no_interval_of_width_nought() -> None:
    called_n, y_n = table(8, 2, 10, 10)
    alone = units_of(np.full(30, "p", dtype=object))
    always = np.ones(30, dtype=bool)
    for decision_n, units in ((called_n, alone), (always, images(30))):
        (found,) = at_prevalences(likelihood_ratios(decision_n, y_n, units), [0.05])
        assert found.ppv.low is not None
        assert found.ppv.high is not None
        assert found.ppv.high - found.ppv.low > 0.005
