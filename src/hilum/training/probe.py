"""A linear head on frozen features: a classifier in seconds, and where fine-tuning starts from.

Kumar et al. 2022, Fine-tuning can distort pretrained features: fit the head first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Step
from hilum.data.reading import Quarantine, consecutive, read_batches
from hilum.model.backbones import ends_in_pooling, not_pooled
from hilum.model.classifier import Classifier
from hilum.model.losses import Objective
from hilum.recipe import Recipe
from hilum.training.augmentation import apply_variation, draw_variation
from hilum.training.engine import pooling_engine

# From a head that hardly moves to one that follows every film; the path ends where tune loses.
STRENGTHS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
COPIES = 1  # each training film is seen as it is, and so often with other greys
# A frozen network does not learn to look past a turn or shift; greys it can be weighed against.
_GEOMETRY = ("rotation_degrees", "translation", "scale", "horizontal_flip")
QUICK_SIZE = 64
_BATCH = 64
_STREAM = 9  # of the recipe's seed; the loop draws from others


@dataclass(frozen=True)
class FindingProbe:
    """How one finding's head was chosen.

    loss_by_strength: of L2, in the order of the path -> the recipe's loss on tune
    """

    strength: float
    loss_by_strength: dict[float, float]


@dataclass(frozen=True)
class ProbeReport:
    """findings: by name."""

    findings: dict[str, FindingProbe]


def quick(recipe: Recipe) -> Recipe:
    """The recipe with the head alone fitted, on pooled maps of several stages of small films."""
    size, detail = min(recipe.input.size, QUICK_SIZE), recipe.input.detail
    smaller = {"size": size, "detail": detail if detail is not None and detail < size else None}
    return recipe.model_copy(
        update={
            "input": recipe.input.model_copy(update=smaller),
            "model": recipe.model.model_copy(update={"features": "stages"}),
            "train": recipe.train.model_copy(update={"epochs": 0, "probe": True, "members": 1}),
            # Looking at calibrate under every fault would take longer than the fit.
            "calibration": recipe.calibration.model_copy(update={"faults": 0}),
        }
    )


def fit_probe(
    classifier: Classifier,
    train: Cohort,
    tune: Cohort,
    steps: Sequence[Step],
    recipe: Recipe,
    *,
    quarantine: Quarantine | None = None,
) -> ProbeReport:
    """Fit the head to the recipe's loss, with the L2 strength that does best on tune; in place.

    All pooled features are held in memory, 4 bytes for each channel of each film and its copies.
    quarantine: takes training films that cannot be read; without one the first ends the run
    Raises RecipeError for a backbone with more than pooling and one linear layer at its end.
    """
    if not ends_in_pooling(classifier.network):
        remedy = "set train.probe = false, or another model.backbone"
        raise not_pooled("train.probe = true", classifier.name, remedy)
    pooled = pooling_engine(classifier, recipe.input.size)
    rng = np.random.default_rng((recipe.seed, _STREAM))
    greys = recipe.augmentation.model_copy(update=dict.fromkeys(_GEOMETRY, 0.0))
    parts: list[list[NDArray[np.float32]]] = [[] for _ in range(1 + COPIES)]
    read: list[NDArray[np.intp]] = []
    order = consecutive(len(train), _BATCH)
    for positions, image_nchw in read_batches(train, steps, order, quarantine=quarantine):
        if not len(positions):
            continue
        read.append(positions)
        parts[0].append(pooled(image_nchw))
        for varied in parts[1:]:
            variation = draw_variation(greys, len(positions), rng)
            varied.append(pooled(apply_variation(torch.from_numpy(image_nchw), variation).numpy()))
    train_nc = np.concatenate([batch for part in parts for batch in part])
    train_nf = np.tile(train.label_nf[np.concatenate(read)], (1 + COPIES, 1))
    batches = read_batches(tune, steps, consecutive(len(tune), _BATCH))
    tune_nc = np.concatenate([pooled(image_nchw) for _, image_nchw in batches])

    mean_c, scale_c = _standard(train_nc, classifier.widths)
    for feature_nc in (train_nc, tune_nc):
        feature_nc -= mean_c
        feature_nc *= scale_c
    head = classifier.network.get_classifier()
    findings: dict[str, FindingProbe] = {}
    for f, finding in enumerate(train.findings):
        objective = Objective.of(recipe.loss, train_nf[:, [f]])
        weight_c, bias, findings[finding] = _along_path(
            (train_nc, train_nf[:, [f]]), (tune_nc, tune.label_nf[:, [f]]), objective
        )
        raw_c = weight_c * scale_c  # the same head on features as the network gives them
        with torch.no_grad():
            head.weight[f] = torch.from_numpy(raw_c)
            head.bias[f] = bias - float(raw_c @ mean_c)
    return ProbeReport(findings)


def _standard(
    feature_nc: NDArray[np.float32], widths: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and factor of each channel: unit variance, then each stage the same in all.

    Otherwise the last map, with more channels than all others together, would be regularised least.
    A channel that is the same on every film counts for nothing.
    """
    mean_c = feature_nc.mean(axis=0, dtype=np.float64)
    deviation_c = feature_nc.std(axis=0, dtype=np.float64)
    share_c = np.repeat([sum(widths) / (len(widths) * width) for width in widths], widths)
    alive_c = deviation_c > 1e-6
    scale_c = np.sqrt(share_c) / np.where(alive_c, deviation_c, 1.0)
    return mean_c, np.where(alive_c, scale_c, 0.0)


def _along_path(
    train: tuple[NDArray[np.float32], NDArray[np.float64]],
    tune: tuple[NDArray[np.float32], NDArray[np.float64]],
    objective: Objective,
) -> tuple[NDArray[np.float64], float, FindingProbe]:
    """Weights, bias and how they were chosen: from strong to weak L2, until tune loses.

    train, tune: features (n, c) and labels (n, 1)
    """
    loss_by_strength: dict[float, float] = {}
    at = best = np.zeros(train[0].shape[1] + 1)
    best_loss, chosen = np.inf, STRENGTHS[0]
    for strength in STRENGTHS:
        at = _minimum(train, objective, strength, at)
        loss = _loss(torch.from_numpy(at), tune, objective).item()
        loss_by_strength[strength] = loss
        if loss > best_loss:
            break
        best, best_loss, chosen = at, loss, strength
    return best[:-1], float(best[-1]), FindingProbe(chosen, loss_by_strength)


def _minimum(
    data: tuple[NDArray[np.float32], NDArray[np.float64]],
    objective: Objective,
    strength: float,
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weights with the bias behind them, where loss + strength / 2 * |weights|² is least."""

    def value_and_slope(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parameter = torch.tensor(at, requires_grad=True)
        with torch.enable_grad():
            loss = _loss(parameter, data, objective)
            loss = loss + strength / 2 * parameter[:-1].square().sum()
        (slope,) = torch.autograd.grad(loss, parameter)
        return loss.item(), slope.numpy()

    found = minimize(
        value_and_slope, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-5, "maxiter": 200}
    )
    return np.asarray(found.x, dtype=np.float64)


def _loss(
    parameter: Tensor,
    data: tuple[NDArray[np.float32], NDArray[np.float64]],
    objective: Objective,
) -> Tensor:
    """Mean of the recipe's loss over the known labels, a scalar; 0 where none is known."""
    feature_nc, label_n1 = (torch.from_numpy(each) for each in data)
    logit_n1 = feature_nc @ parameter[:-1, None].float() + parameter[-1].float()
    total, known = objective.sums(logit_n1, label_n1.float())
    return total.double() / known.clamp(min=1)
