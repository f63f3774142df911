"""What stands of all the sanity checks that a bundle keeps of one method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """How a method stood one question. passed: None where the interval did not decide.

    finding, source, n: whose logit, on whose films, and how many
    """

    question: str
    passed: bool | None
    finding: str
    source: str
    n: int


def standing(records: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """One verdict a question.

    records: as `Bundle.checks` has them, oldest first. A failure stands until as many films or more
    of the same source and finding clear it: a few films of others do not. Else the latest counts.
    """
    latest: dict[tuple[str, str, str], Verdict] = {}
    for record in records:
        finding, source, n = record["finding"], record["source"], int(record["n"])
        for check in record["checks"]:
            made = Verdict(check["question"], check["passed"], finding, source, n)
            key = (made.question, finding, source)
            before = latest.get(key)
            if before and before.passed is False and made.passed is not False and n < before.n:
                continue
            latest[key] = made
    of_question: dict[str, Verdict] = {}
    for verdict in latest.values():
        kept = of_question.get(verdict.question)
        if kept is None or kept.passed is not False:
            of_question[verdict.question] = verdict
    return list(of_question.values())
