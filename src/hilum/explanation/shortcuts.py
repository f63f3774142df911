"""Shortcuts: does the answer come from the patient's lungs, or from what lies around them?

Each probe alters the films, or takes them away altogether, and asks the same frozen classifier
again. Every rule was fixed before it met data; a probe that finds something says what to look at,
and not what is the cause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.grey import Grey, as_float
from hilum.data.pixels import Pixels
from hilum.data.preprocessing import Step, shown
from hilum.data.resampling import resample
from hilum.engines import carried_engine
from hilum.estimates import Estimate
from hilum.evaluation.comparison.paired_tests import paired_delong
from hilum.evaluation.intervals import delong
from hilum.explanation.evidence import Evidence
from hilum.predict import Answer, engine_logits
from hilum.units import Units

Film = NDArray[np.float32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Part = Callable[[Film, tuple[Step, ...]], Bools]

BORDER = 0.1  # of each side of what the network sees: markers, collimation, arms
CORNER = 0.2
CHEST = (0.15, 0.15)  # from top and bottom, from either side: what lies within stands for the chest
TELLS = 0.6  # an AUROC above which what is left of the film tells the answer
LEANS = 0.03  # a fall of the AUROC beyond which the classifier leans on what was taken
FOLDS = 5
FEWEST, SITES = 20, 8  # films of a site and of all others; sites that are asked for
RIDGE = 1.0  # of standardised facts or features, per film


@dataclass(frozen=True)
class Probe:
    """What one probe found.

    question: what was done; figure: in words, what `estimate` is
    rule: when it counts as found; found: None where the interval does not decide or nothing could
        be measured, which `estimate` then says
    """

    question: str
    figure: str
    estimate: Estimate
    rule: str
    found: bool | None


@dataclass(frozen=True)
class Altered:
    """Pixels of which every film is altered when it is read.

    alter: index, film as floats -> film
    """

    pixels: Pixels
    alter: Callable[[int, Film], Film]

    def read(self, index: int) -> Grey:
        return self.alter(index, as_float(self.pixels.read(index)))


def probe(
    bundle: Bundle,
    cohort: Cohort,
    finding: str,
    evidence: Evidence,
    units: Units,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Probe]:
    """Every probe of one finding on films whose label is known.

    evidence: of these films, for their lungs; units: of these films
    Raises what `predict` raises.
    """
    engine, steps = carried_engine(bundle), bundle.manifest.preprocessing
    f = bundle.findings.index(finding)
    y_n = cohort.label_nf[:, cohort.findings.index(finding)]
    pooled: list[NDArray[np.float32]] = []
    asked = 0

    def ask(alter: Callable[[int, Film], Film] | None) -> Floats:
        nonlocal asked
        films = cohort if alter is None else replace(cohort, pixels=Altered(cohort.pixels, alter))
        logit_n = engine_logits(
            engine, steps, films, look=_pool_into(pooled) if alter is None else _nothing
        )[:, f]
        asked += 1
        progress(asked, 11)
        return logit_n

    logit_n = ask(None)
    rng = np.random.default_rng(seed)

    lungs = _Lungs(cohort, evidence)

    def leant(where: str, part: Part, blank: Callable[[Film], Film] | None) -> list[Probe]:
        swap = _Swapped(cohort, steps, part, lungs, y_n, rng)
        question = f"{where} from a film of the other class, not of its own"
        swapped = _leant(question, ask(swap.same), ask(swap.other), y_n, units)
        if blank is None:
            return [_where_lungs_are_known(swapped, lungs)]
        blanked = _leant(f"{where} blanked", logit_n, ask(lambda _, film: blank(film)), y_n, units)
        # A black border is a strange film, and may cost ranking by that alone.
        rule = f"{blanked.rule}, and so for {where} from the other class"
        both = None if None in (blanked.found, swapped.found) else blanked.found and swapped.found
        return [swapped, replace(blanked, rule=rule, found=both)]

    found = [
        _told("the border alone", ask(lambda _, film: border_alone(film, steps)), y_n, units),
        *leant("the border", border, lambda film: without_border(film, steps)),
        *leant("the marker corners", corners, lambda film: without_corners(film, steps)),
        *leant("the surroundings", surroundings, None),
        _without_lungs(steps, lungs, ask, y_n, units),
        _facts_alone(cohort, logit_n, y_n, units, rng),
    ]
    return [*found, *_site(cohort, np.concatenate(pooled), y_n, units, rng)]


def border(film_hw: Film, steps: tuple[Step, ...]) -> Bools:
    """Where the border of what the network sees is, bool like the film."""
    return _without(film_hw, _inner(film_hw, steps, BORDER, BORDER))


def surroundings(film_hw: Film, steps: tuple[Step, ...]) -> Bools:
    """Where all but the chest is."""
    return _without(film_hw, _inner(film_hw, steps, *CHEST))


def corners(film_hw: Film, steps: tuple[Step, ...]) -> Bools:
    """Where the four corners are: markers stand there."""
    rows, columns = _inner(film_hw, steps, CORNER, CORNER)
    marked_hw = np.zeros(film_hw.shape, dtype=np.bool_)
    for down in (slice(None, rows.start), slice(rows.stop, None)):
        for across in (slice(None, columns.start), slice(columns.stop, None)):
            marked_hw[down, across] = True
    return marked_hw


def _without(film_hw: Film, inner: tuple[slice, slice]) -> Bools:
    marked_hw = np.ones(film_hw.shape, dtype=np.bool_)
    marked_hw[inner] = False
    return marked_hw


def border_alone(film_hw: Film, steps: tuple[Step, ...]) -> Film:
    """The film with all but its border in the border's mean grey."""
    ring_hw = border(film_hw, steps)
    return np.where(ring_hw, film_hw, film_hw[ring_hw].mean()).astype(np.float32)


def without_border(film_hw: Film, steps: tuple[Step, ...]) -> Film:
    """The film with its border black, as if collimated."""
    return np.where(border(film_hw, steps), np.float32(0), film_hw)


def without_corners(film_hw: Film, steps: tuple[Step, ...]) -> Film:
    """The film with its four corners black."""
    return np.where(corners(film_hw, steps), np.float32(0), film_hw)


class _Lungs:
    """Where the lungs are on each film of a cohort, as far as that is known."""

    def __init__(self, cohort: Cohort, evidence: Evidence) -> None:
        self._evidence = evidence
        self._place = {index: n for n, index in enumerate(cohort.table.index.tolist())}
        self.known = evidence.of_all_lungs

    def on(self, index: int, shape: tuple[int, ...]) -> Bools | None:
        """Bool of this shape, for the film of this row of the table."""
        height, width = shape
        grid_hw = self._evidence.lungs_on_grid(self._place[index], height, width)
        if grid_hw is None:
            return None
        return resample(grid_hw.astype(np.float32), height, width, "bilinear") > 0.25


def _where_lungs_are_known(probe: Probe, lungs: _Lungs) -> Probe:
    """A rectangle is no lung: what is found beyond it, or without it, may be the rest of one."""
    if lungs.known:
        return probe
    return replace(probe, rule=f"{probe.rule}; undecided without masks of all lungs", found=None)


class _Swapped:
    """A part of each film from another one, of the same or the other class.

    What is known as lung on either film stays as it was.
    """

    def __init__(
        self,
        cohort: Cohort,
        steps: tuple[Step, ...],
        part: Part,
        lungs: _Lungs,
        y_n: Floats,
        rng: np.random.Generator,
    ) -> None:
        self._pixels, self._steps, self._part, self._lungs = cohort.pixels, steps, part, lungs
        index_n = cohort.table.index.to_numpy()
        self._partner: dict[bool, dict[int, int]] = {}
        for same in (True, False):
            pairs: dict[int, int] = {}
            for label in (0.0, 1.0):
                own, theirs = index_n[y_n == label], index_n[y_n == (label if same else 1 - label)]
                drawn = rng.choice(theirs, len(own))
                pairs |= dict(zip(own.tolist(), drawn.tolist(), strict=True))
            self._partner[same] = pairs

    def same(self, index: int, film_hw: Film) -> Film:
        return self._into(index, self._partner[True][index], film_hw)

    def other(self, index: int, film_hw: Film) -> Film:
        return self._into(index, self._partner[False][index], film_hw)

    def _into(self, index: int, partner: int, film_hw: Film) -> Film:
        other_hw = as_float(self._pixels.read(partner))
        if other_hw.shape != film_hw.shape:
            height, width = film_hw.shape
            other_hw = resample(other_hw, height, width, "bilinear")
        other_hw = np.clip(other_hw, 0, 1).astype(np.float32)
        taken_hw = self._part(film_hw, self._steps)
        for each in (index, partner):
            if (lungs_hw := self._lungs.on(each, film_hw.shape)) is not None:
                taken_hw &= ~lungs_hw
        return np.where(taken_hw, other_hw, film_hw)


def _without_lungs(
    steps: tuple[Step, ...],
    lungs: _Lungs,
    ask: Callable[[Callable[[int, Film], Film]], Floats],
    y_n: Floats,
    units: Units,
) -> Probe:
    """The AUROC that is left when the lungs are painted over with the mean of the rest."""

    def blank(index: int, film_hw: Film) -> Film:
        lungs_hw = lungs.on(index, film_hw.shape)
        if lungs_hw is None:
            lungs_hw = ~surroundings(film_hw, steps)
        left = film_hw.copy()
        left[lungs_hw] = film_hw[~lungs_hw].mean()
        return left

    by = "their masks" if lungs.known else "a rectangle, for want of masks"
    told = _told(f"the lungs painted over, by {by}", ask(blank), y_n, units)
    return _where_lungs_are_known(told, lungs)


def _facts_alone(
    cohort: Cohort, logit_n: Floats, y_n: Floats, units: Units, rng: np.random.Generator
) -> Probe:
    """What site, view, age, sex and the film's size tell, without a look at it."""
    table = cohort.table
    parts = [pd.to_numeric(table["age"], errors="coerce").to_numpy(dtype=np.float64)]
    parts += [part for name in ("site", "view", "sex") for part in _one_hot(table[name])]
    sizes = np.array([cohort.pixels.read(int(i)).shape for i in table.index], dtype=np.float64)
    parts += [np.log(sizes[:, 0]), np.log(sizes[:, 1] / sizes[:, 0])]
    fact_nk = np.stack([np.nan_to_num(part, nan=float(np.nanmean(part)))
                        for part in parts if np.isfinite(part).any()], axis=1)  # fmt: skip
    fact_nk = fact_nk[:, np.ptp(fact_nk, axis=0) > 1e-9]
    rule = f"AUROC above {TELLS:g}"
    if not fact_nk.shape[1]:
        nothing = Estimate.missing("nothing is known of the films that differs", len(y_n))
        return Probe("facts without the film", "AUROC of the facts", nothing, rule, None)
    score_n = ridge_scores(fact_nk, y_n, units, rng)
    beaten = paired_delong(score_n, logit_n, y_n, units).difference
    told = _told("facts without the film", score_n, y_n, units)
    return replace(told, figure=f"AUROC of the facts; the classifier's lies above by "
                   f"{beaten.in_words()}")  # fmt: skip


def _site(
    cohort: Cohort,
    pooled_nc: NDArray[np.float32],
    label_n: Floats,
    units: Units,
    rng: np.random.Generator,
) -> list[Probe]:
    """Whether the features tell each site from the rest. Found only where the site also tells the
    label: a network that could know the hospital is at fault when it gains by it.
    """
    site_n = cohort.table["site"]
    counts = site_n.value_counts()
    probes = []
    for site in counts[(counts >= FEWEST) & (counts <= len(site_n) - FEWEST)].index[:SITES]:
        here_n = (site_n == site).to_numpy(dtype=np.float64)
        score_n = ridge_scores(pooled_nc.astype(np.float64), here_n, units, rng)
        told = _told(f"site {site} from the features", score_n, here_n, units)
        of_label = [_beyond(delong(sign * here_n, label_n, units), TELLS) for sign in (1, -1)]
        rule = f"{told.rule}, and so for the label from the site"
        probes.append(replace(told, rule=rule, found=bool(told.found and any(of_label))))
    return probes


def ridge_scores(fact_nk: Floats, y_n: Floats, units: Units, rng: np.random.Generator) -> Floats:
    """Scores from a ridge regression on the other patients' films, in five folds, shape (n,)."""
    fold_n = (rng.permutation(units.count) % FOLDS)[units.unit_n]
    score_n = np.full(len(y_n), np.nan)
    for fold in range(FOLDS):
        train_n = fold_n != fold
        if not (~train_n).any() or not train_n.any():
            continue
        mean_k, sd_k = fact_nk[train_n].mean(axis=0), fact_nk[train_n].std(axis=0)
        standard_nk = (fact_nk - mean_k) / np.where(sd_k > 0, sd_k, 1.0)
        known_nk, centred_n = standard_nk[train_n], y_n[train_n] - y_n[train_n].mean()
        gram_kk = known_nk.T @ known_nk + RIDGE * len(known_nk) ** 0.5 * np.eye(fact_nk.shape[1])
        weight_k = np.linalg.solve(gram_kk, known_nk.T @ centred_n)
        score_n[~train_n] = standard_nk[~train_n] @ weight_k
    return score_n


def _told(question: str, score_n: Floats, y_n: Floats, units: Units) -> Probe:
    """Found when what is left tells the answer: the whole interval of its AUROC above TELLS."""
    estimate = delong(score_n, y_n, units)
    return Probe(
        question, "AUROC that is left", estimate, f"AUROC above {TELLS:g}", _beyond(estimate, TELLS)
    )


def _leant(question: str, before_n: Floats, after_n: Floats, y_n: Floats, units: Units) -> Probe:
    """Found when the AUROC falls: the whole interval of the fall beyond LEANS."""
    fall = paired_delong(after_n, before_n, y_n, units).difference
    if fall.value == 0.0 and fall.low is None:
        found: bool | None = False  # not one pair of films changes its order
    else:
        found = _beyond(fall, LEANS)
    return Probe(question, "fall of the AUROC", fall, f"a fall of more than {LEANS:g}", found)


def _beyond(estimate: Estimate, limit: float) -> bool | None:
    if estimate.low is None or estimate.high is None:
        return None
    return estimate.low > limit


def _inner(
    film_hw: Film, steps: tuple[Step, ...], from_edge: float, from_side: float
) -> tuple[slice, slice]:
    """What lies so far within what the network sees, in shares of its height and width."""
    height, width = film_hw.shape
    window = shown(height, width, steps)
    top = round(max(window.top, 0) + from_edge * min(window.height, height))
    left = round(max(window.left, 0) + from_side * min(window.width, width))
    return slice(top, max(height - top, top + 1)), slice(left, max(width - left, left + 1))


def _one_hot(values: pd.Series) -> list[Floats]:
    known = values.dropna().unique()
    return [(values == value).to_numpy(dtype=np.float64) for value in sorted(known)[:20]]


def _pool_into(pooled: list[NDArray[np.float32]]) -> Callable[[Answer], None]:
    return lambda answer: pooled.append(answer.feature_nchw.mean(axis=(2, 3)))


def _nothing(answer: Answer) -> None:
    """Look at nothing."""
