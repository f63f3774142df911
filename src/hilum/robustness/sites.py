"""Sites: a classifier of each place judged on the films of every place, as a matrix of AUROC.

Which films those are, and how classifiers are trained, is the caller's; files are
`sites_report`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation import discrimination as disc
from hilum.evaluation.discrimination import Ranking
from hilum.evaluation.intervals import Resampling, delong, percentile
from hilum.evaluation.predictions import Predictions
from hilum.units import Units, units_of

Floats = NDArray[np.float64]
RESAMPLES = 1000
OWN = "this is its own place"


@dataclass(frozen=True)
class Cell:
    """The classifier of one place on the films of one place.

    n, present: films with a label, and with the finding
    drop: AUROC here less that at home, on other films: patients of both are drawn apart
    behind: AUROC less that of the classifier whose home this is, on the films that both were
        judged on, which are drawn for both alike
    """

    train: str
    test: str
    n: int
    present: int
    auroc: Estimate
    drop: Estimate
    behind: Estimate


@dataclass(frozen=True)
class Matrix:
    """One finding: every classifier on every place.

    train, test: the places, as rows and columns; cells: of all pairs, row by row
    at_home, away: mean AUROC over cells on and off the diagonal, each cell counting once
    difference: away less at home
    grouping: what was drawn for the intervals
    """

    finding: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    cells: tuple[Cell, ...]
    at_home: Estimate
    away: Estimate
    difference: Estimate
    grouping: str

    def cell(self, train: str, test: str) -> Cell:
        return next(each for each in self.cells if (each.train, each.test) == (train, test))


@dataclass(frozen=True)
class _Films:
    """One classifier's answers to labelled films of one place; where: their rows of the place."""

    where_n: NDArray[np.intp]
    ranking: Ranking
    score_n: Floats
    y_n: Floats

    @classmethod
    def of(cls, answers: Predictions, finding: str, row_of: Mapping[str, int]) -> _Films:
        known_n = ~np.isnan(answers.label(finding))
        where_n = np.array([row_of[image_id] for image_id in answers.image_id_n], dtype=np.intp)
        y_n = answers.label(finding)[known_n]
        ranking = Ranking.of(answers.prob(finding)[known_n], y_n, answers.logit(finding)[known_n])
        score_n = np.empty(len(y_n))
        score_n[ranking.order_n] = ranking.rank_n
        return cls(where_n[known_n], ranking, score_n, y_n)

    def among(self, rows: NDArray[np.intp]) -> _Films:
        keep_n = np.isin(self.where_n, rows)
        score_n, y_n = self.score_n[keep_n], self.y_n[keep_n]
        return _Films(self.where_n[keep_n], Ranking.of(score_n, y_n), score_n, y_n)

    @property
    def auroc(self) -> float:
        return disc.auroc(self.score_n, self.y_n)

    def aurocs(self, count_bm: NDArray[np.int32]) -> Floats:
        """When each film of the place counts so often, shape (b,)."""
        if not len(self.y_n):
            return np.full(len(count_bm), np.nan)
        count_bn = count_bm[:, self.where_n[self.ranking.order_n]]
        return disc.aurocs(self.ranking, count_bn, *self.ranking.running(count_bn))


def matrix(
    answers: Mapping[tuple[str, str], Predictions],
    finding: str,
    *,
    why_not: Mapping[tuple[str, str], str] | None = None,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Matrix:
    """Every classifier on every place, with intervals by patient.

    answers: (place of training, place of test) -> predictions; image ids of one place name the same
        film whoever is judged on it. On the diagonal stand films that training set aside
    why_not: pairs without predictions, and why
    One draw of a place's patients goes through every classifier that is judged there; places are
    drawn apart, as if they had no patient in common. Training is not drawn again.
    """
    why_not = why_not or {}
    pairs = [*answers, *why_not]
    train, test = ([*dict.fromkeys(pair[k] for pair in pairs)] for k in (0, 1))
    test = [*(name for name in train if name in test), *(t for t in test if t not in train)]
    films: dict[tuple[str, str], _Films] = {}
    drawn: dict[tuple[str, str], Floats] = {}
    behind: dict[tuple[str, str], tuple[float, Floats, int]] = {}
    units_of_place: dict[str, Units] = {}
    for place in test:
        judged = {t: answers[t, place] for t in train if (t, place) in answers}
        row_of, units = _place(list(judged.values()))
        units_of_place[place] = units
        here = {t: _Films.of(each, finding, row_of) for t, each in judged.items()}
        shared = {
            t: (here[t].among(here[place].where_n), here[place].among(here[t].where_n))
            for t in here
            if place in here and t != place
        }
        sides = {
            **{(t, "auroc"): each for t, each in here.items()},
            **{(t, "visitor"): pair[0] for t, pair in shared.items()},
            **{(t, "home"): pair[1] for t, pair in shared.items()},
        }
        found = _resampled(sides, units, rng, resamples)
        for t, each in here.items():
            films[t, place], drawn[t, place] = each, found[t, "auroc"]
        for t, (visitor, home) in shared.items():
            behind[t, place] = (
                visitor.auroc - home.auroc,
                found[t, "visitor"] - found[t, "home"],
                len(visitor.y_n),
            )
    cells = tuple(
        _cell((t, place), films, drawn, behind, units_of_place[place], why_not)
        for t in train
        for place in test
    )
    return Matrix(
        finding,
        tuple(train),
        tuple(test),
        cells,
        *_means(cells, drawn, units_of_place),
        "patient" if any(u.kind == "patient" for u in units_of_place.values()) else "image",
    )


def _place(judged: Sequence[Predictions]) -> tuple[dict[str, int], Units]:
    """A row for each film that anybody was judged on, and whose it is."""
    patient_of = {
        image_id: patient
        for each in judged
        for image_id, patient in zip(each.image_id_n, each.patient_id_n, strict=True)
    }
    row_of = {image_id: row for row, image_id in enumerate(patient_of)}
    return row_of, units_of(np.array([*patient_of.values()], dtype=object))


def _resampled(
    sides: Mapping[tuple[str, str], _Films],
    units: Units,
    rng: np.random.Generator,
    resamples: int,
) -> dict[tuple[str, str], Floats]:
    if not units.count:
        return {key: np.full(resamples, np.nan) for key in sides}
    named = {"\t".join(key): each for key, each in sides.items()}
    drawn = Resampling.of(units, rng, resamples).over(
        units.unit_n,
        lambda count_bm: {name: each.aurocs(count_bm) for name, each in named.items()},
    )
    return {key: drawn["\t".join(key)] for key in sides}


def _cell(
    pair: tuple[str, str],
    films: Mapping[tuple[str, str], _Films],
    drawn: Mapping[tuple[str, str], Floats],
    behind: Mapping[tuple[str, str], tuple[float, Floats, int]],
    units: Units,
    why_not: Mapping[tuple[str, str], str],
) -> Cell:
    train, test = pair
    if pair not in films:
        missing = Estimate.missing(why_not.get(pair, "not judged"), 0)
        return Cell(train, test, 0, 0, missing, missing, missing)
    here, home = films[pair], (train, train)
    n = len(here.y_n)
    auroc = delong(here.score_n, here.y_n, units.where(here.where_n))
    drop = lag = Estimate.missing(OWN, n)
    if train != test:
        at_home = films[home].auroc if home in films else np.nan
        drop = _given(here.auroc - at_home, drawn[pair] - drawn.get(home, np.nan), n, units)
        lag = Estimate.missing("no classifier has its home here", n)
        if pair in behind:
            value, value_b, shared = behind[pair]
            lag = _given(value, value_b, shared, units)
    return Cell(train, test, n, int(here.y_n.sum()), auroc, drop, lag)


def _means(
    cells: Sequence[Cell],
    drawn: Mapping[tuple[str, str], Floats],
    units_of_place: Mapping[str, Units],
) -> tuple[Estimate, Estimate, Estimate]:
    """At home, away, and away less at home."""
    given = [each for each in cells if each.auroc.value is not None]
    sides = [[c for c in given if (c.train == c.test) is home] for home in (True, False)]
    # Any place's units will do: they say what was drawn, and that there were several.
    units = max(units_of_place.values(), key=lambda units: units.count)
    values, values_b, counts = [], [], []
    for side in sides:
        values.append(float(np.mean([c.auroc.value for c in side])) if side else np.nan)
        stack_bc = [drawn[c.train, c.test] for c in side]
        values_b.append(np.mean(stack_bc, axis=0) if side else np.array([np.nan]))
        counts.append(sum(c.n for c in side))
    home, away = (_given(values[k], values_b[k], counts[k], units) for k in (0, 1))
    gap = _given(values[1] - values[0], values_b[1] - values_b[0], sum(counts), units)
    return home, away, gap


def _given(value: float, value_b: Floats, n: int, units: Units) -> Estimate:
    if np.isnan(value):
        return Estimate.missing("an AUROC that it needs is not given", n)
    return percentile(value, value_b, n, units)
