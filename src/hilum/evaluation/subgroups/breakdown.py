"""Subgroups: figures at the deployed operating point, by any column, and gaps between groups.

Who is in which group is left to `grouping`; one figure of one group, and one gap, to
`group_figures`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation.discrimination import Ranking
from hilum.evaluation.intervals import holm
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.results import Gap, Group, Subgrouping
from hilum.evaluation.subgroups import group_figures as fig
from hilum.evaluation.subgroups.grouping import GroupBy, split
from hilum.units import Units

SMALLEST = 20  # images, of as many patients, that a figure rests on; fewer show little but chance
SIGNIFICANT = 0.05  # after the correction
WITH, WITHOUT = " with the finding", " without the finding"
GAPS = ("auroc", "false_negative_rate", "false_positive_rate")


def subgroupings(
    predictions: Predictions,
    finding: str,
    threshold: float,
    units: Units,
    by: Sequence[GroupBy],
) -> tuple[Subgrouping, ...]:
    """One breakdown per column, of the images whose label is known.

    threshold: the deployed operating point, on calibrated probability
    units: of all images of the predictions
    A figure is given where it rests on SMALLEST images or more, from as many patients where they
    are known; AUROC on as many of either class. A group is held against all other images whose
    value in the column is known, if both sides have as many. Holm's correction (1979) runs over
    all gaps tested in this finding, in all columns; two groups are each other's rest, and that is
    one test.
    Raises EvaluationError on an unknown column, or edges for one that holds no numbers.
    """
    sample = _Sample.of(predictions, finding, threshold, units)
    found = []
    for one in by:
        groups_of = split(predictions, one)
        group_n = groups_of.group_n[sample.row_n]
        groups = tuple(_group(sample, group_n, g, name) for g, name in enumerate(groups_of.name_g))
        missing = int((group_n < 0).sum())
        found.append(Subgrouping(one.column, groups, missing, SMALLEST, ""))
    return _corrected(found)


def differences_in_words(finding: str, subgroupings: Sequence[Subgrouping]) -> list[str]:
    """Warnings on groups whose false-negative rate differs beyond chance, after the correction.

    Of two groups, which mirror each other, the worse one is named. One line says so when there are
    groups and none is large enough to be tested.
    """
    told, tested = [], False
    for subgrouping in subgroupings:
        pair = len(_filled(subgrouping)) == 2
        for group in subgrouping.groups:
            gap = group.gaps["false_negative_rate"]
            tested |= gap.p is not None
            value = gap.difference.value
            if gap.p_adjusted is None or gap.p_adjusted >= SIGNIFICANT or value is None:
                continue
            if value > 0 or not pair:
                told.append(_in_words(finding, subgrouping, group, gap))
    if subgroupings and not tested:
        columns = ", ".join(subgrouping.column for subgrouping in subgroupings)
        told.append(
            f"whether {finding} is missed more often in some groups than in others cannot be told"
            f" ({columns}): no group and its rest hold {SMALLEST} images with it each, from as many"
            " patients"
        )
    return told


def _in_words(finding: str, subgrouping: Subgrouping, group: Group, gap: Gap) -> str:
    rate = group.figures["false_negative_rate"].value or 0.0
    difference, low, high = (
        part or 0.0 for part in (gap.difference.value, gap.difference.low, gap.difference.high)
    )
    word, size, limits = "more", difference, (low, high)
    if difference < 0:
        word, size, limits = "less", -difference, (-high, -low)
    p = gap.p_adjusted or 0.0
    p_text = "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")
    return (
        f"{finding} is missed {word} often where {subgrouping.column} is {group.name}: "
        f"{100 * rate:.0f} % against {100 * (rate - difference):.0f} % elsewhere "
        f"(gap {100 * size:.0f} points, {100 * limits[0]:.0f} to {100 * limits[1]:.0f}; "
        f"{p_text} after {subgrouping.multiplicity})"
    )


@dataclass(frozen=True)
class _Sample:
    """The images of one finding whose label is known, in descending order of probability.

    row_n: rows of the predictions; rank_n: falls along the images, equal for ties alone
    """

    row_n: NDArray[np.intp]
    prob_n: NDArray[np.float64]
    rank_n: NDArray[np.float64]
    y_n: NDArray[np.float64]
    called_n: NDArray[np.bool_]
    units: Units

    @classmethod
    def of(cls, predictions: Predictions, finding: str, threshold: float, units: Units) -> _Sample:
        row_n = np.flatnonzero(~np.isnan(predictions.label(finding)))
        ranking = Ranking.of(
            predictions.prob(finding)[row_n],
            predictions.label(finding)[row_n],
            predictions.logit(finding)[row_n],
        )
        row_n = row_n[ranking.order_n]
        called_n = ranking.score_n >= threshold
        return cls(
            row_n, ranking.score_n, ranking.rank_n, ranking.y_n, called_n, units.where(row_n)
        )

    def too_few(self, at_k: NDArray[np.intp], which: str) -> str | None:
        """Why a figure on these images is not given, if it is not."""
        if len(at_k) < SMALLEST:
            return f"fewer than {SMALLEST} images{which}"
        if self.units.kind == "patient" and fig.distinct(self.units, at_k) < SMALLEST:
            return f"fewer than {SMALLEST} patients{which}"
        return None


@dataclass(frozen=True)
class _Side:
    """A group, or all other images: positions in the sample, ascending."""

    at_k: NDArray[np.intp]
    present_k: NDArray[np.intp]
    absent_k: NDArray[np.intp]

    @classmethod
    def of(cls, sample: _Sample, member_n: NDArray[np.bool_]) -> _Side:
        present_n = sample.y_n == 1
        parts = (member_n, member_n & present_n, member_n & ~present_n)
        return cls(*(np.flatnonzero(part_n) for part_n in parts))


def _group(sample: _Sample, group_n: NDArray[np.intp], g: int, name: str) -> Group:
    side = _Side.of(sample, group_n == g)
    rest = _Side.of(sample, (group_n >= 0) & (group_n != g))
    called_n, present_n, units = sample.called_n, sample.y_n == 1, sample.units
    called_k = called_n[side.at_k]

    def share(hit_n: NDArray[np.bool_], at_k: NDArray[np.intp], which: str) -> Estimate:
        few = sample.too_few(at_k, which)
        return Estimate.missing(few, len(at_k)) if few else fig.rate(hit_n, units, at_k).estimate

    def loss(of: Callable[..., Estimate]) -> Estimate:
        few = sample.too_few(side.at_k, "")
        n = len(side.at_k)
        return Estimate.missing(few, n) if few else of(sample.prob_n, sample.y_n, units, side.at_k)

    auroc = _part(sample, "auroc", side)
    figures = {
        "auroc": _missing(auroc, side) if isinstance(auroc, str) else auroc.estimate,
        "sensitivity": share(called_n, side.present_k, WITH),
        "specificity": share(~called_n, side.absent_k, WITHOUT),
        "ppv": share(present_n, side.at_k[called_k], " called positive"),
        "npv": share(~present_n, side.at_k[~called_k], " called negative"),
        "false_negative_rate": share(~called_n, side.present_k, WITH),
        "false_positive_rate": share(called_n, side.absent_k, WITHOUT),
        "ece": loss(fig.calibration_error),
        "brier": loss(fig.brier),
    }
    gaps = {figure: _gap(sample, figure, side, rest) for figure in GAPS}
    counts = (len(side.at_k), len(side.present_k), len(side.absent_k))
    return Group(name, *counts, fig.distinct(units, side.at_k), figures, gaps)


def _part(sample: _Sample, figure: str, side: _Side) -> fig.Part | str:
    """One of GAPS on one side, or why it is not given."""
    if figure == "auroc":
        few = sample.too_few(side.present_k, WITH) or sample.too_few(side.absent_k, WITHOUT)
        return few or fig.auroc(sample.rank_n, sample.y_n, sample.units, side.at_k)
    if figure == "false_negative_rate":
        hit_n, at_k, which = ~sample.called_n, side.present_k, WITH
    else:
        hit_n, at_k, which = sample.called_n, side.absent_k, WITHOUT
    return sample.too_few(at_k, which) or fig.rate(hit_n, sample.units, at_k)


def _gap(sample: _Sample, figure: str, side: _Side, rest: _Side) -> Gap:
    part, other = _part(sample, figure, side), _part(sample, figure, rest)
    if isinstance(part, str):
        return Gap(_missing(part, side), None, None)
    if isinstance(other, str):
        return Gap(_missing(f"{other} elsewhere", rest), None, None)
    p = (fig.p_of_gap if figure == "auroc" else fig.p_of_rates)(part, other)
    return Gap(fig.gap(part, other), p, None)


def _missing(reason: str, side: _Side) -> Estimate:
    return Estimate.missing(reason, len(side.at_k))


def _corrected(found: Sequence[Subgrouping]) -> tuple[Subgrouping, ...]:
    """The same with adjusted p values, Holm over all gaps, and the number of them in words."""

    def test(s: int, g: int, figure: str) -> tuple[int, int, str]:
        filled = _filled(found[s])
        return s, filled[0] if len(filled) == 2 else g, figure

    p_of_test = {
        test(s, g, figure): gap.p
        for s, subgrouping in enumerate(found)
        for g, group in enumerate(subgrouping.groups)
        for figure, gap in group.gaps.items()
        if gap.p is not None
    }
    adjusted = dict(zip(p_of_test, holm(list(p_of_test.values())), strict=True))
    many = len(p_of_test)
    words = f"Holm over {many} gap{'s' if many > 1 else ''}" if many else "no gap tested"

    def corrected(s: int, g: int, group: Group) -> Group:
        gaps = {
            figure: replace(gap, p_adjusted=adjusted.get(test(s, g, figure)))
            for figure, gap in group.gaps.items()
        }
        return replace(group, gaps=gaps)

    return tuple(
        replace(
            subgrouping,
            groups=tuple(corrected(s, g, group) for g, group in enumerate(subgrouping.groups)),
            multiplicity=words,
        )
        for s, subgrouping in enumerate(found)
    )


def _filled(subgrouping: Subgrouping) -> list[int]:
    """The groups that hold images; two of them are each other's rest."""
    return [g for g, group in enumerate(subgrouping.groups) if group.n]
