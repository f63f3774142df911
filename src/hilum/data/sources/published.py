"""What readers of published data sets share: tables read in words, files listed once, odd ages.

What the columns mean is each source's own business.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hilum.data.radiograph import SUFFIXES
from hilum.errors import DataError, DataMissingError

AGE_LIMIT = 120.0  # years; data sets hold films of "155" and "411"


def read_table(
    path: Path, needed: Sequence[str], optional: Sequence[str] = (), *, remedy: str | None = None
) -> pd.DataFrame:
    """The named columns of a CSV file; any other is not read.

    The first of `needed` is text and names what a row is about.
    Raises DataMissingError when there is no such file, DataError when it is not CSV, lacks a
    column, has no rows or has one that is about nothing.
    """
    if not path.is_file():
        raise DataMissingError(path, "no such file", remedy=remedy)
    wanted = {*needed, *optional}
    try:
        # Some published rows end in a comma, which must not shift the columns: index_col=False.
        table = pd.read_csv(
            path,
            usecols=lambda name: name in wanted,
            index_col=False,
            dtype=dict.fromkeys(needed[:1], "str"),
            low_memory=False,
            encoding="utf-8-sig",
        )
    except (OSError, ValueError) as error:
        raise DataError(
            path,
            f"cannot be read as CSV ({type(error).__name__})",
            remedy="it may be cut off or packed; fetch and unpack it again",
        ) from error
    for name in needed:
        if name not in table.columns:
            raise DataError(path, f"no column {name!r}", expected=f"columns {', '.join(needed)}")
    if table.empty:
        raise DataError(path, "no rows", expected="one or more")
    for name in needed[:1]:
        if table[name].isna().any():
            raise DataError(path, f"a row without {name!r}", expected="one in each row")
    return table


def numbers(path: Path, table: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    """Columns as float64 [n, c], NaN where a cell is empty. Raises DataError for text."""
    for name in names:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise DataError(path, f"column {name!r} holds text", expected="numbers or nothing")
    return table[list(names)].to_numpy(dtype=np.float64)


def texts(table: pd.DataFrame, name: str) -> pd.Series:
    """A column as text without blanks at its ends, missing where it is empty or not there."""
    if name not in table.columns:
        return pd.Series([None] * len(table), index=table.index, dtype="str")
    text_n = table[name].astype("str").str.strip()
    return text_n.mask(text_n == "")


def parsed_texts(text_n: pd.Series, pattern: str) -> pd.DataFrame:
    """A column a named group of the pattern (in RE2's syntax), missing where it does not match."""
    # pandas' own str.extract makes Python objects of every cell, which takes five times as long.
    found = pc.extract_regex(pa.array(text_n, type=pa.string()), pattern)
    groups = dict(zip(found.type.names, found.flatten(), strict=True))
    return pd.DataFrame(
        {name: pd.Series(pd.array(cells, dtype="str")) for name, cells in groups.items()}
    ).set_axis(text_n.index)


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, in order, hidden files left out; nothing where there is none."""
    if not folder.is_dir():
        return []
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(folder, f"cannot be listed ({error.strerror})") from error


def film_names(folder: Path) -> list[str]:
    """Names of the image files in a folder, in order."""
    return [name for name in names_in(folder) if name.lower().endswith(SUFFIXES)]


def possible_age(age_n: pd.Series, youngest: float = 0) -> tuple[pd.Series, list[str]]:
    """Ages in years without those that cannot be, and a warning that counts them."""
    odd_n = (age_n < youngest) | (age_n > AGE_LIMIT)
    if not odd_n.any():
        return age_n, []
    films = f"{int(odd_n.sum()):,} of {len(odd_n):,} films"
    return age_n.mask(odd_n), [f"impossible ages, which count as unknown: {films}"]


def present(folder: Path, name_n: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each file below `folder` is there, shape (n,); "" is not."""
    # Strings, for a Path a film takes three times as long.
    root = str(folder)
    return np.array([bool(name) and os.access(f"{root}/{name}", os.F_OK) for name in name_n], bool)


def excluded_rows(image_ids: Sequence[str], reason: str) -> pd.DataFrame:
    """A cohort's `excluded`, all for one reason."""
    return pd.DataFrame({"image_id": list(image_ids), "reason": reason})


def refuse_none(folder: Path, found: int, rows: int, expected: str) -> None:
    """Raise DataMissingError when no film of the table is there."""
    if not found:
        raise DataMissingError(
            folder, f"none of the {rows:,} films that the table names is there", expected=expected
        )
