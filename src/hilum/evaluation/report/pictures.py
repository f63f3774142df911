"""Pictures: the plots of one finding, each with its name, title, caption and words for its content.

They are drawn in `plots`; files are written in `drawing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.plots import (
    draw_confusion,
    draw_decision,
    draw_groups,
    draw_precision_recall,
    draw_prevalence,
    draw_reliability,
    draw_risk_coverage,
    draw_roc,
    draw_scores,
    draw_sets,
    rows_of,
)
from hilum.evaluation.report.blocks import Picture
from hilum.evaluation.report.phrases import (
    capital,
    class_names,
    estimate,
    percent,
    short_percent,
)
from hilum.evaluation.report.reading import calibrated, observed_prevalence, shown_points
from hilum.evaluation.results import Curves, PointFigures

PLOTS = (
    "roc",
    "precision_recall",
    "prevalence",
    "reliability",
    "decision",
    "risk_coverage",
    "scores",
    "confusion",
    "sets",
    "groups_sensitivity",
    "groups_specificity",
)
WIDE = 4.2  # inches: at this width letters of 8 points can be read on a phone


def pictures_of(evaluation: Evaluation, finding: str) -> dict[str, Picture]:
    """Every plot that this finding has, by name."""
    made = (
        *_ranking(evaluation, finding),
        *_reliability(evaluation, finding),
        *_utility(evaluation, finding),
        *_counts(evaluation, finding),
        *_groups(evaluation, finding),
    )
    return {picture.name: picture for picture in made}


def _band(evaluation: Evaluation) -> str:
    return f"95\N{NO-BREAK SPACE}% band, by {evaluation.grouping}"


def _ranking(evaluation: Evaluation, finding: str) -> Iterator[Picture]:
    curves, points = evaluation.curves[finding], shown_points(evaluation, finding)
    figures, band = evaluation.figures[finding], _band(evaluation)
    if curves.roc is not None:
        yield Picture(
            "roc",
            "ROC curve",
            "Sensitivity against the false-positive rate over all thresholds. The dashed line is "
            "chance; markers are operating points.",
            f"ROC curve of {finding}: AUROC {estimate('auroc', figures['auroc'])}.",
            (WIDE, 4.25),
            partial(draw_roc, curves.roc, auroc=figures["auroc"], points=points, band=band),
        )
    if curves.precision_recall is not None:
        yield Picture(
            "precision_recall",
            "Precision and recall",
            "PPV against sensitivity over all thresholds, at the prevalence of these images, which "
            "is also the level of chance (dashed).",
            f"Precision–recall curve of {finding}: average precision "
            f"{estimate('average_precision', figures['average_precision'])}.",
            (WIDE, 4.7),
            partial(
                draw_precision_recall,
                curves.precision_recall,
                average_precision=figures["average_precision"],
                points=points,
                band=band,
            ),
        )
    if curves.prevalence is not None:
        yield Picture(
            "prevalence",
            "Predictive values by prevalence",
            "What a positive and a negative call are worth where the finding is rarer or more "
            "common, if sensitivity and specificity stay as they are.",
            f"PPV and NPV at the deployed point over prevalences from "
            f"{short_percent(curves.prevalence.prevalence[0])} to "
            f"{short_percent(curves.prevalence.prevalence[-1])}.",
            (WIDE, 3.6),
            partial(
                draw_prevalence,
                curves.prevalence,
                observed=observed_prevalence(evaluation, finding),
            ),
        )


def _reliability(evaluation: Evaluation, finding: str) -> Iterator[Picture]:
    curves, figures = evaluation.curves[finding], evaluation.figures[finding]
    if curves.reliability is None:
        return
    before = curves.reliability_uncalibrated if calibrated(evaluation, finding) else None
    said = ", ".join(
        f"{word} {estimate('', figures[name])}"
        for name, word in (
            ("ece", "calibration error"),
            ("calibration_intercept", "intercept"),
            ("calibration_slope", "slope"),
        )
    )
    yield Picture(
        "reliability",
        "Reliability",
        "The share that has the finding against the probability stated. Above the dashed line "
        "probabilities are too low, below it too high."
        + (" Grey: before calibration." if before is not None else "")
        + f" {capital(said)}.",
        f"Reliability curve of {finding}: {said}.",
        (WIDE, 4.6),
        partial(draw_reliability, curves.reliability, before=before),
    )


def _utility(evaluation: Evaluation, finding: str) -> Iterator[Picture]:
    curves: Curves = evaluation.curves[finding]
    deployed: PointFigures = evaluation.operating_points[finding]["deployed"]
    band = _band(evaluation)
    if curves.decision is not None:
        yield Picture(
            "decision",
            "Decision curve",
            "Net benefit of acting on the model, on everyone and on no one, for whoever would act "
            "at that probability of the finding. The highest line is the best policy there.",
            f"Decision curve of {finding}: net benefit at the deployed threshold "
            f"{estimate('net_benefit', deployed.figures['net_benefit'])}.",
            (WIDE, 3.7),
            partial(draw_decision, curves.decision, deployed=deployed.threshold, band=band),
        )
    if curves.risk_coverage is not None:
        risk = curves.risk_coverage
        yield Picture(
            "risk_coverage",
            "Risk and coverage",
            "Wrong calls when only the most certain images are answered and the rest are left to a "
            "person; at the right edge all are answered.",
            f"Risk–coverage curve of {finding}: {percent(risk.selective_risk[-1])} wrong when all "
            "images are answered.",
            (WIDE, 3.6),
            partial(draw_risk_coverage, risk, band=band),
        )


def _counts(evaluation: Evaluation, finding: str) -> Iterator[Picture]:
    points, classes = shown_points(evaluation, finding), class_names(finding)
    score = "calibrated probability" if calibrated(evaluation, finding) else "probability"
    scores = evaluation.curves[finding].scores
    yield Picture(
        "scores",
        "Scores by class",
        f"Images at each {score}: with the finding upward, without it downward. "
        "Lines are thresholds.",
        f"Histogram of probabilities: {sum(scores.present):,} images with {finding}, "
        f"{sum(scores.absent):,} without.",
        (WIDE, 3.6),
        partial(draw_scores, scores, points=points, classes=classes, score=capital(score)),
    )
    counts = evaluation.operating_points[finding]["deployed"].confusion
    yield Picture(
        "confusion",
        "Confusion at the deployed point",
        "Images by truth (rows) and call (columns), with their share of the row.",
        f"{counts.tp:,} true positives, {counts.fn:,} false negatives, {counts.fp:,} false "
        f"positives and {counts.tn:,} true negatives.",
        (WIDE, 4.1),
        partial(draw_confusion, counts, classes=classes),
    )
    sets = evaluation.prediction_sets.get(finding)
    if sets is not None:
        yield Picture(
            "sets",
            "Prediction sets",
            "What the images of each class were answered. Both classes, or none, means: refer to a "
            "person.",
            f"Prediction sets at {percent(sets.limits.coverage, 0)} coverage: "
            f"{estimate('decided', sets.figures['decided'])} answered, the others referred.",
            (WIDE, 2.5),
            partial(draw_sets, sets, classes=classes),
        )


def _groups(evaluation: Evaluation, finding: str) -> Iterator[Picture]:
    subgroupings = evaluation.subgroups.get(finding, ())
    if not subgroupings:
        return
    overall = evaluation.operating_points[finding]["deployed"].figures
    for figure in ("sensitivity", "specificity"):
        yield Picture(
            f"groups_{figure}",
            f"{capital(figure)} by group",
            f"{capital(figure)} at the deployed point with 95\N{NO-BREAK SPACE}% intervals, "
            "and the number of images. Dashed line and grey band: all images.",
            f"{capital(figure)} of {rows_of(subgroupings) - len(subgroupings)} groups beside "
            f"{estimate(figure, overall[figure])} for all images.",
            (WIDE, 0.8 + 0.28 * rows_of(subgroupings)),
            partial(draw_groups, subgroupings, figure=figure, overall=overall[figure]),
        )


def no_curve(evaluation: Evaluation, finding: str) -> str:
    """Why a finding of one class has no curves."""
    reason = evaluation.figures[finding]["auroc"].reason or "its curve cannot be computed"
    return f"No curve: {reason}."
