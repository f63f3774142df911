"""Figures: how a bundle did on its test films, by group, on the roles that training used, and
what was fixed on calibrate.

Every figure is an evaluation's or the bundle's own; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator

from hilum.calibration import ChosenCalibrator, ConformalLimits
from hilum.card.markdown import Lines, bullets, cell, plain, table
from hilum.card.results import Evaluated, Results
from hilum.card.subject import Subject
from hilum.estimates import Estimate
from hilum.evaluation import Evaluation
from hilum.evaluation.report.words import words
from hilum.evaluation.results import Group, Subgrouping

FIGURES = (
    "auroc", "average_precision", "brier", "ece", "calibration_intercept", "calibration_slope",
)  # fmt: skip
AT_POINT = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
_OF_GROUP = ("auroc", "sensitivity", "specificity")
MANY = 3  # findings, beyond which each has a line of the most telling figures alone
_BRIEF = (
    "AUROC", "calibration error (ECE)", "sensitivity, deployed point",
    "specificity, deployed point",
)  # fmt: skip
ADJUSTED = 0.05  # below it a gap is named


def on_test(subject: Subject, results: Results) -> Lines:
    """Figures on the test role of the bundle's own source, with their intervals."""
    found = results.of(subject.own)
    if found is None:
        lines = [subject.not_given("Not evaluated", "evaluate NAME --out evaluated"), ""]
    else:
        lines = figures_of(found.evaluation)
    title = "How it did on its own test films"
    if subject.foreign:
        on = f", {found.evaluation.source}, role {found.evaluation.role}" if found else ""
        title = f"How it did{plain(on)}"
    lines = [f"## {title}", "", *lines]
    return [*lines, *_openings(subject), *_on_used_roles(subject)]


def figures_of(evaluation: Evaluation) -> Lines:
    """Leading figures of every finding, and what a reader must be told of them."""
    units = f", {evaluation.units:,} patients" if evaluation.grouping == "patient" else ""
    lines = [f"{evaluation.n:,} images{units}; 95 % intervals in brackets.", ""]
    if evaluation.synthetic:
        lines += ["**SYNTHETIC: no patient stands behind these figures.**", ""]
    columns = {finding: _column(evaluation, finding) for finding in evaluation.findings}
    if len(columns) > MANY:
        lines += table(
            ("", *_BRIEF),
            ((plain(f), *(column[name] for name in _BRIEF)) for f, column in columns.items()),
        )
    else:
        names = columns[evaluation.findings[0]]
        lines += table(
            ("", *map(plain, columns)),
            ((name, *(column[name] for column in columns.values())) for name in names),
        )
    notes = [*evaluation.warnings]
    if evaluation.grouping == "image":
        notes.append(
            "no patient is known for these images: where several are of one, intervals are too "
            "narrow"
        )
    notes += [
        f"PPV, NPV and accuracy hold at this prevalence: {counts['present']:,} of "
        f"{counts['present'] + counts['absent']:,} with {finding}"
        for finding, counts in evaluation.n_by_label.items()
    ]
    return [*lines, *bullets(plain(f"{note[:1].upper()}{note[1:]}.") for note in notes)]


def _column(evaluation: Evaluation, finding: str) -> dict[str, str]:
    """A finding's figures by what they are called."""
    point = evaluation.operating_points[finding]["deployed"].figures
    return {
        **{words(name): cell(evaluation.figures[finding].get(name)) for name in FIGURES},
        **{f"{words(name)}, deployed point": cell(point.get(name)) for name in AT_POINT},
    }


def _openings(subject: Subject) -> Lines:
    own = subject.own_openings
    if not own:
        return ["The ledger holds no opening of test.", ""]
    return [
        f"By the ledger test was opened {len(own)} times, last {plain(own[-1].get('time'))}; each "
        "opening after which something was changed makes its figures more flattering.",
        "",
    ]


def _on_used_roles(subject: Subject) -> Lines:
    if not subject.manifest.figures:
        return []
    return [
        "### On the roles that training used",
        "",
        "Optimistic: `tune` stopped training, and `calibrate` fixed all that stands below.",
        "",
        *bullets(
            f"{plain(finding)}, {role}: AUROC "
            f"{cell(Estimate.from_dict(figures[finding]['auroc']), 4)}"
            for finding in subject.manifest.findings
            for role, figures in subject.manifest.figures.items()
        ),
    ]


def by_group(subject: Subject, results: Results) -> Lines:
    """Figures at the deployed point by site, view, age and sex, where an evaluation has them."""
    lines = ["## By group", ""]
    told = [
        line
        for each in results.evaluated
        for finding in each.evaluation.findings
        for line in _breakdowns(each.evaluation, finding)
    ]
    if told:
        return [*lines, *told]
    if results.evaluated:
        return [
            *lines,
            "**No figure by group:** the films that were evaluated tell no site, view, age or sex. "
            "Whether it does worse for some patients than for others is not known; films that "
            "tell them would show it.",
            "",
        ]
    return [
        *lines,
        subject.not_given("Not evaluated", "evaluate NAME --group sex --group age:18,40,65 "
                          "--out evaluated"),
        "",
    ]  # fmt: skip


def _breakdowns(evaluation: Evaluation, finding: str) -> Iterator[str]:
    for breakdown in evaluation.subgroups.get(finding, ()):
        if not breakdown.groups:
            continue
        yield from (
            f"**{plain(finding)} by {plain(breakdown.column)}**, {plain(evaluation.source)}, role "
            f"{evaluation.role}; no figure on fewer than {breakdown.smallest} images of a class.",
            "",
        )
        head = ("group", "images", "present", *map(words, _OF_GROUP))
        yield from table(head, map(_group, breakdown.groups))
        yield from (_gaps(breakdown), "")


def _group(group: Group) -> tuple[str, ...]:
    figures = (cell(group.figures.get(name)) for name in _OF_GROUP)
    return (plain(group.name), f"{group.n:,}", f"{group.present:,}", *figures)


def _gaps(breakdown: Subgrouping) -> str:
    differing = [
        f"{group.name}, {words(name)} {gap.difference.in_words()} from all others (adjusted p "
        f"{gap.p_adjusted:.2g})"
        for group in breakdown.groups
        for name, gap in group.gaps.items()
        if gap.p_adjusted is not None and gap.p_adjusted < ADJUSTED
    ]
    unknown = f" Unknown of {breakdown.missing:,} images." if breakdown.missing else ""
    if not differing:
        return f"No gap below an adjusted p of {ADJUSTED:g}, which few images cannot show.{unknown}"
    return f"Beyond chance: {plain('; '.join(differing))}.{unknown}"


def fixed(subject: Subject, results: Results) -> Lines:
    """Calibrator, operating points and limits of prediction sets, by finding."""
    lines = []
    found = results.of(subject.own)
    for finding in subject.manifest.findings:
        title = "Stated by its makers" if subject.foreign else "Fixed on calibrate"
        lines += [f"## {title}: {plain(finding)}", "", *_fixed(subject, finding, found)]
    return lines


def _fixed(subject: Subject, finding: str, found: Evaluated | None) -> Lines:
    manifest = subject.manifest
    chosen = ChosenCalibrator.from_dict(manifest.calibrators[finding])
    why = f", {chosen.reason}" if chosen.reason else ""
    lines = [plain(f"Calibrator: {chosen.calibrator.in_words()}{why}."), ""]
    lines += table(
        ("calibrator", f"log loss, {chosen.folds}-fold cross-validated"),
        ((kind, f"{loss:.4f}") for kind, loss in chosen.log_loss.items()),
    )
    tested = {} if found is None else found.evaluation.operating_points[finding]
    rows = []
    for name, point in subject.points(finding).items():
        deployed = name == manifest.deployed
        on = tested.get("deployed" if deployed else name)
        on_test = [
            cell(on.figures[each] if on else None) for each in ("sensitivity", "specificity")
        ]
        rows.append(
            (
                plain(name) + (" (deployed)" if deployed else ""),
                f"{point.threshold:.4g}",
                plain(point.rule),
                cell(point.sensitivity),
                cell(point.specificity),
                *(on_test if tested else ()),
            )
        )
    head = ["point", "probability from", "rule", "sensitivity", "specificity"]
    lines += table(head + ["sensitivity, test", "specificity, test"] * bool(tested), rows)
    if finding in manifest.conformal:
        limits = ConformalLimits.from_dict(manifest.conformal[finding])
        lines += [plain(f"Prediction sets: {limits.in_words()}."), ""]
    return lines
