"""Fitting when a bundle refers: one look at train films with the engine that it will carry.

What is fitted, and how it decides, is `hilum.abstention`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hilum.abstention.fitting import fit_policy
from hilum.abstention.outline import SIDE
from hilum.abstention.policy import Policy
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Step
from hilum.data.reading import Quarantine
from hilum.data.sources.phantom import phantom_cohort
from hilum.engines import Engine
from hilum.predict import Answer, engine_logits
from hilum.recipe import Recipe

FILMS = 2000  # of the train role; more make no limit any better
_PHANTOMS = 8  # examples to a phantom, each of which is then varied


class Kept:
    """What a policy is fitted on: films as the network was given them, features, logits."""

    def __init__(self) -> None:
        self._image: list[NDArray[np.float32]] = []
        self._feature: list[NDArray[np.float32]] = []
        self._logit: list[NDArray[np.float32]] = []

    def keep(self, answer: Answer) -> None:
        self._image.append(answer.image_nchw[:, 0].copy())
        self._feature.append(answer.feature_nd)
        self._logit.append(answer.logit_nf.copy())

    def joined(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """image_nhw, feature_nd, logit_nf."""
        image, feature, logit = map(np.concatenate, (self._image, self._feature, self._logit))
        return image, feature, logit


def fit_abstention(
    engine: Engine,
    steps: Sequence[Step],
    train: Cohort,
    calibrate: Kept,
    recipe: Recipe,
) -> Policy:
    """The policy of a bundle: fitted on train films drawn by lot, with limits on calibrate.

    engine, steps: what the bundle will carry; calibrate: what the engine made of that role
    """
    wanted = recipe.abstention
    rng = np.random.default_rng(recipe.seed)
    drawn_n = np.isin(np.arange(len(train)), rng.permutation(len(train))[:FILMS])
    some = train.where(drawn_n)
    kept, quarantine = Kept(), Quarantine(len(some), 1.0)
    engine_logits(engine, steps, some, quarantine=quarantine, look=kept.keep)
    chests = phantom_cohort(max(16, wanted.examples // _PHANTOMS), size=SIDE, age_group="all")
    return fit_policy(
        kept.joined(),
        some.label_nf[quarantine.readable_n, 0],
        calibrate.joined(),
        np.stack([chests.radiograph(k) for k in range(len(chests))]),
        gate=wanted.gate,
        novelty=wanted.novelty,
        refusals=wanted.refusals,
        examples=wanted.examples,
        rng=rng,
    )
