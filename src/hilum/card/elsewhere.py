"""Elsewhere: what became of the bundle on films of other places, frozen as it is."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.card.figures import figures_of
from hilum.card.markdown import Lines, bullets, cell, plain, table
from hilum.card.results import Results, Site
from hilum.card.subject import Subject
from hilum.evaluation.report.words import words

SHOWN = (
    "auroc", "sensitivity", "specificity", "balanced_accuracy", "calibration_intercept",
    "calibration_slope", "ece",
)  # fmt: skip


def elsewhere(subject: Subject, results: Results) -> Lines:
    """Validations, then evaluations on anything but the bundle's own test films."""
    lines = ["## On other people's patients", ""]
    own = results.of(subject.own)
    others = [each.evaluation for each in results.evaluated if each is not own]
    if not results.sites and not others:
        line = "validate NAME --on folder:local.csv --out validated"
        return [*lines, subject.not_given("Not validated", line), ""]
    for site, _ in results.sites:
        lines += _site(site)
    lines += bullets(map(plain, results.notes))
    for evaluation in others:
        used = evaluation.source == subject.manifest.source and evaluation.role != "test"
        told = ", which training used: optimistic" if used else ""
        lines += [f"### {plain(evaluation.source)}, role {evaluation.role}{told}", ""]
        lines += figures_of(evaluation)
    return lines


def _site(site: Site) -> Iterator[str]:
    yield from (f"### {plain(site.name)}: {site.n:,} films, role {site.role}", "")
    for finding, drops in site.drop.items():
        yield from table(
            (plain(finding), "inside", "outside", "difference"),
            (
                (words(name), cell(drop.inside), cell(drop.outside), cell(drop.difference))
                for name, drop in drops.items()
                if name in SHOWN
            ),
        )
    told = [*site.seen, *site.warnings]
    for remedies in site.remedies.values():
        told += [remedies.probabilities.in_words, remedies.decisions.in_words]
    yield from bullets(plain(f"{each[:1].upper()}{each[1:].rstrip('.')}.") for each in told)
