"""Tables: a finding's figures, operating points, prevalences, sets and groups as rows of words.

How numbers are written is `phrases`' business, what figures are called `words`'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hilum.estimates import Estimate
from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.plots import point_words
from hilum.evaluation.report.blocks import Block, Panel, Picture, Table, Text
from hilum.evaluation.report.phrases import (
    DASH,
    MINUS,
    NBSP,
    capital,
    cell,
    class_names,
    difference,
    estimate,
    percent,
    plural,
    short_percent,
    signs,
    threshold_words,
)
from hilum.evaluation.report.reading import calibrated, shown_points
from hilum.evaluation.report.words import POINT_WORDS, words
from hilum.evaluation.results import PointFigures, PredictionSets, SetLimits, Subgrouping

CALLS = (("True", MINUS), ("False", "+"), ("False", MINUS), ("True", "+"))
VALUE = "Value (95\N{NO-BREAK SPACE}% interval)"
BRACKETS = "(95\N{NO-BREAK SPACE}% intervals in brackets)"


def title(name: str) -> str:
    return capital(words(name).split(" (")[0])


def figures(evaluation: Evaluation, finding: str) -> Table:
    return Table(
        "Figures that need no threshold, or choose it on these images",
        ("Figure", VALUE, "Images", "Interval by"),
        tuple(
            (capital(words(name)), estimate(name, found), f"{found.n:,}", found.method)
            for name, found in evaluation.figures[finding].items()
            if calibrated(evaluation, finding) or not name.endswith("_uncalibrated")
        ),
        (0, 3),
    )


def before_and_after(evaluation: Evaluation, finding: str) -> Iterator[Table]:
    """What a calibrator changed; nothing where none is known to have changed anything."""
    if not calibrated(evaluation, finding):
        return
    figures = evaluation.figures[finding]
    yield Table(
        "Before and after calibration",
        ("Figure", "Raw network output", "Calibrated"),
        tuple(
            (
                capital(words(name)),
                cell(name, figures.get(f"{name}_uncalibrated")),
                cell(name, figures.get(name)),
            )
            for name in ("log_loss", "brier", "ece")
        ),
    )


def at_thresholds(
    evaluation: Evaluation, finding: str, drawn: Mapping[str, Picture]
) -> Iterator[Block]:
    points, curves = shown_points(evaluation, finding), evaluation.curves[finding]
    yield Panel(
        finding,
        curves.counts,
        curves.scores,
        {name: point.threshold for name, point in points.items()},
    )
    yield drawn["confusion"]
    yield _confusion(evaluation.operating_points[finding]["deployed"], finding)
    yield Table(
        "Operating points, and how each was chosen",
        ("Point", "Threshold", "Rule"),
        tuple(
            (
                capital(point_words(name)),
                threshold_words(point.threshold),
                signs(point.rule) or DASH,
            )
            for name, point in points.items()
        ),
        (0, 2),
    )
    # A table of its own: beside the rules, counts would leave the screen of a phone.
    yield Table(
        "Images rightly and wrongly called at each operating point",
        ("Point", *(f"{call}{NBSP}{sign}" for call, sign in CALLS)),
        tuple(
            (capital(point_words(name)), *(f"{count:,}" for count in _four(point)))
            for name, point in points.items()
        ),
    )
    yield Table(
        f"What each operating point yields {BRACKETS}",
        ("Figure", *(capital(point_words(name)) for name in points)),
        tuple(
            (
                capital(word),
                *(cell(name, point.figures.get(name)) for point in points.values()),
            )
            for name, word in POINT_WORDS.items()
            if any(name in point.figures for point in points.values())
        ),
    )


def _four(point: PointFigures) -> tuple[int, int, int, int]:
    counts = point.confusion
    return counts.tn, counts.fp, counts.fn, counts.tp


def _confusion(point: PointFigures, finding: str) -> Table:
    without, having = class_names(finding)
    rows = []
    for name, counts, shares in zip(
        (without, having), point.confusion.rows, point.confusion.row_shares, strict=True
    ):
        cells = (
            f"{n:,} ({DASH if share is None else percent(share)})"
            for n, share in zip(counts, shares, strict=True)
        )
        rows.append((f"Truly {name}", *cells))
    return Table(
        "Confusion at the deployed point: images, and their share of the row",
        ("", f"Called {without}", f"Called {having}"),
        tuple(rows),
    )


def at_prevalences(evaluation: Evaluation, finding: str) -> Table:
    return Table(
        "PPV and NPV at stated prevalences, by Bayes' rule",
        ("Operating point", "Prevalence", "PPV", "NPV"),
        tuple(
            (
                capital(point_words(name)),
                short_percent(at.prevalence),
                cell("ppv", at.ppv),
                cell("npv", at.npv),
            )
            for name, point in shown_points(evaluation, finding).items()
            for at in point.at_prevalence
        ),
    )


def in_sets(evaluation: Evaluation, finding: str) -> Iterator[Block]:
    sets, (without, having) = evaluation.prediction_sets[finding], class_names(finding)
    answers = {
        "absent": f"{capital(without)} alone",
        "present": f"{capital(having)} alone",
        "both": "Both: refer",
        "none": "None: refer",
    }
    yield Text(
        f"Asked for in each class: {percent(sets.limits.coverage, 0)} coverage. “{capital(having)}”"
        f" is in the set from a probability of {threshold_words(sets.limits.present_from)}, "
        f"“{without}” up to {threshold_words(sets.limits.absent_to)}. "
        f"{_between(sets.limits)} Both classes, or none, means: refer to a person."
    )
    yield Table(
        "Images by truth and by the set they were given",
        ("", *answers.values()),
        tuple(
            (f"Truly {name}", *(f"{sets.counts[truth].get(answer, 0):,}" for answer in answers))
            for truth, name in (("absent", without), ("present", having))
        ),
    )
    yield Table(
        "Prediction sets",
        ("Figure", VALUE),
        tuple(_set_rows(sets)),
    )


def _between(limits: SetLimits) -> str:
    """What is answered in the uncertain middle."""
    if limits.present_from <= limits.absent_to:
        return "Between the two limits both classes are in the set."
    return "Between the two limits neither class is likely enough, and the set is empty."


def _set_rows(sets: PredictionSets) -> Iterator[tuple[str, str]]:
    for name, found in sets.figures.items():
        yield capital(words(name)), estimate(name, found)
        if name == "decided":
            yield "Not answered (both or none)", estimate(name, _rest(found))


def _rest(share: Estimate) -> Estimate:
    """The share of all others."""
    if share.value is None:
        return share
    low, high = (None if end is None else 1 - end for end in (share.high, share.low))
    return replace(share, value=1 - share.value, low=low, high=high)


def by_group(evaluation: Evaluation, finding: str, drawn: Mapping[str, Picture]) -> Iterator[Block]:
    subgroupings = evaluation.subgroups.get(finding, ())
    if not subgroupings:
        yield Text(
            "No subgroups: the predictions hold no column (site, view, age, sex) to break the "
            "figures down by."
        )
        return
    for name in ("groups_sensitivity", "groups_specificity"):
        yield drawn[name]
    for subgrouping in subgroupings:
        yield _group_table(subgrouping)
        yield _gap_table(subgrouping)


def _group_table(subgrouping: Subgrouping) -> Table:
    figures = ("auroc", "sensitivity", "specificity", "ppv", "npv", "ece")
    missing = f"; unknown for {plural(subgrouping.missing, 'image')}" if subgrouping.missing else ""
    return Table(
        f"By {subgrouping.column}, at the deployed point{missing}",
        (capital(subgrouping.column), "With / without", *map(title, figures)),
        tuple(
            (
                group.name,
                f"{group.present:,} / {group.absent:,}",
                *(cell(name, group.figures.get(name)) for name in figures),
            )
            for group in subgrouping.groups
        ),
    )


def _gap_table(subgrouping: Subgrouping) -> Table:
    names = ("auroc", "false_negative_rate", "false_positive_rate")
    rows = []
    for group in subgrouping.groups:
        cells = []
        for name in names:
            gap = group.gaps.get(name)
            if gap is None:
                cells += [DASH, DASH]
                continue
            p = DASH if gap.p_adjusted is None else _p(gap.p_adjusted)
            cells += [difference(name, gap.difference), p]
        rows.append((group.name, *cells))
    head = tuple(word for name in names for word in (title(name), "p"))
    multiplicity = f", p after {subgrouping.multiplicity}" if subgrouping.multiplicity else ""
    return Table(
        f"Each {subgrouping.column} group less all other images{multiplicity}",
        (capital(subgrouping.column), *head),
        tuple(rows),
    )


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
