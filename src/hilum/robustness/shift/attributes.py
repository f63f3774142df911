"""Attributes: how each of them is distributed inside and outside, and what it explains.

The weighing is `weighing`'s, the permutation tests `exchanging`'s; what is named, `why`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation.intervals import Resampling, delong, holm, percentile
from hilum.robustness.shift.exchanging import Exchanges, distances, variations
from hilum.robustness.shift.results import AttributeShift, Distribution
from hilum.robustness.shift.side import Side
from hilum.robustness.shift.weighing import explained
from hilum.units import Units

Floats = NDArray[np.float64]
FEWEST = 10  # films of a place of which an attribute is known
MOST_WORDS = 12
SHOWN_BINS = 24


@dataclass(frozen=True)
class _Column:
    """An attribute of both places as numbers, NaN unknown; names: the words behind them."""

    internal_n: Floats
    external_n: Floats
    kind: Literal["number", "word"]
    names: tuple[str, ...] = ()


def attribute_shifts(
    internal: Side, external: Side, *, rng: np.random.Generator, resamples: int, permutations: int
) -> tuple[tuple[AttributeShift, ...], dict[str, str]]:
    """Every attribute that both places know, and why others are left out.

    One kind of film a place is no reason to leave an attribute out: that is a shift like another.
    """
    names = list(dict.fromkeys([*internal.attributes.columns, *external.attributes.columns]))
    exchanges = Exchanges.of(internal.units, external.units, rng, permutations)
    found, left_out = [], {}
    for name in map(str, names):
        column = _column(internal, external, name)
        if isinstance(column, str):
            left_out[name] = column
            continue
        found.append(_compared(internal, external, name, column, exchanges, rng, resamples))
    adjusted = holm([each.p for each in found])
    return tuple(replace(a, p_holm=p) for a, p in zip(found, adjusted, strict=True)), left_out


def _column(internal: Side, external: Side, name: str) -> _Column | str:
    """An attribute of both places as numbers, or why it is not compared."""
    parts = []
    for side in (internal, external):
        if name not in side.attributes:
            return f"not known of {side.name}"
        part = side.attributes[name]
        if part.notna().sum() < FEWEST:
            return f"known of {part.notna().sum()} films of {side.name}; {FEWEST} or more"
        parts.append(part)
    both = pd.concat(parts, ignore_index=True)
    number_n = pd.to_numeric(both, errors="coerce")
    n = len(internal)
    if number_n.notna().sum() == both.notna().sum() and not pd.api.types.is_bool_dtype(both):
        value_n = number_n.to_numpy(dtype=np.float64, na_value=np.nan)
        value_n = np.where(np.isfinite(value_n), value_n, np.nan)
        if len(np.unique(value_n[~np.isnan(value_n)])) == 1:
            return "the same of every film"
        return _Column(value_n[:n], value_n[n:], "number")
    code_n, word_v = pd.factorize(both.map(str, na_action="ignore"), sort=True)
    if len(word_v) == 1:
        return f"{word_v[0]} of every film"
    if len(word_v) > MOST_WORDS:
        return f"{len(word_v)} different words; {MOST_WORDS} or fewer are compared"
    value_n = np.where(code_n < 0, np.nan, code_n)
    return _Column(value_n[:n], value_n[n:], "word", tuple(map(str, word_v)))


def _compared(
    internal: Side,
    external: Side,
    name: str,
    column: _Column,
    exchanges: Exchanges,
    rng: np.random.Generator,
    resamples: int,
) -> AttributeShift:
    value_n = np.concatenate([column.internal_n, column.external_n])
    known_n = ~np.isnan(value_n)
    words = column.kind == "word"
    code_n = np.where(known_n, np.nan_to_num(value_n), -1).astype(np.intp)
    distance, p = exchanges.p(variations(code_n) if words else distances(value_n))
    n, m = (int((~np.isnan(v)).sum()) for v in (column.internal_n, column.external_n))
    if len(column.names) > 2:
        no_order = f"{len(column.names)} words have no order"
        difference = auroc = Estimate.missing(no_order, n + m)
    else:
        difference = standardised_difference(
            column.internal_n, column.external_n, internal.units, external.units, rng, resamples
        )
        joined = Units(external.units.kind, exchanges.unit_n, len(exchanges.outside_u))
        outside_n = exchanges.outside_n[known_n].astype(np.float64)
        auroc = delong(value_n[known_n], outside_n, joined.where(known_n))
    return AttributeShift(
        name,
        column.kind,
        n,
        m,
        difference,
        distance,
        p,
        p,
        auroc,
        _distribution(column),
        explained(
            internal, external, column.internal_n, column.external_n, column.kind,
            rng=rng, resamples=resamples,
        ),
    )  # fmt: skip


def standardised_difference(
    internal_n: Floats,
    external_n: Floats,
    internal_units: Units,
    external_units: Units,
    rng: np.random.Generator,
    resamples: int,
) -> Estimate:
    """Mean outside less mean inside, over the root of the mean of both variances.

    internal_n, external_n: NaN unknown; the interval draws patients of both places.
    Source: Austin 2009.
    """
    n = int((~np.isnan(internal_n)).sum() + (~np.isnan(external_n)).sum())
    sums = []
    for value_n, units in ((internal_n, internal_units), (external_n, external_units)):
        known_n = ~np.isnan(value_n)
        # Moments about a number near the mean lose no digits.
        centred_n = value_n[known_n] - np.nanmean(internal_n)
        part_nk = np.column_stack([np.ones(len(centred_n)), centred_n, centred_n**2])
        kept = units.where(known_n)
        drawn_bk = Resampling.of(kept, rng, resamples).over(kept.unit_n, _sums_of(part_nk))["sums"]
        sums.append(np.concatenate([part_nk.sum(axis=0, keepdims=True), drawn_bk]))
    with np.errstate(invalid="ignore", divide="ignore"):
        (mean_i, var_i), (mean_e, var_e) = (
            (s[:, 1] / s[:, 0], s[:, 2] / s[:, 0] - (s[:, 1] / s[:, 0]) ** 2) for s in sums
        )
        spread_b = np.sqrt(((var_i + var_e) / 2).clip(0))
        found_b = np.where(spread_b > 1e-9, (mean_e - mean_i) / spread_b, np.nan)
    if np.isnan(found_b[0]):
        return Estimate.missing("it does not vary within either place", n)
    return percentile(float(found_b[0]), found_b[1:], n, external_units)


def _sums_of(part_nk: Floats) -> Callable[[NDArray[np.int32]], dict[str, Floats]]:
    return lambda count_bn: {"sums": count_bn @ part_nk}


def _distribution(column: _Column) -> Distribution:
    sides = [v[~np.isnan(v)] for v in (column.internal_n, column.external_n)]
    if column.kind == "word":
        counts = [np.bincount(v.astype(np.intp), minlength=len(column.names)) for v in sides]
        shares = [tuple((count / count.sum()).tolist()) for count in counts]
        return Distribution(shares[0], shares[1], names=column.names)
    edges = np.histogram_bin_edges(np.concatenate(sides), SHOWN_BINS)
    shares = [tuple((np.histogram(v, edges)[0] / len(v)).tolist()) for v in sides]
    return Distribution(shares[0], shares[1], edges=tuple(edges.tolist()))
