"""Novelty: does a bundle know what it should not answer, and does it leave good films alone?

Gate and measures are the bundle's own, fitted when it was made; here nothing is fitted or chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.abstention import Policy, Refused
from hilum.abstention.novelty import MEASURES
from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.faults import FaultyPixels
from hilum.data.pixels import RememberedPixels
from hilum.data.reading import Quarantine
from hilum.engines import carried_engine
from hilum.errors import BundleError, DataError
from hilum.estimates import Estimate
from hilum.evaluation.intervals import Resampling, delong, percentile
from hilum.predict import Answer, engine_logits
from hilum.robustness.corruptions import CORRUPTIONS
from hilum.robustness.outliers import OUTLIERS, OutlierPixels
from hilum.units import Units, proportion, units_of

SEVERITY = 5  # of the corruptions: as bad as is still read
RECALL = 0.95  # of the films: where the false-positive rate is taken
RESAMPLES = 1000
REMEMBERED = 1 << 30  # bytes of decoded films, which every kind starts from
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Told:
    """How well one measure tells a kind of outlier from the films.

    auroc: of outlier against film; fpr: share of outliers that pass where 95 % of the films do
    """

    auroc: Estimate
    fpr: Estimate


@dataclass(frozen=True)
class Kind:
    """One kind of outlier.

    group: "no frontal chest", "corrupted" or "given"; n: images; unreadable: others, left out
    refused: share that gate or novelty refuses; gate: share that the gate does
    measures: name of a measure ("gate" and those of novelty) -> how well it tells them
    """

    name: str
    group: str
    n: int
    unreadable: int
    refused: Estimate
    gate: Estimate
    measures: Mapping[str, Told]


@dataclass(frozen=True)
class NoveltyCheck:
    """A bundle's gate and novelty on films that it should answer, and on what it should not.

    n: films; false_refusals: of them, by gate, by novelty and by either
    """

    n: int
    grouping: str
    false_refusals: Mapping[str, Estimate]
    kinds: tuple[Kind, ...]


def check_novelty(
    bundle: Bundle,
    films: Cohort,
    given: Mapping[str, Cohort],
    *,
    quarantine: Quarantine | None = None,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> NoveltyCheck:
    """Ask gate and novelty about films, about outliers made from them, and about others.

    given: name -> images of the user's own that should be told from the films; those that cannot
        be read are left out
    quarantine: takes the films that cannot be read, as for `predict`
    seed: of the outliers, which are the same at every call
    progress: called with the kinds done and the kinds in all
    Raises BundleError where the bundle has no policy, DataError where no film of a kind can be
    read, and what `engine_logits` raises.
    """
    policy = bundle.policy()
    if policy is None:
        raise BundleError(
            bundle.folder,
            "it has no gate and no measure of novelty",
            expected="a bundle of schema 4 or later",
            remedy="train it again with this version",
        )
    pixels = RememberedPixels(films.pixels, REMEMBERED)
    quarantine = quarantine or Quarantine(len(films))
    plain = _asked(bundle, policy, replace(films, pixels=pixels), quarantine)
    films = films.where(quarantine.readable_n)
    units = units_of(films.patient_id_n)
    made = [
        *(
            (name, "no frontal chest", replace(films, pixels=OutlierPixels(pixels, name, seed)))
            for name in OUTLIERS
        ),
        *(
            (name, "corrupted", replace(films, pixels=FaultyPixels(pixels, fault, SEVERITY, seed)))
            for name, fault in CORRUPTIONS.items()
        ),
        *((name, "given", cohort) for name, cohort in given.items()),
    ]
    kinds = []
    for done, (name, group, cohort) in enumerate(made):
        unread = Quarantine(len(cohort), 1.0)
        found = _asked(bundle, policy, cohort, unread)
        read_n = unread.readable_n
        own = (units if group != "given" else units_of(cohort.patient_id_n)).where(read_n)
        # An outlier made of a patient's film is of the same patient; a given one is of another.
        linked_n = units.unit_n[read_n] if group != "given" else own.unit_n + units.count
        kinds.append(
            Kind(
                name,
                group,
                len(found.reason_n),
                len(unread.broken),
                proportion(found.reason_n != "", own),
                proportion(found.reason_n == "gate", own),
                _measures(plain, found, units, linked_n, np.random.default_rng(seed)),
            )
        )
        progress(done + 1, len(made))
    reasons = {
        "gate": plain.reason_n == "gate",
        "novelty": plain.reason_n == "novelty",
        "either": plain.reason_n != "",
    }
    return NoveltyCheck(
        len(films),
        units.kind,
        {name: proportion(hit_n, units) for name, hit_n in reasons.items()},
        tuple(kinds),
    )


def _asked(bundle: Bundle, policy: Policy, cohort: Cohort, quarantine: Quarantine) -> Refused:
    """What gate and novelty say of every film that can be read."""
    said: list[Refused] = []

    def look(answer: Answer) -> None:
        image_nhw = answer.image_nchw[:, 0]
        said.append(policy.look(image_nhw, answer.feature_nd, answer.logit_nf, MEASURES))

    steps = bundle.manifest.preprocessing
    engine_logits(carried_engine(bundle), steps, cohort, quarantine=quarantine, look=look)
    if not said:
        first = next(iter(quarantine.broken.values()), "it holds none")
        raise DataError(cohort.name, f"no film can be read; {first}")
    return Refused.joined(said)


def _measures(
    plain: Refused,
    found: Refused,
    units: Units,
    linked_n: NDArray[np.intp],
    rng: np.random.Generator,
) -> dict[str, Told]:
    """linked_n: the unit of each outlier, in the numbering of the films' `units`"""
    scores = {"gate": (-plain.gate_n, -found.gate_n)} if not np.isnan(plain.gate_n).any() else {}
    scores |= {each: (plain.novelty[each], found.novelty[each]) for each in plain.novelty}
    unit_n = np.concatenate([units.unit_n, linked_n])
    both = Units(units.kind, unit_n, int(unit_n.max()) + 1)
    return {each: _told(*score, both, rng) for each, score in scores.items()}


def _told(
    film_n: NDArray[np.float64],
    outlier_n: NDArray[np.float64],
    units: Units,
    rng: np.random.Generator,
) -> Told:
    """film_n, outlier_n: scores that grow with strangeness; units: of the films, then the others"""
    score_n = np.concatenate([film_n, outlier_n])
    y_n = np.repeat([0.0, 1.0], [len(film_n), len(outlier_n)])
    order_n = np.argsort(score_n, kind="stable")
    ordered_n, y_ordered_n = score_n[order_n], y_n[order_n]
    ends_n = np.append(ordered_n[1:] != ordered_n[:-1], True)  # ties pass together

    def passing(count_bn: NDArray[np.int32]) -> dict[str, NDArray[np.float64]]:
        count_bn = count_bn[:, order_n]
        film_bn = np.cumsum(count_bn * (y_ordered_n == 0), axis=1)
        other_bn = np.cumsum(count_bn * (y_ordered_n == 1), axis=1)
        enough_bn = (film_bn >= RECALL * film_bn[:, -1:]) & ends_n
        at_b = np.argmax(enough_bn, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            fpr_b = other_bn[np.arange(len(at_b)), at_b] / other_bn[:, -1]
        return {"fpr": fpr_b}

    whole = float(passing(np.ones((1, len(y_n)), dtype=np.int32))["fpr"][0])
    drawn_b = Resampling.of(units, rng, RESAMPLES).over(units.unit_n, passing)["fpr"]
    return Told(delong(score_n, y_n, units), percentile(whole, drawn_b, len(outlier_n), units))
