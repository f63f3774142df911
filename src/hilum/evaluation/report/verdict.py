"""Verdict: what the figures of a finding come to, in sentences; and what must be told beside them.

The figures themselves stand in the sections after it.
"""

from __future__ import annotations

from hilum.estimates import Estimate
from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report.facts import Facts
from hilum.evaluation.report.limits import limits
from hilum.evaluation.report.phrases import (
    estimate,
    fixed,
    in_sentence,
    per_1000,
    plural,
    short_percent,
    threshold_words,
    whole_sentence,
)
from hilum.evaluation.report.reading import observed_prevalence, stands_in
from hilum.evaluation.results import PointFigures

NO_GAIN = 1e-9  # true positives per image: float noise, not a gain
NOT_A_DEVICE = "Research use only. Hilum and its reports are not a medical device."
SYNTHETIC = (
    "SYNTHETIC DATA: no patient stands behind these images. Nothing on this page says anything "
    "about patients."
)


def verdict(evaluation: Evaluation, finding: str) -> tuple[str, ...]:
    """What was found on this finding, a sentence or two for each question a reader asks."""
    point = evaluation.operating_points[finding]["deployed"]
    said = (
        _images(evaluation, finding),
        _ranking(evaluation, finding),
        _decisions(evaluation, finding, point),
        _calibration(evaluation, finding),
        _benefit(evaluation, finding, point),
    )
    return tuple(sentence for sentence in said if sentence)


def caveats(evaluation: Evaluation, facts: Facts) -> tuple[str, ...]:
    """Every warning of the evaluation, then what limits any such study, the last word for all."""
    told = (*evaluation.warnings, *(limit.sentence for limit in limits(evaluation, facts)))
    return (*map(whole_sentence, told), NOT_A_DEVICE)


def _images(evaluation: Evaluation, finding: str) -> str:
    counts = evaluation.n_by_label[finding]
    of = f"{plural(evaluation.n, 'image')} of {evaluation.source} (role {evaluation.role})"
    if evaluation.grouping == "patient":
        of += f" from {plural(evaluation.units, 'patient')}"
    known = counts["present"] + counts["absent"]
    if known == 0:
        return f"Evaluated on {of}; none has a label for {in_sentence(finding)}."
    prevalence = short_percent(counts["present"] / known)
    said = f"Evaluated on {of}: {counts['present']:,} with {in_sentence(finding)} and "
    said += f"{counts['absent']:,} without, a prevalence of {prevalence}"
    return said + (f"; {counts['missing']:,} have no label." if counts["missing"] else ".")


def _ranking(evaluation: Evaluation, finding: str) -> str:
    auroc = evaluation.figures[finding]["auroc"]
    if auroc.value is None:
        return f"No AUROC: {auroc.reason}."
    return (
        f"AUROC {estimate('auroc', auroc)}: of an image with {in_sentence(finding)} and one "
        f"without, the one with it has the higher score {fixed(100 * auroc.value, 0)} times in 100."
    )


def _decisions(evaluation: Evaluation, finding: str, point: PointFigures) -> str:
    sensitivity, specificity = point.figures["sensitivity"], point.figures["specificity"]
    said = f"At the deployed point (probability {threshold_words(point.threshold)} or more) "
    if stands_in(evaluation, finding):
        said = "At a probability of 0.5 or more, which stands in for a deployed point, "
    said += " and ".join(
        f"{name} is {estimate(name, found)}"
        if found.value is not None
        else f"{name} cannot be given ({found.reason})"
        for name, found in (("sensitivity", sensitivity), ("specificity", specificity))
    )
    prevalence = observed_prevalence(evaluation, finding)
    if prevalence is None or sensitivity.value is None or specificity.value is None:
        return said + "."
    missed = prevalence * (1 - sensitivity.value)
    called = (1 - prevalence) * (1 - specificity.value)
    return (
        f"{said}. Of 1,000 {_counted(evaluation)} at this prevalence, {per_1000(prevalence)} have "
        f"{in_sentence(finding)}: {per_1000(missed)} of them would be missed, and "
        f"{per_1000(called)} of the others falsely called."
    )


def _calibration(evaluation: Evaluation, finding: str) -> str:
    figures = evaluation.figures[finding]
    ece, intercept, slope = (
        figures[name] for name in ("ece", "calibration_intercept", "calibration_slope")
    )
    if intercept.value is None or intercept.low is None or intercept.high is None:
        return f"Calibration cannot be judged: {intercept.reason or ece.reason}."
    faults = [fault for fault in (_level(intercept), _spread(slope)) if fault]
    what = " and ".join(faults) if faults else _without_fault(ece, slope)
    return (
        f"Probabilities: {what}. Calibration intercept {estimate('', intercept)}, slope "
        f"{estimate('', slope)}, error {estimate('', ece)}."
    )


def _without_fault(ece: Estimate, slope: Estimate) -> str:
    """What to say where neither level nor spread is found at fault."""
    if ece.low is not None and ece.low > 0:
        return "stated and observed differ, though neither level nor spread shows why"
    if slope.low is None or slope.high is None:
        return "the level shows no fault beyond chance; the spread cannot be judged"
    return "no miscalibration shows beyond chance"


def _level(intercept: Estimate) -> str:
    if intercept.low is not None and intercept.low > 0:
        return "they are too low on the whole"
    if intercept.high is not None and intercept.high < 0:
        return "they are too high on the whole"
    return ""


def _spread(slope: Estimate) -> str:
    if slope.high is not None and slope.high < 1:
        return "they are too extreme"
    if slope.low is not None and slope.low > 1:
        return "they are too timid"
    return ""


def _benefit(evaluation: Evaluation, finding: str, point: PointFigures) -> str:
    benefit, prevalence = point.figures["net_benefit"], observed_prevalence(evaluation, finding)
    if benefit.value is None or prevalence is None or point.threshold >= 1:
        return ""
    odds = point.threshold / (1 - point.threshold)
    everyone = prevalence - (1 - prevalence) * odds
    other, policy = (everyone, "everyone") if everyone > 0 else (0.0, "no one")
    gain = benefit.value - other
    said = f"Net benefit {estimate('net_benefit', benefit)} at this threshold"
    # The difference to acting on everyone has an interval of its own, which is not this one.
    interval = "" if benefit.low is None else " The interval is of the net benefit itself."
    if gain <= NO_GAIN:
        return f"{said}: no better than acting on {policy} ({fixed(other, 3)}).{interval}"
    return (
        f"{said}, against {fixed(other, 3)} for acting on {policy}: worth {per_1000(gain)} more "
        f"true positives per 1,000 {_counted(evaluation)} with no more false ones.{interval}"
    )


def _counted(evaluation: Evaluation) -> str:
    """What a thousand are counted of: a patient is one where patients are known."""
    return f"{evaluation.grouping}s"


def key_figures(evaluation: Evaluation, finding: str) -> tuple[tuple[str, str, str], ...]:
    """The figures that head a page: name, value, interval or reason."""
    figures = evaluation.figures[finding]
    point = evaluation.operating_points[finding]["deployed"].figures
    shown: tuple[tuple[str, str, Estimate], ...] = (
        ("AUROC", "auroc", figures["auroc"]),
        ("Sensitivity", "sensitivity", point["sensitivity"]),
        ("Specificity", "specificity", point["specificity"]),
        ("Calibration error", "ece", figures["ece"]),
    )
    return tuple((words, *_parts(name, found)) for words, name, found in shown)


def _parts(name: str, found: Estimate) -> tuple[str, str]:
    if found.value is None:
        return "\N{EN DASH}", found.reason or ""
    words = estimate(name, found)
    number, _, rest = words.partition(" (")
    return number, rest.removesuffix(")")
