"""Weights kept as halves: rounded before anything is fitted, and nothing lost after it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import expit

from hilum.bundle import WEIGHTS, Bundle, load_bundle
from hilum.cli import run
from hilum.data.cohort import Cohort
from hilum.data.roles import assign_roles
from hilum.engines import carried_engine
from hilum.errors import RecipeError, TrainingError
from hilum.explanation.grid import grid_of_engine
from hilum.explanation.head import head_of
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.predict import Answer, engine_logits, predict
from hilum.rebuilding import TorchEngine, network_of
from hilum.recipe import Recipe, make_recipe
from hilum.training.engine import export_engine
from hilum.training.run import train
from hilum.training.storing import round_weights
from made import small_recipe


def halves(recipe: Recipe) -> Recipe:
    model = recipe.model.model_copy(update={"stored": "float16"})
    return recipe.model_copy(update={"model": model})


@pytest.fixture(scope="module")
def halved(small_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Two members, as an ensemble keeps them all and has the head of their mean."""
    recipe = halves(small_recipe(members=2))
    bundle = train(recipe, small_cohort, tmp_path_factory.mktemp("models") / "halved")
    assert bundle is not None
    return bundle


def test_weights_and_engine_take_half_the_room(halved: Bundle, small_bundle: Bundle) -> None:
    kept = load_file(halved.folder / WEIGHTS)
    assert {t.dtype for t in kept.values() if t.is_floating_point()} == {torch.float16}
    assert halved.stored == "float16"
    assert small_bundle.stored == "float32"
    for size, full in ((len(halved.read(WEIGHTS)), len(small_bundle.read(WEIGHTS))),
                       (len(halved.engine[1]), len(small_bundle.engine[1]))):  # fmt: skip
        assert size < 1.05 * full  # of two networks


def test_engine_and_torch_agree_as_closely_as_in_float32(
    halved: Bundle, small_cohort: Cohort
) -> None:
    assert halved.manifest.engine.agreement is not None
    assert halved.manifest.engine.agreement.largest_probability_difference <= 1e-5
    steps = halved.manifest.preprocessing
    by_torch = engine_logits(TorchEngine(network_of(halved)), steps, small_cohort)
    by_engine = engine_logits(carried_engine(halved), steps, small_cohort)
    assert np.abs(expit(by_torch) - expit(by_engine)).max() <= 1e-5


def test_what_is_fitted_is_fitted_on_the_rounded_network(
    halved: Bundle, small_cohort: Cohort
) -> None:
    cohort = assign_roles(small_cohort)[0].with_role("calibrate")
    prob_n = predict(halved, cohort).prob("Pneumonia")
    absent_to = halved.conformal_limits("Pneumonia")
    assert absent_to is not None
    # A limit of prediction sets is the calibrated answer for one of these very films.
    limits = [each for each in (absent_to.present_from, absent_to.absent_to) if 0 < each < 1]
    assert limits
    for limit in limits:
        assert np.abs(prob_n - limit).min() < 1e-9


def test_maps_add_up_to_the_engines_answer_and_stand_where_they_did(
    halved: Bundle, small_bundle: Bundle, small_cohort: Cohort
) -> None:
    answers: list[Answer] = []

    def keep(answer: Answer) -> None:
        feature_nchw = answer.feature_nchw.copy()
        answers.append(
            Answer(answer.positions, answer.image_nchw, answer.logit_nf.copy(), feature_nchw)
        )

    predict(halved, small_cohort, look=keep)
    head = head_of(halved, answers[0].feature_nchw.shape[1])
    for answer in answers:
        summed_nf = head.adds(answer.feature_nchw).sum(axis=(2, 3)) + head.bias_f
        np.testing.assert_allclose(summed_nf, answer.logit_nf, atol=1e-4)
    assert grid_of_engine(halved.engine) == grid_of_engine(small_bundle.engine)


def test_it_can_be_exported(halved: Bundle, small_npz: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(halved.folder, tmp_path / "copy")
    for runtime in ("openvino", "onnx"):
        assert run(["export", str(folder), "--to", runtime, "--data", str(small_npz)]) == 0
    assert load_bundle(folder).digest == halved.digest


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_b0"])
def test_statistics_that_no_half_holds_are_kept_whole(backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Classifier(make_backbone(backbone, 1, weights="none", dropout=0.0)).eval()
    round_weights(network, "float16")
    engine = export_engine(network, 64, tmp_path, "float16")
    assert len(engine[1]) < 2.1 * sum(each.numel() for each in network.network.parameters())
    assert network.mean.half().float().ne(network.mean).any()
    model = Path(tmp_path / "model.xml").read_text(encoding="utf-8")
    assert 'element_type="f32"' in model


def test_a_weight_that_no_half_holds_stops_the_run() -> None:
    network = Classifier(make_backbone("resnet18", 1, weights="none", dropout=0.0))
    with torch.no_grad():
        network.network.fc.bias.fill_(70_000.0)
    with pytest.raises(TrainingError, match=r"fc\.bias holds a weight that float16 cannot"):
        round_weights(network, "float16")
    assert network.network.fc.bias.item() == 70_000.0


def test_another_type_is_refused_in_words() -> None:
    with pytest.raises(RecipeError, match=r"model\.stored = 'int8'; set 'float32' or 'float16'"):
        make_recipe({"model": {"stored": "int8"}})
