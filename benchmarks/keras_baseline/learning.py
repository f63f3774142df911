"""What `ours.py` needs of training: the recipe's films and network, and a diary with test in it.

In a file of its own, since it imports torch, which predicting does without.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import fingerprints_for
from hilum.data.preprocessing import Step
from hilum.data.roles import assign_roles
from hilum.data.sources import open_source
from hilum.evaluation.discrimination import auroc
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.recipe import Recipe, read_recipe
from hilum.recipes import recipe_path
from hilum.training.loop import TrainingSet, logits, seeded
from hilum.training.making import input_steps
from hilum.training.watching import EpochReport, StepReport


def recipe_of(name: str, settings: Sequence[str]) -> Recipe:
    return read_recipe(recipe_path(name), settings)


def short(name: str, settings: Sequence[str]) -> Recipe:
    """For a single epoch."""
    return recipe_of(name, [*settings, "train.epochs=1"])


def training_set(recipe: Recipe) -> tuple[TrainingSet, Cohort]:
    """As `hilum train` makes it, and the test role."""
    data = recipe.data
    cohort = open_source(data.source, data, recipe.reading)
    prints = fingerprints_for(cohort, data)
    cohort, _ = assign_roles(cohort, data, seed=recipe.seed, prints=prints)
    steps = input_steps(cohort.reduction, recipe.input)
    films = TrainingSet(cohort.with_role("train"), cohort.with_role("tune"), steps, "benchmark")
    return films, cohort.with_role("test")


def start(recipe: Recipe) -> Classifier:
    model = recipe.model
    with seeded(recipe.seed):
        return Classifier(
            make_backbone(
                model.backbone,
                1,
                weights=model.weights,
                dropout=model.dropout,
                features=model.features,
            )
        )


class Diary:
    """A line for each epoch. wall, processor: seconds of training, tune included, test left out."""

    def __init__(
        self, classifier: Classifier, test: Cohort, steps: Sequence[Step], file: Path
    ) -> None:
        self.classifier, self.test, self.steps, self.file = classifier, test, steps, file
        self.wall = self.processor = 0.0
        self.last = 0.0, 0.0
        file.unlink(missing_ok=True)
        self._go()

    def _go(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def halt(self) -> None:
        self.wall += time.perf_counter() - self._wall
        self.processor += time.process_time() - self._processor

    def figures(self) -> dict[str, float]:
        """Of test, uncalibrated, accuracy at 0.5."""
        label_n = self.test.label_nf[:, 0]
        prob_n = expit(logits(self.classifier, self.test, self.steps)[:, 0])
        of_label_n = np.where(label_n == 1, prob_n, 1 - prob_n)
        return {
            "auroc": float(auroc(prob_n, label_n)),
            "accuracy": float(np.mean((prob_n >= 0.5) == (label_n == 1))),
            "log_loss": float(-np.log(of_label_n).mean()),
        }

    def on_step(self, report: StepReport) -> None:
        """Nothing."""

    def on_epoch(self, report: EpochReport) -> None:
        self.halt()
        line = {
            "epoch": report.epoch,
            "loss": report.train_loss,
            "tune_auc": report.tune_auroc,
            "tune_log_loss": report.tune_log_loss,
            "best": report.best,
            **{f"test_{key}": value for key, value in self.figures().items()},
            "wall_s": self.wall - self.last[0],
            "processor_s": self.processor - self.last[1],
            "wall_s_so_far": self.wall,
            "processor_s_so_far": self.processor,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "load": os.getloadavg()[0],
        }
        self.last = self.wall, self.processor
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        self._go()
