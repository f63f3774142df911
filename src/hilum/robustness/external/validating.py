"""Validating: a frozen bundle inside and outside, side by side, and by how much it dropped.

The figures of each side are `evaluation`'s; nothing is fitted here. What could be done about a drop
is `remedying`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot

from hilum.estimates import Estimate
from hilum.evaluation import Evaluation
from hilum.evaluation.referral import Referral
from hilum.robustness.external.labelling import Labellings
from hilum.robustness.external.pooling import Pooled
from hilum.robustness.external.remedying import Remedies

AT_POINT = ("sensitivity", "specificity", "balanced_accuracy")
FIGURES = ("auroc", *AT_POINT, "calibration_intercept", "calibration_slope", "ece", "brier")


@dataclass(frozen=True)
class Inside:
    """The side the bundle comes from.

    role: test, or calibrate where no other can be had, whose figures flatter
    figures: finding -> of FIGURES
    evaluation: of the films themselves; None where figures are those the bundle holds
    note: what must be told of it
    """

    source: str
    role: str
    figures: Mapping[str, Mapping[str, Estimate]]
    evaluation: Evaluation | None = None
    note: str = ""


@dataclass(frozen=True)
class Drop:
    """One figure inside, outside, and outside less inside."""

    inside: Estimate
    outside: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Site:
    """One external source.

    name: what it is called on the page
    seen: what was found of its films and patients in training, in sentences; empty: nothing
    drops: finding -> of FIGURES
    labellings: finding -> two labellings; empty where there is one
    remedies: finding -> what could be done
    referrals: finding -> what the bundle would hand on of these films; empty where it never does
    """

    name: str
    evaluation: Evaluation
    seen: tuple[str, ...]
    drops: Mapping[str, Mapping[str, Drop]]
    remedies: Mapping[str, Remedies] = field(default_factory=dict)
    labellings: Mapping[str, Labellings] = field(default_factory=dict)
    referrals: Mapping[str, Referral] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation:
    """Everything `hilum validate` found.

    pooled: finding -> AUROC of all sites; empty for one
    notes: what holds for all sites together
    """

    bundle: str
    name: str
    deployed: str
    synthetic: bool
    inside: Inside
    sites: tuple[Site, ...]
    pooled: Mapping[str, Pooled] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[str, ...]:
        return self.sites[0].evaluation.findings


def figures_of(evaluation: Evaluation, finding: str) -> dict[str, Estimate]:
    """FIGURES of one finding, at the deployed point where a figure needs one."""
    point = evaluation.operating_points[finding]["deployed"].figures
    return {
        name: point[name] if name in AT_POINT else evaluation.figures[finding][name]
        for name in FIGURES
    }


def drops(
    inside: Mapping[str, Estimate], outside: Mapping[str, Estimate], names: Sequence[str] = FIGURES
) -> dict[str, Drop]:
    """Each figure that both sides have, and the difference of independent sides."""
    return {
        name: Drop(inside[name], outside[name], difference(inside[name], outside[name]))
        for name in names
        if name in inside and name in outside
    }


def difference(inside: Estimate, outside: Estimate) -> Estimate:
    """Outside less inside, of films and patients that have nothing to do with one another.

    Newcombe's hybrid: each limit lies as far away as the two limits on that side lie from their
    figures, added in squares. The sides' own intervals are by patient, so this one is.
    Source: Newcombe 1998 (method 10); Zou & Donner 2008.
    """
    n = inside.n + outside.n
    if inside.value is None or outside.value is None:
        side, which = (inside, "inside") if inside.value is None else (outside, "outside")
        return Estimate.missing(f"{which}: {side.reason}", n)
    value = outside.value - inside.value
    if inside.low is None or inside.high is None or outside.low is None or outside.high is None:
        side, which = (inside, "inside") if inside.low is None else (outside, "outside")
        return Estimate(value, None, None, n, "none", f"{which}: {side.reason}")
    below = hypot(outside.value - outside.low, inside.high - inside.value)
    above = hypot(outside.high - outside.value, inside.value - inside.low)
    method = f"Newcombe's hybrid (inside {inside.method}; outside {outside.method})"
    return Estimate(value, value - below, value + above, n, method)
