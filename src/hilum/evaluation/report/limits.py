"""Limits: what a reader of any figure must know of these images, each with where it is recorded.

The warnings of the evaluation itself are its own; how both are shown is left to the page and the
checklist.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report.checklist.answers import in_bundle, in_evaluation
from hilum.evaluation.report.facts import Facts
from hilum.evaluation.report.phrases import short_percent
from hilum.evaluation.report.reading import observed_prevalence


@dataclass(frozen=True)
class Limit:
    """One limit. where: `file: key.path` that it is read from"""

    sentence: str
    where: str


def limits(evaluation: Evaluation, facts: Facts) -> Iterator[Limit]:
    """What limits this evaluation, besides its own warnings."""
    if evaluation.grouping == "image":
        yield Limit(
            "No patient is known for these images, so each counts as a patient of its own; where "
            "several are of one patient the intervals are too narrow.",
            in_evaluation("grouping"),
        )
    if len(evaluation.findings) == 1:
        prevalence = observed_prevalence(evaluation, evaluation.findings[0])
        if prevalence is not None and 0 < prevalence < 1:
            yield Limit(
                "PPV, NPV and net benefit hold at the prevalence of these images, "
                f"{short_percent(prevalence)}.",
                in_evaluation("n_by_label"),
            )
    else:
        yield Limit(
            "PPV, NPV and net benefit of each finding hold at its prevalence among these images.",
            in_evaluation("n_by_label"),
        )
    if facts.known("synthetic") and not evaluation.synthetic:
        yield Limit(
            "The model was trained on synthetic images, not on patients.", in_bundle("synthetic")
        )
    times = times_opened(facts)
    if times > 1:
        yield Limit(
            f"The model's test images have been opened {times} times; what was changed between "
            "openings may have been fitted to them.",
            "openings.jsonl",
        )


def times_opened(facts: Facts) -> int:
    """How often the model's own test images were looked at."""
    own = facts.known("source")
    return sum(
        entry.get("role") == "test" and entry.get("source") == own for entry in facts.openings
    )
