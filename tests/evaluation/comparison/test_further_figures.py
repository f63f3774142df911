import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import metrics

from hilum.evaluation.comparison.further_figures import FURTHER
from hilum.evaluation.comparison.paired_bootstrap import Side
from hilum.evaluation.comparison.paired_figures import Answers, PairedFigures, paired_figures
from hilum.evaluation.intervals import Resampling
from hilum.evaluation.reliability import bins_for, equal_mass_bins
from hilum.units import units_of

Floats = NDArray[np.float64]


def two_classifiers(seed: int, n: int = 300) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    y_n = (rng.random(n) < 0.4).astype(float)
    common = rng.normal(size=n)
    a_n, b_n = (expit(3 * y_n - 1.5 + common + rng.normal(size=n)) for _ in range(2))
    return y_n, a_n, b_n


def side(y_n: Floats, prob_n: Floats, threshold: float = 0.5) -> Side:
    none_n = np.full(len(y_n), np.nan)
    return Side.of(prob_n, none_n, y_n, prob_n >= threshold, (), FURTHER)


def compared(
    y_n: Floats, a_n: Floats, b_n: Floats, at: tuple[float, float] = (0.5, 0.5), resamples: int = 60
) -> PairedFigures:
    units = units_of(np.full(len(y_n), None, dtype=object))
    resampling = Resampling.of(units, np.random.default_rng(0), resamples)
    a, b = (
        Answers(p_n, np.full(len(y_n), np.nan), p_n >= t)
        for p_n, t in zip((a_n, b_n), at, strict=True)
    )
    return paired_figures(y_n, a, b, units, resampling, (), FURTHER)


def slow_figures(y_n: Floats, prob_n: Floats, bin_n: NDArray[np.intp]) -> dict[str, float]:
    """By scikit-learn, or by hand where it has none; no smooth curve."""
    called_n, n = prob_n >= 0.5, len(y_n)
    fpr_e, tpr_e, _ = metrics.roc_curve(y_n, prob_n, drop_intermediate=False)
    square = 0.0
    for k in np.unique(bin_n):
        y_k, prob_k = y_n[bin_n == k], prob_n[bin_n == k]
        noise = y_k.mean() * (1 - y_k.mean()) / max(len(y_k) - 1, 1)
        square += len(y_k) / n * ((prob_k.mean() - y_k.mean()) ** 2 - noise)
    width_n = np.minimum((prob_n * 15).astype(int), 14)
    positive, negative = metrics.class_likelihood_ratios(y_n, called_n)
    return {
        "partial_auroc": metrics.roc_auc_score(y_n, prob_n, max_fpr=0.1),
        "sensitivity_at_specificity_90": tpr_e[fpr_e <= 0.1 + 1e-9].max(),
        "sensitivity_at_specificity_95": tpr_e[fpr_e <= 0.05 + 1e-9].max(),
        "specificity_at_sensitivity_90": 1 - fpr_e[tpr_e >= 0.9 - 1e-9].min(),
        "specificity_at_sensitivity_95": 1 - fpr_e[tpr_e >= 0.95 - 1e-9].min(),
        "brier_reliability": square,
        "brier_resolution": square + y_n.var(ddof=1) - np.mean((prob_n - y_n) ** 2),
        "ece_equal_width": sum(
            abs((prob_n - y_n)[width_n == k].sum()) / n for k in np.unique(width_n)
        ),
        "lr_positive": positive,
        "lr_negative": negative,
    }


@pytest.mark.parametrize("digits", [1, 8])
def test_each_further_figure_is_a_plain_loop_over_the_resamples(digits: int) -> None:
    y_n, prob_n, _ = two_classifiers(1)
    prob_n = prob_n.round(digits)
    count_bn = np.random.default_rng(2).multinomial(300, np.full(300, 1 / 300), 8).astype(np.int32)
    found = side(y_n, prob_n).statistics(count_bn)
    bin_n = equal_mass_bins(prob_n, bins_for(300))
    for b, count_n in enumerate(count_bn):
        row = np.repeat(np.arange(300), count_n)
        for name, value in slow_figures(y_n[row], prob_n[row], bin_n[row]).items():
            assert found[name][b] == pytest.approx(value, abs=1e-12), name


def test_the_calibration_index_is_near_that_of_a_curve_fitted_image_by_image() -> None:
    y_n, prob_n, _ = two_classifiers(3)
    made = side(y_n, prob_n)
    value = made.statistics(np.ones((1, 300), dtype=np.int32))["ici"][0]
    assert not isinstance(made.further.smooth, str)
    assert value == pytest.approx(made.further.smooth.ici(np.sort(prob_n)[::-1]), abs=1e-3)


def test_what_is_not_asked_for_is_not_computed() -> None:
    y_n, prob_n, _ = two_classifiers(4)
    plain = Side.of(prob_n, np.full(300, np.nan), y_n, prob_n >= 0.5)
    assert not set(plain.statistics(np.ones((1, 300), dtype=np.int32))) & set(FURTHER)
    assert (plain.further.names, plain.further.runs, plain.further.smooth) == ((), None, "")


def test_a_ratio_that_is_infinite_has_no_difference_and_says_why() -> None:
    y_n, a_n, b_n = two_classifiers(5)
    b_n = 0.4 * b_n + 0.6 * y_n * (b_n > 0.3)  # no false positive, some misses
    figures = compared(y_n, a_n, b_n).result.figures
    assert figures["lr_positive"].a.value is not None
    assert "B has none: no false positive" in (figures["lr_positive"].difference.reason or "")
    assert figures["lr_positive"].verdict == "unknown"
    assert figures["lr_negative"].difference.low is not None


def test_a_resample_with_an_infinite_ratio_has_none() -> None:
    y_n, prob_n = np.array([1.0, 1, 0, 0]), np.array([0.9, 0.2, 0.6, 0.1])
    count_bn = np.array([[1, 1, 0, 2], [1, 1, 2, 0], [1, 1, 1, 1]], dtype=np.int32)
    found = side(y_n, prob_n).statistics(count_bn)
    np.testing.assert_allclose(found["lr_positive"], [np.nan, 0.5, 1.0])
    np.testing.assert_allclose(found["lr_negative"], [0.5, np.nan, 1.0])


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_one_class_has_only_what_needs_one(y: float) -> None:
    prob_n = np.random.default_rng(6).random(40)
    figures = compared(np.full(40, y), prob_n, prob_n**2).result.figures
    having = {name for name in FURTHER if figures[name].difference.value is not None}
    assert having == {"brier_reliability", "brier_resolution", "ece_equal_width"}
    assert "the finding among 40" in (figures["ici"].difference.reason or "")


@pytest.mark.parametrize("n", [1, 2])
def test_hardly_any_image_gives_no_further_verdict(n: int) -> None:
    y_n = np.arange(n).astype(float)
    figures = compared(y_n, np.full(n, 0.4), 0.1 + 0.8 * y_n).result.figures
    assert {figures[name].verdict for name in FURTHER} <= {"unknown", "same"}
    assert figures["ici"].difference.value is None


def test_constant_scores_and_exact_probabilities_give_figures_or_reasons() -> None:
    y_n, prob_n, _ = two_classifiers(7)
    figures = compared(y_n, np.full(300, 0.5), (prob_n >= 0.5).astype(float)).result.figures
    for name in FURTHER:
        difference = figures[name].difference
        assert difference.value is not None or difference.reason, name
    assert figures["partial_auroc"].a.value == pytest.approx(0.5)
    assert "too few distinct probabilities" in (figures["ici"].difference.reason or "")


def test_intervals_of_further_differences_cover_what_they_say() -> None:
    covered: dict[str, list[bool]] = {name: [] for name in FURTHER}
    for seed in range(150):
        y_n, a_n, b_n = two_classifiers(1000 + seed)
        figures = compared(y_n, a_n, b_n, resamples=100).result.figures
        for name in FURTHER:
            low, high = figures[name].difference.low, figures[name].difference.high
            covered[name].append(low is None or high is None or low <= 0 <= high)
    for name, each in covered.items():
        assert np.mean(each) >= 0.89, (name, np.mean(each))
