"""Members, soups, WiSE-FT and inputs that grow: what is made of one recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hilum.bundle import WEIGHTS
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import preprocess
from hilum.data.roles import assign_roles
from hilum.errors import RecipeError, TrainingError
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble
from hilum.predict import predict
from hilum.recipe import Recipe, make_recipe
from hilum.training.augmentation import Mixing, draw_mixing
from hilum.training.checkpoint import checkpoints
from hilum.training.loop import TrainingSet, logits
from hilum.training.making import input_steps, make_classifier
from hilum.training.probe import quick
from hilum.training.run import train
from hilum.training.watching import Nobody, StepReport


def tiny(**train: object) -> Recipe:
    return make_recipe(
        {
            "name": "tiny",
            "input": {"size": 32},
            "model": {"backbone": "test_efficientnet", "weights": "none", "dropout": 0.0},
            "train": {"epochs": 1, "batch_size": 16, **train},
        }
    )


def films(cohort: Cohort, recipe: Recipe) -> TrainingSet:
    cohort, _ = assign_roles(cohort, seed=0)
    steps = input_steps(cohort.reduction, recipe.input)
    return TrainingSet(cohort.with_role("train"), cohort.with_role("tune"), steps, "digest")


def test_detail_is_taken_from_films_of_any_size_before_they_are_enlarged() -> None:
    recipe = make_recipe({"name": "r", "input": {"size": 64, "detail": 32}})
    rng = np.random.default_rng(0)
    fine_hw = rng.random((64, 64), dtype=np.float32)
    steps = input_steps((), recipe.input)
    coarse_hw = fine_hw.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    seen, expected = preprocess(fine_hw, steps), preprocess(coarse_hw, steps)
    assert seen.shape == (1, 64, 64)
    np.testing.assert_allclose(seen, expected, atol=1e-5)
    plain = input_steps((), recipe.input.model_copy(update={"detail": None}))
    assert np.abs(preprocess(fine_hw, plain) - seen).max() > 0.1
    assert quick(recipe).input.detail == 32
    with pytest.raises(RecipeError, match=r"input\.detail = 64 is not below input\.size = 64"):
        make_recipe({"name": "r", "input": {"size": 64, "detail": 64}})


def made(cohort: Cohort, recipe: Recipe, folder: Path) -> tuple[Classifier | Ensemble, TrainingSet]:
    data = films(cohort, recipe)
    return make_classifier(recipe, data, folder), data


def test_an_ensemble_gives_the_mean_of_its_members_logits_and_its_map_explains_it(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    ensemble, data = made(small_cohort, tiny(members=2), tmp_path / "both")
    assert isinstance(ensemble, Ensemble)
    alone, _ = made(small_cohort, tiny(), tmp_path / "first")
    each = [logits(m, data.tune, data.steps) for m in ensemble._each()]
    np.testing.assert_allclose(each[0], logits(alone, data.tune, data.steps), atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 1e-3  # another seed, another network
    np.testing.assert_allclose(
        logits(ensemble, data.tune, data.steps), np.mean(each, axis=0), atol=1e-5
    )
    # The mean logit is linear in the pooled map, so a map weighted by that line explains it.
    image_nchw = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        feature_nchw = ensemble.feature_map(image_nchw)
        pooled = ensemble.head(feature_nchw.mean(dim=(2, 3), keepdim=True))
        torch.testing.assert_close(pooled, ensemble(image_nchw), atol=1e-5, rtol=1e-4)


def test_an_ensembles_bundle_predicts_by_all_members_and_keeps_all_weights(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    bundle = train(tiny(members=2), small_cohort, tmp_path / "bundle")
    assert bundle is not None
    names = load_file(bundle.folder / WEIGHTS).keys()
    assert {name.split(".")[0] for name in names} == {"0", "1"}
    assert (bundle.folder / "member-1" / "metrics.jsonl").is_file()
    assert bundle.manifest.engine.agreement.largest_probability_difference <= 1e-4
    assert len(predict(bundle, small_cohort).table) == len(small_cohort)


def test_a_soup_is_one_network_with_the_mean_of_the_weights(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    ensemble, _ = made(small_cohort, tiny(members=2), tmp_path / "a")
    soup, _ = made(small_cohort, tiny(members=2, combine="soup"), tmp_path / "b")
    assert isinstance(ensemble, Ensemble)
    assert isinstance(soup, Classifier)
    first, second = (member.state_dict() for member in ensemble._each())
    for name, tensor in soup.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (first[name] + second[name]) / 2)


class StopAt(Nobody):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, report: StepReport) -> None:
        if report.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [2, 4, 5])
def test_an_ensemble_that_was_stopped_goes_on_with_the_member_that_was_in_hand(
    small_cohort: Cohort, tmp_path: Path, step: int
) -> None:
    recipe = tiny(members=2, checkpoint_steps=1)  # three steps each
    whole, data = made(small_cohort, recipe, tmp_path / "whole")
    work = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        make_classifier(recipe, data, work, watcher=StopAt(step))
    assert bool(checkpoints(work / "member-1")) == (step > 4)
    resumed = make_classifier(recipe, data, work, resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_wise_ft_stands_between_the_weights_before_and_after(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    tuned, _ = made(small_cohort, tiny(), tmp_path / "tuned")
    mixed, _ = made(small_cohort, tiny(pretrained_share=0.25), tmp_path / "mixed")
    before, _ = made(small_cohort, tiny(pretrained_share=0.999), tmp_path / "before")
    name = "network.conv_stem.weight"
    a, b = tuned.state_dict()[name], before.state_dict()[name]
    torch.testing.assert_close(mixed.state_dict()[name], 0.75 * a + 0.25 * b, atol=1e-4, rtol=0)
    assert (a - b).abs().max() > 1e-4


def test_films_of_the_first_epochs_are_smaller_and_tune_is_seen_in_full(
    small_cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[tuple[bool, int]] = []
    forward = Classifier.forward

    def noted(self: Classifier, image_nchw: torch.Tensor) -> torch.Tensor:
        sides.append((self.training, image_nchw.shape[-1]))
        return forward(self, image_nchw)

    monkeypatch.setattr(Classifier, "forward", noted)
    made(small_cohort, tiny(epochs=3, grow_from=0.5, patience=9), tmp_path)
    trained = [side for training, side in sides if training]
    assert trained == [16] * 3 + [24] * 3 + [32] * 3
    assert {side for training, side in sides if not training} == {32}


def test_mixed_labels_are_shares_and_unknown_where_either_is() -> None:
    mixing = Mixing(0.75, np.array([1, 0, 2]))
    label_nf = torch.tensor([[1.0], [0.0], [float("nan")]])
    assert mixing.apply(label_nf)[:2].flatten().tolist() == [0.75, 0.25]
    assert torch.isnan(mixing.apply(label_nf)[2, 0])
    drawn = [draw_mixing(0.3, 8, np.random.default_rng(seed)) for seed in range(50)]
    assert all(0.5 <= each.share <= 1 for each in drawn)
    assert all(sorted(each.partner_n) == list(range(8)) for each in drawn)


def test_nothing_to_resume_is_told_for_the_first_member(
    small_cohort: Cohort, tmp_path: Path
) -> None:
    recipe = tiny(members=2)
    with pytest.raises(TrainingError, match="nothing to resume"):
        make_classifier(recipe, films(small_cohort, recipe), tmp_path, resume=True)
