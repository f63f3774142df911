import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from hilum.errors import EvaluationError
from hilum.evaluation.discrimination import (
    MOST_POINTS,
    Ranking,
    auroc,
    average_precision,
    balanced_accuracy,
    confusion,
    f1,
    mcc,
    roc_curve,
    score_histogram,
    sensitivities_at,
)

Floats = NDArray[np.float64]


def sample(case: str, n: int = 120, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    y_n = (rng.random(n) < 0.4).astype(float)
    prob_n = 1 / (1 + np.exp(-rng.normal(size=n) - y_n))
    if case == "ties":
        prob_n = np.round(prob_n, 1)
    if case == "constant":
        prob_n = np.full(n, 0.5)
    if case == "certain":
        prob_n = np.round(prob_n)
    if case == "rare":
        y_n = (np.arange(10_001) == 4321).astype(float)
        prob_n = np.round(rng.random(10_001), 3)
    if case == "two":
        y_n, prob_n = np.array([0.0, 1.0]), np.array([0.7, 0.2])
    return prob_n, y_n


CASES = ["smooth", "ties", "constant", "certain", "rare", "two"]


def pair_count(prob_n: Floats, y_n: Floats) -> float:
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0 for a in prob_n[y_n == 1] for b in prob_n[y_n == 0]
    ]
    return sum(wins) / len(wins)


def slow_average_precision(prob_n: Floats, y_n: Floats) -> float:
    """The precision at each positive's own score, averaged over the positives."""
    at = [y_n[prob_n >= score].mean() for score in prob_n[y_n == 1]]
    return float(np.mean(at))


@pytest.mark.parametrize("case", CASES)
def test_auroc_is_the_pair_count_and_scikit_learns(case: str) -> None:
    prob_n, y_n = sample(case)
    assert auroc(prob_n, y_n) == pytest.approx(pair_count(prob_n, y_n), abs=1e-12)
    assert auroc(prob_n, y_n) == pytest.approx(metrics.roc_auc_score(y_n, prob_n), abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_average_precision_is_the_slow_one_and_scikit_learns(case: str) -> None:
    prob_n, y_n = sample(case)
    found = average_precision(prob_n, y_n)
    assert found == pytest.approx(slow_average_precision(prob_n, y_n), abs=1e-12)
    assert found == pytest.approx(metrics.average_precision_score(y_n, prob_n), abs=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_counts_and_their_figures_are_scikit_learns(case: str, threshold: float) -> None:
    prob_n, y_n = sample(case)
    called_n = prob_n >= threshold
    counts = confusion(prob_n, y_n, threshold)
    expected = metrics.confusion_matrix(y_n, called_n, labels=[0, 1]).ravel()
    assert (counts.tn, counts.fp, counts.fn, counts.tp) == tuple(expected)
    cells = [np.array([count]) for count in (counts.tn, counts.fp, counts.fn, counts.tp)]
    assert f1(*cells)[0] == pytest.approx(metrics.f1_score(y_n, called_n))
    if len(np.unique(called_n)) == 2:
        assert mcc(*cells)[0] == pytest.approx(metrics.matthews_corrcoef(y_n, called_n))
    else:  # scikit-learn says 0, which reads as "no better than chance"
        assert np.isnan(mcc(*cells)[0])
    assert balanced_accuracy(*cells)[0] == pytest.approx(
        metrics.balanced_accuracy_score(y_n, called_n)
    )


def test_a_score_on_the_threshold_is_called_positive() -> None:
    counts = confusion(np.array([0.5, 0.5]), np.array([0.0, 1.0]), 0.5)
    assert (counts.fp, counts.tp) == (1, 1)


def test_a_missing_class_has_no_figure() -> None:
    ones, zeros = np.ones(3), np.zeros(3)
    assert np.isnan(auroc(ones / 2, ones))
    assert np.isnan(auroc(ones / 2, zeros))
    assert np.isnan(average_precision(ones / 2, zeros))
    assert np.isnan(average_precision(np.zeros(0), np.zeros(0)))
    with pytest.raises(EvaluationError, match="both classes"):
        roc_curve(Ranking.of(ones / 2, ones))


def test_unknown_labels_are_refused_not_counted() -> None:
    with pytest.raises(EvaluationError, match="neither 0 nor 1"):
        Ranking.of(np.array([0.1, 0.2]), np.array([np.nan, 1.0]))


@pytest.mark.parametrize("case", CASES)
def test_the_roc_curve_has_the_counts_and_the_area(case: str) -> None:
    prob_n, y_n = sample(case)
    curve = roc_curve(Ranking.of(prob_n, y_n))
    for threshold, tp, fp in zip(curve.threshold, curve.tp, curve.fp, strict=True):
        counts = confusion(prob_n, y_n, threshold)
        assert (counts.tp, counts.fp) == (tp, fp)
    area = np.trapezoid([0, *curve.tp], [0, *curve.fp]) / (curve.present * curve.absent)
    assert area == pytest.approx(auroc(prob_n, y_n), abs=1e-12)
    assert (curve.tp[-1], curve.fp[-1]) == (curve.present, curve.absent)


def test_a_long_roc_curve_is_thinned_and_keeps_its_area() -> None:
    prob_n, y_n = sample("smooth", n=20_000)
    curve = roc_curve(Ranking.of(prob_n, y_n))
    assert len(curve.tp) <= MOST_POINTS
    area = np.trapezoid([0, *curve.tp], [0, *curve.fp]) / (curve.present * curve.absent)
    assert area == pytest.approx(auroc(prob_n, y_n), abs=2e-4)
    assert (curve.tp[-1], curve.fp[-1]) == (curve.present, curve.absent)


def test_sensitivity_at_fixed_false_positive_rates_is_scikit_learns_curve() -> None:
    prob_n, y_n = sample("ties")
    ranking = Ranking.of(prob_n, y_n)
    called_bn, tp_bn = ranking.running(np.ones((1, len(y_n)), dtype=np.int32))
    fpr_k = np.linspace(0, 1, 11)
    tp_be = ranking.at_ends(tp_bn)
    found = sensitivities_at(fpr_k, tp_be, ranking.at_ends(called_bn) - tp_be)[0]
    fpr, tpr, _ = metrics.roc_curve(y_n, prob_n, drop_intermediate=False)
    np.testing.assert_allclose(found, np.interp(fpr_k, fpr, tpr))


def test_running_counts_of_a_resample_are_those_of_the_repeated_images() -> None:
    prob_n, y_n = sample("ties")
    ranking = Ranking.of(prob_n, y_n)
    count_n = np.random.default_rng(1).integers(0, 3, len(y_n)).astype(np.int32)
    called_bn, tp_bn = ranking.running(count_n[None])
    drawn_n = np.repeat(ranking.order_n, count_n)
    for threshold in np.unique(prob_n):
        counts = confusion(prob_n[drawn_n], y_n[drawn_n], threshold)
        last = ranking.called(float(threshold)) - 1
        assert called_bn[0, last] == counts.tp + counts.fp
        assert tp_bn[0, last] == counts.tp


def test_the_histogram_counts_every_image_once() -> None:
    prob_n, y_n = np.array([0.0, 0.5, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    histogram = score_histogram(prob_n, y_n, bins=2)
    assert (histogram.absent, histogram.present) == ((1, 1), (0, 2))
