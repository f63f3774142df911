"""Words: what a validation comes to, in sentences.

The figures are computed beside this; pictures and page are `pictures`' and `page`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hilum.estimates import Estimate
from hilum.evaluation.report.phrases import (
    MINUS,
    difference,
    estimate,
    fixed,
    in_sentence,
    plural,
    short_percent,
    threshold_words,
)
from hilum.evaluation.report.reading import observed_prevalence
from hilum.robustness.external.labelling import Labellings
from hilum.robustness.external.pooling import Pooled
from hilum.robustness.external.remedying import PriorCorrection
from hilum.robustness.external.validating import Drop, Inside, Site, Validation

NO_GATE = "This bundle has no input gate: it answers every film that can be read."
UNSEEN = (
    "No film of these, no altered copy of one and no patient was among those the bundle was "
    "trained, tuned or calibrated on."
)


def verdict(found: Validation, site: Site, finding: str) -> tuple[str, ...]:
    """What one site says of one finding, the drop first."""
    drops = site.drops[finding]
    said = [
        _ranking(drops["auroc"], found.inside),
        _decisions(site, finding, drops),
        _calibration(drops),
    ]
    if finding in site.remedies:
        remedies = site.remedies[finding]
        said += [remedies.probabilities.in_words, remedies.decisions.in_words]
    return tuple(sentence for sentence in said if sentence)


def on_several(found: Validation, finding: str) -> Iterator[str]:
    """What all sites together say of one finding."""
    pooled = found.pooled.get(finding)
    if pooled is None:
        return
    yield _summary(pooled)
    inside = found.inside.figures.get(finding, {}).get("auroc")
    if inside is not None and inside.value is not None:
        yield f"Inside ({found.inside.source}, {found.inside.role}) it is {estimate('', inside)}."
    for site, reason in pooled.left_out.items():
        yield f"{site} has no part in the summary: {reason}."


def _summary(pooled: Pooled) -> str:
    summary, expected = pooled.summary, pooled.expected
    if summary.value is None or pooled.i2 is None or pooled.q is None or pooled.p_q is None:
        return f"No summary of AUROC: {summary.reason}."
    sites = len(pooled.sites)
    said = f"Mean AUROC of {sites} sites {estimate('', summary)}"
    said += (
        f"; heterogeneity: I² {fixed(100 * pooled.i2, 0)} %, Q {fixed(pooled.q, 1)} on "
        f"{sites - 1} degree{'s' if sites > 2 else ''} of freedom, {p_words(pooled.p_q)}"
    )
    if expected.low is None or expected.high is None:
        few = " From so few sites next to nothing is known of the mean." if sites < 3 else ""
        return f"{said}.{few} What a further site may see is not known: {expected.reason}."
    limits = f"{fixed(expected.low, 3)} to {fixed(expected.high, 3)}"
    return f"{said}. A further site may see anything from {limits} (95 % prediction interval)."


def p_words(p: float) -> str:
    """`p < 0.001`, `p = 0.042`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def prevalence_words(found: Validation, site: Site, finding: str) -> str:
    """How many films, of how many patients, and how common the finding is here and inside."""
    evaluation = site.evaluation
    said = plural(evaluation.n, "film")
    if evaluation.grouping == "patient":
        said += f" of {plural(evaluation.units, 'patient')}"
    here = observed_prevalence(evaluation, finding)
    if here is None:
        return f"{said}; none has a label for {in_sentence(finding)}."
    said += f", {short_percent(here)} with {in_sentence(finding)}"
    inside = found.inside.evaluation
    there = None if inside is None else observed_prevalence(inside, finding)
    return f"{said} (inside {short_percent(there)})." if there is not None else f"{said}."


def _ranking(drop: Drop, inside: Inside) -> str:
    out, change = drop.outside, drop.difference
    if out.value is None:
        return f"No AUROC outside: {out.reason}."
    if drop.inside.value is None or change.value is None:
        return f"AUROC {estimate('', out)} outside; inside it is not known: {drop.inside.reason}."
    both = f"from {estimate('', drop.inside)} inside to {estimate('', out)} outside"
    how = difference("", change)
    if change.low is None or change.high is None:
        said = f"AUROC goes {both}; whether by more than chance is not known ({change.reason})."
    elif change.high < 0:
        said = f"AUROC falls {both}, by {_turned(change)}."
    elif change.low > 0:
        said = f"AUROC rises {both}, by {how}."
    else:
        said = f"AUROC goes {both}: no drop beyond chance ({how})."
    if out.low is not None and out.low <= 0.5:
        said += " Outside it is not shown to rank better than chance."
    if inside.role != "test":
        said += f" Inside is the role {inside.role}, whose figures flatter."
    return said


def _turned(change: Estimate) -> str:
    """A fall as a number above 0."""
    low, high = change.low or 0.0, change.high or 0.0
    return f"{fixed(-(change.value or 0.0), 3)} ({fixed(-high, 3)} to {fixed(-low, 3)})"


def _decisions(site: Site, finding: str, drops: Mapping[str, Drop]) -> str:
    point = site.evaluation.operating_points[finding]["deployed"]
    parts = []
    for name in ("sensitivity", "specificity"):
        found = drops[name]
        if found.outside.value is None:
            parts.append(f"{name} cannot be given ({found.outside.reason})")
            continue
        change = found.difference
        told = "" if change.value is None else f", {_signed(name, change)} against inside"
        parts.append(f"{name} is {estimate(name, found.outside)}{told}")
    return (
        f"At the deployed point (probability {threshold_words(point.threshold)} or more) "
        f"{'; '.join(parts)}."
    )


def _signed(name: str, change: Estimate) -> str:
    said = difference(name, change)
    return said if said.startswith(MINUS) else f"+{said}"


def _calibration(drops: Mapping[str, Drop]) -> str:
    intercept, slope = (
        drops[name].outside for name in ("calibration_intercept", "calibration_slope")
    )
    if intercept.value is None:
        return ""
    faults = []
    if intercept.high is not None and intercept.high < 0:
        faults.append("too high on the whole")
    if intercept.low is not None and intercept.low > 0:
        faults.append("too low on the whole")
    if slope.high is not None and slope.high < 1:
        faults.append("too extreme")
    if slope.low is not None and slope.low > 1:
        faults.append("too timid")
    what = f"are {' and '.join(faults)}" if faults else "show no fault beyond chance"
    return (
        f"Probabilities {what} outside: calibration intercept {estimate('', intercept)} where 0 "
        f"is right, slope {estimate('', slope)} where 1 is."
    )


def prior_words(prior: PriorCorrection, inside: Mapping[str, Estimate]) -> Iterator[str]:
    """What prior shift makes of the films, and whether it may be believed."""
    estimated, labelled = prior.estimated, prior.labelled
    yield (
        f"Without a label, the probabilities alone put the prevalence here at "
        f"{estimate('ppv', estimated)}, where they were calibrated at "
        f"{short_percent(prior.training)} (expectation maximisation of Saerens et al.)."
    )
    slope, intercept = inside.get("calibration_slope"), inside.get("calibration_intercept")
    if slope is not None and intercept is not None:
        off = [
            words
            for words, found, right in (("slope", slope, 1.0), ("intercept", intercept, 0.0))
            if found.low is not None
            and found.high is not None
            and not found.low <= right <= found.high
        ]
        if off:
            yield (
                f"It takes the probabilities to be calibrated inside; their {' and '.join(off)} "
                f"there {'says' if len(off) == 1 else 'say'} that they are not, so it is not to be "
                "relied on."
            )
    if labelled.value is None or estimated.low is None or estimated.high is None:
        return
    holds = estimated.low <= labelled.value <= estimated.high
    yield (
        f"By the labels it is {estimate('ppv', labelled)}: "
        + (
            "the estimate agrees with it."
            if holds
            else "the estimate is wrong, so more than the prevalence has changed."
        )
    )
    change = prior.change
    if prior.before is None or prior.after is None or change.low is None or change.high is None:
        return
    verb = (
        "betters" if change.high < 0 else "worsens" if change.low > 0 else "does not clearly change"
    )
    yield (
        f"Correcting the probabilities by it {verb} the log loss: {fixed(prior.before, 3)} before, "
        f"{fixed(prior.after, 3)} after, a change of {difference('', change)}."
    )


def labelling_words(found: Labellings, drop: Drop | None) -> Iterator[str]:
    """How far two labellings agree, and whether they or the places differ more."""
    first, second = found.names
    agree = found.counts["00"] + found.counts["11"]
    if found.n == 0:
        yield f"No film has a label of both {first} and {second}."
        return
    yield (
        f"On {plural(found.n, 'film')} with both labels, {first} and {second} agree on {agree:,} "
        f"({short_percent(agree / found.n)}); Cohen's kappa {estimate('', found.kappa)}."
    )
    change = found.difference["auroc"]
    if change.value is None:
        yield f"What that does to the AUROC cannot be said: {change.reason}."
        return
    yield (
        f"Of the very same answers the AUROC is "
        f"{estimate('', found.figures[first]['auroc'])} by {first} and "
        f"{estimate('', found.figures[second]['auroc'])} by {second}, a difference of "
        f"{difference('', change)}."
    )
    moved = None if drop is None else drop.difference.value
    if moved is None:
        return
    more = "The labels differ more" if abs(change.value) > abs(moved) else "The places differ more"
    clear = change.low is not None and change.high is not None and change.low * change.high > 0
    yield (
        f"{more}: swapping labels moves the AUROC by {fixed(abs(change.value), 3)}"
        f"{'' if clear else ', not beyond chance'}, going outside by {fixed(abs(moved), 3)}."
    )
