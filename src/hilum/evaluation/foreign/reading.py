"""Foreign predictions: anybody's table, from any framework, as Predictions.

Which column is what is found in `headers`, what its values may be in `cells`; files are read
block by block in `tables`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit

from hilum.columns import SUBGROUPS, column
from hilum.errors import EvaluationError
from hilum.evaluation.foreign.cells import Cells
from hilum.evaluation.foreign.headers import Columns, Headers, find_columns
from hilum.evaluation.foreign.tables import blocks, header_of, listed, noted
from hilum.evaluation.predictions import (
    Predictions,
    decision_column,
    refer_column,
    standard_columns,
)
from hilum.evaluation.subgroups.grouping import GroupBy

# Labels (rows times findings) that are read: their evaluation takes half an hour and 5 GB.
MOST = 10_000_000

# Groups that are words even where they are written as numbers.
_WORDS = ("site", "view", "sex")

# What is kept of each block, by the name of the column in the table of Predictions: text in
# Arrow's compact form, or numbers.
_Part: TypeAlias = pa.Array | NDArray[np.float64]


@dataclass(frozen=True)
class ForeignPredictions:
    """What was read, and how.

    columns: which column of the file is what
    by: the groups that were asked for, by their names in the table; None when none were
    warnings: what a reader of any figure must be told
    """

    predictions: Predictions
    columns: Columns
    by: tuple[GroupBy, ...] | None
    warnings: tuple[str, ...]


def read_foreign(
    path: Path,
    headers: Headers | None = None,
    *,
    threshold: float | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> ForeignPredictions:
    """Read a table of predictions, CSV or Parquet, one row per image, from any framework.

    headers: which column is what; what it does not say is found by the columns' names
    threshold: the deployed operating point on probability, in [0, 1]; None decides at 0.5. A
        table that Hilum wrote keeps its decisions.
    progress: called with the rows done; how many there are in all is not known beforehand
    Labels are 0, 1, false, true or empty (unknown). Where a finding has a logit alone, its
    probability is the sigmoid of it; where it has a probability alone, its logit is missing.
    Only needed columns are read, a few megabytes at a time.
    Raises EvaluationError on a file that is none of this; it names the column and the image.
    """
    headers = headers or Headers()
    found, known = header_of(path), noted(path)
    columns = find_columns(
        headers,
        found,
        str(path),
        spelled=known.get("findings", ()),
        groups=known.get("groups", SUBGROUPS),
    )
    parts, rows = _parts(path, columns, progress)
    warnings = [f"{name} has no column of labels and is left out" for name in columns.left_out]
    table = _table(parts, rows, columns, 0.5 if threshold is None else threshold)
    findings = tuple(each.finding for each in columns.findings)
    if all(table[column("label", finding)].isna().all() for finding in findings):
        raise EvaluationError(
            path,
            f"no label in {listed([each.label for each in columns.findings])}",
            expected="0 or 1 for some of the images",
        )
    predictions = Predictions(findings, table, str(path), bool(known.get("synthetic")))
    for each in columns.findings:
        warnings += _on_scores(predictions, each.finding, logits_alone=each.prob is None)
    by = tuple(columns.groups.values()) if headers.groups else None
    return ForeignPredictions(predictions, columns, by, tuple(warnings))


def _parts(
    path: Path, columns: Columns, progress: Callable[[int, int | None], None]
) -> tuple[dict[str, list[_Part]], int]:
    """Every needed column in parts, and how many rows there are."""
    parts: dict[str, list[_Part]] = {}
    rows, most = 0, MOST // len(columns.findings)
    for block in blocks(path, columns.names):
        for name, part in _kept(Cells(str(path), block, rows, columns.image_id), columns).items():
            parts.setdefault(name, []).append(part)
        rows += block.num_rows
        if rows > most:
            raise EvaluationError(
                path,
                f"more than {most:,} rows",
                expected=f"at most {MOST:,} labels (rows times findings)",
                remedy="evaluate a sample of the rows, or fewer findings at a time",
            )
        progress(rows, None)
    if rows == 0:
        raise EvaluationError(path, "no rows below the header", expected="one row per image")
    return parts, rows


def _kept(cells: Cells, columns: Columns) -> dict[str, _Part]:
    """What is kept of one block, checked."""
    kept: dict[str, _Part] = {"image_id": cells.ids()}
    if columns.patient_id is not None:
        kept["patient_id"] = cells.texts(columns.patient_id)
    for each in columns.findings:
        kept[column("label", each.finding)] = cells.labels(each.label)
        if each.logit is not None:
            logit_n = cells.logits(each.logit, missing=each.prob is not None)
            kept[column("logit", each.finding)] = logit_n
        if each.prob is not None:
            kept[column("prob", each.finding)] = cells.probabilities(each.prob)
        if each.decision is not None:
            kept[column("decision", each.finding)] = cells.labels(each.decision)
        if each.refer is not None:
            kept[column("refer", each.finding)] = cells.texts(each.refer)
    for name, group in columns.groups.items():
        kept[group.column] = cells.numbers(name) if group.edges else cells.texts(name)
    return kept


def _table(
    parts: dict[str, list[_Part]], rows: int, columns: Columns, threshold: float
) -> pd.DataFrame:
    """The columns in the order of Predictions; parts are given up one by one to save memory."""
    findings = [each.finding for each in columns.findings]
    used = standard_columns(findings)
    for group in columns.groups.values():
        if group.column in used:
            raise EvaluationError(
                "--group",
                f"{group.column} is what a column of Hilum's own is called",
                remedy="give the column another name",
            )
    table: dict[str, Any] = {
        "image_id": _text(parts.pop("image_id")),
        "patient_id": _text(parts.pop("patient_id", [pa.nulls(rows, pa.string())])),
    }
    for finding in findings:
        label, logit, prob = (column(kind, finding) for kind in ("label", "logit", "prob"))
        table[label] = np.concatenate(parts.pop(label))
        table[logit] = np.concatenate(parts.pop(logit)) if logit in parts else np.full(rows, np.nan)
        table[prob] = np.concatenate(parts.pop(prob)) if prob in parts else expit(table[logit])
    for finding in findings:
        decision, prob = column("decision", finding), column("prob", finding)
        table[decision_column(finding, findings)] = (
            np.concatenate(parts.pop(decision))
            if decision in parts
            else (table[prob] >= threshold).astype(np.int8)
        )
    for finding in findings:
        if (refer := column("refer", finding)) in parts:
            table[refer_column(finding, findings)] = _text(parts.pop(refer)).fillna("")
    for group in columns.groups.values():
        part = parts.pop(group.column)
        table[group.column] = np.concatenate(part) if group.edges else _group(group.column, part)
    return pd.DataFrame(table, copy=False)


def _text(parts: list[_Part]) -> pd.Series:
    return pd.Series(pd.array(pa.chunked_array(parts, pa.string()), dtype="str"))


def _group(name: str, parts: list[_Part]) -> pd.Series:
    """A column of numbers where all of it are numbers, else of words, as 007 is."""
    words = _text(parts)
    if name in _WORDS or words.str.match(r"[+-]?0\d").any():
        return words
    try:
        return pd.to_numeric(words).astype(np.float64)
    except ValueError:
        return words


def _on_scores(predictions: Predictions, finding: str, *, logits_alone: bool) -> list[str]:
    if logits_alone:
        return [f"probabilities of {finding} are the sigmoid of its logits, uncalibrated"]
    if len(predictions) > 1 and np.isin(predictions.prob(finding), (0.0, 1.0)).all():
        return [
            f"every probability of {finding} is 0 or 1, as decisions are; figures of ranking and "
            "of calibration say little of them"
        ]
    return []
