"""How far an engine's answers lie from the reference's on calibrate films, and how far they may.

Making the engine is the business of the modules beside this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.reading import Quarantine, consecutive, read_batches
from hilum.engines import Engine
from hilum.engines.exported import Agreement, Ranking
from hilum.errors import BundleError
from hilum.evaluation.discrimination import auroc
from hilum.predict import BATCH_SIZE, Answers, Predictor

# fp32 kernels add in another order, no more; beyond this it is another network.
PROBABILITY_LIMIT = 1e-4
AUROC_LIMITS: Mapping[str, float] = {"bf16": 0.001, "int8": 0.005}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Films:
    """Calibrate films as the network takes them, with what the reference says of them.

    source, role: where they are from; label_nf: 1, 0 or NaN, in the bundle's order of findings
    image_nchw: float32 [n, 1, h, w]; reference: name of what gave `answers`
    """

    source: str
    role: str
    label_nf: NDArray[np.float64] = field(repr=False)
    image_nchw: NDArray[np.float32] = field(repr=False)
    reference: str
    answers: Answers = field(repr=False)

    def batches(self) -> list[NDArray[np.float32]]:
        """The films in batches, as `predict` makes them."""
        return [self.image_nchw[rows] for rows in consecutive(len(self.image_nchw), BATCH_SIZE)]


def read_films(
    bundle: Bundle,
    cohort: Cohort,
    role: str,
    reference: Engine,
    *,
    quarantine: Quarantine,
    progress: Progress = lambda done, total: None,
) -> Films:
    """Read the films of a role once, and ask the reference about them.

    They are held in memory: of 224 pixels 200 KB each. Raises RadiographError, or DataError, as
    the quarantine does, BundleError where no film can be read.
    """
    predictor = Predictor(bundle, reference)
    images, answers = [], []
    batches = consecutive(len(cohort), BATCH_SIZE)
    read = read_batches(cohort, bundle.manifest.preprocessing, batches, quarantine=quarantine)
    for done, batch in enumerate(read, 1):
        if len(batch.positions):
            images.append(np.array(batch.image_nchw))
            answers.append(predictor.run(batch.image_nchw)[1])
        progress(min(done * BATCH_SIZE, len(cohort)), len(cohort))
    if not images:
        raise BundleError(cohort.name, "no film to hold an engine against")
    there = cohort.where(quarantine.readable_n)
    label_nf = np.full((len(there), len(bundle.findings)), np.nan)
    for f, finding in enumerate(bundle.findings):
        if finding in there.findings:
            label_nf[:, f] = there.label_nf[:, there.findings.index(finding)]
    return Films(
        there.name, role, label_nf, np.concatenate(images), reference.name, _joined(answers)
    )


def agreement(bundle: Bundle, engine: Engine, films: Films) -> Agreement:
    """Hold an engine against the reference, film by film and by the whole path to a decision."""
    predictor = Predictor(bundle, engine)
    found = _joined([predictor.run(batch)[1] for batch in films.batches()])
    known = films.answers
    moved_nf = np.abs(expit(found.logit_nf) - expit(known.logit_nf))
    return Agreement(
        reference=films.reference,
        source=films.source,
        role=films.role,
        n=len(moved_nf),
        # What is no number agrees with nothing.
        largest_probability_difference=float(np.nan_to_num(moved_nf, nan=1.0).max()),
        mean_probability_difference=float(np.nan_to_num(moved_nf, nan=1.0).mean()),
        auroc={
            finding: Ranking(
                reference=_auroc(known.logit_nf[:, f], films.label_nf[:, f]),
                engine=_auroc(found.logit_nf[:, f], films.label_nf[:, f]),
            )
            for f, finding in enumerate(bundle.findings)
        },
        decisions_changed={
            finding: int((found.decision_nf[:, f] != known.decision_nf[:, f]).sum())
            for f, finding in enumerate(bundle.findings)
        },
        referrals_changed={
            finding: int((found.refer_nf[:, f] != known.refer_nf[:, f]).sum())
            for f, finding in enumerate(bundle.findings)
        },
    )


def refuse_disagreement(name: str, precision: str, found: Agreement) -> None:
    """Raise BundleError where an engine of this precision lies too far from the reference."""
    if precision == "f32":
        largest = found.largest_probability_difference
        if not largest <= PROBABILITY_LIMIT:
            raise _too_far(
                name,
                f"a probability differs from {found.reference}'s by {largest:.2g}",
                f"at most {PROBABILITY_LIMIT:g}",
                found,
            )
        return
    limit = AUROC_LIMITS[precision]
    known = {f: each.difference for f, each in found.auroc.items() if each.difference is not None}
    if not known:
        raise _too_far(name, "AUROC cannot be told without both classes", "films of both", found)
    finding, worst = max(known.items(), key=lambda item: item[1])
    if not worst <= limit:
        raise _too_far(
            name,
            f"the AUROC of {finding} differs from {found.reference}'s by {worst:.4f}",
            f"at most {limit:g}",
            found,
        )


def _too_far(name: str, what: str, expected: str, found: Agreement) -> BundleError:
    return BundleError(
        name,
        f"not exported: {what}, on {found.n:,} {found.role} films",
        expected=expected,
        remedy="the bundle is as it was",
    )


def _auroc(logit_n: NDArray[np.float64], label_n: NDArray[np.float64]) -> float | None:
    known_n = ~np.isnan(label_n)
    if len(set(label_n[known_n])) < 2:
        return None
    # What is no number ranks below all else, which its figure then shows.
    return auroc(np.nan_to_num(logit_n[known_n], nan=-np.inf), label_n[known_n])


def _joined(answers: Sequence[Answers]) -> Answers:
    return Answers(
        np.concatenate([each.logit_nf for each in answers]),
        np.concatenate([each.prob_nf for each in answers]),
        np.concatenate([each.decision_nf for each in answers]),
        np.concatenate([each.refer_nf for each in answers]),
    )
