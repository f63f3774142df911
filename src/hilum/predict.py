"""The only inference path: bundle and cohort → Predictions, by the bundle's own OpenVINO engine.

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
from hilum.errors import BundleError, DataError
from hilum.evaluation.predictions import Predictions
from hilum.openvino_runtime import openvino

BATCH_SIZE = 32

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answer:
    """What an engine made of one batch. Copy what is to outlive it: the memory is used again.

    positions: rows of the cohort; image_nchw: what the network was given
    logit_nf: raw logits; feature_nchw: the last feature map, which the head pools
    """

    positions: NDArray[np.intp]
    image_nchw: NDArray[np.float32]
    logit_nf: NDArray[np.float32]
    feature_nchw: NDArray[np.float32]

    @property
    def feature_nd(self) -> NDArray[np.float32]:
        """The mean of the map's cells, which the head is linear in, shape (n, c)."""
        return np.asarray(self.feature_nchw.mean(axis=(2, 3)), dtype=np.float32)


def predict(
    bundle: Bundle,
    cohort: Cohort,
    *,
    quarantine: Quarantine | None = None,
    progress: Progress = lambda done, total: None,
    look: Callable[[Answer], None] = lambda answer: None,
) -> Predictions:
    """Run the bundle on every image of the cohort; synthetic where the films or the bundle are.

    With a policy of abstention the predictions say which films are referred, and why; they have a
    probability and a decision all the same.

    quarantine: takes the films that cannot be read, whose rows the predictions then lack; without
        one the first of them ends the run
    progress: called with the images done and the images in all
    look: called with what the engine made of each batch; a film that cannot be read is in none
    Raises RadiographError when a film cannot be read, DataError when too many or all cannot,
    BundleError when the engine cannot be run.
    """
    quarantine = quarantine or Quarantine(len(cohort))
    policy = bundle.policy()
    refused: list[Refused] = []

    def look_closer(answer: Answer) -> None:
        if policy is not None:
            image_nhw = answer.image_nchw[:, 0]
            refused.append(policy.look(image_nhw, answer.feature_nd, answer.logit_nf))
        look(answer)

    logit_nf = engine_logits(
        bundle.engine,
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
    thresholds = {finding: points["deployed"] for finding, points in bundle.thresholds().items()}
    predictions = as_predictions(
        cohort.where(read_n),
        logit_nf[read_n],
        {finding: bundle.calibrator(finding) for finding in bundle.findings},
        thresholds,
        synthetic=cohort.synthetic or bundle.manifest.synthetic,
    )
    if not refused:
        return predictions
    reason_n = Refused.joined(refused).reason_n
    return predictions.with_referrals(
        {
            f: refer(reason_n, predictions.prob(f), thresholds[f], bundle.conformal_limits(f))
            for f in bundle.findings
        }
    )


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
    engine: tuple[bytes, bytes],
    steps: Sequence[Step],
    cohort: Cohort,
    *,
    precision: str = "f32",
    quarantine: Quarantine | None = None,
    progress: Progress = lambda done, total: None,
    look: Callable[[Answer], None] = lambda answer: None,
) -> NDArray[np.float64]:
    """Raw logits of an engine, shape (n, f): what `predict` does before there is a bundle.

    NaN for a film in `quarantine`.

    engine: OpenVINO's network (xml) and its weights (bin)
    precision: `f32`, or `bf16`. It is always asked for, since OpenVINO takes bf16 by itself where
        the processor has it, and a probability then moves by up to a hundredth.
    look: called with every batch's answer, in the cohort's order
    """
    try:
        core = openvino.Core()
        compiled = core.compile_model(
            core.read_model(*engine), "CPU", {"INFERENCE_PRECISION_HINT": precision}
        )
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1]
        raise BundleError("the engine", f"OpenVINO cannot load it ({line})") from error
    logit_nf: NDArray[np.float64] | None = None
    done = 0
    batches = consecutive(len(cohort), BATCH_SIZE)
    read = read_batches(cohort, steps, batches, quarantine=quarantine)
    for positions, batch in zip(batches, read, strict=True):
        if len(batch.positions):
            result = compiled(batch.image_nchw)
            answer = Answer(
                batch.positions, batch.image_nchw, result["logit_nf"], result["feature_nchw"]
            )
            if logit_nf is None:
                logit_nf = np.full((len(cohort), answer.logit_nf.shape[1]), np.nan)
            logit_nf[batch.positions] = answer.logit_nf
            look(answer)
        done += len(positions)
        progress(done, len(cohort))
    return np.empty((len(cohort), 0)) if logit_nf is None else logit_nf
