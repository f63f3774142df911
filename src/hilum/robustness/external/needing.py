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

TOLERANCE = 0.01  # nats of log loss, or a share of decisions: less is no gain worth labelling for
_OF = {"log_loss": "probabilities", "balanced_accuracy": "decisions"}
_NAME = {"log_loss": "log loss", "balanced_accuracy": "balanced accuracy"}
_DOES = {"log_loss": "recalibration", "balanced_accuracy": "a local operating point"}


@dataclass(frozen=True)
class Need:
    """labels: patients to label; None where nothing is gained, or more are needed than there are.

    in_words: a sentence either way
    """

    figure: Figure
    labels: int | None
    in_words: str


def labels_needed(local: Local, figure: Figure) -> Need:
    """The fewest labelled patients that are better than doing nothing, beyond chance, and lie
    within TOLERANCE of the end of the curve, with all that follow.

    The end counts as a plateau where doubling the labels up to it brings no more than TOLERANCE.
    """
    what = f"For {_OF[figure]}"
    if not local.steps:
        return Need(figure, None, f"{what}: {local.reason}.")
    last = local.steps[-1]
    kind = f"{local.kind}s"
    end = _value(last, figure)
    change = _signed(last.change[figure])
    if not any(_better(step, figure) for step in local.steps):
        worse = _worse(last, figure)
        said = "makes it worse" if worse else "is not shown to better it"
        tried = f"{local.steps[0].k} to {last.k}" if len(local.steps) > 1 else f"{last.k}"
        return Need(
            figure,
            None,
            f"{what}: leave it as deployed; {_DOES[figure]} from {tried} labelled {kind} {said} "
            f"({_NAME[figure]} by {change} at {last.k}).",
        )
    half = [step for step in local.steps if step.k <= 0.6 * last.k]
    before = half[-1] if half else None
    if before is None or abs(_value(before, figure) - end) > TOLERANCE or not _better(last, figure):
        since = "" if before is None else (
            f": from {before.k} to {last.k} {kind} {_NAME[figure]} still goes from "
            f"{_value(before, figure):.3f} to {end:.3f}"
        )  # fmt: skip
        return Need(
            figure, None, f"{what}: more labels than there are here{since} ({change} so far)."
        )
    enough = last.k
    for step in reversed(local.steps):
        if not _better(step, figure) or abs(_value(step, figure) - end) > TOLERANCE:
            break
        enough = step.k
    found = next(step for step in local.steps if step.k == enough)
    return Need(
        figure,
        enough,
        f"{what}: about {enough} labelled {kind}; {_DOES[figure]} then changes {_NAME[figure]} by "
        f"{_signed(found.change[figure])} from what it is as deployed, and more labels bring less "
        f"than {TOLERANCE:g} more.",
    )


def _value(step: Step, figure: Figure) -> float:
    return step.figures[figure].value or 0.0


def _better(step: Step, figure: Figure) -> bool:
    change = step.change[figure]
    if change.low is None or change.high is None:
        return False
    return change.high < 0 if figure == "log_loss" else change.low > 0


def _worse(step: Step, figure: Figure) -> bool:
    change = step.change[figure]
    if change.low is None or change.high is None:
        return False
    return change.low > 0 if figure == "log_loss" else change.high < 0


def _signed(change: Estimate) -> str:
    return change.in_brief(3).replace("-", "\N{MINUS SIGN}")
