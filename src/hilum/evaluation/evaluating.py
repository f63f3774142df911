"""Evaluate: from predictions to an Evaluation, finding by finding.

One finding's figures are computed in `figures`; subgroups and prediction sets in modules of their
name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hilum.errors import EvaluationError
from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.figures import FindingFigures, finding_figures, macro
from hilum.evaluation.intervals import FEW, Resampling
from hilum.evaluation.prediction_sets import prediction_sets, shortfall_in_words
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.results import PredictionSets, SetLimits, Subgrouping
from hilum.evaluation.subgroups import (
    GroupBy,
    default_groups,
    differences_in_words,
    left_out_in_words,
    subgroupings,
)
from hilum.units import Units, units_of

RESAMPLES = 2000


@dataclass(frozen=True)
class Deployment:
    """What was fixed for one finding before these predictions were seen, on `calibrate`.

    thresholds: by name, on calibrated probability; the one in use is "deployed"
    rules: how each was chosen, in words
    set_limits: of conformal prediction sets, None without them
    targets: by point, the figure that a threshold was set to reach, and how much of it
    """

    thresholds: Mapping[str, float]
    rules: Mapping[str, str] = field(default_factory=dict)
    set_limits: SetLimits | None = None
    targets: Mapping[str, tuple[str, float]] = field(default_factory=dict)


def evaluate(
    predictions: Predictions,
    deployments: Mapping[str, Deployment],
    *,
    bundle: str | None,
    source: str,
    role: str,
    synthetic: bool,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    prevalences: Sequence[float] = (),
    by: Sequence[GroupBy] | None = None,
    warnings: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Every figure of every finding, with 95 % intervals.

    deployments: per finding, what was fixed beforehand; "0.5" is added to its thresholds, and
        stands in for "deployed" (with a warning) where none is given
    rng: draws the resamples; the same generator gives the same evaluation
    prevalences: in (0, 1), at which PPV and NPV of every operating point are given
    by: what to break figures down by; None takes every known subgroup column
    warnings: what is known of the images already; more are added
    progress: called with the findings done and the findings in all
    Raises EvaluationError on an unknown finding or column, a threshold or prevalence out of range,
    or no resamples.
    """
    _refuse(predictions, deployments, resamples, prevalences)
    # In the order of their ids, so that the order of the rows leaves no trace in any figure.
    in_order = predictions.table.sort_values("image_id", ignore_index=True)
    predictions = replace(predictions, table=in_order)
    units = units_of(predictions.patient_id_n)
    left_out = left_out_in_words(predictions) if by is None else []
    by = default_groups(predictions) if by is None else by
    resampling = Resampling.of(units, rng, resamples)
    told = [*warnings, *_on_patients(predictions, units), *left_out]
    counts: dict[str, dict[str, int]] = {}
    results: dict[str, FindingFigures] = {}
    sets: dict[str, PredictionSets] = {}
    subgroups: dict[str, tuple[Subgrouping, ...]] = {}
    for done, finding in enumerate(predictions.findings):
        y_n, prob_n = predictions.label(finding), predictions.prob(finding)
        known_n = ~np.isnan(y_n)
        known_units = units.where(known_n)
        deployment = deployments.get(finding, Deployment({}))
        points, said = _points(finding, deployment.thresholds)
        told += said
        told += _on_labels(finding, y_n)
        differ = int((predictions.decision(finding) != (prob_n >= points["deployed"])).sum())
        if differ:
            told.append(
                f"{differ} decisions on {finding} are not those of the deployed threshold "
                f"{points['deployed']:.4g}; figures follow the threshold"
            )
        counts[finding] = {
            "absent": int((y_n == 0).sum()),
            "present": int((y_n == 1).sum()),
            "missing": int((~known_n).sum()),
        }
        results[finding] = finding_figures(
            prob_n[known_n],
            predictions.logit(finding)[known_n],
            y_n[known_n],
            known_units,
            points,
            resampling,
            units.unit_n[known_n],
            rules=deployment.rules,
            prevalences=prevalences,
        )
        if deployment.set_limits is not None:
            sets[finding] = prediction_sets(
                prob_n[known_n], y_n[known_n], known_units, deployment.set_limits
            )
            told += shortfall_in_words(finding, sets[finding])
        told += _on_targets(finding, deployment.targets, results[finding])
        told += _on_calibration(finding, results[finding])
        subgroups[finding] = subgroupings(predictions, finding, points["deployed"], units, by)
        told += differences_in_words(finding, subgroups[finding])
        progress(done + 1, len(predictions.findings))
    figures = {finding: result.figures for finding, result in results.items()}
    return Evaluation(
        bundle=bundle,
        source=source,
        role=role,
        synthetic=synthetic,
        n=len(predictions),
        n_by_label=counts,
        grouping=units.kind,
        units=units.count,
        resamples=resamples,
        warnings=tuple(told),
        figures=figures,
        macro=macro(results, units),
        operating_points={f: result.operating_points for f, result in results.items()},
        prediction_sets=sets,
        subgroups=subgroups,
        curves={finding: result.curves for finding, result in results.items()},
    )


def _refuse(
    predictions: Predictions,
    deployments: Mapping[str, Deployment],
    resamples: int,
    prevalences: Sequence[float],
) -> None:
    if resamples < 1:
        raise EvaluationError("resamples", f"{resamples}", expected="1 or more")
    for prevalence in prevalences:
        if not 0 < prevalence < 1:
            raise EvaluationError(
                "prevalence",
                f"{prevalence:g}",
                expected="a share between 0 and 1, such as 0.05",
            )
    unknown = [finding for finding in deployments if finding not in predictions.findings]
    if unknown:
        raise EvaluationError(
            "operating points",
            f"finding {unknown[0]!r} is not among the predictions",
            expected=", ".join(predictions.findings),
        )


def _points(finding: str, given: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """Thresholds by name, "0.5" and "deployed" first, and what to say of them."""
    for name, threshold in given.items():
        if not 0 <= threshold <= 1 or (name == "0.5" and threshold != 0.5):
            expected = "0.5" if name == "0.5" else "a probability in [0, 1]"
            raise EvaluationError(
                f"operating point {name!r} of {finding}", f"{threshold:g}", expected=expected
            )
    points = {"0.5": 0.5, "deployed": 0.5, **given}
    if "deployed" in given:
        return points, []
    return points, [f"no deployed operating point is given for {finding}; 0.5 stands in for it"]


def _on_labels(finding: str, y_n: np.ndarray[Any, np.dtype[np.float64]]) -> list[str]:
    told = []
    missing = int(np.isnan(y_n).sum())
    if missing:
        told.append(f"{missing} of {len(y_n)} images have no label for {finding} and are left out")
    for y, word in ((1, "with"), (0, "without")):
        found = int((y_n == y).sum())
        if missing < len(y_n) and not found:
            told.append(f"no image {word} {finding}: figures that need both classes are missing")
        elif 0 < found < FEW:
            told.append(f"only {found} images {word} {finding}: figures of them are very uncertain")
    return told


def _on_targets(
    finding: str, targets: Mapping[str, tuple[str, float]], result: FindingFigures
) -> list[str]:
    """Said where a point set to reach a sensitivity or specificity falls short beyond chance."""
    told = []
    for name, (figure, target) in targets.items():
        found = result.operating_points[name].figures[figure]
        if found.high is not None and found.high < target:
            told.append(
                f"the point {name} of {finding} was set to reach a {figure} of {target:g}; here it "
                f"reaches {found.in_words()}"
            )
    return told


def _on_calibration(finding: str, result: FindingFigures) -> list[str]:
    """Said where calibrated probabilities are beyond chance worse than the network's own."""
    after, before = (result.figures[name] for name in ("log_loss", "log_loss_uncalibrated"))
    if after.value is None or before.value is None:
        return []
    worse_b = result.resampled["log_loss"] - result.resampled["log_loss_uncalibrated"]
    worse_b = worse_b[~np.isnan(worse_b)]
    if not (len(worse_b) and np.quantile(worse_b, 0.025) > 0):
        return []
    return [
        f"calibration makes the probabilities of {finding} worse here (log loss {after.value:.3f} "
        f"after, {before.value:.3f} before): these images differ from those it was fitted on"
    ]


def _on_patients(predictions: Predictions, units: Units) -> list[str]:
    nameless = sum(patient is None for patient in predictions.patient_id_n)
    if units.kind == "patient" and nameless:
        return [f"{nameless} images have no patient id; each counts as a patient of its own"]
    return []
