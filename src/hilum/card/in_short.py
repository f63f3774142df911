"""In short: what a reader who reads nothing else must know, the bad news beside the good."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.card.markdown import Lines, bullets, cell, plain
from hilum.card.results import Results
from hilum.card.subject import Subject
from hilum.evaluation import Evaluation


def in_short(subject: Subject, results: Results) -> Lines:
    """A few sentences, and the list of what was not looked at."""
    return ["## In short", "", *bullets(_told(subject, results))]


def _told(subject: Subject, results: Results) -> Iterator[str]:
    own = results.of(subject.own)
    if own is not None:
        named = f"{plain(own.evaluation.source)}, role {own.evaluation.role}"
        where = named if subject.foreign else "Its own test films"
        yield from _figures(where, own.evaluation)
    for site, evaluation in results.sites:
        if evaluation is not None:
            yield from _figures(plain(site.name), evaluation)
    for each in results.evaluated:
        if each is not own:
            where = f"{plain(each.evaluation.source)}, role {each.evaluation.role}"
            yield from _figures(where, each.evaluation)
    for explained in results.explained:
        for finding, probes in (explained.probes or {}).items():
            found = [plain(each.question) for each in probes if each.found]
            yield (
                f"Shortcuts, {plain(finding)}: {len(found)} of {len(probes)} probes found something"
                f"{': ' + '; '.join(found) if found else ''}."
            )
        failed = [plain(each.question) for each in explained.checks or () if each.passed is False]
        if failed:
            yield f"Its maps by {plain(explained.method)} fail their checks: {'; '.join(failed)}."
    missing = [
        name
        for name, found_of in (
            ("any film" if subject.foreign else "its own test films", own),
            ("corrupted films", results.stress),
            ("images that are no chest film", results.novelty),
            ("shortcuts", [each for each in results.explained if each.probes is not None]),
            ("the sanity of its maps", [e for e in results.explained if e.checks is not None]),
            ("films of other places", results.sites),
        )
        if not found_of
    ]
    if missing:
        yield f"**Not looked at**, as far as this card was told: {', '.join(missing)}."


def _figures(where: str, evaluation: Evaluation) -> Iterator[str]:
    synthetic = ", SYNTHETIC" if evaluation.synthetic else ""
    for finding in evaluation.findings:
        point = evaluation.operating_points[finding]["deployed"].figures
        yield (
            f"{where}{synthetic}, {plain(finding)}: AUROC "
            f"{cell(evaluation.figures[finding]['auroc'])}; at the deployed point sensitivity "
            f"{cell(point['sensitivity'])}, specificity {cell(point['specificity'])}."
        )
