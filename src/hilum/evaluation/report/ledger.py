"""Ledger: which data stand behind a model and a report, how figures were made, what was run.

What is known is handed over as `Facts`; references are `methods`' and `references`'.
"""

from __future__ import annotations

from collections.abc import Iterator

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report.blocks import Block, References, Section, Table, Text
from hilum.evaluation.report.facts import Facts
from hilum.evaluation.report.methods import notes
from hilum.evaluation.report.phrases import DASH, fixed, plural

LEFT_OUT = 20  # images left out that are named one by one


def closing(evaluation: Evaluation, facts: Facts) -> Iterator[Section]:
    """The sections that close a report."""
    yield Section("data", "Data", tuple(_data(evaluation, facts)))
    # How Hilum sets calibrators and thresholds says nothing of a model that others made.
    without = ("bundle", "rules") if facts.foreign else ()
    used = notes(evaluation, beside=("label_errors",), without=without)
    yield Section(
        "methods",
        "Methods",
        (
            Table(
                "How each figure on this page was computed",
                ("Figure", "How it is computed", "Source"),
                tuple(
                    (note.title, note.sentence.replace("`", ""), "; ".join(note.sources))
                    for note in used
                ),
                (0, 1, 2),
            ),
            References(
                tuple(sorted({(r.in_words, r.doi) for note in used for r in note.references}))
            ),
        ),
    )
    yield Section("run", "Run", (_run(evaluation, facts),))


def _data(evaluation: Evaluation, facts: Facts) -> Iterator[Block]:
    rows = [
        (
            finding,
            *(f"{counts[label]:,}" for label in ("present", "absent", "missing")),
        )
        for finding, counts in evaluation.n_by_label.items()
    ]
    units = plural(evaluation.units, evaluation.grouping)
    yield Table(
        f"Images evaluated: {evaluation.n:,} of {evaluation.source}, role {evaluation.role}; "
        f"{units} resampled",
        ("Finding", "With it", "Without", "No label"),
        tuple(rows),
    )
    roles = facts.known("roles", "roles")
    if roles is None:
        if facts.foreign:
            yield Text(
                f"The model was made elsewhere, from {facts.known('source')}. Which images those "
                "were, and whether any of them is among these, is not known here."
            )
            yield from _openings(facts)
        if facts.predictions_file is not None:
            yield Text(
                f"The predictions were read from {facts.predictions_file}; which data the model "
                "was trained on, and whether any of it is among these images, is not known here."
            )
        return
    yield Table(
        f"The model's roles on {facts.known('source') or 'its source'}: each image stands in one",
        ("Role", "Images", "SHA-256 over the images' digests"),
        tuple(
            (role, f"{summary['n']:,}", str(summary.get("digest", DASH)))
            for role, summary in roles.items()
        ),
        (0, 2),
    )
    yield from _left_out(facts)
    yield from _openings(facts)


def _left_out(facts: Facts) -> Iterator[Block]:
    excluded = facts.known("roles", "excluded") or ()
    if not excluded:
        yield Text("No image was left out of the model's roles.")
        return
    yield Table(
        f"{plural(len(excluded), 'image')} left out of every role"
        + (f", the first {LEFT_OUT}" if len(excluded) > LEFT_OUT else ""),
        ("Image", "Published split", "Why"),
        tuple((e["image_id"], e["split"], e["reason"]) for e in excluded[:LEFT_OUT]),
        (0, 1, 2),
    )


def _openings(facts: Facts) -> Iterator[Block]:
    if not facts.openings:
        yield Text("The model's ledger holds no opening of its test images.")
        return
    rows = []
    for entry in facts.openings:
        auroc = entry.get("auroc") or {}
        figures = (
            f"{finding} {fixed(value, 3)}" for finding, value in auroc.items() if value is not None
        )
        rows.append(
            (
                str(entry.get("time", DASH)),
                str(entry.get("role", DASH)),
                str(entry.get("source", DASH)),
                f"{entry['n']:,}" if isinstance(entry.get("n"), int) else DASH,
                ", ".join(figures) or DASH,
            )
        )
    yield Table(
        f"Each look at the test images, from the model's ledger: {len(rows)}",
        ("When", "Role", "Source", "Images", "AUROC"),
        tuple(rows),
        (0, 1, 2, 4),
    )


def _run(evaluation: Evaluation, facts: Facts) -> Table:
    rows: list[tuple[str, str]] = [("Command", facts.command)]
    if evaluation.bundle is not None:
        rows.append(("Bundle", evaluation.bundle))
    if facts.predictions_file is not None:
        rows.append(("Predictions", facts.predictions_file))
    if facts.predictions_sha256 is not None:
        rows.append(("SHA-256 of the predictions", facts.predictions_sha256))
    for words, path in (
        ("Model made", ("created",)),
        ("Commit of the code that made it", ("commit",)),
        ("Seed of its training", ("recipe", "seed")),
        ("Licence of its data", ("licence",)),
    ):
        known = facts.known(*path)
        if known is not None:
            rows.append((words, str(known)))
    seeded = "" if facts.seed is None else f", seed {facts.seed}"
    rows.append(("Resamples", f"{evaluation.resamples:,}, by {evaluation.grouping}{seeded}"))
    rows.append(
        ("Versions", ", ".join(f"{name} {version}" for name, version in facts.versions.items()))
    )
    rows.append(("Schema of evaluation.json", str(evaluation.schema)))
    return Table("What was run", ("", ""), tuple(rows), (0, 1))
