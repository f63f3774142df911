"""All figures of one finding, and their means over findings.

What each figure means is left to `discrimination`, `reliability`, `utility` and
`likelihood_ratios`; the pass over the resamples, to `sample`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation import discrimination as disc
from hilum.evaluation import reliability as rel
from hilum.evaluation.curves import curves_of
from hilum.evaluation.intervals import (
    Resampling,
    bootstrap_on_logits,
    delong,
    moved,
    moved_percentile,
    one_class,
    percentile,
)
from hilum.evaluation.point_figures import POINT_FIGURES, point_figures
from hilum.evaluation.results import Curves, PointFigures
from hilum.evaluation.sample import SENSITIVITIES, SPECIFICITIES, Sample
from hilum.units import Units

Floats = NDArray[np.float64]
Interval = Callable[[float, Floats, int, Units], Estimate]

# How a figure's resamples become its interval; percentiles where none is named.
_INTERVALS: Mapping[str, Interval] = {
    "auroc": bootstrap_on_logits,
    "partial_auroc": bootstrap_on_logits,
    "average_precision": bootstrap_on_logits,
    "brier_reliability": moved_percentile,
    "brier_resolution": moved_percentile,
    "ece_equal_width": moved_percentile,
    "ici": moved_percentile,
}
# Figures of one finding, in the order of a report: name, statistic, its column.
_FIGURES: tuple[tuple[str, str, int], ...] = (
    ("auroc", "auroc", 0),
    ("partial_auroc", "partial_auroc", 0),
    ("average_precision", "average_precision", 0),
    *(
        (f"sensitivity_at_specificity_{100 * at:.0f}", "sensitivity_at_specificity", k)
        for k, at in enumerate(SPECIFICITIES)
    ),
    *(
        (f"specificity_at_sensitivity_{100 * at:.0f}", "specificity_at_sensitivity", k)
        for k, at in enumerate(SENSITIVITIES)
    ),
    ("brier", "brier", 0),
    ("brier_reliability", "brier_reliability", 0),
    ("brier_resolution", "brier_resolution", 0),
    ("brier_uncertainty", "brier_uncertainty", 0),
    ("brier_uncalibrated", "brier_uncalibrated", 0),
    ("log_loss", "log_loss", 0),
    ("log_loss_uncalibrated", "log_loss_uncalibrated", 0),
    ("ece", "brier_reliability", 0),
    ("ece_equal_width", "ece_equal_width", 0),
    ("ece_uncalibrated", "square_uncalibrated", 0),
    ("ici", "ici", 0),
    ("augrc", "augrc", 0),
)
# As a report has them: intercept and slope before the last, which is of another kind.
_ORDER = (
    *(name for name, _, _ in _FIGURES[:-1]),
    "calibration_intercept",
    "calibration_slope",
    _FIGURES[-1][0],
)
# Of the deployed point, of which means over findings are given.
_MEANS_AT_POINT = tuple(name for name in POINT_FIGURES if not name.startswith("lr_"))
_OF_SQUARES = ("ece", "ece_uncalibrated")
_DISTANCES = ("ece_equal_width", "ici")  # never below 0, so noise alone raises them
_BOTH = tuple(name for name, _, _ in _FIGURES[:7])
_NO_LOGIT = "the predictions hold no raw logits"


@dataclass(frozen=True)
class FindingFigures:
    """Everything `evaluate` says of one finding.

    resampled: figure to its value on each resample, shape (b,); the same resamples for every
        finding, so that means over findings can be given an interval
    """

    figures: Mapping[str, Estimate]
    operating_points: Mapping[str, PointFigures]
    curves: Curves
    resampled: Mapping[str, Floats]

    def estimate(self, name: str) -> Estimate:
        """A figure by name, at the deployed point where it is one of a point's."""
        return {**self.operating_points["deployed"].figures, **self.figures}[name]


def finding_figures(
    prob_n: Floats,
    logit_n: Floats,
    y_n: Floats,
    units: Units,
    points: Mapping[str, float],
    resampling: Resampling,
    drawn_n: NDArray[np.intp],
    *,
    rules: Mapping[str, str],
    prevalences: Sequence[float],
) -> FindingFigures:
    """Figures of one finding on the images whose label is known, which may be none.

    prob_n: calibrated, in [0, 1]; logit_n: raw, NaN where unknown; y_n: 1 present, 0 absent;
    all of shape (n,)
    points: threshold by name, "deployed" among them; rules: how they were chosen
    resampling, drawn_n: what is drawn, and which drawn unit an image belongs to, shape (n,)
    prevalences: at which PPV and NPV of each point are given
    """
    if len(y_n) == 0:
        return _nothing(prob_n, y_n, points, rules)
    sample = Sample.of(prob_n, logit_n, y_n, units, tuple(points.values()), points["deployed"])
    data = sample.statistics(np.ones((1, sample.n), dtype=np.int32))
    resampled = resampling.over(drawn_n[sample.ranking.order_n], sample.statistics)
    both = one_class(sample.present, sample.n) if sample.present in (0, sample.n) else None

    def why_not(name: str, statistic: str, k: int) -> str | None:
        if name in _BOTH:
            return both
        if name.endswith("_uncalibrated"):
            return _NO_LOGIT if sample.raw_n is None else None
        if name == "ici" and isinstance(sample.smooth, str):
            return both or sample.smooth
        if np.isfinite(data[statistic][0, k]):
            return None
        return "fewer than two images" if sample.n < 2 else "it does not converge"

    figures, kept = {}, {}
    for name, statistic, k in _FIGURES:
        reason = why_not(name, statistic, k)
        if reason is not None:
            figures[name] = Estimate.missing(reason, sample.n)
            continue
        value, value_b = float(data[statistic][0, k]), resampled[statistic][:, k]
        kept[name] = roots(value, value_b) if name in _OF_SQUARES else value_b
        figures[name] = resampled_estimate(name, value, value_b, sample.n, sample.units)
    deployed = [*points].index("deployed")
    kept |= {name: resampled[name][:, deployed] for name in _MEANS_AT_POINT}
    if both is None:
        figures["auroc"] = delong(sample.ranking.rank_n, sample.ranking.y_n, sample.units)
    regressed = (sample.ranking.score_n, sample.ranking.y_n, sample.units)
    figures["calibration_intercept"] = rel.calibration_intercept(*regressed)
    figures["calibration_slope"] = rel.calibration_slope(*regressed)
    operating_points = {
        name: point_figures(sample, threshold, k, rules.get(name, ""), data, resampled, prevalences)
        for k, (name, threshold) in enumerate(points.items())
    }
    return FindingFigures(
        {name: figures[name] for name in _ORDER},
        operating_points,
        curves_of(sample, points, data, resampled, both is None),
        kept,
    )


def macro(results: Mapping[str, FindingFigures], units: Units) -> dict[str, Estimate]:
    """The plain mean of each figure over the findings that have it, at a threshold each finding's
    deployed one; empty for one finding.

    Intercept, slope and likelihood ratios are left out: as differences and ratios they can make up
    for one another.
    """
    if len(results) < 2:
        return {}
    means = {}
    for name in (*(name for name, _, _ in _FIGURES), *_MEANS_AT_POINT):
        having = [
            (estimate.value, estimate.n, result.resampled[name])
            for result in results.values()
            if (estimate := result.estimate(name)).value is not None
        ]
        if not having:
            means[name] = Estimate.missing("no finding has it", 0)
            continue
        value = float(np.mean([value for value, _, _ in having]))
        value_b = np.mean([value_b for _, _, value_b in having], axis=0)
        n = sum(n for _, n, _ in having)
        found = _interval(name, value, value_b, n, units)
        method = f"{found.method}, mean of {len(having)} findings"
        means[name] = replace(found, method=method if found.reason is None else found.method)
    return means


def _interval(name: str, value: float, value_b: Floats, n: int, units: Units) -> Estimate:
    found = _INTERVALS.get(name, percentile)(value, value_b, n, units)
    if found.low is None:
        return found
    if name in _DISTANCES:
        method = f"{found.method}; the figure is biased upward"
        return replace(found, low=max(0.0, found.low), method=method)
    if "_at_" in name:
        return replace(found, method=f"{found.method}; threshold chosen on these images")
    return found


def roots(square: float, square_b: Floats) -> Floats:
    """Roots of resampled squares, moved by their bias as `moved_percentile` moves them."""
    return np.sqrt(np.maximum(0.0, moved(square, square_b)))


def resampled_estimate(name: str, value: float, value_b: Floats, n: int, units: Units) -> Estimate:
    """A figure with the interval that suits it, from its resamples; the two calibration errors from
    their squares."""
    if name not in _OF_SQUARES:
        return _interval(name, value, value_b, n, units)
    # The unbiased quantity is the square, so it is the square that is moved by its bias.
    square = moved_percentile(value, value_b, n, units)
    parts = (square.value, square.low, square.high)
    root, low, high = (None if part is None else sqrt(max(0.0, part)) for part in parts)
    if root == 0 and high == 0:
        return Estimate(root, None, None, n, "none", "every resample, too, shows less than chance")
    return Estimate(root, low, high, n, square.method, square.reason)


def _nothing(
    prob_n: Floats, y_n: Floats, points: Mapping[str, float], rules: Mapping[str, str]
) -> FindingFigures:
    """Every figure missing, with the reason that no image has a label."""
    missing = Estimate.missing(one_class(0, 0), 0)
    by_class: dict[str, Any] = {
        label: dict.fromkeys(("precision", "recall", "f1"), missing)
        for label in ("absent", "present")
    }
    figures = dict.fromkeys(POINT_FIGURES, missing)
    nowhere = disc.confusion(prob_n, y_n, 0.5)
    return FindingFigures(
        dict.fromkeys(_ORDER, missing),
        {
            name: PointFigures(threshold, rules.get(name, ""), nowhere, figures, by_class)
            for name, threshold in points.items()
        },
        Curves(
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            disc.score_histogram(prob_n, y_n),
            disc.threshold_counts(prob_n, y_n, points.values()),
        ),
        {},
    )
