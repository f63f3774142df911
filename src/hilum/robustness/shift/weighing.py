"""Weighing: inside figures when inside films count so that an attribute is distributed as outside.

Which attributes there are, and whether they moved, is `attributes`' business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation.intervals import Resampling, percentile
from hilum.robustness.shift.results import FIGURES, Explained
from hilum.robustness.shift.side import Side

Floats = NDArray[np.float64]
BINS = 10
A_BIN = 20  # inside films of the smaller class for each bin, at the least two bins
A_CLASS = 20  # films of each class outside, from which the classes are weighed apart
LIKE = 3  # inside films of a bin, below which outside films of it have no like
UNCOVERED = 0.2  # of outside films without their like, from which nothing is said
WORTH = 20.0  # films that the weighted ones must be worth


@dataclass(frozen=True)
class Cells:
    """Where each film lies: in a class (0 absent, 1 present; one class where they are not weighed
    apart) and a bin of the attribute, numbered through; -1 nowhere."""

    internal_n: NDArray[np.intp]
    external_n: NDArray[np.intp]
    classes: int
    bins: int
    within: Literal["class", "all films"]

    def tally(self, cell_n: NDArray[np.intp], count_bn: NDArray[np.integer]) -> Floats:
        """How many films of each cell there are, shape (b, classes * bins)."""
        in_nk = cell_n[:, None] == np.arange(self.classes * self.bins)
        return np.asarray(count_bn @ in_nk.astype(np.float64))


def figures_of(score_n: Floats, y_n: Floats, called_n: Floats, weight_bn: Floats) -> Floats:
    """FIGURES of weighted films, shape (b, 3); NaN without a class.

    score_n: higher is more like the finding; y_n: 1 or 0; called_n: 1 where it is called
    weight_bn: 0 or more; ties of score count half
    """
    order_n = np.argsort(score_n, kind="stable")
    score_n, y_n = score_n[order_n], y_n[order_n]
    called_n, weight_bn = called_n[order_n], weight_bn[:, order_n]
    first_n, last_n = (np.searchsorted(score_n, score_n, side=s) for s in ("left", "right"))
    below_bn = np.zeros((len(weight_bn), len(y_n) + 1))
    np.cumsum(weight_bn * (1 - y_n), axis=1, out=below_bn[:, 1:])
    present_bn, absent_b = weight_bn * y_n, below_bn[:, -1]
    present_b = present_bn.sum(axis=1)
    outscored_b = (present_bn * (below_bn[:, first_n] + below_bn[:, last_n]) / 2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(
            [
                outscored_b / (present_b * absent_b),
                present_bn @ called_n / present_b,
                (weight_bn * (1 - y_n)) @ (1 - called_n) / absent_b,
            ],
            axis=1,
        )


def explained(
    internal: Side,
    external: Side,
    value_i: Floats,
    value_e: Floats,
    kind: Literal["number", "word"],
    *,
    rng: np.random.Generator,
    resamples: int,
) -> Explained:
    """What an attribute takes off the inside figures if nothing else differs.

    value_i, value_e: the attribute of each film, words as numbers, NaN unknown, shapes (n,), (m,)
    Each inside film weighs as its bin does outside over inside; numbers are cut at quantiles of
    both places. Where enough outside films are labelled, each class is weighed to its own: a
    change of prevalence alone then explains nothing. It holds as far as films of equal attribute
    are as hard inside as outside. Patients of both places are drawn for the interval.
    Source: Shimodaira 2000 (weights by the ratio of densities); Kish 1965 (effective size).
    """
    keep_n = ~np.isnan(value_i) & ~np.isnan(internal.y_n)
    y_n, value_i = internal.y_n[keep_n], value_i[keep_n]
    n, smaller = len(y_n), int(min(y_n.sum(), (1 - y_n).sum()))
    cells = _cells(y_n, value_i, external.y_n, value_e, kind, smaller)
    e_k = cells.tally(cells.external_n, np.ones((1, len(cells.external_n)), dtype=np.int64))[0]
    i_k = cells.tally(cells.internal_n, np.ones((1, n), dtype=np.int64))[0]
    has_like_k = i_k >= LIKE
    uncovered = float(e_k[~has_like_k].sum() / e_k.sum())
    weight_n = _weights(cells, has_like_k, i_k[None], e_k[None])[0]
    worth = float(weight_n.sum() ** 2 / (weight_n**2).sum()) if weight_n.any() else 0.0
    why_not = _why_not(uncovered, worth, smaller)
    if why_not is not None:
        missing = Estimate.missing(why_not, n)
        return Explained(dict.fromkeys(FIGURES, missing), cells.within, worth, uncovered)

    units_i, units_e = internal.units.where(keep_n), external.units
    score_n, called_n = internal.score_n[keep_n], internal.called_n[keep_n].astype(np.float64)
    drawn_i = Resampling.of(units_i, rng, resamples)
    drawn_e = Resampling.of(units_e, rng, resamples)
    tally_be = np.concatenate([cells.tally(cells.external_n, each) for each in _chunks(drawn_e)])

    def lost(count_bn: NDArray[np.integer], e_bk: Floats) -> Floats:
        i_bk = cells.tally(cells.internal_n, count_bn)
        weight_bn = count_bn * _weights(cells, has_like_k, i_bk, e_bk)
        plain = figures_of(score_n, y_n, called_n, count_bn.astype(np.float64))
        return plain - figures_of(score_n, y_n, called_n, weight_bn)

    start, parts = 0, []
    for count_bn in _chunks(drawn_i):
        parts.append(lost(count_bn, tally_be[start : start + len(count_bn)]))
        start += len(count_bn)
    lost_bf = np.concatenate(parts)
    value_f = lost(np.ones((1, n), dtype=np.int64), e_k[None])[0]
    figures = {
        name: percentile(float(value_f[f]), lost_bf[:, f], n, units_i)
        for f, name in enumerate(FIGURES)
    }
    return Explained(figures, cells.within, worth, uncovered)


def _cells(
    y_i: Floats,
    value_i: Floats,
    y_e: Floats,
    value_e: Floats,
    kind: Literal["number", "word"],
    smaller: int,
) -> Cells:
    known_n = ~np.isnan(value_e)
    apart = min(int((y_e[known_n] == label).sum()) for label in (0, 1)) >= A_CLASS
    if kind == "word":
        code_v = np.unique(np.concatenate([value_i, value_e[known_n]]))
        bin_i, bin_e = np.searchsorted(code_v, value_i), np.searchsorted(code_v, value_e)
        bins = len(code_v)
    else:
        # Both places count alike, however many films each has.
        cuts = np.linspace(0, 1, max(2, min(BINS, smaller // A_BIN)) + 1)[1:-1]
        pooled = np.sort(np.concatenate([value_i, value_e[known_n]]))
        share = np.concatenate(
            [np.full(len(value_i), 0.5 / len(value_i)), np.full(known_n.sum(), 0.5 / known_n.sum())]
        )[np.argsort(np.concatenate([value_i, value_e[known_n]]), kind="stable")]
        edges = np.unique(pooled[np.searchsorted(np.cumsum(share), cuts).clip(max=len(pooled) - 1)])
        bin_i, bin_e = (np.searchsorted(edges, each, side="left") for each in (value_i, value_e))
        bins = len(edges) + 1
    if not apart:
        return Cells(bin_i, np.where(known_n, bin_e, -1), 1, bins, "all films")
    known_n &= ~np.isnan(y_e)
    class_i, class_e = (np.nan_to_num(each).astype(np.intp) for each in (y_i, y_e))
    external_n = np.where(known_n, class_e * bins + bin_e, -1)
    return Cells(class_i * bins + bin_i, external_n, 2, bins, "class")


def _weights(cells: Cells, has_like_k: NDArray[np.bool_], i_bk: Floats, e_bk: Floats) -> Floats:
    """Of each inside film, shape (b, n): its cell's share outside over that inside.

    The shares are of the class, whose films weigh as much in all as they do unweighted.
    """
    e_bck = np.where(has_like_k, e_bk, 0.0).reshape(len(e_bk), cells.classes, cells.bins)
    i_bck = i_bk.reshape(len(i_bk), cells.classes, cells.bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        share_bck = e_bck / e_bck.sum(axis=2, keepdims=True)
        weight_bck = share_bck * i_bck.sum(axis=2, keepdims=True) / i_bck
    weight_bk = np.where(np.isfinite(weight_bck), weight_bck, 0.0).reshape(i_bk.shape)
    return np.asarray(weight_bk[:, cells.internal_n])


def _why_not(uncovered: float, worth: float, smaller: int) -> str | None:
    if smaller == 0:
        return "needs inside films with and without the finding"
    if uncovered > UNCOVERED:
        return f"no overlap: {100 * uncovered:.0f} % of the outside films have no like inside"
    if worth < WORTH:
        return f"hardly any overlap: the weighted films are worth {worth:.0f}"
    return None


def _chunks(resampling: Resampling) -> Iterator[NDArray[np.int32]]:
    for chunk in range(len(resampling.seeds)):
        yield resampling.counts(chunk, resampling.units.unit_n)
