"""The default recipe's first twenty steps, held against what they were when it was settled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hilum.data.roles import assign_roles
from hilum.data.sources import open_source
from hilum.recipe import DataPart, ReadingPart, read_recipe
from hilum.recipes import recipe_path
from hilum.training.loop import TrainingSet
from hilum.training.making import input_steps, make_classifier
from hilum.training.watching import Nobody, StepReport

STORED = Path(__file__).with_name("golden_losses.json")
STEPS = 20


class _EnoughError(Exception):
    pass


class First(Nobody):
    """Notes the losses of the first steps, then ends the run."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_step(self, report: StepReport) -> None:
        self.losses.append(report.loss)
        if len(self.losses) == STEPS:
            raise _EnoughError


def losses(folder: Path) -> list[float]:
    recipe = read_recipe(recipe_path("pneumoniamnist"))
    phantom = open_source("phantom", DataPart(source="phantom"), ReadingPart())
    # Of its films none is a copy of another, and to see that again takes longer than the steps.
    known = recipe.data.model_copy(update={"duplicates": "off"})
    cohort, _ = assign_roles(phantom, known, seed=recipe.seed)
    data = TrainingSet(
        cohort.with_role("train"),
        cohort.with_role("tune"),
        input_steps(cohort.reduction, recipe.input),
        "golden",
    )
    watcher = First()
    with pytest.raises(_EnoughError):
        make_classifier(recipe, data, folder, watcher=watcher)
    return watcher.losses


def test_the_first_steps_of_the_default_recipe_on_the_phantom_are_those_that_are_stored(
    tmp_path: Path,
) -> None:
    # Kernels add in another order on another processor, and what differs grows with the steps.
    stored = json.loads(STORED.read_text())
    np.testing.assert_allclose(losses(tmp_path), stored["losses"], rtol=0.02, atol=0.005)


if __name__ == "__main__":  # store them anew: python tests/training/test_golden.py
    found = losses(Path(sys.argv[1] if len(sys.argv) > 1 else "golden-run"))
    STORED.write_text(json.dumps({"recipe": "pneumoniamnist", "losses": found}, indent=1) + "\n")
