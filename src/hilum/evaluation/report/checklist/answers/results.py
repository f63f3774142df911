"""Answers on results: figures with their intervals, errors, groups, and what to be wary of.

Each value is the evaluation's or the bundle's own; nothing is computed here but shares of groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hilum.estimates import Estimate
from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report.checklist.answers import (
    Answer,
    and_more,
    in_bundle,
    in_evaluation,
    in_words,
    many,
    of_record,
    spelt,
)
from hilum.evaluation.report.checklist.answers.data import with_openings
from hilum.evaluation.report.facts import Facts
from hilum.evaluation.report.limits import limits
from hilum.evaluation.report.reading import calibrated
from hilum.evaluation.report.words import words
from hilum.evaluation.results import Subgrouping

HEAD = ("auroc", "average_precision", "brier", "ece", "calibration_slope")
AT_POINT = ("sensitivity", "specificity", "ppv", "npv")
USED = ("train", "tune", "calibrate")


def metrics(evaluation: Evaluation, facts: Facts) -> Answer:
    """Which figures and curves are given."""
    figures = dict.fromkeys(
        name
        for finding in evaluation.findings
        for name, estimate in evaluation.figures[finding].items()
        if estimate.value is not None
        and (calibrated(evaluation, finding) or not name.endswith("_uncalibrated"))
    )
    points = dict.fromkeys(
        name for of in evaluation.operating_points.values() for name in of["deployed"].figures
    )
    text = (
        f"Figures: {'; '.join(map(words, figures))}. At each operating point: "
        f"{'; '.join(map(words, points))}."
    )
    return Answer(text, (in_evaluation("figures"), in_evaluation("operating_points")))


def curves(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Which curves are given."""
    named = {
        "roc": "ROC",
        "precision_recall": "precision–recall",
        "reliability": "reliability",
        "decision": "decision curve",
        "risk_coverage": "risk–coverage",
        "prevalence": "PPV and NPV by prevalence",
    }
    given = [
        name
        for key, name in named.items()
        if any(getattr(of, key) is not None for of in evaluation.curves.values())
    ]
    if not given:
        return None
    return Answer(f"Curves: {', '.join(given)}.", (in_evaluation("curves"),))


def uncertainty(evaluation: Evaluation, facts: Facts) -> Answer:
    """How intervals were made, and what p values were corrected for."""
    # What a method says after a semicolon is of the figure, not of its interval.
    methods = dict.fromkeys(
        estimate.method.partition(";")[0]
        for estimate in _estimates(evaluation)
        if estimate.low is not None
    )
    unit = many(evaluation.units, evaluation.grouping)
    text = (
        f"95 % intervals, {unit} being the independent units: {'; '.join(methods)}."
        if methods
        else "No interval can be given."
    )
    where = [in_evaluation("units"), in_evaluation("figures"), in_evaluation("operating_points")]
    for finding, breakdown in _breakdowns(evaluation):
        text += f" p values of groups: {breakdown.multiplicity}."
        where.append(in_evaluation("subgroups", finding))
        break
    return Answer(text, tuple(where))


def _estimates(evaluation: Evaluation) -> Iterator[Estimate]:
    for finding in evaluation.findings:
        yield from evaluation.figures[finding].values()
        for point in evaluation.operating_points[finding].values():
            yield from point.figures.values()


def same_source(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Figures on held-out images of the source that the model was trained on."""
    source = facts.known("source")
    if source is None or source != evaluation.source:
        return None
    where = (in_bundle("source"), in_evaluation("source"), in_evaluation("role"))
    if evaluation.role in USED:
        return Answer(
            f"Role {evaluation.role} of {source}, which training used: these figures are "
            f"optimistic. {_head(evaluation, ('auroc',))}",
            (*where, *_head_where(evaluation, ("auroc",))),
            "a test on images that training did not use",
        )
    found = Answer(
        f"Role {evaluation.role} of {source}, the source of the training images too. "
        f"{_head(evaluation, ('auroc',))}",
        (*where, *_head_where(evaluation, ("auroc",))),
    )
    return with_openings(found, facts)


def other_source(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Figures on images from elsewhere; that there are none is an answer too."""
    source = facts.known("source")
    if source is None:
        return None
    where = (in_bundle("source"), in_evaluation("source"))
    if source == evaluation.source:
        return Answer("None in this run.", where, "any test on data from elsewhere")
    return Answer(
        f"Trained on {source}, evaluated on {evaluation.source}. {_head(evaluation, ('auroc',))}",
        (*where, *_head_where(evaluation, ("auroc",))),
        "how the two differ in patients and machines",
    )


def performance(evaluation: Evaluation, facts: Facts) -> Answer:
    """The leading figures of each finding, or their means where findings are many."""
    return Answer(_head(evaluation, HEAD), _head_where(evaluation, HEAD))


def _head(evaluation: Evaluation, names: tuple[str, ...]) -> str:
    if len(spelt(evaluation.findings)) < len(evaluation.findings) and evaluation.macro:
        given = [name for name in names if name in evaluation.macro]
        parts = ", ".join(f"{words(name)} {in_words(evaluation.macro[name])}" for name in given)
        return f"Mean over {many(len(evaluation.findings), 'finding')}: {parts}."
    sentences = [
        f"{finding}: "
        + ", ".join(
            f"{words(name)} {in_words(evaluation.figures[finding][name])}"
            for name in names
            if name in evaluation.figures[finding]
        )
        for finding in spelt(evaluation.findings)
    ]
    return f"{'; '.join(sentences)}.{and_more(evaluation.findings)}"


def _head_where(evaluation: Evaluation, names: tuple[str, ...]) -> tuple[str, ...]:
    if len(spelt(evaluation.findings)) < len(evaluation.findings) and evaluation.macro:
        return tuple(in_evaluation("macro", name) for name in names if name in evaluation.macro)
    return tuple(
        in_evaluation("figures", finding, name)
        for finding in spelt(evaluation.findings)
        for name in names
        if name in evaluation.figures[finding]
    )


def other_roles(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """AUROC on the roles that training used, from the bundle."""
    recorded = facts.known("figures")
    parts, where = [], []
    for role in recorded if isinstance(recorded, Mapping) else ():
        for finding in spelt(evaluation.findings):
            auroc = of_record(facts.known("figures", role, finding, "auroc"))
            if auroc is not None:
                parts.append(f"{role}, {finding}: AUROC {auroc}")
                where.append(in_bundle("figures", role, finding, "auroc"))
    if not parts:
        return None
    return Answer(
        f"On roles that training used, so optimistic: {'; '.join(parts)}."
        f"{and_more(evaluation.findings)}",
        tuple(where),
    )


def accuracy(evaluation: Evaluation, facts: Facts) -> Answer:
    """Sensitivity and specificity, PPV and NPV at the deployed point."""
    parts, where = [], []
    for finding in spelt(evaluation.findings):
        point = evaluation.operating_points[finding]["deployed"]
        given = ", ".join(f"{words(n)} {in_words(point.figures.get(n))}" for n in AT_POINT)
        parts.append(f"{finding}, probability ≥ {point.threshold:.4g}: {given}")
        where.append(in_evaluation("operating_points", finding, "deployed"))
    return Answer(
        f"At the deployed point. {'; '.join(parts)}.{and_more(evaluation.findings)}", tuple(where)
    )


def sets(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """What prediction sets cover, and how many images they refer."""
    parts, where = [], []
    for finding in spelt(evaluation.prediction_sets):
        found = evaluation.prediction_sets[finding].figures
        given = [n for n in ("coverage_absent", "coverage_present", "decided") if n in found]
        parts.append(f"{finding}: {', '.join(f'{words(n)} {in_words(found[n])}' for n in given)}")
        where += [in_evaluation("prediction_sets", finding, "figures", n) for n in given]
    if not parts:
        return None
    return Answer(f"Prediction sets. {'; '.join(parts)}.", tuple(where))


def errors(evaluation: Evaluation, facts: Facts) -> Answer:
    """How many were missed and how many raised a false alarm."""
    parts, where = [], []
    for finding in spelt(evaluation.findings):
        counts = evaluation.operating_points[finding]["deployed"].confusion
        parts.append(
            f"{finding}: {counts.fn:,} of {counts.fn + counts.tp:,} missed, "
            f"{counts.fp:,} of {counts.fp + counts.tn:,} false alarms"
        )
        where.append(in_evaluation("operating_points", finding, "deployed", "confusion"))
    return Answer(
        f"At the deployed point. {'; '.join(parts)}.{and_more(evaluation.findings)}", tuple(where)
    )


def gaps(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """By what figures were broken down, and which groups differ beyond chance."""
    columns, differing = dict.fromkeys(b.column for _, b in _breakdowns(evaluation)), []
    if not columns:
        return None
    where = []
    for finding, breakdown in _breakdowns(evaluation):
        where.append(in_evaluation("subgroups", finding))
        # Two groups are each other's rest: one of them tells it all.
        groups = breakdown.groups[: 1 if len(breakdown.groups) == 2 else None]
        for group in groups:
            for name, gap in group.gaps.items():
                if gap.p_adjusted is not None and gap.p_adjusted < 0.05:
                    differing.append(
                        f"{finding}, {breakdown.column} {group.name}, {words(name)} "
                        f"{in_words(gap.difference)} from all others (adjusted p "
                        f"{gap.p_adjusted:.2g})"
                    )
    told = "; ".join(differing) if differing else "no gap below an adjusted p of 0.05"
    return Answer(
        f"Figures at the deployed point by {', '.join(columns)}: {told}.",
        tuple(dict.fromkeys(where)),
    )


def clusters(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """AUROC by site, where sites are known."""
    for finding, breakdown in _breakdowns(evaluation):
        if breakdown.column == "site":
            parts = [
                f"{group.name} {in_words(group.figures.get('auroc'))}" for group in breakdown.groups
            ]
            return Answer(
                f"AUROC of {finding} by site: {'; '.join(parts)}.",
                (in_evaluation("subgroups", finding),),
            )
    return None


def _breakdowns(evaluation: Evaluation) -> Iterator[tuple[str, Subgrouping]]:
    for finding in evaluation.findings:
        for breakdown in evaluation.subgroups.get(finding, ()):
            yield finding, breakdown


def told_limits(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """What the run itself warns of, and what limits it besides."""
    found = tuple(limits(evaluation, facts))
    parts, where = [], [limit.where for limit in found]
    if evaluation.warnings:
        told = "; ".join(warning.rstrip(".") for warning in evaluation.warnings)
        parts.append(f"The run warns: {told}.")
        where.insert(0, in_evaluation("warnings"))
    parts += [limit.sentence for limit in found]
    return Answer(" ".join(parts), tuple(where)) if parts else None
