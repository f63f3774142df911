"""Sweep: Optuna over declared ranges, judged on tune."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hilum.training.sweep as module
from hilum.data.cohort import Cohort
from hilum.errors import (
    MissingExtraError,
    OutputError,
    RecipeError,
    StoppedError,
    TrainingError,
)
from hilum.recipe import Recipe, make_recipe
from hilum.training.sweep import SweepResult, sweep
from hilum.training.watching import EpochReport, StepReport
from made import bright_cohort

RATES = {"train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}


def recipe_with(ranges: dict[str, dict[str, Any]], trials: int, **more: Any) -> Recipe:
    return make_recipe(
        {
            "name": "tiny",
            "input": {"size": 32},
            "model": {"weights": "none", "backbone": "test_efficientnet"},
            "train": {"epochs": 1, "batch_size": 32, "head_rate": 1.0},
            "sweep": {"ranges": ranges, "trials": trials, **more},
        }
    )


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return bright_cohort()


Trained = list[Recipe]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """The recipes that are trained; nothing is, for a trial's worth is told from its recipe."""
    recipes: Trained = []

    def make(recipe: Recipe, *_: Any, **__: Any) -> Recipe:
        recipes.append(recipe)
        return recipe

    def logits(recipe: Recipe, tune: Cohort, steps: Any) -> np.ndarray:
        """The nearer the rate is to 1e-3, the better."""
        off = abs(np.log10(recipe.train.learning_rate) + 3)
        return np.asarray((2 * tune.label_nf - 1) * (2 - off))

    monkeypatch.setattr(module, "make_classifier", make)
    monkeypatch.setattr(module, "logits", logits)
    return recipes


def test_the_best_trial_on_tune_gives_the_recipe(cohort: Cohort, tmp_path: Path) -> None:
    ranges = {**RATES, "train.average": {"choices": ["none", "ema"]}}
    found = sweep(recipe_with(ranges, 2), cohort, tmp_path / "study.db")
    assert [each.state for each in found.trials] == ["complete", "complete"]
    assert found.best.value == min(each.value for each in found.trials if each.value is not None)
    assert found.recipe.train.learning_rate == found.best.changes["train.learning_rate"]
    assert found.recipe.train.average == found.best.changes["train.average"]
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    lines = found.table().splitlines()
    assert len(lines) == 4
    assert lines[0].split("|")[3].strip() == "tune log_loss"


def test_a_study_goes_on_where_it_stopped(cohort: Cohort, tmp_path: Path, trained: Trained) -> None:
    study = tmp_path / "study.db"
    sweep(recipe_with(RATES, 2), cohort, study)
    found = sweep(recipe_with(RATES, 5), cohort, study)
    assert len(trained) == 5
    assert len(found.trials) == 5
    rates = [each.train.learning_rate for each in trained]
    assert len(set(rates)) == 5  # it does not draw its first trials again
    assert sweep(recipe_with(RATES, 5), cohort, study) == found
    assert len(trained) == 5


def test_the_same_seed_draws_the_same_trials(
    cohort: Cohort, tmp_path: Path, trained: Trained
) -> None:
    first = sweep(recipe_with(RATES, 3), cohort, tmp_path / "a.db")
    second = sweep(recipe_with(RATES, 3), cohort, tmp_path / "b.db")
    assert [each.changes for each in first.trials] == [each.changes for each in second.trials]
    assert all(1e-4 <= each.train.learning_rate <= 1e-2 for each in trained)


def test_auroc_is_raised_and_log_loss_lowered(
    cohort: Cohort, tmp_path: Path, trained: Trained
) -> None:
    found = sweep(recipe_with(RATES, 6), cohort, tmp_path / "a.db")
    nearest = min(trained, key=lambda each: abs(np.log10(each.train.learning_rate) + 3))
    assert found.recipe.train == nearest.train
    turned = sweep(recipe_with(RATES, 2, objective="auroc"), cohort, tmp_path / "b.db")
    assert turned.best.value == 1.0


@pytest.mark.parametrize(
    "error",
    [
        TrainingError("training", "the loss is nan"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_a_trial_that_fails_does_not_lose_the_study(
    cohort: Cohort,
    tmp_path: Path,
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    make = module.make_classifier

    def second_fails(recipe: Recipe, *rest: Any, **more: Any) -> Any:
        made = make(recipe, *rest, **more)
        if len(trained) == 2:
            raise error
        return made

    monkeypatch.setattr(module, "make_classifier", second_fails)
    found = sweep(recipe_with(RATES, 3), cohort, tmp_path / "study.db")
    assert [each.state for each in found.trials] == ["complete", "fail", "complete"]
    assert found.trials[1].why == str(error)
    assert found.best.number != 1


def test_when_every_trial_fails_the_first_reason_is_told(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise TrainingError("training", "the loss is nan")

    monkeypatch.setattr(module, "make_classifier", fails)
    with pytest.raises(
        TrainingError, match="no trial of 2 was finished: training: the loss is nan"
    ):
        sweep(recipe_with(RATES, 2), cohort, tmp_path / "study.db")


def test_a_trial_that_was_stopped_is_drawn_anew(
    cohort: Cohort, tmp_path: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = module.make_classifier

    def stopped(*_: Any, **__: Any) -> Any:
        raise StoppedError("training", "interrupted")

    monkeypatch.setattr(module, "make_classifier", stopped)
    with pytest.raises(StoppedError, match="interrupted"):
        sweep(recipe_with(RATES, 2), cohort, tmp_path / "study.db")
    monkeypatch.setattr(module, "make_classifier", make)
    found = sweep(recipe_with(RATES, 2), cohort, tmp_path / "study.db")
    assert [each.state for each in found.trials] == ["fail", "complete", "complete"]


def test_a_trial_worse_than_the_median_is_cut_short(
    cohort: Cohort, tmp_path: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(recipe: Recipe, *_: Any, watcher: Any, **__: Any) -> Recipe:
        trained.append(recipe)
        loss = 1.0 if len(trained) == 6 else 0.5
        for epoch in (1, 2, 3):
            watcher.on_step(StepReport(epoch, 3, epoch, loss, 1.0, 1e-3))
            watcher.on_epoch(
                EpochReport(epoch, 3, epoch, 1e-3, loss, loss, 0.5, 1.0, 1.0, True, loss)
            )
        return recipe

    monkeypatch.setattr(module, "make_classifier", make)
    found = sweep(recipe_with(RATES, 7), cohort, tmp_path / "study.db")
    states = [each.state for each in found.trials]
    assert states == ["complete"] * 5 + ["pruned", "complete"]
    assert found.best.state == "complete"


def test_a_study_of_another_recipe_or_of_other_films_is_refused(
    cohort: Cohort, tmp_path: Path, trained: Trained
) -> None:
    study = tmp_path / "study.db"
    recipe = recipe_with(RATES, 1)
    sweep(recipe, cohort, study)
    other = recipe.model_copy(update={"seed": 3})
    with pytest.raises(OutputError, match=r"is a study of another recipe; .*; name another"):
        sweep(other, cohort, study)
    with pytest.raises(OutputError, match="is a study of other images"):
        sweep(recipe, bright_cohort(seed=2), study)
    assert len(trained) == 1


def test_a_file_that_is_no_study_is_refused_and_left_alone(
    cohort: Cohort, tmp_path: Path, trained: Trained
) -> None:
    study = tmp_path / "study.db"
    study.write_text("notes")
    with pytest.raises(OutputError, match=r"study\.db: is no study"):
        sweep(recipe_with(RATES, 1), cohort, study)
    assert study.read_text() == "notes"


@pytest.mark.parametrize(
    ("ranges", "line"),
    [
        ({}, r"sweep\.ranges: is empty"),
        ({"train.rate": {"low": 1, "high": 2}}, "unknown key train.rate; did you mean"),
        ({"train.epochs": {"low": -3, "high": 2, "whole": True}}, "train.epochs = -3"),
        ({"train.epochs": {"low": 2, "high": 9}}, "train.epochs = 4.59"),
        ({"train.average": {"choices": ["none", "last"]}}, "train.average = 'last'"),
        ({"data.source": {"choices": ["phantom"]}}, "data.source is changed"),
    ],
)
def test_a_range_that_does_not_fit_the_recipe_is_one_line_before_any_training(
    ranges: dict[str, dict[str, Any]],
    line: str,
    cohort: Cohort,
    tmp_path: Path,
    trained: Trained,
) -> None:
    with pytest.raises(RecipeError, match=line):
        sweep(recipe_with(ranges, 1), cohort, tmp_path / "study.db")
    assert list(tmp_path.iterdir()) == []
    assert not trained


def test_without_optuna_the_part_to_install_is_named(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert importlib.util.find_spec("optuna") is not None
    with pytest.raises(MissingExtraError, match=r"pip install 'hilum\[sweep\]'"):
        sweep(recipe_with(RATES, 1), cohort, tmp_path / "study.db")


def test_the_objective_is_that_of_tune_alone(cohort: Cohort, tmp_path: Path) -> None:
    """Other labels in calibrate and test change nothing."""
    from hilum.data.roles import assign_roles

    recipe = recipe_with(RATES, 1)
    with_roles, _ = assign_roles(cohort, recipe.data, seed=recipe.seed)
    others = with_roles.table["split"].isin(["val", "test"]).to_numpy()
    turned_n = with_roles.table["label_pneumonia"].to_numpy(copy=True)
    turned_n[others] = 1 - turned_n[others]
    results: list[SweepResult] = [
        sweep(recipe, each, tmp_path / f"{k}.db")
        for k, each in enumerate((cohort, cohort.with_column("label_pneumonia", turned_n)))
    ]
    assert results[0].best.value == pytest.approx(results[1].best.value, abs=1e-12)
