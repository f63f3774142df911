"""A table of films (CSV, TSV, Parquet) with its films beside it → Cohort.

Which column is what is found in `headers`, what values mean in `words`. A table's films are not
opened: what a DICOM header knows and the table does not stays missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.columns import column, spelt
from hilum.data.cohort import COLUMNS, Cohort
from hilum.data.findings import spelling
from hilum.data.pixels import FilePixels
from hilum.data.sources.headers import BOX, DEFAULT_FINDING, Headers, find_headers
from hilum.data.sources.listing import present
from hilum.data.sources.tables import is_personal, read_table
from hilum.data.sources.words import (
    by_value,
    labels_of,
    numbers_by_value,
    sex_in_words,
    shown,
    split_in_words,
    view_in_words,
    years,
)
from hilum.errors import DataError
from hilum.recipe import DataPart, ReadingPart

NO_PATIENTS = "patients are unknown: two films of one may stand in two roles"

_ASPECT_LIMITS = (0.1, 10.0)


def table_cohort(path: Path, options: DataPart, reading: ReadingPart) -> Cohort:
    """One row a film; paths in the table are relative to its folder, or absolute.

    Rows whose film is not there are excluded. Columns that are none of ours are kept, under their
    own headers, unless they name persons.
    Raises DataError: no table, a column that is missing or means two things, labels that are none,
    an image id that stands twice, not one film there.
    """
    raw = read_table(path)
    headers = find_headers([*raw.columns], path, options.columns, options.findings)
    film_n = _film_names(_text(raw[headers.known["path"]]))
    id_n = _text(raw[headers.known["image_id"]]) if "image_id" in headers.known else film_n
    labels, meanings, warnings = _labels(raw, headers, path)
    boxes = _boxes(raw, headers, id_n, path, [*labels])
    first_n = _first_of_each(id_n, path, labels, boxes)

    columns, more = _known(raw, headers, path)
    extra, left_out = _extra(raw, headers, [*columns, *map(_label_column, labels)])
    table = pd.DataFrame(
        {
            "image_id": id_n,
            **columns,
            "role": None,
            **{_label_column(finding): label_n for finding, label_n in labels.items()},
            **extra,
        }
    )
    there_n = present(path.parent, film_n.fillna("").to_list()) & film_n.notna().to_numpy()
    if not there_n.any():
        raise DataError(
            path,
            f"none of its {len(raw):,} films is there",
            expected="paths relative to the table's folder",
            remedy="move the table to where its paths start, or set data.columns.path",
        )
    keep_n = first_n & there_n
    aspect_n = _aspects(raw, headers, path)
    if aspect_n is not None and np.isnan(aspect_n[keep_n]).any():
        unknown = int(np.isnan(aspect_n[keep_n]).sum())
        more.append(f"films without an aspect, read as they are: {unknown:,}")
    absent = table["image_id"][first_n & ~there_n]
    return Cohort(
        name=f"folder:{path.absolute().parent.name}/{path.name}",
        findings=tuple(labels),
        table=table[keep_n].reset_index(drop=True),
        pixels=FilePixels(
            path.parent,
            film_n[keep_n].array,
            reading,
            None if aspect_n is None else aspect_n[keep_n],
        ),
        warnings=(*warnings, *more, *left_out),
        boxes=boxes[boxes["image_id"].isin(table["image_id"][keep_n])].reset_index(drop=True),
        excluded=pd.DataFrame({"image_id": absent, "reason": "no file"}).reset_index(drop=True),
        meanings=meanings,
    )


def _film_names(film_n: pd.Series) -> pd.Series:
    """Paths with forward slashes; a Windows export has none."""
    if film_n.str.contains("\\", regex=False).any() and not film_n.str.contains("/").any():
        return film_n.str.replace("\\", "/", regex=False)
    return film_n


def _labels(
    raw: pd.DataFrame, headers: Headers, path: Path
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str], list[str]]:
    """Labels and what a 1 means, by finding, and what a reader must be told."""
    labels: dict[str, NDArray[np.float64]] = {}
    meanings: dict[str, str] = {}
    warnings: list[str] = []
    for asked, header in headers.labels.items():
        codes, values = pd.factorize(raw[header])
        words = [str(value) for value in values]
        label_v, positive = labels_of(words)
        if None in label_v:
            raise DataError(
                path,
                f"column {header} holds {shown(words)}",
                expected="0, 1 or empty, or `normal` and one other class",
                remedy="set data.columns.label, or one column label_NAME for each finding",
            )
        finding = asked
        if headers.assumed and positive is not None:
            finding = spelling(positive) or spelt(positive)
        elif headers.assumed:
            warnings.append(
                f"column {header} is taken for {DEFAULT_FINDING}; "
                "set data.findings if it is of another finding"
            )
        labels[finding] = np.array([*label_v, np.nan], dtype=np.float64)[codes]
        meanings[finding] = f"column {header} of {path.name} is {positive or 1}"
    return labels, meanings, warnings


def _known(raw: pd.DataFrame, headers: Headers, path: Path) -> tuple[dict[str, Any], list[str]]:
    """Our columns but image and labels, missing where the table has none, and warnings."""
    columns: dict[str, Any] = {}
    warnings = []
    words: dict[str, Callable[[str], str | None]] = {
        "view": view_in_words,
        "sex": sex_in_words,
        "split": split_in_words,
    }
    for ours in ("patient_id", "study_id", "site", "view", "age", "sex", "split"):
        header = headers.known.get(ours)
        if header is None:
            if ours != "study_id":
                columns[ours] = np.nan if ours == "age" else None
        elif ours == "age":
            columns[ours], wrong = numbers_by_value(raw[header], years)
            if wrong:
                # Not the values themselves: a warning goes into reports, and these may be dates.
                warnings.append(
                    f"column {header} holds {len(wrong):,} values that are no age, taken as unknown"
                )
        elif ours in words:
            columns[ours] = by_value(raw[header], words[ours])
        else:
            columns[ours] = _text(raw[header])
    if "split" in headers.known:
        _refuse_splits(raw[headers.known["split"]], columns["split"], headers, path)
    if "patient_id" not in headers.known:
        warnings.append(NO_PATIENTS)
    return columns, warnings


def _refuse_splits(given_n: pd.Series, split_n: pd.Series, headers: Headers, path: Path) -> None:
    wrong = given_n[split_n.isna() & given_n.notna()].unique()
    if len(wrong):
        raise DataError(
            path,
            f"column {headers.known['split']} holds {shown([*wrong])}",
            expected="train, val or test, or empty",
            remedy="rename the values, or set data.columns.split to another column",
        )


def _extra(
    raw: pd.DataFrame, headers: Headers, taken: Iterable[str]
) -> tuple[dict[str, pd.Series], list[str]]:
    """Columns that are none of ours, and a warning that names those of persons, left out."""
    ours = {*COLUMNS, "split", "role", *taken}
    used = {*headers.known.values(), *headers.labels.values()}
    extra, personal = {}, []
    for header in raw.columns:
        if header in used:
            continue
        if is_personal(header):
            personal.append(header)
        else:
            extra[f"table_{header}" if header in ours else header] = raw[header]
    named = ", ".join(personal)
    return extra, [f"not kept, since they name persons: {named}"] if personal else []


def _boxes(
    raw: pd.DataFrame, headers: Headers, id_n: pd.Series, path: Path, findings: list[str]
) -> pd.DataFrame:
    """A row a box, where the table has the four columns of one, and labels of one finding."""
    if "x" not in headers.known or len(findings) != 1:
        return pd.DataFrame(columns=["image_id", "finding", *BOX])
    if "aspect" in headers.known:
        raise DataError(
            path, "boxes and an aspect", expected="boxes on films whose proportions are right"
        )
    corners = {}
    for ours in BOX:
        corners[ours], wrong = numbers_by_value(raw[headers.known[ours]], _number)
        if wrong:
            raise DataError(
                path,
                f"column {headers.known[ours]} holds {shown(wrong)}",
                expected="a number of pixels, or empty",
            )
    boxes = pd.DataFrame({"image_id": id_n, "finding": findings[0], **corners})
    return boxes.dropna(subset=[*BOX])


def _first_of_each(
    id_n: pd.Series, path: Path, labels: dict[str, NDArray[np.float64]], boxes: pd.DataFrame
) -> NDArray[np.bool_]:
    """True for the first row of each film; more rows are refused unless they are its boxes."""
    if id_n.isna().any():
        row = int(np.argmax(id_n.isna().to_numpy()))
        raise DataError(
            path,
            f"row {row + 2} (the header is row 1) names no film",
            expected="a path, and an image id if there is such a column, in each row",
        )
    codes, _ = pd.factorize(id_n)
    _, first_of = np.unique(codes, return_index=True)
    first_n = first_of[codes]
    again_n: NDArray[np.bool_] = first_n != np.arange(len(id_n))
    boxed_n = np.isin(np.arange(len(id_n)), boxes.index)
    refused = [(again_n & ~boxed_n, "name one image", "one row per image")]
    for finding, label_n in labels.items():
        other_n = ~((label_n == label_n[first_n]) | np.isnan(label_n) & np.isnan(label_n[first_n]))
        refused.append((other_n, f"name one image and differ on {finding}", "one label"))
    for wrong_n, found, expected in refused:
        if wrong_n.any():
            row = int(np.argmax(wrong_n))
            rows = f"rows {int(first_n[row]) + 2} and {row + 2} (the header is row 1)"
            raise DataError(path, f"{rows} {found}", expected=expected)
    return ~again_n


def _aspects(raw: pd.DataFrame, headers: Headers, path: Path) -> NDArray[np.float64] | None:
    """Width over height of each true film, NaN where it is unknown; None without the column."""
    header = headers.known.get("aspect")
    if header is None:
        return None
    aspect_n, wrong = numbers_by_value(raw[header], _number)
    low, high = _ASPECT_LIMITS
    wrong += [f"{each:g}" for each in np.unique(aspect_n[(aspect_n < low) | (aspect_n > high)])]
    if wrong:
        raise DataError(
            path,
            f"column {header} holds {shown(wrong)}",
            expected=f"width over height, {low:g} to {high:g}, or empty",
        )
    return aspect_n


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(column_n: pd.Series) -> pd.Series:
    """A column as text without the space around it; whole numbers without a point."""
    if pd.api.types.is_float_dtype(column_n) and (column_n.dropna() % 1 == 0).all():
        column_n = column_n.astype("Int64")
    text_n = column_n.astype("str").str.strip()
    return text_n.mask(text_n == "")


def _label_column(finding: str) -> str:
    return column("label", finding)
