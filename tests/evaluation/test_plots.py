from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import hilum.evaluation
from hilum.evaluation import Evaluation, Predictions, evaluate, plots


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    rng = np.random.default_rng(0)
    y_n = (rng.random(300) < 0.6).astype(float)
    logit_n = 3 * (y_n - 0.5) + rng.normal(0, 1.6, 300)
    predictions = Predictions.from_arrays(
        ["Pneumonia"],
        range(300),
        label_nf=y_n[:, None],
        logit_nf=logit_n[:, None],
        prob_nf=1 / (1 + np.exp(-logit_n[:, None])),
        threshold_f=[0.4],
    )
    return evaluate(
        predictions,
        {"Pneumonia": {"deployed": 0.4}},
        bundle=None,
        source="simulated",
        role="test",
        synthetic=False,
        rng=rng,
        resamples=200,
    )


def words_of(figure: Figure) -> str:
    ax = figure.axes[0]
    legend = ax.get_legend()
    texts = [text.get_text() for text in ax.texts]
    if legend is not None:
        texts += [text.get_text() for text in legend.get_texts()]
    return " ".join(texts).replace("\N{NO-BREAK SPACE}", " ")


def test_roc_shows_area_interval_band_and_points(evaluation: Evaluation) -> None:
    figure, curve = Figure(), evaluation.curves["Pneumonia"].roc
    assert curve is not None
    auroc = evaluation.figures["Pneumonia"]["auroc"]
    points = evaluation.operating_points["Pneumonia"]
    ax = plots.draw_roc(curve, figure.subplots(), auroc=auroc, points=points)
    words = words_of(figure)
    assert f"AUROC {auroc.in_words()}" in words
    assert "deployed: P ≥ 0.4" in words
    assert "P ≥ 0.5" in words
    assert f"sensitivity {points['deployed'].figures['sensitivity'].value:.3f}" in words
    assert ax.get_aspect() == 1.0
    assert len(ax.collections) == 1  # the band
    line = ax.lines[1]
    assert tuple(line.get_xydata()[0]) == (0.0, 0.0)
    assert tuple(line.get_xydata()[-1]) == (1.0, 1.0)


def test_confusion_shows_every_count_with_its_share(evaluation: Evaluation) -> None:
    figure, confusion = Figure(), evaluation.operating_points["Pneumonia"]["0.5"].confusion
    plots.draw_confusion(confusion, figure.subplots(), classes=("normal", "pneumonia"))
    words = words_of(figure)
    for count, share in zip(np.ravel(confusion.rows), np.ravel(confusion.row_shares), strict=True):
        assert f"{count} {100 * share:.1f} % of row" in words


@pytest.mark.parametrize("share", np.linspace(0, 1, 11))
@pytest.mark.parametrize("colour", [plots.ABSENT, plots.PRESENT])
def test_counts_are_legible_on_every_tint(colour: str, share: float) -> None:
    """WCAG 2.1 asks a contrast of 3 for large type."""
    from matplotlib.colors import to_rgb

    def luminance(rgb: tuple[float, float, float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    fill = plots._tint(colour, share)
    ink = to_rgb(plots.PAPER if plots._dark(fill) else plots.INK)
    bright, dark = sorted((luminance(fill), luminance(ink)), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) > 3.5


def test_reliability_names_bins_and_figures(evaluation: Evaluation) -> None:
    figure, curve = Figure(), evaluation.curves["Pneumonia"].reliability
    figures = evaluation.figures["Pneumonia"]
    assert curve is not None
    plots.draw_reliability(
        curve,
        figure.subplots(),
        ece=figures["ece"],
        intercept=figures["calibration_intercept"],
        slope=figures["calibration_slope"],
    )
    words = words_of(figure)
    assert "10 bins of 30 images" in words
    assert f"slope (1 is right): {figures['calibration_slope'].in_words(2)}" in words


def test_scores_show_both_classes_and_the_thresholds(evaluation: Evaluation) -> None:
    figure = Figure()
    points = evaluation.operating_points["Pneumonia"]
    histogram = evaluation.curves["Pneumonia"].scores
    ax = plots.draw_scores(histogram, figure.subplots(), points=points)
    words = words_of(figure)
    assert f"present ({sum(histogram.present)})" in words
    assert "deployed" in words
    assert sum(abs(patch.get_height()) for patch in ax.patches) == 300  # type: ignore[attr-defined]


def test_no_plot_touches_pyplots_global_state() -> None:
    folder = Path(hilum.evaluation.__file__).parent
    for module in folder.rglob("*.py"):
        assert "pyplot" not in module.read_text(encoding="utf-8"), module
