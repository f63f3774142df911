"""Small data and recipes that tests make for themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hilum.evaluation import Deployment, Evaluation, Predictions, evaluate
from hilum.recipe import Recipe, make_recipe


def write_npz(path: Path, n: int = 60, side: int = 28, seed: int = 0) -> dict[str, np.ndarray]:
    """An archive laid out as MedMNIST's, whose films with pneumonia are brighter."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "val", "test"):
        label = (np.arange(n) % 2).astype(np.uint8)[:, None]
        grey = rng.integers(0, 160, (n, side, side)) + 60 * label[:, :, None]
        arrays |= {f"{split}_images": grey.astype(np.uint8), f"{split}_labels": label}
    np.savez(path, **arrays)
    return arrays


def small_recipe(**train: object) -> Recipe:
    """One short epoch on small films; on more than 32 pixels a feature map has room to differ."""
    return make_recipe(
        {
            "name": "small",
            "input": {"size": 64},
            "train": {"epochs": 1, "batch_size": 16, **train},
        }
    )


def evaluated(
    predictions: Predictions, deployments: Mapping[str, Deployment], **more: Any
) -> Evaluation:
    """An evaluation of nobody's bundle on simulated images; `more` goes to `evaluate`."""
    return evaluate(
        predictions,
        deployments,
        bundle=None,
        source="simulated",
        role="test",
        synthetic=False,
        rng=np.random.default_rng(0),
        **more,
    )
