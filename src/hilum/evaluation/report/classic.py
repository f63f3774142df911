"""The classic report: a text of figures, three pictures, and the tables behind them.

Curves are drawn in `plots`, the gallery of errors in `gallery`; nothing is computed here but the
three figures of the uncalibrated classifier that head the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import wrap

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hilum.errors import EvaluationError
from hilum.estimates import Estimate
from hilum.evaluation.discrimination import auroc, confusion
from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.intervals import one_class
from hilum.evaluation.plots import INK, STANDING_IN, draw_confusion, draw_roc, point_name
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.reliability import log_losses, log_losses_of_logits
from hilum.evaluation.report.drawing import NO_MATHS
from hilum.evaluation.report.gallery import errors_of, gallery
from hilum.evaluation.report.phrases import class_names
from hilum.evaluation.report.reading import calibrated, shown_points
from hilum.evaluation.report.sheet import NOT_A_DEVICE, Sheet
from hilum.evaluation.results import PointFigures
from hilum.writing import replacing

ImageOf = Callable[[int], NDArray[np.float32]]


def write_classic_report(
    out_dir: Path, predictions: Predictions, evaluation: Evaluation, image_of: ImageOf | None
) -> list[Path]:
    """Write `loss_acc_auc.txt`, `roc_curve.png`, `confusion_matrix.png`,
    `misclassified_examples.png`, `evaluation.json` and `predictions.parquet`; return their paths.

    image_of: row of the predictions (0 … n-1) to its image, float32 [h, w] in [0, 1]; None where
        there are no pixels, and then no `misclassified_examples.png`
    The pictures show the first finding; the text has them all. Each file is written whole or not
    at all. Raises OutputError when the folder cannot be written, EvaluationError when the
    evaluation is of other predictions.
    """
    if evaluation.n != len(predictions) or evaluation.findings != predictions.findings:
        raise EvaluationError(
            "report",
            f"an evaluation of {evaluation.n} images and predictions for {len(predictions)}",
            expected="the evaluation of these predictions",
        )
    finding = predictions.findings[0]
    threshold = evaluation.operating_points[finding]["deployed"].threshold
    with matplotlib.rc_context(NO_MATHS):
        pictures = {
            "roc_curve.png": _roc(evaluation),
            "confusion_matrix.png": _confusion(evaluation),
        }
        if image_of is not None:
            errors = errors_of(predictions, finding, threshold)
            pictures["misclassified_examples.png"] = gallery(errors, evaluation, image_of)
    text = out_dir / "loss_acc_auc.txt"
    with replacing(text) as draft:
        draft.write_text(classic_text(predictions, evaluation), encoding="utf-8")
    for name, (sheet, figure) in pictures.items():
        sheet.save(figure, out_dir / name)
    evaluation.write(out_dir / "evaluation.json")
    predictions.write(out_dir / "predictions.parquet")
    return [text, *(out_dir / n for n in (*pictures, "evaluation.json", "predictions.parquet"))]


def classic_text(predictions: Predictions, evaluation: Evaluation) -> str:
    """The text: loss, accuracy and AUC of the uncalibrated classifier, then all figures."""
    return "\n".join([*_head(predictions, evaluation), "", *_body(evaluation)]) + "\n"


def _head(predictions: Predictions, evaluation: Evaluation) -> Iterator[str]:
    """Three lines that programs read: `Test Loss: 0.1234`, Accuracy, AUC.

    Of sigmoid(logit) at 0.5 for the first finding; of the probabilities where no logits are known.
    """
    finding = predictions.findings[0]
    y_n = predictions.label(finding)
    known_n = ~np.isnan(y_n)
    y_n, logit_n = y_n[known_n], predictions.logit(finding)[known_n]
    prob_n = predictions.prob(finding)[known_n]
    no_logits = bool(np.isnan(logit_n).any())
    role = evaluation.role.title()
    if len(y_n) == 0:
        yield from (f"{role} {name}: not given ({one_class(0, 0)})" for name in _HEAD)
        return
    # sigmoid(logit) >= 0.5 is logit >= 0, without the rounding of the sigmoid.
    score_n, threshold = (prob_n, 0.5) if no_logits else (logit_n, 0.0)
    loss_n = log_losses(prob_n, y_n) if no_logits else log_losses_of_logits(logit_n, y_n)
    counts, area = confusion(score_n, y_n, threshold), auroc(score_n, y_n)
    yield f"{role} Loss: {loss_n.mean():.4f}"
    yield f"{role} Accuracy: {(counts.tp + counts.tn) / len(y_n):.4f}"
    if np.isnan(area):
        yield f"{role} AUC: not given ({one_class(counts.tp + counts.fn, len(y_n))})"
    else:
        yield f"{role} AUC: {area:.4f}"


_HEAD = ("Loss", "Accuracy", "AUC")


def _body(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.synthetic:
        yield "SYNTHETIC: no patient stands behind these images; these figures say nothing of any."
    yield NOT_A_DEVICE
    yield ""
    yield f"Source      {evaluation.source}, role '{evaluation.role}'"
    yield f"Images      {evaluation.n:,}; intervals are 95 %, the {evaluation.grouping} is the unit"
    yield f"Bundle      {evaluation.bundle or 'none'}"
    finding = evaluation.findings[0]
    no_logits = evaluation.figures[finding]["log_loss_uncalibrated"].value is None
    raw = "sigmoid(logit)" if evaluation.bundle is None else "uncalibrated, sigmoid(logit)"
    scores = "probabilities as given" if no_logits else raw
    yield f"Above       {finding}, {scores}, decided at 0.5"
    for warning in evaluation.warnings:
        yield from wrap(warning, 100, initial_indent="Warning     ", subsequent_indent=" " * 12)
    for finding in evaluation.findings:
        yield from _finding(evaluation, finding)


def _finding(evaluation: Evaluation, finding: str) -> Iterator[str]:
    counts = evaluation.n_by_label[finding]
    yield from ("", finding, "=" * len(finding))
    yield (
        f"{counts['present']:,} with the finding, {counts['absent']:,} without, "
        f"{counts['missing']:,} without a label"
    )
    yield ""
    known = calibrated(evaluation, finding)
    for name, words in _FIGURES.items():
        if known or name != "log_loss_uncalibrated":
            what = f"{words}, calibrated" if known and name == "log_loss" else words
            yield _line(what, evaluation.figures[finding][name])
    for name, point in shown_points(evaluation, finding).items():
        yield from ("", *_point(name, point))


_FIGURES: Mapping[str, str] = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "log_loss": "Log loss",
    "log_loss_uncalibrated": "Log loss, uncalibrated",
    "brier": "Brier score",
    "ece": "Calibration error",
    "calibration_intercept": "Calibration intercept",
    "calibration_slope": "Calibration slope",
}


def _point(name: str, point: PointFigures) -> Iterator[str]:
    counts = point.confusion
    yield f"Operating point {point_name(name, point)}".replace("\N{NO-BREAK SPACE}", " ")
    yield f"  {'':<16}{'called absent':>15}{'called present':>16}"
    yield f"  {'truly absent':<16}{counts.tn:>15,}{counts.fp:>16,}"
    yield f"  {'truly present':<16}{counts.fn:>15,}{counts.tp:>16,}"
    yield ""
    for figure, estimate in point.figures.items():
        yield _line("  " + _WORDS.get(figure, figure.replace("_", " ").capitalize()), estimate)
    yield ""
    yield f"  {'class':<10}{'precision':>11}{'recall':>11}{'F1':>11}"
    for label, figures in point.by_class.items():
        cells = "".join(_cell(figures[figure]) for figure in ("precision", "recall", "f1"))
        yield f"  {label:<10}{cells}"


_WORDS = {
    "ppv": "PPV",
    "npv": "NPV",
    "lr_positive": "LR+",
    "lr_negative": "LR-",
    "f1": "F1",
    "mcc": "MCC",
}


def _line(words: str, estimate: Estimate) -> str:
    shown = f"{words:<26}{estimate.in_words(4)}"
    return shown if estimate.low is None else f"{shown:<55}{estimate.method}"


def _cell(estimate: Estimate) -> str:
    return f"{'none':>11}" if estimate.value is None else f"{estimate.value:>11.4f}"


def _roc(evaluation: Evaluation) -> tuple[Sheet, Figure]:
    finding = evaluation.findings[0]
    curve = evaluation.curves[finding].roc
    sheet = Sheet("ROC curve", evaluation, finding, width=5.9)
    figure, (ax,) = sheet.with_axes(5.4)
    if curve is None:
        ax.axis("off")
        reason = evaluation.figures[finding]["auroc"].reason
        ax.text(0.5, 0.5, f"No curve: {reason}.", ha="center", color=INK, transform=ax.transAxes)
    else:
        draw_roc(
            curve,
            ax,
            auroc=evaluation.figures[finding]["auroc"],
            points=shown_points(evaluation, finding),
            band=f"95\N{NO-BREAK SPACE}% band of sensitivity, bootstrap by {evaluation.grouping}",
        )
    return sheet, figure


def _confusion(evaluation: Evaluation) -> tuple[Sheet, Figure]:
    finding = evaluation.findings[0]
    points = shown_points(evaluation, finding)
    names = [name for name in ("0.5", "deployed", STANDING_IN) if name in points]
    sheet = Sheet("Confusion matrix", evaluation, finding, width=4.3 * len(names))
    figure, axes = sheet.with_axes(4.0, columns=len(names))
    for ax, name in zip(axes, names, strict=True):
        draw_confusion(points[name].confusion, ax, classes=class_names(finding))
        ax.set_title(point_name(name, points[name]), fontsize=9.5, color=INK, loc="left")
    return sheet, figure
