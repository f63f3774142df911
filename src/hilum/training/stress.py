"""Stress: how a trained classifier does on held-out films, clean and under each acquisition fault.

Which films are held out, and what is concluded from the figures, is `selection`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from hilum.calibration import Platt, fit_platt
from hilum.data.cohort import Cohort
from hilum.data.faults import under_faults
from hilum.data.preprocessing import Step
from hilum.engines import openvino_engine
from hilum.evaluation.discrimination import auroc
from hilum.evaluation.reliability import log_losses_of_logits
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble
from hilum.predict import engine_logits
from hilum.recipe import Recipe
from hilum.training.engine import export_engine

CLEAN = "clean"


@dataclass(frozen=True)
class StressFigures:
    """Means over findings, on films of one condition reweighted to a prevalence.

    log_loss: after slope and level that were fitted on clean tune films
    balanced_accuracy: at a probability of one half, likewise
    """

    log_loss: float
    auroc: float
    balanced_accuracy: float


def stress(
    classifier: Classifier | Ensemble,
    steps: Sequence[Step],
    tune: Cohort,
    held_out: Cohort,
    recipe: Recipe,
    folder: Path,
) -> dict[str, StressFigures]:
    """Figures on the held-out films: "clean", then each of FAULTS at `select.severity`.

    A calibrator stands behind every classifier that is put to use, and a loss that is weighted,
    smoothed or adjusted moves the level on purpose. So slope and level are fitted first, finding by
    finding, on the clean films of tune, and moved to `select.prevalence`. What is then lost on
    faulty films is lost by the network, and not by an offset that one number mends.
    folder: for the engine, one pass of which is made for each condition
    """
    settings = recipe.select
    engine = openvino_engine(export_engine(classifier, recipe.input.size, folder))
    level_f = [
        fit_level(logit_n, y_n, settings.prevalence)
        for logit_n, y_n in zip(engine_logits(engine, steps, tune).T, tune.label_nf.T, strict=True)
    ]
    room = recipe.train.remember_mb << 20
    films = {CLEAN: held_out} | under_faults(held_out, settings.severity, room)
    return {
        name: stress_figures(
            engine_logits(engine, steps, each), held_out.label_nf, level_f, settings.prevalence
        )
        for name, each in films.items()
    }


def fit_level(logit_n: NDArray[np.float64], y_n: NDArray[np.float64], prevalence: float) -> Platt:
    """Slope and level for a place of this prevalence: Platt's, moved by the difference of log odds.

    logit_n: raw logits, shape (n,); y_n: 1 present, 0 absent, NaN unknown
    Source of the shift: Elkan 2001, theorem 2.
    """
    platt = fit_platt(logit_n, y_n)
    here = float((y_n == 1).sum() / (~np.isnan(y_n)).sum())
    return Platt(platt.slope, platt.intercept + float(logit(prevalence) - logit(here)))


def stress_figures(
    logit_nf: NDArray[np.float64],
    label_nf: NDArray[np.float64],
    level_f: Sequence[Platt],
    prevalence: float,
) -> StressFigures:
    """Means over findings. Films are reweighted by weighting the means of the two classes.

    logit_nf: raw logits, shape (n, f); label_nf: 1 present, 0 absent, NaN unknown
    """
    rows = []
    for logit_n, y_n, level in zip(logit_nf.T, label_nf.T, level_f, strict=True):
        present_n, absent_n = y_n == 1, y_n == 0
        levelled_n = level.slope * logit_n + level.intercept
        loss_n = log_losses_of_logits(levelled_n, y_n)
        loss = prevalence * loss_n[present_n].mean() + (1 - prevalence) * loss_n[absent_n].mean()
        right = ((levelled_n >= 0)[present_n].mean() + (levelled_n < 0)[absent_n].mean()) / 2
        known_n = present_n | absent_n
        rows.append((loss, auroc(logit_n[known_n], y_n[known_n]), right))
    loss, area, right = np.mean(rows, axis=0).tolist()
    return StressFigures(log_loss=loss, auroc=area, balanced_accuracy=right)
