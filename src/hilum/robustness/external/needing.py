"""Needing: how many labels a site needs, read off its learning curve.

The curve is `local`'s. There are two answers: one for probabilities, by log loss, and one for
decisions, by balanced accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hilum.estimates import Estimate
from hilum.robustness.external.local import Local, Step

Figure = Literal["log_loss", "balanced_accuracy"]

TOLERANCE = 0.02  # nats of log loss, or a share of decisions: less is not worth labelling for
_OF = {"log_loss": "probabilities", "balanced_accuracy": "decisions"}
_NAME = {"log_loss": "log loss", "balanced_accuracy": "balanced accuracy"}
_DOES = {"log_loss": "recalibration", "balanced_accuracy": "a local operating point"}


@dataclass(frozen=True)
class Need:
    """How many labels.

    better_from: the fewest from which on it is better than as deployed beyond chance; None: none
    enough: the fewest of these from which on more bring no more than TOLERANCE; None where nothing
        is gained, or the curve has not levelled off
    in_words: a sentence either way
    """

    figure: Figure
    better_from: int | None
    enough: int | None
    in_words: str


def labels_needed(local: Local, figure: Figure) -> Need:
    """The fewest labelled patients that are better than doing nothing, and the fewest that suffice.

    The end of the curve counts as its plateau where the last doubling of the labels, or nearly so,
    brings no more than TOLERANCE.
    """
    what = f"For {_OF[figure]}"
    if not local.steps:
        return Need(figure, None, None, f"{what}: not known, as {local.reason}.")
    first, last = local.steps[0], local.steps[-1]
    kind, name = f"{local.kind}s", _NAME[figure]
    better_from = _better_from(local, figure)
    if better_from is None:
        said = "makes it worse" if _worse(last, figure) else "is not shown to better it"
        tried = f"{first.k} to {last.k}" if len(local.steps) > 1 else f"{last.k}"
        words = (
            f"{what}: leave it as deployed; {_DOES[figure]} from {tried} labelled {kind} {said} "
            f"({name} by {_change(last, figure)} at {last.k})."
        )
        return Need(figure, None, None, words)
    start = next(step for step in local.steps if step.k == better_from)
    helps = f"{_DOES[figure]} from {start.k} labelled {kind} helps ({name} by "
    helps += f"{_change(start, figure)})"
    half = [step for step in local.steps if step.k <= 0.6 * last.k]
    if not half or abs(_value(half[-1], figure) - _value(last, figure)) > TOLERANCE:
        more = "" if start is last else f", from {last.k} by {_change(last, figure)}"
        words = (
            f"{what}: {helps}{more}, and the curve has not levelled off: how many are enough is "
            "more than can be tried here."
        )
        return Need(figure, better_from, None, words)
    enough = next(
        step.k
        for k, step in enumerate(local.steps)
        if step.k >= better_from
        and all(abs(_value(e, figure) - _value(last, figure)) <= TOLERANCE for e in local.steps[k:])
    )
    words = f"{what}: {helps}; about {enough} are enough, as more bring no more than {TOLERANCE:g}."
    return Need(figure, better_from, enough, words)


def _better_from(local: Local, figure: Figure) -> int | None:
    """The first step from which on every one is better."""
    found = None
    for step in reversed(local.steps):
        if not _better(step, figure):
            break
        found = step.k
    return found


def _value(step: Step, figure: Figure) -> float:
    return step.figures[figure].value or 0.0


def _better(step: Step, figure: Figure) -> bool:
    change = step.change[figure]
    return _below(change) if figure == "log_loss" else _above(change)


def _worse(step: Step, figure: Figure) -> bool:
    change = step.change[figure]
    return _above(change) if figure == "log_loss" else _below(change)


def _below(change: Estimate) -> bool:
    return change.high is not None and change.high < 0


def _above(change: Estimate) -> bool:
    return change.low is not None and change.low > 0


def _change(step: Step, figure: Figure) -> str:
    return step.change[figure].in_brief(3).replace("-", "\N{MINUS SIGN}")
