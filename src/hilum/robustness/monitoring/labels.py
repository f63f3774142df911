"""Labels that come late: a table of films, each known again by its digest.

What is made of them is left to `sequential`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle import sha256_of
from hilum.columns import column
from hilum.errors import DataError
from hilum.robustness.monitoring.days import Stream

_KEYS = ("input", "image_id")


@dataclass(frozen=True)
class Late:
    """Labels of a stream's films, shape (n, f); NaN where none came.

    unknown: rows of the table whose film is not in the record
    """

    label_nf: NDArray[np.float64]
    unknown: int


def read_labels(path: Path, stream: Stream) -> Late:
    """Read a CSV: `input`, the film's digest, or `image_id`, its file; and a label a finding.

    Labels are called `label_{finding}`, or `label` where there is one finding; 1, 0 or empty. An
    `image_id` is a path as `hilum predict` took it, and the file is read for its digest. Other
    columns, such as the date of a label, are left alone. Raises DataError.
    """
    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(path, f"cannot be read ({line})", expected="a CSV file") from error
    key = next((name for name in _KEYS if name in table), None)
    if key is None:
        raise DataError(
            path,
            f"columns {', '.join(map(str, table.columns))}",
            expected="input (the film's SHA-256) or image_id (its file)",
        )
    digest_r = table[key].str.strip() if key == "input" else _digests(path, table[key])
    twice = digest_r[digest_r.duplicated() & digest_r.notna()]
    if len(twice):
        raise DataError(path, f"film {twice.iloc[0]} stands more than once", expected="one row")
    place = {digest: i for i, digest in enumerate(stream.digest_n)}
    row_r = digest_r.map(place)
    known_r = row_r.notna().to_numpy()
    label_nf = np.full((len(stream), len(stream.findings)), np.nan)
    found = False
    for k, finding in enumerate(stream.findings):
        named = [column("label", finding)] + ["label"] * (len(stream.findings) == 1)
        name = next((each for each in named if each in table), None)
        if name is None:
            continue
        found = True
        label_nf[row_r[known_r].to_numpy(dtype=int), k] = _binary(path, table[name])[known_r]
    if not found:
        expected = ", ".join(column("label", finding) for finding in stream.findings)
        raise DataError(path, "no column of labels", expected=expected)
    if not known_r.any():
        raise DataError(
            path,
            f"none of its {len(table):,} films is in the record",
            expected="digests or files of films that the record holds",
        )
    return Late(label_nf, int((~known_r).sum()))


def _digests(path: Path, film_r: pd.Series[str]) -> pd.Series[str]:
    for film in film_r:
        if not Path(str(film)).is_file():
            raise DataError(
                path,
                f"image_id {film!r} is no file here",
                expected="the film's file, or a column input with its SHA-256",
            )
    return film_r.map(lambda film: sha256_of(Path(str(film))))


def _binary(path: Path, text_r: pd.Series[str]) -> NDArray[np.float64]:
    plain_r = text_r.str.strip()
    value_r = pd.to_numeric(plain_r, errors="coerce")
    bad_r = plain_r.notna() & (plain_r != "") & ~value_r.isin([0, 1])
    if bad_r.any():
        raise DataError(
            path, f"{text_r.name} = {plain_r[bad_r].iloc[0]!r}", expected="1, 0 or empty"
        )
    value: NDArray[np.float64] = value_r.to_numpy(dtype=np.float64)
    return value
