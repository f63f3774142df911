from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from hilum.columns import column
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Resize
from hilum.data.reading import Quarantine
from hilum.data.roles import assign_roles
from hilum.errors import RadiographError, RecipeError
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.model.losses import Objective
from hilum.recipe import LossPart, Recipe, make_recipe
from hilum.training import probe
from hilum.training.loop import logits, seeded
from hilum.training.probe import ProbeReport, fit_probe, quick

STEPS = (Resize(height=28, width=28, interpolation="bicubic"), Resize(height=48, width=48))


def recipe_of(seed: int = 0, **loss: object) -> Recipe:
    return make_recipe(
        {
            "seed": seed,
            "input": {"size": 48},
            "model": {"features": "stages"},
            "loss": loss,
            "train": {"epochs": 0, "probe": True},
        }
    )


def fitted(
    cohort: Cohort, recipe: Recipe, name: str = "efficientnet_lite0", weights: str = "imagenet"
) -> tuple[Classifier, ProbeReport, Cohort]:
    """The classifier, its report, and the tune role that it was chosen on."""
    cohort, _ = assign_roles(cohort, seed=0)
    with seeded(0):
        backbone = make_backbone(
            name,
            len(cohort.findings),
            weights=weights,
            dropout=0.2,
            features=recipe.model.features,
        )
    classifier, tune = Classifier(backbone), cohort.with_role("tune")
    report = fit_probe(classifier, cohort.with_role("train"), tune, STEPS, recipe)
    return classifier, report, tune


@pytest.fixture(scope="module")
def probed(small_cohort: Cohort) -> tuple[Classifier, ProbeReport, Cohort]:
    return fitted(small_cohort, recipe_of(class_weights="balanced"))


def draws(n: int = 300, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Features (n, 5) and labels (n, 1), two thirds of them present."""
    rng = np.random.default_rng(seed)
    feature_nc = rng.normal(size=(n, 5)).astype(np.float32)
    score_n = feature_nc @ np.array([2, -1, 0.5, 0, 0]) + 1 + rng.logistic(size=n)
    return feature_nc, (score_n > 0).astype(np.float64)[:, None]


@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("strength", [0.3, 0.001])
def test_the_head_is_scikit_learns_logistic_regression(weights: str, strength: float) -> None:
    feature_nc, label_n1 = draws()
    objective = Objective.of(LossPart.model_validate({"class_weights": weights}), label_n1)
    ours = probe._minimum((feature_nc, label_n1), objective, strength, np.zeros(6))
    theirs = LogisticRegression(
        C=1 / (strength * len(label_n1)),
        class_weight="balanced" if weights == "balanced" else None,
        tol=1e-8,
    ).fit(feature_nc, label_n1[:, 0])
    expected = [*theirs.coef_[0], theirs.intercept_[0]]
    np.testing.assert_allclose(ours, expected, rtol=0.02, atol=0.01)


def test_a_film_whose_label_is_missing_is_as_if_it_were_not_there() -> None:
    feature_nc, label_n1 = draws()
    label_n1[::3] = np.nan
    known_n = ~np.isnan(label_n1[:, 0])
    heads = []
    for data in ((feature_nc, label_n1), (feature_nc[known_n], label_n1[known_n])):
        objective = Objective.of(LossPart(class_weights="balanced"), data[1])
        heads.append(probe._along_path(data, draws(seed=1), objective))
    np.testing.assert_allclose(heads[0][0], heads[1][0], atol=1e-4)
    assert heads[0][2].strength == heads[1][2].strength


def test_the_path_ends_after_its_best_strength() -> None:
    feature_nc, label_n1 = draws(40)
    noise_nc = np.random.default_rng(2).normal(size=(40, 200)).astype(np.float32)
    wide_nc, tune = np.hstack([feature_nc, noise_nc]), draws(400, seed=1)
    tune_nc = np.hstack([tune[0], np.random.default_rng(3).normal(size=(400, 200))])
    objective = Objective.of(LossPart(), label_n1)
    weight_c, bias, found = probe._along_path(
        (wide_nc, label_n1), (tune_nc.astype(np.float32), tune[1]), objective
    )
    losses = found.loss_by_strength
    assert found.strength == min(losses, key=losses.__getitem__) != probe.STRENGTHS[-1]
    assert len(losses) < len(probe.STRENGTHS)
    assert list(losses) == list(probe.STRENGTHS[: len(losses)])
    logit_n1 = torch.from_numpy(tune_nc @ weight_c + bias)[:, None]
    total, known = objective.sums(logit_n1, torch.from_numpy(tune[1]))
    assert total.item() / known.item() == pytest.approx(losses[found.strength], rel=1e-4)


def test_stages_weigh_alike_however_wide_they_are_and_a_dead_channel_weighs_nothing() -> None:
    feature_nc = np.random.default_rng(0).normal(3, 2, (1000, 7)).astype(np.float32)
    feature_nc[:, 6] = 5.0
    mean_c, scale_c = probe._standard(feature_nc, (2, 5))
    scaled_nc = (feature_nc - mean_c) * scale_c
    variance_c = scaled_nc.var(axis=0)
    np.testing.assert_allclose(scaled_nc.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(variance_c[:6], [7 / 4] * 2 + [7 / 10] * 4, rtol=1e-4)
    assert variance_c[6] == 0


def test_the_network_gives_what_the_probe_was_chosen_by(
    probed: tuple[Classifier, ProbeReport, Cohort], small_cohort: Cohort
) -> None:
    """Folded back into the network's own head; its films and kernels are exact, the probe's not."""
    classifier, report, tune = probed
    found = report.findings["Pneumonia"]
    logit_nf = torch.from_numpy(logits(classifier, tune, STEPS))
    train = assign_roles(small_cohort, seed=0)[0].with_role("train")
    objective = Objective.of(LossPart(class_weights="balanced"), train.label_nf)
    total, known = objective.sums(logit_nf, torch.tensor(tune.label_nf))
    assert total.item() / known.item() == pytest.approx(
        found.loss_by_strength[found.strength], abs=0.03
    )
    present_n = torch.tensor(tune.label_nf[:, 0] == 1)
    assert logit_nf[present_n].min() > logit_nf[~present_n].max()  # brighter films are easily told


def test_only_the_head_is_fitted_and_a_seed_says_how(
    probed: tuple[Classifier, ProbeReport, Cohort], small_cohort: Cohort
) -> None:
    first = probed[0]
    again, _, _ = fitted(small_cohort, recipe_of(class_weights="balanced"))
    other, _, _ = fitted(small_cohort, recipe_of(seed=1, class_weights="balanced"))
    fresh = make_backbone(
        "efficientnet_lite0", 1, weights="imagenet", dropout=0.2, features="stages"
    ).network.state_dict()
    for name, tensor in first.weights().items():
        assert torch.equal(tensor, again.weights()[name])
        assert torch.equal(tensor, fresh[name]) != name.startswith("classifier.")
    assert not torch.equal(first.head_parameters()[0], other.head_parameters()[0])


def test_every_finding_has_a_head_of_its_own(small_cohort: Cohort) -> None:
    """A second finding that is the first turned round gets the first one's head turned round."""
    turned_n = 1 - small_cohort.table[column("label", "Pneumonia")]
    table = small_cohort.table.assign(**{column("label", "Turned"): turned_n})
    both = replace(small_cohort, table=table, findings=("Pneumonia", "Turned"))
    classifier, report, tune = fitted(both, recipe_of())
    assert list(report.findings) == ["Pneumonia", "Turned"]
    logit_nf = logits(classifier, tune, STEPS)
    np.testing.assert_allclose(logit_nf[:, 0], -logit_nf[:, 1], atol=0.05)


def test_a_film_that_cannot_be_read_is_left_out(small_cohort: Cohort) -> None:
    cohort, _ = assign_roles(small_cohort, seed=0)
    train, tune = cohort.with_role("train"), cohort.with_role("tune")

    class Torn:
        def read(self, index: int) -> NDArray[np.generic]:
            if index == train.table.index[3]:
                raise RadiographError("film 3", "torn")
            return cohort.pixels.read(index)

    torn = replace(train, pixels=Torn())
    recipe = recipe_of()
    backbone = make_backbone(
        "efficientnet_lite0", 1, weights="none", dropout=0.0, features="stages"
    )
    quarantine = Quarantine(len(torn), limit=0.1)
    fit_probe(Classifier(backbone), torn, tune, STEPS, recipe, quarantine=quarantine)
    assert list(quarantine.broken) == [3]
    with pytest.raises(RadiographError, match="film 3: torn"):
        fit_probe(Classifier(backbone), torn, tune, STEPS, recipe)


def test_a_backbone_whose_head_is_not_linear_in_pooled_features_is_refused(
    small_cohort: Cohort,
) -> None:
    recipe = make_recipe({"train": {"epochs": 0, "probe": True}})
    with pytest.raises(RecipeError, match=r"train\.probe = true: mobilenetv3_small_050"):
        fitted(small_cohort, recipe, "mobilenetv3_small_050", weights="none")


def test_quick_fits_the_head_alone_on_small_films_and_changes_nothing_else() -> None:
    recipe = make_recipe({"seed": 7, "input": {"size": 224}, "train": {"epochs": 9, "members": 3}})
    changed = quick(recipe)
    assert (changed.train.epochs, changed.train.probe, changed.train.members) == (0, True, 1)
    assert changed.model.features == "stages"
    assert changed.input.size == probe.QUICK_SIZE
    assert recipe.train.epochs == 9
    back = changed.model_dump()
    for part, key in (
        ("input", "size"),
        ("model", "features"),
        ("train", "epochs"),
        ("train", "probe"),
        ("train", "members"),
    ):
        back[part][key] = recipe.model_dump()[part][key]
    assert back == recipe.model_dump()
    assert quick(make_recipe({"input": {"size": 48}})).input.size == 48
