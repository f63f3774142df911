from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import hilum.evaluation
from evaluation.report.made_evaluation import made_evaluation, made_predictions
from hilum.evaluation import Evaluation, plots
from hilum.evaluation import results as res
from hilum.evaluation.plots.ranking import _between
from hilum.evaluation.plots.style import tint

FINDING = "Pneumonia"


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return made_evaluation(made_predictions())


def words_of(figure: Figure) -> str:
    ax = figure.axes[0]
    legend = ax.get_legend()
    texts = [text.get_text() for text in ax.texts]
    if legend is not None:
        texts += [text.get_text() for text in legend.get_texts()]
    return " ".join(texts).replace("\N{NO-BREAK SPACE}", " ")


def luminance(rgb: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2.1: 4.5 for small type, 3 for large type."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_roc_shows_area_interval_band_and_points(evaluation: Evaluation) -> None:
    figure, curve = Figure(), evaluation.curves[FINDING].roc
    assert curve is not None
    auroc = evaluation.figures[FINDING]["auroc"]
    points = {n: evaluation.operating_points[FINDING][n] for n in ("0.5", "deployed")}
    ax = plots.draw_roc(curve, figure.subplots(), auroc=auroc, points=points)
    words = words_of(figure)
    assert f"AUROC {auroc.in_words()}" in words
    assert "deployed: P ≥ 0.31" in words
    assert "P ≥ 0.5" in words
    for point in points.values():
        assert f"sensitivity {point.figures['sensitivity'].value:.3f}" in words
    assert ax.get_aspect() == 1.0
    assert len(ax.collections) == 1  # the band
    line = ax.lines[1]
    assert tuple(line.get_xydata()[0]) == (0.0, 0.0)
    assert tuple(line.get_xydata()[-1]) == (1.0, 1.0)
    markers = [tuple(line.get_xydata()[0]) for line in ax.lines[2:]]
    assert markers == [
        (p.confusion.fp / curve.absent, p.confusion.tp / curve.present) for p in points.values()
    ]


def test_with_many_points_only_the_deployed_one_has_figures_in_the_legend(
    evaluation: Evaluation,
) -> None:
    figure, curve = Figure(), evaluation.curves[FINDING].roc
    assert curve is not None
    points = evaluation.operating_points[FINDING]
    assert len(points) > 3
    auroc = evaluation.figures[FINDING]["auroc"]
    plots.draw_roc(curve, figure.subplots(), auroc=auroc, points=points)
    words = words_of(figure)
    for name, point in points.items():
        assert plots.point_name(name, point).replace("\N{NO-BREAK SPACE}", " ") in words
    assert words.count("specificity ") == 1


def test_more_points_than_a_legend_holds_are_all_drawn(evaluation: Evaluation) -> None:
    figure, curves = Figure(), evaluation.curves[FINDING]
    assert curves.roc is not None
    deployed = evaluation.operating_points[FINDING]["deployed"]
    points = {"0.5": deployed, "deployed": deployed} | {f"point {k}": deployed for k in range(9)}
    auroc = evaluation.figures[FINDING]["auroc"]
    ax = plots.draw_roc(curves.roc, figure.subplots(), auroc=auroc, points=points)
    assert sum(line.get_marker() not in (None, "None") for line in ax.lines) == len(points)
    assert "point 2" in words_of(figure)
    assert "point 3" not in words_of(figure)
    plots.draw_scores(curves.scores, Figure().subplots(), points=points)


def test_precision_recall_ends_at_the_prevalence_and_draws_it(evaluation: Evaluation) -> None:
    figure, curve = Figure(), evaluation.curves[FINDING].precision_recall
    assert curve is not None
    ax = plots.draw_precision_recall(
        curve,
        figure.subplots(),
        average_precision=evaluation.figures[FINDING]["average_precision"],
        points=evaluation.operating_points[FINDING],
    )
    prevalence = curve.present / (curve.present + curve.absent)
    assert tuple(ax.lines[1].get_xydata()[-1]) == (1.0, pytest.approx(prevalence))
    assert f"prevalence {prevalence:.3g}" in words_of(figure)


def test_precision_between_two_points_follows_the_counts_not_a_line() -> None:
    tp, fp = _between((10, 10, 20), (0, 90, 90))
    for t, f in zip(tp, fp, strict=True):
        # From (10, 0) falsely called images are added, then rightly called ones.
        assert (t == 10 and 0 <= f <= 90) or (f == 90 and 10 <= t <= 20)
    assert (tp[0], fp[0], tp[-1], fp[-1]) == (10, 0, 20, 90)
    halfway = tp.index(15)
    assert tp[halfway] / (tp[halfway] + fp[halfway]) == pytest.approx(15 / 105)


def test_a_point_that_calls_nobody_has_no_place_on_precision_and_recall() -> None:
    evaluation = made_evaluation(made_predictions(), thresholds={"0.5": 0.5, "deployed": 1.0})
    figure, curve = Figure(), evaluation.curves[FINDING].precision_recall
    assert curve is not None
    plots.draw_precision_recall(
        curve,
        figure.subplots(),
        average_precision=evaluation.figures[FINDING]["average_precision"],
        points=evaluation.operating_points[FINDING],
    )
    assert "P ≥ 0.5" in words_of(figure)
    assert "deployed" not in words_of(figure)


def test_confusion_shows_every_count_with_its_share(evaluation: Evaluation) -> None:
    figure, confusion = Figure(), evaluation.operating_points[FINDING]["0.5"].confusion
    plots.draw_confusion(confusion, figure.subplots(), classes=("normal", "pneumonia"))
    words = words_of(figure)
    for count, share in zip(np.ravel(confusion.rows), np.ravel(confusion.row_shares), strict=True):
        assert f"{count} {100 * share:.1f} % of row" in words


@pytest.mark.parametrize("share", np.linspace(0, 1, 11))
@pytest.mark.parametrize(
    ("colour", "ink", "paper"),
    [
        (plots.ABSENT, plots.INK, plots.PAPER),
        (plots.PRESENT, plots.INK, plots.PAPER),
        ("#7db3dd", "#e4e8ec", "#14181d"),  # a page's colours in the dark
        ("#f0916f", "#e4e8ec", "#14181d"),
    ],
)
def test_counts_are_legible_on_every_tint_by_day_and_by_night(
    colour: str, ink: str, paper: str, share: float
) -> None:
    a = tint(share)
    fill = tuple(a * c + (1 - a) * p for c, p in zip(to_rgb(colour), to_rgb(paper), strict=True))
    assert contrast(fill, to_rgb(ink)) > 3.5


@pytest.mark.parametrize("colour", [plots.ABSENT, plots.PRESENT, plots.INK, plots.MUTED])
def test_lines_and_words_stand_out_from_paper(colour: str) -> None:
    assert contrast(to_rgb(colour), to_rgb(plots.PAPER)) > 4


def test_reliability_shows_bins_curve_band_and_what_was_before(evaluation: Evaluation) -> None:
    curves = evaluation.curves[FINDING]
    assert curves.reliability is not None
    after, both = Figure(), Figure()
    plots.draw_reliability(curves.reliability, after.subplots())
    ax = plots.draw_reliability(
        curves.reliability, both.subplots(), before=curves.reliability_uncalibrated
    )
    assert "10 bins of 62 to 63 images" in words_of(both)
    assert not ax.texts  # a box of words would stand on the data
    assert "before calibration" in words_of(both)
    assert "before calibration" not in words_of(after)
    assert {line.get_color() for line in ax.lines} >= {plots.PRESENT, plots.MUTED}


def test_reliability_without_a_smooth_curve_joins_its_bins(evaluation: Evaluation) -> None:
    curve = res.ReliabilityCurve((0.1, 0.8), (0.2, 0.7), (0.1, 0.6), (0.3, 0.8), (9, 9), (2, 7))
    figure = Figure()
    ax = plots.draw_reliability(curve, figure.subplots())
    assert ax.lines[-1].get_linestyle() == "-"
    assert "smooth" not in words_of(figure)


def test_decision_curve_shows_what_lies_above_zero_and_little_else(evaluation: Evaluation) -> None:
    figure, curve = Figure(), evaluation.curves[FINDING].decision
    assert curve is not None
    ax = plots.draw_decision(curve, figure.subplots(), deployed=0.31)
    low, high = ax.get_ylim()
    assert max(curve.model) < high < 1.3 * max(curve.model)
    assert -0.2 * high < low < 0
    assert min(curve.treat_all) < low  # which would otherwise set the scale
    for word in ("follow the model", "treat all", "treat none", "deployed: P ≥ 0.31"):
        assert word in words_of(figure)


def test_a_useless_model_still_has_a_decision_curve_with_limits() -> None:
    figure = Figure()
    curve = res.DecisionCurve((0.1, 0.5, 0.9), (-0.1, -0.4, -2.0), (-0.01, -0.5, -5.0))
    low, high = plots.draw_decision(curve, figure.subplots()).get_ylim()
    assert low < 0 < high


def test_risk_coverage_ends_at_the_error_of_all_images(evaluation: Evaluation) -> None:
    figure, curve = Figure(), evaluation.curves[FINDING].risk_coverage
    assert curve is not None
    ax = plots.draw_risk_coverage(curve, figure.subplots())
    assert tuple(ax.lines[0].get_xydata()[-1]) == (1.0, curve.selective_risk[-1])
    assert curve.selective_risk[-1] < ax.get_ylim()[1]


def test_one_early_error_does_not_set_the_scale_of_risk_and_coverage() -> None:
    coverage = tuple(np.arange(1, 101) / 100)
    risk = tuple(0.01 / c for c in coverage)
    curve = res.RiskCoverageCurve(coverage, risk, (0.01,) * 100)
    assert plots.draw_risk_coverage(curve, Figure().subplots()).get_ylim()[1] < 0.05


def test_prevalence_names_the_observed_one(evaluation: Evaluation) -> None:
    curve = evaluation.curves[FINDING].prevalence
    assert curve is not None
    figure, without = Figure(), Figure()
    ax = plots.draw_prevalence(curve, figure.subplots(), observed=0.364)
    assert "observed: 36.4 %" in words_of(figure)
    assert ax.get_xscale() == "logit"
    low, high = ax.get_xlim()
    assert 0 < low < curve.prevalence[0] + 1e-12
    assert curve.prevalence[-1] <= high < 1
    plots.draw_prevalence(curve, without.subplots(), observed=None)
    assert "observed" not in words_of(without)


def test_scores_show_both_classes_and_the_thresholds(evaluation: Evaluation) -> None:
    figure = Figure()
    points = evaluation.operating_points[FINDING]
    histogram = evaluation.curves[FINDING].scores
    ax = plots.draw_scores(histogram, figure.subplots(), points=points)
    words = words_of(figure)
    assert f"present ({sum(histogram.present)})" in words
    assert "deployed" in words
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert sum(abs(bar.get_height()) for bar in bars) == len(made_predictions())


def test_prediction_sets_fill_each_bar_and_count_what_can_be_read(evaluation: Evaluation) -> None:
    figure, sets = Figure(), evaluation.prediction_sets[FINDING]
    ax = plots.draw_sets(sets, figure.subplots(), classes=("no pneumonia", "pneumonia"))
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    for row in (0, 1):
        in_row = [
            bar.get_width() for bar in bars if round(bar.get_y() + bar.get_height() / 2) == row
        ]
        assert sum(in_row) == pytest.approx(1)
    assert f"{sets.counts['absent']['absent']}" in words_of(figure)
    assert "both: refer" in words_of(figure)


def test_groups_give_a_reason_where_there_is_no_figure(evaluation: Evaluation) -> None:
    figure, subgroupings = Figure(), evaluation.subgroups[FINDING]
    overall = evaluation.operating_points[FINDING]["deployed"].figures["sensitivity"]
    ax = plots.draw_groups(subgroupings, figure.subplots(), figure="sensitivity", overall=overall)
    assert "fewer than 20 images with the finding" in words_of(figure)
    assert "sex" in words_of(figure)
    named = [label.get_text() for label in ax.get_yticklabels()]
    assert len(named) == sum(len(each.groups) for each in subgroupings)
    lowest = min(
        group.figures["sensitivity"].low or 1.0 for each in subgroupings for group in each.groups
    )
    assert 0 <= ax.get_xlim()[0] < lowest
    assert len(named) + len(subgroupings) == plots.rows_of(subgroupings)


def test_no_plot_touches_pyplots_global_state() -> None:
    folder = Path(hilum.evaluation.__file__).parent
    for module in folder.rglob("*.py"):
        assert "pyplot" not in module.read_text(encoding="utf-8"), module
