"""Paired figures: all figures of one finding for two classifiers, and what b has more than a.

Tests are in `paired_tests`, resamples in `paired_bootstrap`, each classifier's own figures in
`side_estimates`; findings are put together in `comparing`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Z95, Estimate
from hilum.evaluation.comparison.further_figures import FURTHER
from hilum.evaluation.comparison.paired_bootstrap import Resampled, Side, resampled_pair
from hilum.evaluation.comparison.paired_tests import (
    PairedDecisions,
    PairedTest,
    mcnemar,
    paired_delong,
)
from hilum.evaluation.comparison.results import Difference, FindingComparison, NetBenefit, Verdict
from hilum.evaluation.comparison.side_estimates import by_resamples, estimate_of
from hilum.evaluation.intervals import FEW, Resampling, one_class, percentile
from hilum.evaluation.predictions import Predictions
from hilum.units import Units

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEVEL = 0.05

# In the order of a report; what a comparison gives unless others are asked for.
FIGURES = (
    "auroc",
    "average_precision",
    "brier",
    "log_loss",
    "ece",
    "sensitivity",
    "specificity",
    "accuracy",
    "balanced_accuracy",
    "ppv",
    "npv",
    "f1",
    "mcc",
)
ALL_FIGURES = (*FIGURES, *FURTHER)
LOWER_IS_BETTER = (
    "brier",
    "log_loss",
    "ece",
    "brier_reliability",
    "ece_equal_width",
    "ici",
    "lr_negative",
)


@dataclass(frozen=True)
class Answers:
    """One classifier's answers for one finding, each of shape (n,)."""

    prob_n: Floats
    logit_n: Floats
    decision_n: Bools

    @classmethod
    def of(
        cls,
        predictions: Predictions,
        finding: str,
        row_n: NDArray[np.intp],
        threshold: float | None,
    ) -> Answers:
        """threshold: positive is prob >= it; None takes the decisions as they stand"""
        prob_n = predictions.prob(finding)[row_n]
        if threshold is None:
            decision_n = predictions.decision(finding)[row_n] == 1
        else:
            decision_n = prob_n >= threshold
        return cls(prob_n, predictions.logit(finding)[row_n], decision_n)

    def where(self, keep_n: Bools) -> Answers:
        return Answers(self.prob_n[keep_n], self.logit_n[keep_n], self.decision_n[keep_n])


@dataclass(frozen=True)
class PairedFigures:
    """One finding's result, and the resamples of a and of b behind it; None without images.

    units_with, units_without: patients (images where none is known) of either class
    """

    result: FindingComparison
    units_with: int
    units_without: int
    resampled: tuple[Resampled, Resampled] | None


def paired_figures(
    y_n: Floats,
    a: Answers,
    b: Answers,
    units: Units,
    resampling: Resampling,
    acting: Sequence[float],
    further: Collection[str] = (),
) -> PairedFigures:
    """FIGURES and `further`, some of FURTHER, of both on the images whose label is known, which may
    be none.

    y_n: 1 present, 0 absent, NaN unknown; units: what `resampling` draws; all of the same images
    acting: threshold probabilities for net benefit
    """
    known_n = ~np.isnan(y_n)
    missing, drawn_n = int((~known_n).sum()), units.unit_n[known_n]
    y_n, a, b, units = y_n[known_n], a.where(known_n), b.where(known_n), units.where(known_n)
    n, present = len(y_n), int(y_n.sum())
    units_with, units_without = (
        len(np.unique(units.unit_n[of_n])) for of_n in (y_n == 1, y_n == 0)
    )
    asked = (*FIGURES, *(name for name in FURTHER if name in further))
    tests, decisions = _tests_of_decisions(y_n, a, b, units)
    if n == 0:
        none = Estimate.missing(one_class(0, 0), 0)
        nothing = Difference(none, none, none, None, "", None, None, None, None, "unknown")
        figures = dict.fromkeys(asked, nothing)
        benefit = tuple(NetBenefit(at, nothing, none, none) for at in acting)
        result = FindingComparison(0, 0, 0, missing, figures, decisions, benefit)
        return PairedFigures(result, 0, 0, None)
    side_a, side_b = (
        Side.of(x.prob_n, x.logit_n, y_n, x.decision_n, acting, further) for x in (a, b)
    )
    found_a, found_b = resampled_pair(side_a, side_b, resampling, drawn_n)
    fewest = min(units_with, units_without)
    tests["auroc"] = paired_delong(side_a.score_n, side_b.score_n, y_n, units)
    figures = {
        name: _difference(
            name,
            estimate_of(name, y_n, a.decision_n, side_a, found_a, units),
            estimate_of(name, y_n, b.decision_n, side_b, found_b, units),
            found_a,
            found_b,
            n,
            units,
            fewest,
            tests.get(name),
        )
        for name in asked
    }
    benefit = tuple(
        _net_benefit(t, at, found_a, found_b, n, units, fewest) for t, at in enumerate(acting)
    )
    return PairedFigures(
        FindingComparison(n, present, n - present, missing, figures, decisions, benefit),
        units_with,
        units_without,
        (found_a, found_b),
    )


def mean_figures(compared: Iterable[PairedFigures], units: Units) -> dict[str, Difference]:
    """The plain mean of each figure over the findings that both have it for, if any.

    A mean is too uncertain for a verdict where one of its findings is.
    """
    compared, means = list(compared), {}
    for name in ALL_FIGURES:
        having = [
            (each, each.resampled)
            for each in compared
            if each.resampled is not None
            and name in each.result.figures
            and each.result.figures[name].difference.value is not None
        ]
        if not having:
            continue
        n = sum(each.result.n for each, _ in having)
        fewest = min(min(each.units_with, each.units_without) for each, _ in having)
        a, b = (
            Resampled(
                {name: float(np.mean([pair[s].value[name] for _, pair in having]))},
                {name: np.mean([pair[s].value_b[name] for _, pair in having], axis=0)},
            )
            for s in range(2)
        )
        one, other = (by_resamples(name, way, n, units) for way in (a, b))
        means[name] = _difference(name, one, other, a, b, n, units, fewest, None)
    return means


def verdict(
    difference: Estimate, p: float | None, *, fewest: int, lower_is_better: bool
) -> Verdict:
    """Whether a difference, b less a, lies beyond chance: by p where there is one, otherwise by
    its interval; from fewer than FEW images (patients) of a class no interval decides.

    fewest: images (patients) in the smaller class
    """
    value, low, high = difference.value, difference.low, difference.high
    if value is None or (p is None and (low is None or high is None or fewest < FEW)):
        return "unknown"
    apart = p < LEVEL if p is not None else (low or 0.0) > 0 or (high or 0.0) < 0
    if not apart:
        return "not_told_apart"
    return "b_better" if (value > 0) != lower_is_better else "a_better"


def _tests_of_decisions(
    y_n: Floats, a: Answers, b: Answers, units: Units
) -> tuple[dict[str, PairedTest], dict[str, PairedDecisions]]:
    present_n = y_n == 1
    right_a_n, right_b_n = a.decision_n == present_n, b.decision_n == present_n
    among = {
        "sensitivity": present_n,
        "specificity": ~present_n,
        "accuracy": np.ones(len(y_n), dtype=bool),
    }
    tests, tables = {}, {}
    for name, of_n in among.items():
        empty = one_class(int(present_n.sum()), len(y_n))
        tests[name], tables[name] = mcnemar(
            right_a_n[of_n], right_b_n[of_n], units.where(of_n), empty
        )
    return tests, tables


def _difference(
    name: str,
    a: Estimate,
    b: Estimate,
    found_a: Resampled,
    found_b: Resampled,
    n: int,
    units: Units,
    fewest: int,
    test: PairedTest | None,
) -> Difference:
    for which, figure in (("A", a), ("B", b)):
        if figure.value is None:
            none = Estimate.missing(f"{which} has none: {figure.reason}", figure.n)
            return Difference(a, b, none, None, "", None, None, None, None, "unknown")
    resampled = _bootstrapped(name, found_a, found_b, n, units)
    shown = resampled if test is None else test
    lower_is_better = name in LOWER_IS_BETTER
    rough = shown.p is None and fewest < FEW
    return Difference(
        a,
        b,
        shown.difference,
        bootstrap=None if test is None else resampled.difference,
        test=shown.test,
        p=shown.p,
        p_adjusted=None,
        error=shown.error,
        detectable=None if rough else shown.detectable,
        verdict="same"
        if shown.same
        else verdict(shown.difference, shown.p, fewest=fewest, lower_is_better=lower_is_better),
    )


def _bootstrapped(name: str, a: Resampled, b: Resampled, n: int, units: Units) -> PairedTest:
    """A difference with a normal interval, its error from the paired resamples; no p.

    Differences are nearly symmetric, and this covers closer to 95 % than their percentiles do (see
    the test beside it). Source: Efron & Tibshirani 1993, chapters 6 and 13.
    """
    value, value_b = b.value[name] - a.value[name], b.value_b[name] - a.value_b[name]
    given_b = value_b[~np.isnan(value_b)]
    if value == 0 and len(given_b) and not given_b.any():
        reason = "A and B have the same figure in every resample"
        none = Estimate(0.0, None, None, n, "none", reason)
        return PairedTest(none, None, "", None, same=True)
    found = percentile(value, value_b, n, units)
    if found.low is None:
        return PairedTest(found, None, "", None)
    error = float(given_b.std(ddof=1))
    method = f"normal, error by paired {found.method}"
    limits = Estimate(value, value - Z95 * error, value + Z95 * error, n, method)
    return PairedTest(limits, error, "", None)


def _net_benefit(
    t: int, at: float, a: Resampled, b: Resampled, n: int, units: Units, fewest: int
) -> NetBenefit:
    name = f"net_benefit_{t}"
    each = [percentile(found.value[name], found.value_b[name], n, units) for found in (a, b)]
    figure = _difference(name, each[0], each[1], a, b, n, units, fewest, None)
    found = _times(figure.difference, 1000)
    return NetBenefit(at, figure, found, _times(found, (1 - at) / at))


def _times(estimate: Estimate, factor: float) -> Estimate:
    value, low, high = (
        None if number is None else number * factor
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return replace(estimate, value=value, low=low, high=high)
