"""The only inference path: bundle and cohort → Predictions, by one of the bundle's engines.

What the figures mean is `evaluation`'s business; nothing here knows of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.abstention import Refused
from hilum.abstention.policy import refer
from hilum.bundle import Bundle
from hilum.calibration import Calibrator
from hilum.columns import SUBGROUPS
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Step
from hilum.data.reading import Quarantine, consecutive, read_batches
from hilum.engines import CARRIED, Engine, carried_engine
from hilum.errors import DataError
from hilum.evaluation.predictions import Predictions

__all__ = ["Answer", "Answers", "Predictor", "as_predictions", "engine_logits", "predict"]

BATCH_SIZE = 32

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answer:
    """What an engine made of one batch. Copy what is to outlive it: the memory is used again.

    positions: rows of the cohort; image_nchw: what the network was given
    logit_nf: raw logits; feature_nchw: the last feature map, which the head pools
    engine: its name
    """

    positions: NDArray[np.intp]
    image_nchw: NDArray[np.float32]
    logit_nf: NDArray[np.float32]
    feature_nchw: NDArray[np.float32]
    engine: str = CARRIED

    @property
    def feature_nd(self) -> NDArray[np.float32]:
        """The mean of the map's cells, which the head is linear in, shape (n, c)."""
        return np.asarray(self.feature_nchw.mean(axis=(2, 3)), dtype=np.float32)


@dataclass(frozen=True)
class Answers:
    """What a bundle says of films, findings in its own order.

    prob_nf: calibrated; decision_nf: True at or above the deployed threshold
    refer_nf: why the answer is withheld, of `abstention.REASONS`, or ""
    """

    logit_nf: NDArray[np.float64]
    prob_nf: NDArray[np.float64]
    decision_nf: NDArray[np.bool_]
    refer_nf: NDArray[np.str_]


class Predictor:
    """A bundle ready to answer batch after batch: engine, calibrators, thresholds and policy.

    For one caller at a time.
    """

    def __init__(self, bundle: Bundle, engine: Engine | None = None) -> None:
        """engine: None opens the one that the bundle carries, which is the one that is judged; what
        answers in use gives `open_engine`'s. Raises BundleError when it cannot be run.
        """
        self.bundle = bundle
        self.engine = engine or carried_engine(bundle)
        self.calibrators = {finding: bundle.calibrator(finding) for finding in bundle.findings}
        self.thresholds = {f: points["deployed"] for f, points in bundle.thresholds().items()}
        self.policy = bundle.policy()
        self._limits = {finding: bundle.conformal_limits(finding) for finding in bundle.findings}

    def run(self, image_nchw: NDArray[np.float32]) -> tuple[Answer, Answers]:
        """What the engine makes of a batch of network inputs, and what the bundle says of it."""
        answer = _answer(self.engine, np.arange(len(image_nchw)), image_nchw)
        logit_nf = answer.logit_nf.astype(np.float64)
        said = [calibrator.prob(logit_nf[:, f]) for f, calibrator in enumerate(self._in_order)]
        prob_nf = np.stack(said, axis=1)
        threshold_f = np.array([self.thresholds[finding] for finding in self.bundle.findings])
        refused = self.look(answer)
        refer_nf = np.full(prob_nf.shape, "", dtype="<U9")
        if refused is not None:
            referrals = self.referrals(refused, dict(zip(self.bundle.findings, said, strict=True)))
            refer_nf = np.stack([referrals[f] for f in self.bundle.findings], axis=1)
        return answer, Answers(logit_nf, prob_nf, prob_nf >= threshold_f, refer_nf)

    def look(self, answer: Answer) -> Refused | None:
        """What the policy says of a batch before any finding is looked at; None without one."""
        if self.policy is None:
            return None
        return self.policy.look(answer.image_nchw[:, 0], answer.feature_nd, answer.logit_nf)

    def referrals(
        self, refused: Refused, prob_n: Mapping[str, NDArray[np.float64]]
    ) -> dict[str, NDArray[np.str_]]:
        """By finding, why each film's answer is withheld; prob_n: by finding, calibrated."""
        return {
            finding: refer(
                refused.reason_n, prob_n[finding], self.thresholds[finding], self._limits[finding]
            )
            for finding in self.bundle.findings
        }

    @property
    def _in_order(self) -> list[Calibrator]:
        return [self.calibrators[finding] for finding in self.bundle.findings]


def _answer(engine: Engine, positions: NDArray[np.intp], image_nchw: NDArray[np.float32]) -> Answer:
    output = engine(image_nchw)
    return Answer(positions, image_nchw, output.logit_nf, output.feature_nchw, engine.name)


def predict(
    bundle: Bundle,
    cohort: Cohort,
    *,
    engine: Engine | None = None,
    quarantine: Quarantine | None = None,
    progress: Progress = lambda done, total: None,
    look: Callable[[Answer], None] = lambda answer: None,
) -> Predictions:
    """Run the bundle on every image of the cohort; synthetic where the films or the bundle are.

    With a policy of abstention the predictions say which films are referred, and why; they have a
    probability and a decision all the same.

    engine: None opens the one that the bundle carries
    quarantine: takes the films that cannot be read, whose rows the predictions then lack; without
        one the first of them ends the run
    progress: called with the images done and the images in all
    look: called with what the engine made of each batch; a film that cannot be read is in none
    Raises RadiographError when a film cannot be read, DataError when too many or all cannot,
    BundleError when the engine cannot be run.
    """
    quarantine = quarantine or Quarantine(len(cohort))
    predictor = Predictor(bundle, engine)
    refused: list[Refused] = []

    def look_closer(answer: Answer) -> None:
        said = predictor.look(answer)
        if said is not None:
            refused.append(said)
        look(answer)

    logit_nf = engine_logits(
        predictor.engine,
        bundle.manifest.preprocessing,
        cohort,
        quarantine=quarantine,
        progress=progress,
        look=look_closer,
    )
    read_n = quarantine.readable_n
    if not read_n.any():
        first = next(iter(quarantine.broken.values()), f"{cohort.name}: no film")
        raise DataError(cohort.name, f"no film can be read; {first}")
    predictions = as_predictions(
        cohort.where(read_n),
        logit_nf[read_n],
        predictor.calibrators,
        predictor.thresholds,
        synthetic=cohort.synthetic or bundle.manifest.synthetic,
    )
    if not refused:
        return predictions
    prob_n = {finding: predictions.prob(finding) for finding in bundle.findings}
    return predictions.with_referrals(predictor.referrals(Refused.joined(refused), prob_n))


def as_predictions(
    cohort: Cohort,
    logit_nf: NDArray[np.float64],
    calibrators: Mapping[str, Calibrator],
    thresholds: Mapping[str, float],
    *,
    synthetic: bool = False,
) -> Predictions:
    """Raw logits with what the cohort knows of each image.

    logit_nf: shape (n, f), findings in the calibrators' order
    A finding that the cohort does not know has no labels.
    """
    findings = tuple(calibrators)
    label_nf = np.full(logit_nf.shape, np.nan)
    for f, finding in enumerate(findings):
        if finding in cohort.findings:
            label_nf[:, f] = cohort.label_nf[:, cohort.findings.index(finding)]
    prob = [calibrators[finding].prob(logit_nf[:, f]) for f, finding in enumerate(findings)]
    return Predictions.from_arrays(
        findings,
        cohort.table["image_id"].tolist(),
        label_nf=label_nf,
        logit_nf=logit_nf,
        prob_nf=np.stack(prob, axis=1),
        threshold_f=[thresholds[finding] for finding in findings],
        patient_id_n=cohort.table["patient_id"].tolist(),
        subgroups=cohort.table[list(SUBGROUPS)],
        synthetic=synthetic,
    )


def engine_logits(
    engine: Engine,
    steps: Sequence[Step],
    cohort: Cohort,
    *,
    quarantine: Quarantine | None = None,
    progress: Progress = lambda done, total: None,
    look: Callable[[Answer], None] = lambda answer: None,
) -> NDArray[np.float64]:
    """Raw logits of an engine, shape (n, f): what `predict` does before there is a bundle.

    NaN for a film in `quarantine`.

    look: called with every batch's answer, in the cohort's order
    """
    logit_nf: NDArray[np.float64] | None = None
    done = 0
    batches = consecutive(len(cohort), BATCH_SIZE)
    read = read_batches(cohort, steps, batches, quarantine=quarantine)
    for positions, batch in zip(batches, read, strict=True):
        if len(batch.positions):
            answer = _answer(engine, batch.positions, batch.image_nchw)
            if logit_nf is None:
                logit_nf = np.full((len(cohort), answer.logit_nf.shape[1]), np.nan)
            logit_nf[batch.positions] = answer.logit_nf
            look(answer)
        done += len(positions)
        progress(done, len(cohort))
    return np.empty((len(cohort), 0)) if logit_nf is None else logit_nf
