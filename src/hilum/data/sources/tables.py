"""Somebody's table from a file: CSV, TSV or Parquet, whole, with its own headers.

Which column is what is found in `headers`, what the values mean in `words`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from hilum.errors import DataError

SUFFIXES = (".csv", ".tsv", ".parquet")

# Besides an empty cell; in a table of films none of these is a name.
_MISSING = ["", "NA", "N/A", "#N/A", "nan", "NaN", "NULL", "null", "None", "none", "<NA>"]
# Columns that name a person have no business in what is made from a cohort.
_PERSONAL = frozenset(
    (
        "name", "fullname", "firstname", "lastname", "surname", "patientname", "patientsname",
        "birthdate", "patientbirthdate", "patientsbirthdate", "dateofbirth", "birthday", "dob",
        "address", "patientaddress", "phone", "telephone", "email",
    )
)  # fmt: skip


def read_table(path: Path) -> pd.DataFrame:
    """All columns and rows; those of a text file as text, missing where a cell is empty.

    Raises DataError: no file, another suffix, empty, damaged, not UTF-8, a row of another length
    than the header, two columns of one name, no rows.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(path, "is no table", expected=f"a file ending in {', '.join(SUFFIXES)}")
    try:
        if path.stat().st_size == 0:
            raise DataError(path, "empty file", expected="a header and one row per film")
        table = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
        frame: pd.DataFrame = table.to_pandas()
    except UnicodeError as error:
        raise _not_utf8(path) from error
    except (OSError, csv.Error, pa.ArrowException) as error:
        if "UTF8" in str(error):
            raise _not_utf8(path) from error
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(path, f"cannot be read ({line})", expected="CSV, TSV or Parquet") from error
    if table.num_rows == 0:
        raise _no_rows(path)
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise DataError(path, f"two columns are called {twice[0]!r}", remedy="rename one of them")
    return frame


def is_personal(header: str) -> bool:
    """True for a column that, by its name, holds names, birth dates or addresses."""
    return "".join(letter for letter in header.casefold() if letter.isalpha()) in _PERSONAL


def _parquet(path: Path) -> pa.Table:
    # What pandas noted of its index is no business of ours, and may be damaged.
    table = pyarrow.parquet.read_table(path).replace_schema_metadata(None)
    table.validate(full=True)
    return table


def _text(path: Path) -> pa.Table:
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise _not_utf8(path)
    header, delimiter = _header(path)
    try:
        table = pyarrow.csv.read_csv(
            path,
            # One thread: then a wrong row has its number.
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            # Types are not guessed: 00042 is a name.
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                null_values=_MISSING,
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        # The rest of the line repeats the row, which may name a patient.
        row = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", str(error))
        if row is None:
            raise
        raise DataError(
            path,
            f"row {row[1]} (the header is row 1) has {row[3]} values",
            expected=f"{row[2]}, as the header has",
            remedy="is the file cut short, or a quote not closed?",
        ) from error
    # An open quote in the last column swallows all rows below it, and is no error to the reader.
    if "\n" in (table[-1][-1].as_py() or "" if len(table) else "") and not _ends_in_quote(path):
        raise DataError(
            path, f"a quote in row {len(table) + 1} (the header is row 1) is not closed"
        )
    return table


def _header(path: Path) -> tuple[list[str], str]:
    """The names of the columns and what stands between them."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        if not first.strip():
            raise DataError(path, "no header", expected="a row of column names")
        if not any(line.strip() for line in file):
            raise _no_rows(path)
    # Spreadsheets of half of Europe write semicolons.
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    if delimiter not in first:
        delimiter = next((mark for mark in ";\t," if mark in first), delimiter)
    return next(csv.reader([first], delimiter=delimiter)), delimiter


def _ends_in_quote(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read().rstrip().endswith(b'"')


def _no_rows(path: Path) -> DataError:
    return DataError(path, "no rows below the header", expected="one row per film")


def _not_utf8(path: Path) -> DataError:
    return DataError(
        path,
        f"{_first_not_utf8(path)}text that is not UTF-8",
        expected="UTF-8",
        remedy="save the table as UTF-8",
    )


def _first_not_utf8(path: Path) -> str:
    """`line 7 has `, where one line can be told."""
    if path.suffix.lower() == ".parquet":
        return ""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8-sig")
            except UnicodeDecodeError:
                return f"line {number} has "
    return ""
