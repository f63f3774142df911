import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import metrics

from hilum.estimates import Z95, Estimate
from hilum.evaluation.comparison.paired_bootstrap import Side, resampled_pair
from hilum.evaluation.comparison.paired_figures import (
    FIGURES,
    Answers,
    mean_figures,
    paired_figures,
    verdict,
)
from hilum.evaluation.comparison.paired_tests import DETECTABLE
from hilum.evaluation.intervals import Resampling
from hilum.evaluation.reliability import bins_for, equal_mass_bins
from hilum.units import Units, units_of

Floats = NDArray[np.float64]


def images(n: int) -> Units:
    return units_of(np.full(n, None, dtype=object))


def answers(prob_n: Floats, threshold: float = 0.5) -> Answers:
    prob_n = np.asarray(prob_n, dtype=np.float64)
    return Answers(prob_n, np.full(len(prob_n), np.nan), prob_n >= threshold)


def two_classifiers(
    rng: np.random.Generator, n: int, prevalence: float = 0.4, mu: float = 1.5
) -> tuple[Floats, Floats, Floats]:
    """Labels, and calibrated probabilities of two equally good classifiers that agree in part."""
    y_n = (rng.random(n) < prevalence).astype(float)
    common = rng.normal(size=n)
    a_n, b_n = (
        expit(
            mu * (mu * y_n + (common + rng.normal(size=n)) / np.sqrt(2) - mu / 2)
            + np.log(prevalence / (1 - prevalence))
        )
        for _ in range(2)
    )
    return y_n, a_n, b_n


def slow_figures(
    y_n: Floats, prob_n: Floats, threshold: float, acting: float, bin_n: NDArray[np.intp]
) -> dict[str, float]:
    """Every figure by scikit-learn, or by hand where it has none."""
    called_n = prob_n >= threshold
    square = 0.0
    for k in np.unique(bin_n):
        in_bin_n = bin_n == k
        n, observed = in_bin_n.sum(), y_n[in_bin_n].mean()
        noise = observed * (1 - observed) / max(n - 1, 1)
        square += n / len(y_n) * ((prob_n[in_bin_n].mean() - observed) ** 2 - noise)
    acted_n = prob_n >= acting
    weight = acting / (1 - acting)
    return {
        "auroc": metrics.roc_auc_score(y_n, prob_n),
        "average_precision": metrics.average_precision_score(y_n, prob_n),
        "brier": metrics.brier_score_loss(y_n, prob_n),
        "log_loss": metrics.log_loss(y_n, prob_n),
        "ece": square,
        "sensitivity": metrics.recall_score(y_n, called_n),
        "specificity": metrics.recall_score(1 - y_n, ~called_n),
        "accuracy": metrics.accuracy_score(y_n, called_n),
        "balanced_accuracy": metrics.balanced_accuracy_score(y_n, called_n),
        "ppv": metrics.precision_score(y_n, called_n),
        "npv": metrics.precision_score(1 - y_n, ~called_n),
        "f1": metrics.f1_score(y_n, called_n),
        "mcc": metrics.matthews_corrcoef(y_n, called_n),
        "net_benefit_0": float((acted_n * y_n).mean() - weight * (acted_n * (1 - y_n)).mean()),
    }


@pytest.mark.parametrize("digits", [1, 8])
@pytest.mark.parametrize("clustered", [False, True])
def test_every_figure_is_a_plain_loop_over_the_same_resamples(digits: int, clustered: bool) -> None:
    rng = np.random.default_rng(digits)
    y_n, *probs = two_classifiers(rng, 150)
    probs = [prob_n.round(digits) for prob_n in probs]  # rounded to 0 and 1 too
    units = (
        units_of(rng.integers(60, size=150).astype(str).astype(object))
        if clustered
        else images(150)
    )
    resampling = Resampling.of(units, rng, 12)
    sides = [
        Side.of(p_n, np.full(150, np.nan), y_n, p_n >= t, [0.2])
        for p_n, t in zip(probs, (0.5, 0.3), strict=True)
    ]
    found = resampled_pair(sides[0], sides[1], resampling, units.unit_n)
    count_bn = np.concatenate(
        [resampling.counts(chunk, units.unit_n) for chunk in range(len(resampling.seeds))]
    )
    for prob_n, threshold, each in zip(probs, (0.5, 0.3), found, strict=True):
        bin_n = equal_mass_bins(prob_n, bins_for(150))
        whole = slow_figures(y_n, prob_n, threshold, 0.2, bin_n)
        rows = [np.repeat(np.arange(150), count_n) for count_n in count_bn]
        slow = [slow_figures(y_n[row], prob_n[row], threshold, 0.2, bin_n[row]) for row in rows]
        for name in whole:
            value, value_b = whole[name], np.array([figures[name] for figures in slow])
            if name == "ece":  # its square is moved by its bias before the root is taken
                value_b = np.sqrt(np.maximum(0, value_b - (value_b.mean() - value)))
                value = np.sqrt(max(0, value))
            assert each.value[name] == pytest.approx(value, abs=1e-12), name
            np.testing.assert_allclose(each.value_b[name], value_b, atol=1e-12, err_msg=name)


def test_a_resample_without_a_class_has_no_figure_that_needs_it() -> None:
    y_n, prob_n = np.array([1.0, 0, 0]), np.array([0.9, 0.2, 0.6])
    side = Side.of(prob_n, np.full(3, np.nan), y_n, prob_n >= 0.5)
    found = side.statistics(np.array([[0, 1, 2]], dtype=np.int32))
    missing = {name for name, value_b in found.items() if np.isnan(value_b[0])}
    assert missing == {"auroc", "average_precision", "sensitivity", "balanced_accuracy", "mcc"}


def test_logits_part_probabilities_that_are_both_exactly_one() -> None:
    y_n, prob_n = np.array([0.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0])
    side = Side.of(prob_n, np.array([40.0, 50.0, -40.0]), y_n, prob_n >= 0.5)
    assert side.statistics(np.ones((1, 3), dtype=np.int32))["auroc"][0] == 1.0
    assert side.score_n[1] > side.score_n[0] > side.score_n[2]


def compared(
    y_n: Floats, a: Answers, b: Answers, resamples: int = 400, acting: tuple[float, ...] = ()
):  # type: ignore[no-untyped-def]
    units = images(len(y_n))
    resampling = Resampling.of(units, np.random.default_rng(0), resamples)
    return paired_figures(y_n, a, b, units, resampling, acting)


def test_the_interval_is_normal_around_the_difference_with_the_spread_of_the_resamples() -> None:
    y_n, a_n, b_n = two_classifiers(np.random.default_rng(1), 200)
    found = compared(y_n, answers(a_n), answers(b_n))
    assert found.resampled is not None
    a, b = found.resampled
    brier = found.result.figures["brier"]
    error = (b.value_b["brier"] - a.value_b["brier"]).std(ddof=1)
    assert brier.difference.value == pytest.approx(np.mean((b_n - y_n) ** 2 - (a_n - y_n) ** 2))
    assert brier.error == pytest.approx(error)
    assert brier.difference.low == pytest.approx((brier.difference.value or 0) - Z95 * error)
    assert brier.detectable == pytest.approx(DETECTABLE * error)
    assert brier.difference.method == "normal, error by paired bootstrap by image, 400 resamples"
    # A mean of paired losses has a textbook error.
    textbook = np.std((b_n - y_n) ** 2 - (a_n - y_n) ** 2) / np.sqrt(200)
    assert error == pytest.approx(textbook, rel=0.1)


def test_pairing_makes_the_interval_narrower_than_the_two_alone() -> None:
    y_n, a_n, b_n = two_classifiers(np.random.default_rng(2), 300)
    found = compared(y_n, answers(a_n), answers(b_n))
    assert found.resampled is not None
    a, b = found.resampled
    for name in ("auroc", "brier", "accuracy"):
        unpaired = np.hypot(a.value_b[name].std(), b.value_b[name].std())
        assert (found.result.figures[name].error or 1) < 0.85 * unpaired


def test_tests_and_bootstrap_agree_on_the_error() -> None:
    y_n, a_n, b_n = two_classifiers(np.random.default_rng(3), 400)
    found = compared(y_n, answers(a_n), answers(b_n), resamples=2000)
    for name in ("auroc", "sensitivity", "specificity", "accuracy"):
        figure = found.result.figures[name]
        assert figure.bootstrap is not None
        assert figure.bootstrap.low is not None
        assert figure.bootstrap.value == pytest.approx(figure.difference.value, abs=1e-12)
        half = (figure.bootstrap.value or 0) - figure.bootstrap.low
        assert figure.error == pytest.approx(half / Z95, rel=0.1)


def test_lower_is_better_for_errors_and_higher_for_the_rest() -> None:
    rng = np.random.default_rng(4)
    y_n = (rng.random(300) < 0.5).astype(float)
    good, bad = (np.clip(y_n + s * rng.normal(size=300), 0.01, 0.99) for s in (0.3, 2.0))
    figures = compared(y_n, answers(bad), answers(good)).result.figures
    told = {name: figure.verdict for name, figure in figures.items()}
    assert set(told.values()) == {"b_better"}, told
    figures = compared(y_n, answers(good), answers(bad)).result.figures
    assert {figure.verdict for figure in figures.values()} == {"a_better"}


@pytest.mark.parametrize(
    ("low", "high", "p", "told"),
    [
        (0.01, 0.2, None, "b_better"),
        (-0.01, 0.2, None, "not_told_apart"),
        (-0.01, 0.2, 0.049, "b_better"),  # where there is a test, it decides
        (0.01, 0.2, 0.051, "not_told_apart"),
        (None, None, None, "unknown"),
    ],
)
def test_a_verdict_follows_the_test_and_without_one_the_interval(
    low: float | None, high: float | None, p: float | None, told: str
) -> None:
    reason = None if low is not None else "too few"
    difference = Estimate(0.1, low, high, 9, "made", reason)
    assert verdict(difference, p, fewest=20, lower_is_better=False) == told
    few = verdict(difference, p, fewest=19, lower_is_better=False)
    assert few == ("unknown" if p is None else told)


def test_the_same_answers_are_the_same_in_every_figure() -> None:
    y_n, a_n, _ = two_classifiers(np.random.default_rng(5), 100)
    figures = compared(y_n, answers(a_n), answers(a_n)).result.figures
    assert {figure.verdict for figure in figures.values()} == {"same"}
    assert {figure.difference.value for figure in figures.values()} == {0.0}
    assert {figure.p for figure in figures.values()} == {None}


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_one_class_leaves_the_figures_that_do_not_need_the_other(y: float) -> None:
    rng = np.random.default_rng(6)
    figures = compared(
        np.full(30, y), answers(rng.random(30)), answers(rng.random(30))
    ).result.figures
    missing = {name for name, figure in figures.items() if figure.difference.value is None}
    needing = {"auroc", "average_precision", "balanced_accuracy", "mcc"}
    assert missing == needing | ({"sensitivity", "f1"} if y == 0 else {"specificity"})
    word = "with" if y == 0 else "without"
    assert f"A has none: no image {word} the finding among 30" == figures["auroc"].difference.reason


def test_a_figure_that_one_of_them_lacks_has_no_difference() -> None:
    y_n, a_n, b_n = two_classifiers(np.random.default_rng(7), 60)
    figures = compared(y_n, answers(a_n), answers(b_n, threshold=1.1)).result.figures
    assert figures["ppv"].a.value is not None
    assert figures["ppv"].difference.reason == "B has none: no image is called positive"
    assert figures["mcc"].difference.reason == "B has none: every image is called negative"
    assert figures["f1"].b.value == 0.0


def test_one_image_has_values_and_no_verdict() -> None:
    found = compared(np.array([1.0]), answers([0.4]), answers([0.7]), acting=(0.5,))
    figures = found.result.figures
    assert figures["brier"].difference.value == pytest.approx(0.3**2 - 0.6**2)
    assert figures["brier"].difference.low is None
    assert figures["sensitivity"].difference.value == 1.0
    assert {figure.verdict for figure in figures.values()} == {"unknown"}
    assert found.result.net_benefit[0].true_positives.value == pytest.approx(1000)


def test_no_label_leaves_no_figure_and_says_so() -> None:
    found = compared(np.full(5, np.nan), answers(np.ones(5)), answers(np.ones(5)), acting=(0.1,))
    assert (found.result.n, found.result.missing) == (0, 5)
    assert set(found.result.figures) == set(FIGURES)
    assert {f.difference.reason for f in found.result.figures.values()} == {"no image has a label"}
    assert found.result.net_benefit[0].figure.verdict == "unknown"


def test_net_benefit_is_counted_in_true_positives_and_in_interventions() -> None:
    # Of 10 images 2 have it; A acts on both and on 3 more, B on both and on 1 more.
    y_n = np.array([1.0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    a_n = np.array([0.9, 0.9, 0.5, 0.5, 0.5, 0, 0, 0, 0, 0])
    b_n = np.array([0.9, 0.9, 0.5, 0, 0, 0, 0, 0, 0, 0])
    (benefit,) = compared(y_n, answers(a_n), answers(b_n), acting=(0.2,)).result.net_benefit
    # One needless intervention weighs 0.2 / 0.8 of a true positive.
    assert benefit.figure.a.value == pytest.approx(0.2 - 0.3 * 0.25)
    assert benefit.figure.difference.value == pytest.approx(0.2 * 0.25)
    assert benefit.interventions_avoided.value == pytest.approx(200)
    assert benefit.true_positives.value == pytest.approx(50)
    assert benefit.figure.difference.low is not None
    assert benefit.true_positives.low == pytest.approx(1000 * benefit.figure.difference.low)


def test_the_mean_over_findings_is_of_those_that_have_the_figure() -> None:
    rng = np.random.default_rng(8)
    y_n, a_n, b_n = two_classifiers(rng, 120)
    full = compared(y_n, answers(a_n), answers(b_n))
    other = compared(y_n, answers(b_n), answers(b_n**2))
    lone = compared(np.zeros(120), answers(a_n), answers(b_n))
    means = mean_figures([full, other, lone], images(120))
    both = [each.result.figures["auroc"].difference.value for each in (full, other)]
    assert means["auroc"].difference.value == pytest.approx(
        np.mean([v for v in both if v is not None])
    )
    assert means["auroc"].difference.n == 240
    assert means["brier"].difference.n == 360
    assert means["auroc"].difference.low is not None


def test_at_one_in_ten_thousand_the_figures_still_stand() -> None:
    rng = np.random.default_rng(9)
    y_n = (np.arange(20_000) < 2).astype(float)
    a_n, b_n = (np.clip(0.001 * rng.random(20_000) + 0.0008 * y_n, 0, 1) for _ in range(2))
    figures = compared(y_n, answers(a_n, 0.0009), answers(b_n, 0.0009), resamples=60).result.figures
    assert figures["auroc"].difference.value == pytest.approx(
        metrics.roc_auc_score(y_n, b_n) - metrics.roc_auc_score(y_n, a_n)
    )
    assert figures["specificity"].p is not None


def test_intervals_of_differences_cover_what_they_say() -> None:
    rng = np.random.default_rng(10)
    names = ("average_precision", "brier", "log_loss", "f1", "mcc", "ece")
    covered: dict[str, list[bool]] = {name: [] for name in names}
    for _ in range(400):
        y_n, a_n, b_n = two_classifiers(rng, 300)
        figures = compared(y_n, answers(a_n), answers(b_n), resamples=200).result.figures
        for name in names:
            difference = figures[name].difference
            if difference.low is None or difference.high is None:
                assert figures[name].verdict == "same"
                covered[name].append(True)
            else:
                covered[name].append(difference.low <= 0 <= difference.high)
    share = {name: np.mean(each) for name, each in covered.items()}
    # The calibration error cannot fall below 0, so the interval of its difference is too wide.
    assert 0.95 <= share.pop("ece") <= 1
    for name, each in share.items():
        assert 0.92 <= each <= 0.975, (name, each)
