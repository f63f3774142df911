"""What a recipe asks of any source alike: its findings, its views, and no option it has no use for.

What a source makes of its own options is its own business.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from hilum.columns import column
from hilum.data.cohort import Cohort
from hilum.data.findings import spelling
from hilum.data.sources.words import view_in_words
from hilum.errors import DataError
from hilum.recipe import DataPart

# What only some sources can be asked; the rest of DataPart is for roles and reading.
OPTIONS = (
    "findings", "views", "negatives", "uncertain", "columns", "patients", "licence",
    "phantom", "broken_shards",
)  # fmt: skip


def refuse_unused(source: str, options: DataPart, used: Sequence[str]) -> None:
    """Raise DataError when an option is set that this source does nothing with."""
    for name in OPTIONS:
        if name not in used and getattr(options, name) != DataPart.model_fields[name].default:
            raise DataError(
                f"data.{name}",
                f"the source {source} has no use for it",
                remedy=f"leave it out; of such options this source takes {' and '.join(used)}",
            )


def select(cohort: Cohort, options: DataPart) -> Cohort:
    """The findings and views that were asked for; films of other views are listed as excluded.

    Raises DataError when the source does not know a finding, or no film is left.
    """
    if options.findings:
        cohort = _with_findings(cohort, options.findings)
    return _with_views(cohort, options.views) if options.views else cohort


def exclude(cohort: Cohort, reason_n: pd.Series) -> Cohort:
    """Without the rows that have a reason, which are listed as excluded instead.

    reason_n: by the table's index, missing where the row stays
    """
    out = reason_n.notna().to_numpy()
    left_out = pd.DataFrame(
        {"image_id": cohort.table["image_id"][out], "reason": reason_n[out].astype(str)}
    )
    excluded = pd.concat([cohort.excluded, left_out], ignore_index=True)
    return replace(cohort.where(~out), excluded=excluded)


def _with_findings(cohort: Cohort, asked: Sequence[str]) -> Cohort:
    known = {column("label", finding): finding for finding in cohort.findings}
    findings: dict[str, None] = {}
    for name in asked:
        finding = known.get(column("label", name)) or known.get(
            column("label", spelling(name) or name)
        )
        if finding is None:
            near = difflib.get_close_matches(name, cohort.findings, n=1)
            raise DataError(
                "data.findings",
                f"{cohort.name} does not tell of {name!r}",
                expected=", ".join(cohort.findings),
                remedy=f"did you mean {near[0]!r}?" if near else None,
            )
        findings[finding] = None
    return replace(
        cohort,
        findings=tuple(findings),
        boxes=cohort.boxes[cohort.boxes["finding"].isin(list(findings))],
        meanings={name: text for name, text in cohort.meanings.items() if name in findings},
    )


def _with_views(cohort: Cohort, asked: Sequence[str]) -> Cohort:
    wanted = [view_in_words(view) or view for view in asked]
    view_n = cohort.table["view"]
    keep_n = view_n.isin(wanted)
    if not keep_n.any():
        counts = view_n.fillna("unknown").value_counts()
        found = ", ".join(f"{view} {count:,}" for view, count in counts.items())
        raise DataError(
            "data.views",
            f"{cohort.name} has no film of view {' or '.join(asked)}",
            expected=f"views that it has (films: {found})",
        )
    reason_n = ("view " + view_n.fillna("unknown").astype(str)).mask(keep_n)
    return exclude(cohort, reason_n)
