"""Cells: one block of somebody's table as ids, text, numbers and labels, or a line on what is not.

Which column is what is found in `headers`; blocks are read in `tables`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hilum.errors import EvaluationError
from hilum.evaluation.predictions import HUGE

# How tables say that a value is not known, in any case.
_MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "none", "<na>")
_LABELS = {"true": 1.0, "false": 0.0} | dict.fromkeys(_MISSING, np.nan)


@dataclass(frozen=True)
class Cells:
    """A block of rows, and what an error says of one of them.

    where: the file
    before: rows that were read before this block
    image_id: the column of ids
    """

    where: str
    block: pa.RecordBatch
    before: int
    image_id: str

    def ids(self) -> pa.Array:
        """Ids as text, as they stand: 00042 is a name. Refuses a row without one."""
        id_n = self._text(self.image_id)
        empty_n = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(id_n), ""), True)
        first = pc.index(empty_n, True).as_py()
        if first >= 0:
            raise EvaluationError(
                self.where,
                f"row {self.before + first + 2} (the header is row 1) has no {self.image_id}",
                expected="an id per image",
            )
        control_n = pc.fill_null(pc.match_substring_regex(id_n, r"[\x00-\x09\x0b-\x1f]"), False)
        first = pc.index(control_n, True).as_py()
        if first >= 0:
            raise EvaluationError(
                self.where,
                f"the id {id_n[first].as_py()!r} holds a control character",
                expected="plain text",
            )
        return id_n

    def texts(self, name: str) -> pa.Array:
        """Text without the space around it, null where it is missing."""
        text_n = pc.utf8_trim_whitespace(self._text(name))
        missing_n = pc.is_in(pc.utf8_lower(text_n), pa.array(_MISSING))
        return pc.if_else(missing_n, None, text_n)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Numbers to the last bit, NaN where they are missing, shape (n,)."""
        column = self.block.column(name)
        # Text is cast after the words for "missing" have gone; numbers as they are.
        numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        cell_n = column if numeric else self.texts(name)
        try:
            value_n = pc.cast(cell_n, pa.float64(), safe=False)
        except pa.ArrowInvalid:
            row = next(row for row, cell in enumerate(cell_n) if not _is_number(cell))
            self.refuse(name, row, f"the text {cell_n[row].as_py()!r}", expected="numbers")
        return np.array(value_n.to_numpy(zero_copy_only=False), dtype=np.float64)

    def probabilities(self, name: str) -> NDArray[np.float64]:
        """Numbers in [0, 1], none missing, shape (n,)."""
        value_n = self.numbers(name)
        self._refuse_first(name, np.isnan(value_n), value_n, "a number in [0, 1] for every image")
        self._refuse_first(
            name,
            ~((value_n >= 0) & (value_n <= 1)),
            value_n,
            "a probability in [0, 1]",
            remedy="--prob takes probabilities, --logit takes raw logits",
        )
        return value_n

    def logits(self, name: str, *, missing: bool) -> NDArray[np.float64]:
        """Numbers up to HUGE, shape (n,); NaN where they are missing, which may be refused."""
        value_n = self.numbers(name)
        bad_n = np.abs(value_n) > HUGE if missing else ~(np.abs(value_n) <= HUGE)
        self._refuse_first(name, bad_n, value_n, "a finite number for every image")
        return value_n

    def labels(self, name: str) -> NDArray[np.float64]:
        """1 present, 0 absent, NaN unknown, shape (n,)."""
        coded = self._text(name).dictionary_encode()
        index_n = np.asarray(coded.indices.fill_null(len(coded.dictionary)), dtype=np.intp)
        # A cell without a value has the index behind the last.
        label_v = np.full(len(coded.dictionary) + 1, np.nan)
        for v, value in enumerate(coded.dictionary.to_pylist()):
            label = _label(value)
            if label is None:
                self.refuse(
                    name,
                    int(np.argmax(index_n == v)),
                    value,
                    expected="0 (absent), 1 (present) or empty (unknown)",
                    remedy="map it first",
                )
            label_v[v] = label
        return label_v[index_n]

    def refuse(
        self, name: str, row: int, found: str, *, expected: str, remedy: str | None = None
    ) -> NoReturn:
        """Raise EvaluationError on one cell: its column, its image and what is there."""
        image, found = _short(self._text(self.image_id)[row].as_py()), _short(found)
        raise EvaluationError(
            self.where, f"{name} is {found} for image {image!r}", expected=expected, remedy=remedy
        )

    def _refuse_first(
        self,
        name: str,
        bad_n: NDArray[np.bool_],
        value_n: NDArray[np.float64],
        expected: str,
        remedy: str | None = None,
    ) -> None:
        if bad_n.any():
            row = int(np.argmax(bad_n))
            found = "missing" if np.isnan(value_n[row]) else repr(float(value_n[row]))
            self.refuse(name, row, found, expected=expected, remedy=remedy)

    def _text(self, name: str) -> pa.Array:
        column = self.block.column(name)
        try:
            return pc.cast(column, pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise EvaluationError(
                self.where, f"column {name} holds {column.type}", expected="text or numbers"
            ) from error


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _label(value: str) -> float | None:
    """The label that a text means, None when it means none."""
    word = value.strip().lower()
    if word in _LABELS:
        return _LABELS[word]
    try:
        number = float(word)
    except ValueError:
        return None
    return number if number in (0.0, 1.0) else None


def _is_number(cell: pa.Scalar) -> bool:
    try:
        pc.cast(cell, pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
