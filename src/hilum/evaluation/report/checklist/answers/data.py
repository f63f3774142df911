"""Answers on data: source, roles, what was left out, what is missing, who is in them.

Model and results are the modules' beside this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report.checklist.answers import (
    Answer,
    and_more,
    entries,
    in_bundle,
    in_evaluation,
    many,
    spelt,
)
from hilum.evaluation.report.facts import Facts, at


def evaluated_on(evaluation: Evaluation, facts: Facts) -> Answer:
    """Which images the figures are of."""
    text = f"Evaluated on role {evaluation.role} of {evaluation.source}."
    if evaluation.synthetic:
        text += " SYNTHETIC: no patient stands behind these images."
    where = [in_evaluation("source"), in_evaluation("role"), in_evaluation("synthetic")]
    if facts.predictions_file is not None:
        text += f" Predictions were read from {facts.predictions_file}{_digest(facts)}."
        where.append("the command")
    return Answer(text, tuple(where))


def _digest(facts: Facts) -> str:
    return "" if facts.predictions_sha256 is None else f" (SHA-256 {facts.predictions_sha256})"


def trained_on(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """What the model learnt from, and its licence."""
    source, licence = facts.known("source"), facts.known("licence")
    if source is None:
        return None
    text = f"Trained on {source}" + (f", licence {licence}." if licence else ".")
    where = [in_bundle("source"), *([in_bundle("licence")] if licence else [])]
    return Answer(text, tuple(where), "" if licence else "the licence")


def left_out(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Images that stand in no role, and why."""
    roles = facts.known("roles")
    if not isinstance(roles, Mapping) or "excluded" not in roles:
        return None
    excluded = entries(roles["excluded"])
    if not excluded:
        return Answer("No image was left out of every role.", (in_bundle("roles", "excluded"),))
    first = excluded[0]
    verb = "was" if len(excluded) == 1 else "were"
    return Answer(
        f"{many(len(excluded), 'image')} {verb} left out of every role, each with its reason; the "
        f"first, {first.get('image_id')}: {first.get('reason')}.",
        (in_bundle("roles", "excluded"),),
    )


def counted(evaluation: Evaluation, facts: Facts) -> Answer:
    """How many were evaluated, with and without the finding."""
    patients = f" from {many(evaluation.units, 'patient')}" if _patients(evaluation) else ""
    parts = [
        f"{finding}: {by['present']:,} present, {by['absent']:,} absent"
        for finding, by in ((f, evaluation.n_by_label[f]) for f in spelt(evaluation.findings))
    ]
    return Answer(
        f"{many(evaluation.n, 'image')}{patients} evaluated. {'; '.join(parts)}."
        f"{and_more(evaluation.findings)}",
        (
            in_evaluation("n"),
            *([in_evaluation("units")] if patients else []),
            in_evaluation("n_by_label"),
        ),
    )


def _patients(evaluation: Evaluation) -> bool:
    return evaluation.grouping == "patient"


def missing(evaluation: Evaluation, facts: Facts) -> Answer:
    """Labels that are not there, and what was done about it."""
    without = {finding: by["missing"] for finding, by in evaluation.n_by_label.items()}
    parts = [f"{f}: {without[f]:,} of {evaluation.n:,}" for f in spelt(evaluation.findings)]
    return Answer(
        f"Images without a label: {'; '.join(parts)}.{and_more(evaluation.findings)} They are left "
        "out of that finding's figures and counted.",
        (in_evaluation("n_by_label"),),
        "why labels are missing" if any(without.values()) else "",
    )


def _role_sizes(facts: Facts) -> Mapping[str, Mapping[str, Any]]:
    roles = facts.known("roles", "roles")
    if not isinstance(roles, Mapping):
        return {}
    return {name: of for name, of in roles.items() if isinstance(at(of, "n"), int)}


def partitions(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Which images were used for what."""
    sizes = _role_sizes(facts)
    if not sizes:
        return None
    parts = ", ".join(f"{name} {of['n']:,}" for name, of in sizes.items())
    text = (
        f"Roles: {parts} images. train fits the weights, tune stops training, "
        "calibrate sets calibrator and thresholds."
    )
    where = [in_bundle("roles", "roles")]
    fraction, seed = facts.known("recipe", "data", "tune_fraction"), facts.known("roles", "seed")
    if isinstance(fraction, int | float) and seed is not None:
        text += f" tune is {fraction:.3g} of the published training images, drawn with seed {seed}."
        where += [in_bundle("recipe", "data", "tune_fraction"), in_bundle("roles", "seed")]
    return with_openings(Answer(text, tuple(where)), facts)


def with_openings(answer: Answer, facts: Facts) -> Answer:
    """The answer, with how often the bundle's test images have been looked at."""
    if not facts.openings:
        return answer
    first, last = (str(facts.openings[at].get("time", "undated")) for at in (0, -1))
    span = first if len(facts.openings) == 1 else f"{first} to {last}"
    text = f"The bundle's ledger holds {many(len(facts.openings), 'opening')} of test images"
    return replace(
        answer,
        text=f"{answer.text} {text} ({span}).",
        where=(*answer.where, "openings.jsonl"),
    )


def disjoint(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """At which level no two roles share anything."""
    where = (in_bundle("roles", "grouping"),)
    match facts.known("roles", "grouping"):
        case "patient":
            return Answer(
                "Roles are disjoint by patient where one is known, and by image: equal pixels "
                "stand in one role.",
                where,
            )
        case "image":
            return Answer(
                "Roles are disjoint by image: equal pixels stand in one role. No patient is known.",
                where,
                "whether a patient stands in two roles",
            )
        case _:
            return None


def numbers_by_role(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Images with the finding in each role of training."""
    parts = []
    for role, of in _role_sizes(facts).items():
        for finding in spelt(evaluation.findings):
            present = at(of, "n_by_label", finding, "present")
            if isinstance(present, int):
                parts.append(f"{role} {of['n']:,}, {finding} present in {present:,}")
    if not parts:
        return None
    text = f"Images by role: {'; '.join(parts)}.{and_more(evaluation.findings)}"
    return Answer(text, (in_bundle("roles", "roles"),))


def differences(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """How the images evaluated differ from those of training, as far as counts show."""
    source, train = facts.known("source"), _role_sizes(facts).get("train")
    if source is None or train is None:
        return None
    same = source == evaluation.source
    text = (
        f"Both from {source}."
        if same
        else f"Trained on {source}, evaluated on {evaluation.source}."
    )
    for finding in spelt(evaluation.findings):
        by, learnt = evaluation.n_by_label[finding], at(train, "n_by_label", finding)
        known = by["present"] + by["absent"]
        present, absent = at(learnt, "present"), at(learnt, "absent")
        if known and isinstance(present, int) and isinstance(absent, int) and present + absent:
            text += (
                f" {finding} is present in {_percent(by['present'], known)} of the labelled "
                f"images evaluated and in {_percent(present, present + absent)} of train."
            )
    where = (in_evaluation("source"), in_bundle("source"), in_evaluation("n_by_label"))
    return Answer(text, (*where, in_bundle("roles", "roles", "train")))


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def groups(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """How many images of each group were evaluated."""
    for finding in evaluation.findings:
        breakdowns = evaluation.subgroups.get(finding, ())
        if breakdowns:
            parts = [
                f"{breakdown.column}: "
                + ", ".join(f"{group.name} {group.n:,}" for group in breakdown.groups)
                + (f", unknown {breakdown.missing:,}" if breakdown.missing else "")
                for breakdown in breakdowns
            ]
            return Answer(
                f"Images evaluated with a label for {finding}, by {'; by '.join(parts)}.",
                (in_evaluation("subgroups", finding),),
            )
    return None
