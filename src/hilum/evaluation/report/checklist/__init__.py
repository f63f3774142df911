"""The checklist: CLAIM 2024 and TRIPOD+AI answered from the run, as far as a run can answer.

Items stand in `items`, what a run shows in `answers`; here they become `checklist.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report.checklist.answers import Answer
from hilum.evaluation.report.checklist.items import GUIDELINES, Guideline, Item
from hilum.evaluation.report.facts import Facts
from hilum.evaluation.report.references import REFERENCES

AUTHOR = "For the author"


@dataclass(frozen=True)
class Answered:
    """An item with what the run shows of it, and what is left for the author.

    recorded: whether the model's record was there to answer from
    """

    item: Item
    answers: tuple[Answer, ...]
    recorded: bool

    @property
    def rest(self) -> str:
        """What is left for the author; "" when nothing is or everything is."""
        if not self.answers:
            return ""
        unrecorded = "" if self.recorded else self.item.unrecorded
        left = (self.item.rest, unrecorded, *(answer.rest for answer in self.answers))
        return "; ".join(dict.fromkeys(each for each in left if each))

    @property
    def whole(self) -> bool:
        return bool(self.answers) and not self.rest


def answered(guideline: Guideline, evaluation: Evaluation, facts: Facts) -> tuple[Answered, ...]:
    """Every item of the guideline, in its order, with what the run shows."""
    found = []
    for item in guideline.items:
        told = (topic(evaluation, facts) for topic in item.topics)
        answers = tuple(answer for answer in told if answer is not None)
        found.append(Answered(item, answers, facts.model is not None))
    return tuple(found)


def checklist(evaluation: Evaluation, facts: Facts) -> str:
    """`checklist.md`: per item what it asks, the answer, and where the answer comes from.

    An item whose answer the facts do not show says "For the author", and so does what they leave
    open of an item that they answer in part.
    """
    found = {g: answered(g, evaluation, facts) for g in GUIDELINES}
    every = [each for items in found.values() for each in items]
    lines = [
        "# Reporting checklist, answered from the run",
        "",
        f"**Answered from the run: {_count(every)}.**",
        "",
        *(f"- {g.name}: {_count([*items])}" for g, items in found.items()),
        "",
        "An answer is what the run's own record shows, and the last column says where. Item "
        "numbers are those of the published checklists, the items are in our own words: read the "
        "originals before you submit. Research use only; not a medical device.",
        "",
    ]
    if evaluation.synthetic:
        lines += ["**SYNTHETIC: no patient stands behind these images.**", ""]
    for guideline, items in found.items():
        lines += [f"## {guideline.name}", "", f"{REFERENCES[guideline.source].in_words}", ""]
        for part in dict.fromkeys(each.item.part for each in items):
            lines += [f"### {part}", "", "| no. | item | answer | from |", "|---|---|---|---|"]
            lines += [_row(each) for each in items if each.item.part == part]
            lines.append("")
    return "\n".join(lines)


def _count(items: list[Answered]) -> str:
    whole = sum(each.whole for each in items)
    partly = sum(bool(each.answers) and not each.whole for each in items)
    left = len(items) - whole - partly
    return f"{whole} of {len(items)} in full, {partly} in part; {left} for the author"


def _row(each: Answered) -> str:
    cells = (each.item.number, each.item.asks, _told(each), "; ".join(_where(each)))
    return f"| {' | '.join(cells)} |"


def _told(each: Answered) -> str:
    if not each.answers:
        return f"*{AUTHOR}.*"
    text = _plain(" ".join(answer.text for answer in each.answers))
    return f"{text} *{AUTHOR}: {_plain(each.rest)}.*" if each.rest else text


def _where(each: Answered) -> Iterator[str]:
    """Each place once, the keys of one file together and in code style."""
    keys: dict[str, dict[str, None]] = {}
    for place in (where for answer in each.answers for where in answer.where):
        file, _, key = place.partition(": ")
        keys.setdefault(file, {})[key] = None
    for file, of in keys.items():
        place = _plain(f"{file}: {', '.join(of)}".removesuffix(": "))
        yield f"`{place}`" if "." in file else place


def _plain(text: str) -> str:
    """Text that cannot break out of a cell of a Markdown table."""
    text = " ".join(text.split())
    for sign, instead in (("|", "\\|"), ("<", "&lt;")):
        text = text.replace(sign, instead)
    return text
