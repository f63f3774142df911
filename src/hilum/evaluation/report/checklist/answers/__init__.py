"""Answers: what a run can say to an item of a reporting checklist, and where it takes it from.

`data`, `model` and `results` hold one small function a topic: `(evaluation, facts)` to an Answer,
or None where the run does not show it. Which item asks which topic is `items`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hilum.estimates import Estimate
from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report.facts import Facts

FEW = 4  # findings that are spelt out one by one


@dataclass(frozen=True)
class Answer:
    """What the run shows.

    where: `file: key.path` of each value that is quoted
    rest: what of this the run does not show, for the author
    """

    text: str
    where: tuple[str, ...]
    rest: str = ""


Topic = Callable[[Evaluation, Facts], Answer | None]


def in_evaluation(*path: str) -> str:
    """Where in evaluation.json a value stands."""
    return f"evaluation.json: {'.'.join(path)}"


def in_bundle(*path: str) -> str:
    """Where in bundle.json a value stands."""
    return f"bundle.json: {'.'.join(path)}"


def many(n: int, noun: str) -> str:
    """`1 image`, `4,229 images`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def spelt(findings: Iterable[str]) -> tuple[str, ...]:
    """The findings whose figures are spelt out: all, or the first few of many."""
    return tuple(findings)[:FEW]


def and_more(findings: Iterable[str]) -> str:
    """What to add where findings are left out."""
    left = len(tuple(findings)) - FEW
    return f" The files hold {many(left, 'finding')} more." if left > 0 else ""


def listed(values: Mapping[str, Any]) -> str:
    """`batch size 64, learning rate 0.001`: plain values by their name, nested ones left out."""
    plain = (
        f"{name.replace('_', ' ')} {f'{value:g}' if isinstance(value, float) else value}"
        for name, value in values.items()
        if isinstance(value, str | int | float)
    )
    return ", ".join(plain)


def entries(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list, none where it is something else."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return []
    return [each for each in value if isinstance(each, Mapping)]


def in_words(estimate: Estimate | None) -> str:
    """The estimate as reports print it."""
    return "not given" if estimate is None else estimate.in_words()


def of_record(figure: object) -> str | None:
    """An estimate from a bundle's record, None where it is none."""
    if not isinstance(figure, Mapping):
        return None
    try:
        return Estimate.from_dict(figure).in_words()
    except (KeyError, TypeError, ValueError):
        return None  # a record of another shape shows nothing
