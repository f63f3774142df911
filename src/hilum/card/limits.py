"""Limits: what a changed version must not fall behind, each read off this bundle's own figures.

Where there is no figure there is no limit, and it says why. How limits are used is the change
plan's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from hilum.card.results import Results
from hilum.card.subject import Subject
from hilum.estimates import Estimate
from hilum.evaluation.report.words import words

Side = Literal["at least", "at most"]

_FIGURES: Mapping[str, Side] = {"auroc": "at least", "brier": "at most", "ece": "at most"}
_AT_POINT = ("sensitivity", "specificity")


@dataclass(frozen=True)
class Limit:
    """One figure of one finding.

    verb: that computes it; estimate: of this bundle
    side: on which side of `bound` a changed version's figure has to lie
    """

    finding: str
    figure: str
    verb: str
    estimate: Estimate
    side: Side

    @property
    def bound(self) -> float | None:
        """The end of this bundle's 95 % interval towards the worse; None without an interval."""
        return self.estimate.low if self.side == "at least" else self.estimate.high


def limits(subject: Subject, results: Results) -> Iterator[Limit]:
    """Every figure of what was given that a changed version is held to."""
    found = results.of(subject.own)
    for finding in subject.manifest.findings:
        if found is not None and finding in found.evaluation.figures:
            evaluation = found.evaluation
            for name, side in _FIGURES.items():
                estimate = evaluation.figures[finding][name]
                yield Limit(finding, words(name), "evaluate", estimate, side)
            point = evaluation.operating_points[finding]["deployed"].figures
            for name in _AT_POINT:
                told = f"{words(name)}, deployed point"
                yield Limit(finding, told, "evaluate", point[name], "at least")
            for breakdown in evaluation.subgroups.get(finding, ()):
                for group in breakdown.groups:
                    told = f"sensitivity, {breakdown.column} {group.name}"
                    yield Limit(finding, told, "evaluate", group.figures["sensitivity"], "at least")
            if finding in found.referrals:
                answered = found.referrals[finding].answered.figures["coverage"]
                yield Limit(finding, "share that is answered", "evaluate", answered, "at least")
        for stress in results.stress:
            if finding in stress.mean:
                told = (
                    f"balanced accuracy over {len(stress.conditions)} conditions ({stress.family})"
                )
                yield Limit(finding, told, "stress", stress.mean[finding], "at least")
    for novelty in results.novelty:
        if "either" in novelty.false_refusals:
            told = "good films that are refused"
            yield Limit("", told, "novelty", novelty.false_refusals["either"], "at most")
