"""Contents: an evaluation, its predictions and the facts of its run as the blocks of a report.

Sentences are `verdict`'s, plots `pictures`', films `galleries`', tables `figure_tables`' and
`ledger`'s; how all of it looks is left to `page` and `markdown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report import figure_tables as tables
from hilum.evaluation.report.blocks import (
    Bullets,
    Chapter,
    Contents,
    Films,
    KeyFigures,
    Picture,
    Section,
    Table,
    Text,
)
from hilum.evaluation.report.facts import Facts
from hilum.evaluation.report.ledger import closing
from hilum.evaluation.report.phrases import cell, estimate, listed, plural
from hilum.evaluation.report.pictures import no_curve, pictures_of
from hilum.evaluation.report.supplement import Supplement
from hilum.evaluation.report.verdict import SYNTHETIC, caveats, key_figures, verdict

REVIEW = "label_review.csv"


def contents(
    evaluation: Evaluation,
    facts: Facts,
    films: Mapping[str, tuple[Films, ...]],
    supplement: Supplement | None = None,
) -> Contents:
    """The whole report.

    films: per finding, the rows of its gallery
    supplement: what others add to each finding
    """
    supplement = supplement or Supplement()
    findings = evaluation.findings
    name = facts.known("name") or facts.predictions_file or "predictions"
    about = (
        listed([*findings]) if len(findings) <= 3 else plural(len(findings), "finding"),
        f"{evaluation.source}, role {evaluation.role}",
        plural(evaluation.n, "image"),
    )
    chapters = tuple(
        Chapter(
            f"f{k}",
            finding,
            (
                *_sections(evaluation, finding, films.get(finding, ())),
                *supplement.of(finding),
            ),
        )
        for k, finding in enumerate(findings)
    )
    told = Section("caveats", "Caveats", (Bullets(caveats(evaluation, facts), "warning"),))
    first: tuple[Section, ...] = (told,)
    if len(findings) == 1:
        opening, *rest = chapters[0].sections
        chapters = (Chapter(chapters[0].key, findings[0], tuple(rest)),)
        first = (opening, told)
    else:
        first = (_all_findings(evaluation), told)
    return Contents(
        f"Evaluation of {name}",
        about,
        SYNTHETIC if evaluation.synthetic else None,
        first,
        chapters,
        tuple(closing(evaluation, facts)),
    )


def _all_findings(evaluation: Evaluation) -> Section:
    names, at_point = ("auroc", "average_precision", "ece"), ("sensitivity", "specificity")
    rows = [
        (
            finding,
            f"{evaluation.n_by_label[finding]['present']:,}",
            f"{evaluation.n_by_label[finding]['absent']:,}",
            *(cell(name, evaluation.figures[finding].get(name)) for name in names),
            *(
                cell(name, evaluation.operating_points[finding]["deployed"].figures[name])
                for name in at_point
            ),
        )
        for finding in evaluation.findings
    ]
    means = (cell(name, evaluation.macro.get(name)) for name in (*names, *at_point))
    head = ("Finding", "With", "Without", *map(tables.title, names), "Sensitivity", "Specificity")
    auroc = evaluation.macro.get("auroc")
    lead = f"{len(evaluation.findings)} findings on {plural(evaluation.n, 'image')} of "
    lead += f"{evaluation.source} (role {evaluation.role})"
    if auroc is not None:
        lead += f"; mean AUROC {estimate('auroc', auroc)}"
    return Section(
        "verdict",
        "Verdict",
        (
            Bullets((lead + ". Each finding has its own verdict below.",), "lead"),
            Table(
                "Every finding, the plain means of all first; sensitivity and specificity at each "
                "finding's deployed point, 95\N{NO-BREAK SPACE}% intervals in brackets",
                head,
                (("Mean of findings", "", "", *means), *rows),
            ),
        ),
    )


def _sections(evaluation: Evaluation, finding: str, films: tuple[Films, ...]) -> Iterator[Section]:
    drawn = pictures_of(evaluation, finding)
    point = evaluation.operating_points[finding]["deployed"]

    def only(*names: str) -> tuple[Picture, ...]:
        return tuple(drawn[name] for name in names if name in drawn)

    yield Section(
        "verdict",
        "Verdict",
        (
            KeyFigures(key_figures(evaluation, finding)),
            Bullets(verdict(evaluation, finding), "lead"),
        ),
    )
    yield Section("figures", "Figures", (tables.figures(evaluation, finding),))
    ranking = only("roc", "precision_recall") or (Text(no_curve(evaluation, finding)),)
    yield Section("ranking", "ROC and precision–recall", ranking)
    if "reliability" in drawn:
        yield Section(
            "reliability",
            "Reliability",
            (*only("reliability"), *tables.before_and_after(evaluation, finding)),
        )
    if "decision" in drawn:
        yield Section("decision", "Decision curve", only("decision"))
    yield Section("scores", "Scores", only("scores"))
    yield Section(
        "threshold",
        "Threshold and prevalence",
        tuple(tables.at_thresholds(evaluation, finding, drawn)),
    )
    if point.at_prevalence or "prevalence" in drawn:
        stated = (tables.at_prevalences(evaluation, finding),) if point.at_prevalence else ()
        yield Section("prevalence", "Predictive values", (*only("prevalence"), *stated))
    if finding in evaluation.prediction_sets:
        yield Section(
            "sets", "Prediction sets", (*only("sets"), *tables.in_sets(evaluation, finding))
        )
    if "risk_coverage" in drawn:
        yield Section("selective", "Risk and coverage", only("risk_coverage"))
    yield Section("groups", "Subgroups", tuple(tables.by_group(evaluation, finding, drawn)))
    yield Section("gallery", "Gallery of errors", (*films, _review()))


def _review() -> Text:
    return Text(
        "All label-error candidates, with a column for a reviewer's decision:",
        (f"{REVIEW}", REVIEW),
    )
