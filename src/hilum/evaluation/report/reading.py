"""Reading: what several parts of a report ask of an evaluation before they say anything.

What they say is left to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.plots import STANDING_IN
from hilum.evaluation.results import PointFigures


def observed_prevalence(evaluation: Evaluation, finding: str) -> float | None:
    """The share of labelled images that have the finding; None without labels."""
    counts = evaluation.n_by_label[finding]
    known = counts["present"] + counts["absent"]
    return counts["present"] / known if known else None


def calibrated(evaluation: Evaluation, finding: str) -> bool:
    """Whether a calibrator is known to stand between the network and these probabilities.

    Nobody knows whether anybody else's are calibrated; nor is anything to be told of one that
    changed nothing, which leaves the log loss as it was.
    """
    after, before = (
        evaluation.figures[finding][name].value for name in ("log_loss", "log_loss_uncalibrated")
    )
    if evaluation.bundle is None or after is None or before is None:
        return False
    return not isclose(after, before, rel_tol=1e-9, abs_tol=1e-12)


def stands_in(evaluation: Evaluation, finding: str) -> bool:
    """Whether no point is deployed, and 0.5 stands in for it."""
    deployed = evaluation.operating_points[finding]["deployed"]
    return deployed.threshold == 0.5 and deployed.rule == ""


def shown_points(evaluation: Evaluation, finding: str) -> Mapping[str, PointFigures]:
    """Operating points by the name they are shown under, none of them twice."""
    points = evaluation.operating_points[finding]
    if not stands_in(evaluation, finding):
        return points
    others = {name: point for name, point in points.items() if name not in ("0.5", "deployed")}
    return {STANDING_IN: points["deployed"], **others}
