"""Words: what a comparison of two places says, in sentences; no arithmetic beyond a share.

What is computed is left to the modules beside this.
"""

from __future__ import annotations

from hilum.robustness.shift.results import LEVEL, AttributeShift, Shift

SHOWN = {"auroc": "AUROC", "sensitivity": "sensitivity", "specificity": "specificity"}


def sentences(shift: Shift) -> list[str]:
    """The drop, whether films differ, the labels, and what explains it."""
    return [*_drop(shift), *_features(shift), *_labels(shift), *_named(shift)]


def attribute_words(name: str) -> str:
    return name.replace("_", " ")


def p_words(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _drop(shift: Shift) -> list[str]:
    lines = []
    for name, each in shift.drop.items():
        if each.external.value is None:
            continue
        change, figure = each.difference.in_words(), SHOWN[name]
        lines.append(
            f"{figure[0].upper()}{figure[1:]} {each.internal.in_brief()} on {shift.internal}, "
            f"{each.external.in_brief()} on {shift.external}: a difference of {change}."
        )
    if not lines:
        reason = shift.drop["auroc"].external.reason
        lines.append(f"What it costs is not known: {reason} among the films of {shift.external}.")
    return lines


def _features(shift: Shift) -> list[str]:
    found = shift.two_sample
    if found.auroc_p is None or found.mmd2_p is None or found.mmd2 is None:
        return [f"Whether the films differ in what the network sees is not told: {found.note}."]
    told = min(found.auroc_p, found.mmd2_p) < LEVEL / 2  # two tests of one question
    verdict = "differ" if told else "are not told apart"
    lines = [
        f"The films {verdict} in what the network sees: a classifier of the place has an AUROC of "
        f"{found.auroc.in_brief()}, {p_words(found.auroc_p)}; MMD² {found.mmd2:.4f}, "
        f"{p_words(found.mmd2_p)} (permutations by {shift.grouping})."
    ]
    return [*lines, *([f"The {found.note}."] if found.note else [])]


def _labels(shift: Shift) -> list[str]:
    found = shift.labels
    estimated, known = found.prevalence_estimated, found.prevalence_external
    moved = "have moved" if found.p < LEVEL else "have not moved beyond chance"
    lines = [
        f"The answers {moved} ({p_words(found.p)}): {_percent(found.called_internal.value)} of the "
        f"films are called inside, {_percent(found.called_external.value)} outside."
    ]
    if estimated.value is None:
        lines.append(f"The prevalence outside cannot be read off the answers: {estimated.reason}.")
        return lines
    line = (
        f"If a film with the finding looked outside as it does inside, its prevalence there would "
        f"be {estimated.in_words(2)}, against {found.prevalence_internal.in_brief(2)} inside"
    )
    if known.value is None or estimated.low is None or estimated.high is None:
        return [*lines, f"{line}."]
    within = estimated.low <= known.value <= estimated.high
    verdict = "which fits" if within else "so more has changed than the prevalence"
    return [*lines, f"{line}; by its labels it is {known.in_brief(2)}, {verdict}."]


def _named(shift: Shift) -> list[str]:
    moved = [each for each in shift.attributes if each.moved]
    if not moved:
        looked_at = ", ".join(attribute_words(each.name) for each in shift.attributes) or "none"
        return [f"No attribute has moved beyond chance ({looked_at})."]
    most = next(each for each in moved if each.name == shift.moved_most)
    others = [attribute_words(each.name) for each in moved if each is not most]
    also = f"; also moved: {', '.join(others)}" if others else ""
    lines = [
        f"The attribute that has moved most is {attribute_words(most.name)}: distance "
        f"{most.distance:.2f}, {p_words(most.p_holm)} (Holm){also}."
    ]
    return [*lines, _explained(shift, most)]


def _explained(shift: Shift, most: AttributeShift) -> str:
    figure = shift.explained_figure
    drop = shift.drop[figure].difference
    if drop.value is not None and figure not in shift.dropped:
        return "No figure drops beyond chance, so there is nothing to explain."
    name = shift.explains_most
    if name is not None:
        each = next(each for each in shift.attributes if each.name == name)
        taken = each.explained.figures[figure]
        share = ""
        if drop.value is not None and taken.value is not None:
            share = f", {100 * taken.value / -drop.value:.0f} % of the drop"
        return (
            f"Most is explained by {attribute_words(name)}: inside films weighted to its "
            f"distribution outside lose {taken.in_words()} of {SHOWN[figure]}{share}."
        )
    reason = most.explained.figures[figure].reason
    blind = (
        f" For {attribute_words(most.name)} the weighing cannot answer ({reason}), so it is a "
        "suspect, not shown."
        if most.explained.figures[figure].value is None
        else " What the network sees differs in something else, or films alike in it are harder "
        "there."
    )
    return f"None of the attributes is shown to explain the drop of {SHOWN[figure]}.{blind}"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.0f} %"
