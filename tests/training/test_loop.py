from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Resize
from hilum.data.roles import assign_roles
from hilum.errors import TrainingError
from hilum.evaluation.discrimination import auroc
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.recipe import LossPart, Recipe
from hilum.training.checkpoint import checkpoints
from hilum.training.loop import TrainingSet, fit, logits, seeded
from hilum.training.watching import Nobody, StepReport, Watcher
from made import small_recipe


def run(
    cohort: Cohort,
    recipe: Recipe,
    folder: Path,
    watcher: Watcher | None = None,
    *,
    resume: bool = False,
    backbone: str = "test_efficientnet",
) -> tuple[Classifier, TrainingSet]:
    """A run of timm's network for tests, unless what is learnt matters."""
    cohort, _ = assign_roles(cohort, seed=recipe.seed)
    with seeded(recipe.seed):
        weights = "none" if backbone == "test_efficientnet" else "imagenet"
        classifier = Classifier(make_backbone(backbone, 1, weights=weights, dropout=0.2))
    steps = (*cohort.reduction, Resize(height=64, width=64))
    data = TrainingSet(cohort.with_role("train"), cohort.with_role("tune"), steps, "digest")
    fit(classifier, data, recipe, folder, watcher=watcher, resume=resume)
    return classifier, data


def weights(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.state_dict().items()}


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


class StopAfter(Nobody):
    """Sends this process a signal after a step, as Ctrl-C would."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_step(self, report: StepReport) -> None:
        if report.step == self.step:
            os.kill(os.getpid(), self.number)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    once, _ = run(small_cohort, small_recipe(), tmp_path / "a")
    torch.rand(5)  # what happens to torch's global state between runs does not matter
    again, _ = run(small_cohort, small_recipe(), tmp_path / "b")
    assert same(weights(once), weights(again))
    other, _ = run(small_cohort, small_recipe().model_copy(update={"seed": 1}), tmp_path / "c")
    assert not same(weights(once), weights(other))


@pytest.fixture(scope="module")
def whole_run(
    small_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, torch.Tensor]]:
    """Two epochs of three steps without a break: its folder and its weights."""
    folder = tmp_path_factory.mktemp("whole")
    classifier, _ = run(small_cohort, small_recipe(epochs=2, average="ema"), folder)
    return folder, weights(classifier)


@pytest.mark.parametrize(
    ("step", "number", "last"),
    [(1, signal.SIGINT, 2), (3, signal.SIGTERM, 3), (4, signal.SIGINT, 5)],
)
def test_a_run_that_is_interrupted_and_resumed_ends_as_one_that_was_not(
    small_cohort: Cohort,
    whole_run: tuple[Path, dict[str, torch.Tensor]],
    tmp_path: Path,
    step: int,
    number: int,
    last: int,
) -> None:
    recipe = small_recipe(epochs=2, average="ema")
    whole_folder, whole_weights = whole_run
    with pytest.raises(TrainingError, match=f"interrupted after step {last} of 6.*--resume"):
        run(small_cohort, recipe, tmp_path, StopAfter(step, number))
    resumed, _ = run(small_cohort, recipe, tmp_path, resume=True)
    assert same(whole_weights, weights(resumed))
    figures = [
        [line["tune_log_loss"] for line in metrics(folder)] for folder in (whole_folder, tmp_path)
    ]
    assert figures[0] == figures[1]
    assert len(figures[0]) == 2


def test_signals_are_answered_as_before_when_training_is_over(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGINT)
    run(small_cohort, small_recipe(), tmp_path)
    assert signal.getsignal(signal.SIGINT) is before


def test_nothing_to_resume_and_another_recipe_are_refused(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="nothing to resume"):
        run(small_cohort, small_recipe(), tmp_path, resume=True)
    run(small_cohort, small_recipe(), tmp_path)
    with pytest.raises(TrainingError, match="written by a run with another recipe"):
        run(small_cohort, small_recipe(learning_rate=1e-4), tmp_path, resume=True)
    checkpoints(tmp_path)[-1].write_bytes(b"\x10" * 40)
    with pytest.raises(TrainingError, match="cannot be read"):
        run(small_cohort, small_recipe(), tmp_path, resume=True)


def test_training_learns_what_the_films_show(small_cohort: Cohort, tmp_path: Path) -> None:
    classifier, data = run(
        small_cohort,
        small_recipe(epochs=10, batch_size=8, learning_rate=3e-3, patience=10),
        tmp_path,
        backbone="efficientnet_lite0",
    )
    logit_n = logits(classifier, data.train, data.steps)[:, 0]
    assert auroc(logit_n, data.train.label_nf[:, 0]) > 0.9


def test_training_stops_when_tune_gets_no_better_and_keeps_the_best_state(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    recipe = small_recipe(epochs=30, batch_size=16, patience=2, learning_rate=5e-3)
    classifier, data = run(small_cohort, recipe, tmp_path)
    lines = metrics(tmp_path)
    losses = [line["tune_log_loss"] for line in lines]
    best = int(np.argmin(losses))
    assert len(lines) == best + 1 + 2 < 30
    logit_n, label_n = logits(classifier, data.tune, data.steps)[:, 0], data.tune.label_nf[:, 0]
    loss = np.logaddexp(0, np.where(label_n == 1, -logit_n, logit_n)).mean()
    assert loss == pytest.approx(losses[best], rel=1e-4)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(
        TrainingError, match=r"the loss is (nan|inf|\S+e\+\d+) at step \d+, on a batch that begins"
    ):
        run(small_cohort, small_recipe(epochs=20, learning_rate=1e18), tmp_path)
    noted = json.loads((tmp_path / "stopped.json").read_text())
    table = assign_roles(small_cohort, seed=0)[0].table
    assert noted["image_ids"] == table.loc[noted["rows"], "image_id"].tolist()
    assert set(table.loc[noted["rows"], "role"]) == {"train"}


def test_the_best_epoch_is_the_one_with_the_least_of_the_recipes_own_loss_on_tune(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    plain = small_recipe(epochs=3, batch_size=8, patience=9)
    recipe = plain.model_copy(update={"loss": LossPart(focal_gamma=2)})
    classifier, data = run(small_cohort, recipe, tmp_path)
    lines = metrics(tmp_path)
    losses = [line["tune_loss"] for line in lines]
    assert [line["best"] for line in lines] == [
        loss < min(losses[:k], default=np.inf) for k, loss in enumerate(losses)
    ]
    logit_n, label_n = logits(classifier, data.tune, data.steps)[:, 0], data.tune.label_nf[:, 0]
    right_n = expit(np.where(label_n == 1, logit_n, -logit_n))
    assert min(losses) == pytest.approx(((1 - right_n) ** 2 * -np.log(right_n)).mean(), rel=1e-4)
    assert lines[0]["tune_log_loss"] != pytest.approx(lines[0]["tune_loss"], rel=0.1)
