"""Grouping: which group of a column each image is in, and which columns make groups worth a look.

What is computed of the groups is left to `subgroups`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import EvaluationError
from hilum.evaluation.predictions import Predictions

AGES = (18.0, 40.0, 60.0, 75.0)  # years
MOST_WORDS = 20  # groups of a column of words; the less frequent words are pooled
FREQUENT = 20  # images that share a word, if words are no ids
MOST_NUMBERS = 10  # different numbers that make a group each; more are cut at their quartiles


@dataclass(frozen=True)
class GroupBy:
    """A column to break figures down by; edges cut a column of numbers into bins.

    edges: ascending; (40, 60) makes "< 40", "[40, 60)" and ">= 60". Without edges a column of
        words has a group per word (the 20 most frequent, the others pooled), a column of up to 10
        different numbers a group per number, and one of more numbers is cut at its quartiles.
    Raises EvaluationError on edges that do not ascend.
    """

    column: str
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not np.isfinite(self.edges).all() or (np.diff(self.edges) <= 0).any():
            raise EvaluationError(
                f"groups by {self.column}",
                f"edges {', '.join(f'{edge:g}' for edge in self.edges)}",
                expected="numbers in ascending order, such as 40, 60",
            )


@dataclass(frozen=True)
class Groups:
    """What a column makes of the images.

    name_g: the groups, in order; group_n: which of them an image is in, -1 unknown
    """

    name_g: tuple[str, ...]
    group_n: NDArray[np.intp]


def default_groups(predictions: Predictions) -> tuple[GroupBy, ...]:
    """Every subgroup column that makes two or more groups, age in bins of AGES.

    Ages that all fall into one bin, as children's do, are cut at their quartiles. Left out is a
    column of more than MOST_WORDS words none of which stands on FREQUENT images: ids, not groups.
    """
    each = (_default(predictions, name) for name in predictions.group_columns)
    return tuple(by for by in each if isinstance(by, GroupBy))


def left_out_in_words(predictions: Predictions) -> list[str]:
    """Why `default_groups` takes no groups from a column that holds different values."""
    each = {name: _default(predictions, name) for name in predictions.group_columns}
    return [
        f"no subgroups by {name}: {by}" for name, by in each.items() if isinstance(by, str) and by
    ]


def _default(predictions: Predictions, name: str) -> GroupBy | str:
    """How a column is broken down, or why not; "" for one of a single value or none."""
    column = predictions.table[name]
    by = GroupBy(name)
    if name == "age" and not _no_numbers(column):
        by = GroupBy(name, AGES)
        by = by if len(split(predictions, by).name_g) > 1 else GroupBy(name)
    if _of_ids(column):
        return f"{column.nunique()} values, none on {FREQUENT} images or more"
    return by if len(split(predictions, by).name_g) > 1 else ""


def split(predictions: Predictions, by: GroupBy) -> Groups:
    """The groups of all images, those of bins ascending, those of words in alphabetical order.

    Raises EvaluationError on an unknown column, or edges for one that does not hold numbers.
    """
    known = predictions.group_columns
    if by.column not in known:
        raise EvaluationError(
            f"groups by {by.column}",
            f"no such subgroup column in {predictions.where}",
            expected=", ".join(known) or "predictions with subgroup columns",
        )
    column = predictions.table[by.column]
    if by.edges:
        words = _no_numbers(column)
        if words:
            raise EvaluationError(
                f"groups by {by.column}",
                f"{words[0]!r} stands in a column to be cut at {by.edges[0]:g}",
                expected="numbers",
                remedy="give no edges for a column of words",
            )
        return _bins(_finite(pd.to_numeric(column)), by.edges)
    value_n = _numbers(column)
    return _of_words(column) if value_n is None else _of_numbers(value_n)


def _of_numbers(value_n: NDArray[np.float64]) -> Groups:
    known_n = value_n[~np.isnan(value_n)]
    different = np.unique(known_n)
    if len(different) <= MOST_NUMBERS:
        group_n = np.where(np.isnan(value_n), -1, np.searchsorted(different, value_n))
        return Groups(tuple(f"{value:.12g}" for value in different), group_n)
    # Edges short enough to read; what is written is what is done.
    edges = {float(f"{edge:.4g}") for edge in np.quantile(known_n, (0.25, 0.5, 0.75))}
    groups = _bins(value_n, tuple(sorted(edges)))
    return replace(groups, name_g=tuple(f"{name}, by quartiles" for name in groups.name_g))


def _bins(value_n: NDArray[np.float64], edges: Sequence[float]) -> Groups:
    """Bins that hold an image."""
    text = [f"{edge:.12g}" for edge in edges]
    names = [
        f"< {text[0]}",
        *(f"[{low}, {high})" for low, high in pairwise(text)),
        f">= {text[-1]}",
    ]
    bin_n = np.searchsorted(edges, value_n, side="right")
    known_n = ~np.isnan(value_n)
    held, group_k = np.unique(bin_n[known_n], return_inverse=True)
    group_n = np.full(len(value_n), -1)
    group_n[known_n] = group_k
    return Groups(tuple(names[k] for k in held), group_n)


def _of_words(column: pd.Series) -> Groups:
    """A group per word; blank is unknown."""
    value_n, value_v = pd.factorize(column)
    word_v = [str(value).strip() for value in value_v]
    names = sorted({word for word in word_v if word})
    number = {word: g for g, word in enumerate(names)} | {"": -1}
    group_n = np.array([*(number[word] for word in word_v), -1])[value_n]
    if len(names) <= MOST_WORDS:
        return Groups(tuple(names), group_n)
    count_g = np.bincount(group_n[group_n >= 0], minlength=len(names))
    largest = np.sort(np.argsort(-count_g, kind="stable")[:MOST_WORDS])
    pooled_g = np.full(len(names) + 1, MOST_WORDS)
    pooled_g[largest], pooled_g[-1] = np.arange(MOST_WORDS), -1
    rest = f"{len(names) - MOST_WORDS} less frequent values"
    return Groups((*(names[g] for g in largest), rest), pooled_g[group_n])


def _of_ids(column: pd.Series) -> bool:
    if _numbers(column) is not None:
        return False
    count_v = column.value_counts()
    return len(count_v) > MOST_WORDS and int(count_v.iloc[0]) < FREQUENT


def _numbers(column: pd.Series) -> NDArray[np.float64] | None:
    """A column of numbers; None for words, and for true and false."""
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind not in ("integer", "floating", "mixed-integer-float", "decimal"):
        return None
    return _finite(column)


def _no_numbers(column: pd.Series) -> list[str]:
    """What stands in a column and cannot be read as a number."""
    read = pd.to_numeric(column, errors="coerce")
    return [str(value) for value in column[read.isna() & column.notna()]]


def _finite(column: pd.Series) -> NDArray[np.float64]:
    """The numbers, NaN where unknown or infinite, shape (n,)."""
    value_n = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(value_n), value_n, np.nan)
