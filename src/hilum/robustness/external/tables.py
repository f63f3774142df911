"""Tables: inside beside outside, what labels bring, and two labellings, as rows of words.

What the numbers are is computed beside this; sentences are `words`'.
"""

from __future__ import annotations

from collections.abc import Mapping

from hilum.calibration.recalibration import KINDS
from hilum.evaluation.report.blocks import Table
from hilum.evaluation.report.phrases import capital, cell, difference, fixed, plural
from hilum.evaluation.report.words import words
from hilum.robustness.external.labelling import FIGURES, Labellings
from hilum.robustness.external.local import Local
from hilum.robustness.external.validating import Drop, Inside, Site

HEAD = "(95\N{NO-BREAK SPACE}% intervals in brackets)"


def side_by_side(drops: Mapping[str, Drop], inside: Inside, site: Site) -> Table:
    """Every figure inside, outside, and the difference."""
    return Table(
        f"Inside ({inside.source}, role {inside.role}) and outside ({site.name}) {HEAD}",
        ("Figure", "Inside", "Outside", "Outside less inside"),
        tuple(
            (
                capital(words(name)),
                cell(name, each.inside),
                cell(name, each.outside),
                difference(name, each.difference),
            )
            for name, each in drops.items()
        ),
    )


def every_site(sites: tuple[Site, ...], finding: str) -> Table:
    """A row a site."""
    names = ("auroc", "sensitivity", "specificity", "calibration_intercept", "calibration_slope")
    return Table(
        f"Every site, at the deployed point {HEAD}",
        ("Site", "With / without", *(capital(words(name).split(" (")[0]) for name in names)),
        tuple(
            (
                site.name,
                "{present:,} / {absent:,}".format(**site.evaluation.n_by_label[finding]),
                *(cell(name, site.drops[finding][name].outside) for name in names),
            )
            for site in sites
        ),
    )


def learning(local: Local) -> Table:
    """A row for each k."""
    names = ("log_loss", "ece", "sensitivity", "specificity", "balanced_accuracy")
    rows = [
        (
            "as deployed",
            *(
                fixed(100 * local.as_deployed[name], 1) + "\N{NO-BREAK SPACE}%"
                if name not in ("log_loss", "ece")
                else fixed(local.as_deployed[name], 3)
                for name in names
            ),
        )
    ]
    for step in local.steps:
        cells = [
            cell(name, step.figures[name])
            if name != "ece"
            else f"{fixed(step.figures[name].value or 0.0, 3)}"
            for name in names
        ]
        rows.append((f"{step.k:,}", *cells))
    return Table(
        f"What k labelled {local.kind}s bring, judged on all others: means over "
        f"{plural(local.steps[0].draws, 'draw')} {HEAD}",
        (
            f"Labelled {local.kind}s",
            "Log loss",
            "ECE",
            "Sensitivity",
            "Specificity",
            "Balanced accuracy",
        ),
        tuple(rows),
    )


def choices(local: Local) -> Table:
    """Which recalibration the k labels chose, a row for each k, and what always taking it costs."""
    return Table(
        "Recalibration that the labels chose, in draws; in brackets the mean log loss on the "
        "others were it always taken",
        (f"Labelled {local.kind}s", *(capital(kind) for kind in KINDS)),
        tuple(
            (
                f"{step.k:,}",
                *(
                    f"{step.chosen.get(kind, 0):,}"
                    + (f" ({fixed(step.log_loss[kind], 3)})" if kind in step.log_loss else "")
                    for kind in KINDS
                ),
            )
            for step in local.steps
        ),
    )


def both_labellings(found: Labellings) -> Table:
    """A row a figure."""
    first, second = found.names
    return Table(
        f"The same answers on {plural(found.n, 'film')}, judged by two labellings {HEAD}",
        ("Figure", capital(first), capital(second), f"{capital(second)} less {first}"),
        tuple(
            (
                capital(words(name)),
                cell(name, found.figures[first][name]),
                cell(name, found.figures[second][name]),
                difference(name, found.difference[name]),
            )
            for name in FIGURES
        ),
    )


def crossed(found: Labellings) -> Table:
    """Films by both labels."""
    first, second = found.names
    rows = tuple(
        (f"{first}: {word}", *(f"{found.counts[f'{a}{b}']:,}" for b in (0, 1)))
        for a, word in ((0, "absent"), (1, "present"))
    )
    return Table("Films by both labels", ("", f"{second}: absent", f"{second}: present"), rows)
