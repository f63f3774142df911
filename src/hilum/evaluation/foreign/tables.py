"""Tables: a few columns of somebody's CSV or Parquet file, block by block, in bounded memory.

What the columns mean is found in `headers`; what the values may be, in `reading`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from hilum.errors import EvaluationError
from hilum.evaluation.predictions import noted_in, refuse_suffix

# Text of a CSV file that is held at once; a row must fit into it.
BLOCK_BYTES = 1 << 20
_PARQUET_ROWS = 1 << 16


def header_of(path: Path) -> list[str]:
    """The names of the columns, in the file's order.

    Raises EvaluationError: no such file, a folder, another suffix, empty, damaged, not UTF-8.
    """
    refuse_suffix(path)
    if path.is_dir():
        raise EvaluationError(path, "is a folder", expected="one file, Parquet or CSV")
    if not path.is_file():
        raise EvaluationError(path, "no such file", expected="predictions as Parquet or CSV")
    with _one_line_errors(path):
        if path.stat().st_size == 0:
            raise EvaluationError(path, "empty file", expected="a header and one row per image")
        if path.suffix.lower() == ".parquet":
            return list(pyarrow.parquet.read_schema(path).names)
        return _csv_header(path)


def noted(path: Path) -> dict[str, Any]:
    """What `Predictions.write` noted in a Parquet file; empty for any other file."""
    if path.suffix.lower() != ".parquet":
        return {}
    with _one_line_errors(path):
        return noted_in(path)


def blocks(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The named columns, a few thousand rows at a time; those of a CSV file as the text they are.

    Other columns are skipped without being converted. Raises EvaluationError on a row of another
    length than the header, text that is not UTF-8, or a damaged file.
    """
    read = _parquet_blocks if path.suffix.lower() == ".parquet" else _csv_blocks
    with _one_line_errors(path):
        yield from read(path, names)


def listed(names: Sequence[str], most: int = 20) -> str:
    """Column names in one line; of very many, the first."""
    shown = ", ".join(repr(name) if name != name.strip() or not name else name for name in names)
    if len(names) > most:
        shown = f"{listed(names[:most])} and {len(names) - most} more"
    return shown


def _parquet_blocks(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with closing(pyarrow.parquet.ParquetFile(path)) as file:
        yield from file.iter_batches(_PARQUET_ROWS, columns=list(names), use_threads=False)


def _csv_header(path: Path) -> list[str]:
    # Bytes that are no UTF-8 matter in the names alone; elsewhere they may be in unneeded columns.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        # Never more than a block, also where a file has no line ends.
        lines = iter(partial(file.readline, BLOCK_BYTES), "")
        header = next(csv.reader(lines), [])
        "".join(header).encode()
        if len(header) == 1 and (other := [mark for mark in ";\t" if mark in header[0]]):
            raise EvaluationError(
                path, f"columns separated by {other[0]!r}", expected="a comma between columns"
            )
        if not any(name.strip() for name in header):
            raise EvaluationError(path, "no header", expected="a row of column names")
        if not any(lines):
            raise EvaluationError(path, "no rows below the header", expected="one row per image")
    return header


def _csv_blocks(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    wrong: list[pyarrow.csv.InvalidRow] = []

    def refuse(row: pyarrow.csv.InvalidRow) -> str:
        wrong.append(row)
        return "error"

    # The last column is read for a quote in it that swallows the rest of the file.
    last = _csv_header(path)[-1]
    rows, final = 1, b""
    try:
        with pyarrow.csv.open_csv(
            path,
            # One thread: then rows have numbers, and few blocks are read ahead.
            read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=refuse
            ),
            # Types are not guessed, least of all from the first block: 00042 is a name.
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=[*dict.fromkeys([*names, last])],
                column_types={last: pa.binary()} | dict.fromkeys(names, pa.string()),
            ),
        ) as reader:
            for block in reader:
                if block.num_rows:
                    rows += block.num_rows
                    final = bytes(block.column(last)[-1].as_buffer() or b"")
                yield block
    except pa.ArrowInvalid as error:
        if wrong:
            row = wrong[0]
            raise EvaluationError(
                path,
                f"row {row.number} (the header is row 1) has {row.actual_columns} values",
                expected=f"{row.expected_columns}, as the header has",
                remedy="is the file cut short, or a quote not closed?",
            ) from error
        if "straddl" in str(error):
            raise EvaluationError(
                path,
                f"a row longer than {BLOCK_BYTES >> 20} MB",
                expected="one row per image",
                remedy="is a quote not closed?",
            ) from error
        raise
    if b"\n" in final and not _end_of(path).endswith(b'"'):
        raise EvaluationError(path, f"a quote in row {rows} (the header is row 1) is not closed")


def _end_of(path: Path) -> bytes:
    """The last characters of a file that are not blank."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read().rstrip()


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    """Raise EvaluationError for whatever the libraries raise on a file they cannot read."""
    try:
        yield
    except UnicodeError as error:
        raise _not_utf8(path) from error
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        if "UTF8" in str(error):
            raise _not_utf8(path) from error
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EvaluationError(
            path, f"cannot be read ({line})", expected="predictions as Parquet or CSV"
        ) from error


def _not_utf8(path: Path) -> EvaluationError:
    return EvaluationError(
        path, "text that is not UTF-8", expected="UTF-8", remedy="save the table as UTF-8"
    )
