"""Local: what a site gains that labels k of its own patients, and how many labels it needs.

Recalibration and a local operating point are fitted on the k and judged on all others, again and
again; among recalibrations is chosen inside the k alone. What they are is `calibration`'s work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from hilum.calibration.operating_points import choose
from hilum.calibration.recalibration import KINDS, recalibrate
from hilum.errors import EvaluationError
from hilum.estimates import Estimate
from hilum.evaluation.discrimination import share
from hilum.evaluation.intervals import Resampling, percentile
from hilum.evaluation.reliability import (
    EPS,
    bins_for,
    debiased_calibration_error,
    equal_mass_bins,
    log_losses,
)
from hilum.recipe import PointRule
from hilum.units import Units

Floats = NDArray[np.float64]

SIZES = (20, 35, 50, 75, 100, 150, 200, 350, 500, 1000, 2000, 5000)  # patients labelled
DRAWS = 100
RESAMPLES = 1000
FIGURES = ("log_loss", "sensitivity", "specificity", "balanced_accuracy")
ALL_FIGURES = (*FIGURES, "ece")
TOO_FEW_DRAWN = (
    "Draws whose films hold no point of the deployed rule, so that the deployed point stays"
)
FEWEST = 2 * SIZES[0]  # patients, below which nobody would be left to judge on


@dataclass(frozen=True)
class Step:
    """What k labelled patients bring, judged on the films of all others.

    draws: how often k were drawn
    figures: of ALL_FIGURES, over draws and held-out films, with the interval by patient
    change: of FIGURES, less what is had as deployed on the very same films
    spread: of ALL_FIGURES, the 2.5th and 97.5th percentile over draws: what one site may meet
    chosen: recalibration -> in how many draws the k chose it
    kept: draws whose k hold no local point, so that the deployed one stays
    log_loss: recalibration -> mean log loss were it always taken
    """

    k: int
    draws: int
    figures: Mapping[str, Estimate]
    change: Mapping[str, Estimate]
    spread: Mapping[str, tuple[float, float]]
    chosen: Mapping[str, int]
    kept: int
    log_loss: Mapping[str, float]


@dataclass(frozen=True)
class Local:
    """A learning curve over labelled local patients.

    n, units, kind: labelled films, and of how many patients (or images where none is known)
    rule: of the operating point, in words
    as_deployed: of ALL_FIGURES, mean over the held-out films of the last step
    reason: why there are no steps, None where there are
    """

    n: int
    units: int
    kind: str
    rule: str
    as_deployed: Mapping[str, float]
    steps: tuple[Step, ...]
    reason: str | None = None


def learn_locally(
    prob_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    *,
    threshold: float,
    rule: PointRule,
    units: Units,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Local:
    """The curve over SIZES, up to half the patients, whose films the other half judges.

    prob_n: deployed probability in [0, 1], shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    threshold, rule: the deployed point, and how it was chosen, as the local one is
    units: patients, of the same images; whole ones are drawn, and are the unit of the intervals
    Source: Varma & Simon 2006 (the choice belongs inside); the interval is that of each patient's
    mean over the draws that held it out (Efron & Tibshirani 1997, leave-one-out bootstrap).
    """
    known_n = ~np.isnan(np.asarray(y_n, dtype=np.float64))
    films = _Films.of(prob_n, y_n, known_n, threshold, units)
    words = rule.rule.replace("_", " ")
    why = films.why_not()
    if why is not None:
        return Local(films.n, films.units.count, films.units.kind, words, {}, (), why)
    steps = tuple(_step(films, k, rule, rng, draws) for k in sizes(films.units.count))
    deployed = films.judged_as_deployed()
    return Local(films.n, films.units.count, films.units.kind, words, deployed, steps)


def sizes(count: int) -> tuple[int, ...]:
    """How many of `count` patients are labelled: SIZES up to a half, and the half itself."""
    most = count // 2
    below = tuple(k for k in SIZES if k <= 0.85 * most)
    return (*below, most)


@dataclass(frozen=True)
class _Films:
    """Films with a label, as deployed. old: of FIGURES' parts, what is had without any change."""

    prob_n: Floats
    logit_n: Floats
    y_n: Floats
    threshold: float
    units: Units

    @classmethod
    def of(
        cls,
        prob_n: NDArray[np.floating],
        y_n: NDArray[np.floating],
        known_n: NDArray[np.bool_],
        threshold: float,
        units: Units,
    ) -> _Films:
        prob = np.clip(np.asarray(prob_n, dtype=np.float64)[known_n], EPS, 1 - EPS)
        y = np.asarray(y_n, dtype=np.float64)[known_n]
        return cls(prob, logit(prob), y, threshold, units.where(known_n))

    @property
    def n(self) -> int:
        return len(self.y_n)

    def why_not(self) -> str | None:
        of, word = self.units.count, f"{self.units.kind}s"
        if of < FEWEST:
            return f"{of} labelled {word} are too few to learn from some and to judge on others"
        for y, which in ((1, "with"), (0, "without")):
            having = len(np.unique(self.units.unit_n[self.y_n == y]))
            if having < 4:
                return f"{having} {word} {which} the finding are too few to share among both"
        return None

    def judged_as_deployed(self) -> dict[str, float]:
        hit_n = (self.prob_n >= self.threshold) == (self.y_n == 1)
        loss_n = log_losses(self.prob_n, self.y_n)
        return _means(loss_n, hit_n, self.prob_n, self.y_n)


@dataclass(frozen=True)
class _Held:
    """What each draw made of each film that it held out, 0 where it did not; shape (r, n)."""

    held_rn: Floats
    loss_rn: Floats
    hit_rn: Floats


def _step(films: _Films, k: int, rule: PointRule, rng: np.random.Generator, draws: int) -> Step:
    held = _Held(*(np.zeros((draws, films.n)) for _ in range(3)))
    chosen: Counter[str] = Counter()
    kept, judged = 0, []
    fixed: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for r in range(draws):
        labelled_u = np.zeros(films.units.count, dtype=bool)
        labelled_u[rng.permutation(films.units.count)[:k]] = True
        in_n = labelled_u[films.units.unit_n]
        out_n = ~in_n
        made = recalibrate(
            films.logit_n[in_n], films.y_n[in_n], units=films.units.where(in_n), rng=rng
        )
        chosen[made.kind] += 1
        point = _point(films, in_n, rule)
        kept += point is None
        threshold = films.threshold if point is None else point
        prob_m, y_m = made.change.prob(films.logit_n[out_n]), films.y_n[out_n]
        loss_m = log_losses(prob_m, y_m)
        hit_m = (films.prob_n[out_n] >= threshold) == (y_m == 1)
        held.held_rn[r, out_n], held.loss_rn[r, out_n], held.hit_rn[r, out_n] = 1, loss_m, hit_m
        judged.append(_means(loss_m, hit_m, prob_m, y_m))
        for kind, loss in _fixed(films, in_n, out_n).items():
            fixed[kind].append(loss)
    figures, change = _estimates(films, held, rng)
    ece = float(np.mean([each["ece"] for each in judged]))
    why = "it is no mean over films; see its spread over draws"
    figures["ece"] = Estimate(ece, None, None, films.n, "none", why)
    return Step(
        k,
        draws,
        figures,
        change,
        {name: _percentiles([each[name] for each in judged]) for name in ALL_FIGURES},
        dict(chosen),
        kept,
        {kind: float(np.mean(losses)) for kind, losses in fixed.items() if losses},
    )


def _point(films: _Films, in_n: NDArray[np.bool_], rule: PointRule) -> float | None:
    """The local threshold on the deployed probability, which recalibration leaves in order."""
    try:
        found = choose(
            films.prob_n[in_n], films.y_n[in_n], rule, name="local", units=films.units.where(in_n)
        )
    except EvaluationError:
        return None
    return found.threshold


def _fixed(films: _Films, in_n: NDArray[np.bool_], out_n: NDArray[np.bool_]) -> dict[str, float]:
    """Mean log loss on the others were one recalibration always taken; {} without both classes."""
    y_m = films.y_n[in_n]
    if y_m.min() == y_m.max():
        return {}
    return {
        kind: float(
            log_losses(
                fit(films.logit_n[in_n], y_m).prob(films.logit_n[out_n]), films.y_n[out_n]
            ).mean()
        )
        for kind, fit in KINDS.items()
    }


def _means(
    loss_n: Floats, hit_n: NDArray[np.bool_], prob_n: Floats, y_n: Floats
) -> dict[str, float]:
    """ALL_FIGURES of one set of films; NaN of a class that is not there."""
    with_n = y_n == 1
    sensitivity = float(hit_n[with_n].mean()) if with_n.any() else float("nan")
    specificity = float(hit_n[~with_n].mean()) if not with_n.all() else float("nan")
    bin_n = equal_mass_bins(prob_n, bins_for(len(prob_n)))
    return {
        "log_loss": float(loss_n.mean()),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "ece": debiased_calibration_error(prob_n, y_n, bin_n),
    }


def _percentiles(value_r: list[float]) -> tuple[float, float]:
    low, high = np.nanquantile(value_r, (0.025, 0.975))
    return float(low), float(high)


def _estimates(
    films: _Films, held: _Held, rng: np.random.Generator
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """FIGURES, and what they are more than as deployed, from what was held out.

    Patients are drawn and, on their own, the draws: so few of these leave noise of their own.
    """
    with_n = films.y_n == 1
    old_loss_n = log_losses(films.prob_n, films.y_n)
    old_hit_n = ((films.prob_n >= films.threshold) == with_n).astype(np.float64)
    # What adds up: of all films, then right calls and films of each class, new and as deployed.
    parts = [held.loss_rn, held.held_rn * old_loss_n, held.held_rn]
    for of_n in (with_n, ~with_n):
        parts += [held.hit_rn * of_n, held.held_rn * (old_hit_n * of_n), held.held_rn * of_n]

    def sums(count_bn: NDArray[np.integer]) -> dict[str, Floats]:
        count = count_bn.astype(np.float64)
        return {"sums": np.stack([count @ part_rn.T for part_rn in parts], axis=1)}

    whole = _figures(sums(np.ones((1, films.n), dtype=np.int32))["sums"].sum(axis=2))
    sum_bpr = Resampling.of(films.units, rng, RESAMPLES).over(films.units.unit_n, sums)["sums"]
    draws = len(held.held_rn)
    count_br = rng.multinomial(draws, np.full(draws, 1 / draws), size=len(sum_bpr))
    drawn = _figures(np.einsum("bpr,br->bp", sum_bpr, count_br.astype(np.float64)))
    found = [
        {
            name: percentile(float(whole[kind][name][0]), each, films.n, films.units)
            for name, each in drawn[kind].items()
        }
        for kind in ("figures", "change")
    ]
    return found[0], found[1]


def _figures(sum_bp: Floats) -> dict[str, dict[str, Floats]]:
    """FIGURES of sums as `_estimates` has them, and their change, shape (b,) each."""
    sides = []
    for of in (0, 1):  # new, as deployed
        loss = share(sum_bp[:, of], sum_bp[:, 2])
        sensitivity, specificity = (share(sum_bp[:, 3 + of + k], sum_bp[:, 5 + k]) for k in (0, 3))
        balanced = (sensitivity + specificity) / 2
        sides.append(dict(zip(FIGURES, (loss, sensitivity, specificity, balanced), strict=True)))
    new, old = sides
    return {"figures": new, "change": {name: new[name] - old[name] for name in FIGURES}}
