"""Failing: errors by kind, what costs most, what is referred, shortcuts, and what maps are worth.

What nobody looked for is named with the command that would look. Figures are read, not computed.
"""

from __future__ import annotations

from collections.abc import Iterator

from hilum.abstention import REASONS
from hilum.card.markdown import Lines, bullets, cell, plain, table
from hilum.card.results import (
    Condition,
    Evaluated,
    Explained,
    Novelty,
    Outliers,
    Referral,
    Results,
    Stress,
)
from hilum.card.subject import Subject

WORST = 5  # conditions that are named
LEAST = 5  # kinds of image that are named, of those that slip through most
_TOLD = {True: "**found**", False: "not found", None: "undecided"}
_STOOD = {True: "stands", False: "**fails**", None: "undecided"}


def how_it_fails(subject: Subject, results: Results) -> Lines:
    """Errors, referrals, corrupted films, and images that are no film to answer."""
    lines = ["## How it fails", "", "### Errors", ""]
    if results.evaluated:
        lines += bullets(line for each in results.evaluated for line in _errors(each))
    else:
        lines += [subject.not_given("Not evaluated", "evaluate NAME --out evaluated"), ""]
    lines += ["### Films that are not as they should be", ""]
    if results.stress:
        lines += [line for each in results.stress for line in _stressed(each)]
    else:
        lines += [subject.not_given("Not probed", "stress NAME --out stressed"), ""]
    lines += ["### What it refers", "", *_referring(subject, results)]
    return lines


def _errors(found: Evaluated) -> Iterator[str]:
    evaluation = found.evaluation
    where = f"{plain(evaluation.source)}, role {evaluation.role}"
    for finding in evaluation.findings:
        counts = evaluation.operating_points[finding]["deployed"].confusion
        yield (
            f"{plain(finding)}, {where}: {counts.fn:,} of {counts.fn + counts.tp:,} missed, "
            f"{counts.fp:,} of {counts.fp + counts.tn:,} false alarms. The worst of them stand as "
            "pictures in the report of `hilum evaluate`."
        )
        if found.label_review is not None:
            n = found.label_review[finding]
            yield (
                f"{plain(finding)}, {where}: {n:,} labels may be wrong, for a person to look at "
                "(`label_review.csv`); some errors may be the labels' own."
            )


def _stressed(found: Stress) -> Iterator[str]:
    severities = sorted({each.severity for each in found.conditions})
    span = " to ".join(dict.fromkeys([str(severities[0]), str(severities[-1])]))
    yield (
        f"{len(found.conditions)} conditions of the family {plain(found.family)}, severity "
        f"{span} of 5, on {found.n:,} films of {plain(found.source)}."
    )
    yield ""
    for finding, clean in found.clean.items():
        worst = sorted(
            (each for each in found.conditions if _lost(each, finding) is not None),
            key=lambda each: _lost(each, finding) or 0.0,
        )
        beyond = sum(_beyond(each, finding) for each in found.conditions)
        yield (
            f"**{plain(finding)}**: balanced accuracy {cell(clean['balanced_accuracy'])} as films "
            f"are, {cell(found.mean[finding])} over all conditions; {beyond} of "
            f"{len(found.conditions)} cost some beyond chance. What costs most:"
        )
        yield ""
        names = ("balanced_accuracy", "false_negative_rate", "specificity", "auroc")
        yield from table(
            ("condition", "severity", "balanced accuracy", "false-negative rate", "specificity",
             "AUROC"),
            ((each.corruption.replace("_", " "), str(each.severity),
              *(cell(each.figures[finding][name].b) for name in names))
             for each in worst[:WORST]),
        )  # fmt: skip


def _lost(condition: Condition, finding: str) -> float | None:
    """By how much balanced accuracy changes; below 0 is worse."""
    return condition.figures[finding]["balanced_accuracy"].difference.value


def _beyond(condition: Condition, finding: str) -> bool:
    high = condition.figures[finding]["balanced_accuracy"].difference.high
    return high is not None and high < 0


def _referring(subject: Subject, results: Results) -> Lines:
    if subject.manifest.abstention is None:
        lines = ["It never refers: it answers whatever it is shown, a film of a hip, too.", ""]
    else:
        lines = bullets(
            _referred(each, finding, found)
            for each in results.evaluated
            for finding, found in each.referrals.items()
        )
    if results.novelty:
        return [*lines, *(line for each in results.novelty for line in _novelty(each))]
    return [*lines, subject.not_given("Not probed with other images", "novelty NAME --against "
                                      "hips=films/hips --out novelty"), ""]  # fmt: skip


def _referred(each: Evaluated, finding: str, found: Referral) -> str:
    evaluation = each.evaluation
    figures = found.answered.figures
    reasons = "; ".join(
        f"{cell(share)} as {plain(REASONS.get(reason, reason))}"
        for reason, share in found.reasons.items()
    )
    return (
        f"{plain(finding)}, {plain(evaluation.source)}, role {evaluation.role}: it answers "
        f"{cell(figures['coverage'])} of the films, with sensitivity "
        f"{cell(figures['sensitivity'])} and specificity {cell(figures['specificity'])} among these"
        f"{'; it refers ' + reasons if reasons else ''}."
    )


def _novelty(found: Novelty) -> Iterator[str]:
    yield (
        f"Of {found.n:,} films of {plain(found.source)} it refuses "
        f"{cell(found.false_refusals.get('either'))} that it should answer."
    )
    yield ""
    by_share = sorted(found.kinds, key=lambda kind: kind.refused.value or 0.0)
    spoilt = [kind for kind in by_share if kind.group == "corrupted"]
    if spoilt:
        yield (
            "Of chest films spoilt by faults of severity 5 it refuses between "
            f"{cell(spoilt[0].refused)} ({_named(spoilt[0])}) and {cell(spoilt[-1].refused)} "
            f"({_named(spoilt[-1])}); the others are answered."
        )
        yield ""
    kinds = [kind for kind in by_share if kind.group != "corrupted"]
    if kinds:
        yield f"Of {len(kinds)} kinds of other images these slip through most:"
        yield ""
    yield from table(
        ("kind", "images", "refused"),
        ((_named(kind), f"{kind.n:,}", cell(kind.refused))
         for kind in kinds[:LEAST]),
    )  # fmt: skip


def _named(kind: Outliers) -> str:
    return plain(kind.name.replace("_", " "))


def shortcuts(subject: Subject, results: Results) -> Lines:
    """Whether answers come from the lungs, and whether maps are about what was learnt."""
    lines = ["## Shortcuts and maps", ""]
    probed = [each for each in results.explained if each.probes is not None]
    if probed:
        lines += [line for each in probed for line in _probes(each)]
    else:
        line = "explain NAME --shortcuts --out explained"
        lines += [subject.not_given("Shortcuts not probed", line), ""]
    asked = [each for each in results.explained if each.checks is not None]
    if asked:
        lines += [line for each in asked for line in _checks(each)]
    else:
        line = "explain NAME --sanity 64 --out sanity"
        lines += [subject.not_given("Sanity of the maps not asked", line), ""]
    return lines


def _probes(found: Explained) -> Iterator[str]:
    for finding, probes in (found.probes or {}).items():
        n = sum(each.found is True for each in probes)
        yield (
            f"**{plain(finding)}**, films of {plain(found.source)}: {n} of {len(probes)} probes "
            "found something. A probe says where to look, not what is the cause."
        )
        yield ""
        yield from table(
            ("probe", "", "figure", "found from"),
            ((plain(each.question), _TOLD[each.found],
              f"{plain(each.figure)}: {cell(each.estimate)}", plain(each.rule))
             for each in probes),
        )  # fmt: skip


def _checks(found: Explained) -> Iterator[str]:
    yield f"Maps by {plain(found.method)}, films of {plain(found.source)}: {plain(found.caution)}."
    yield ""
    yield from table(
        ("question to the method", "", "figure", "stands when"),
        ((plain(each.question), _STOOD[each.passed], cell(each.figure, 2), plain(each.rule))
         for each in found.checks or ()),
    )  # fmt: skip
