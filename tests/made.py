"""Small data and recipes that tests make for themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hilum.data.cohort import Cohort
from hilum.data.pixels import ArrayPixels
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


def bright_cohort(n: int = 160, side: int = 28, seed: int = 0) -> Cohort:
    """Two films a patient, in published splits; films with pneumonia are brighter, most of them."""
    rng = np.random.default_rng(seed)
    patient_n = np.arange(n) // 2
    label_n = (patient_n % 2).astype(float)
    bright_n = 25 * label_n + rng.normal(0, 12, n)
    grey_nhw = rng.integers(60, 160, (n, side, side)) + bright_n[:, None, None]
    table = pd.DataFrame(
        {
            "image_id": [f"film-{i:03d}" for i in range(n)],
            "patient_id": [f"patient-{p:03d}" for p in patient_n],
            "split": np.select([patient_n % 8 < 5, patient_n % 8 < 6], ["train", "val"], "test"),
            "label_pneumonia": label_n,
        }
    ).assign(site=None, view=None, age=np.nan, sex=None, role=None)
    pixels = ArrayPixels(grey_nhw.clip(0, 255).astype(np.uint8))
    return Cohort("bright", ("Pneumonia",), table, pixels)


def small_recipe(**train: object) -> Recipe:
    """One short epoch on small films; on more than 32 pixels a feature map has room to differ."""
    return make_recipe(
        {
            "name": "small",
            "input": {"size": 64},
            "train": {"epochs": 1, "batch_size": 16, **train},
            "abstention": {"examples": 100},
        }
    )


def tiny_recipe(**train: object) -> Recipe:
    """As `small_recipe`, with timm's network for tests: half the time, and nothing to be learnt."""
    values = small_recipe(**train).model_dump()
    network = {"backbone": "test_efficientnet", "weights": "none"}
    return make_recipe({**values, "name": "tiny", "model": {**values["model"], **network}})


@contextmanager
def without_ink() -> Iterator[None]:
    """Figures are made and not drawn: in a report drawing takes twice as long as all the rest.

    What is drawn is tested in `tests/evaluation`, and by those tests of commands that ask for ink.
    """
    from matplotlib.figure import Figure

    blank = {kind: BytesIO() for kind in ("svg", "png")}
    for kind, file in blank.items():
        Figure(figsize=(1, 1)).savefig(file, format=kind)

    def save(_: Figure, target: Any, *, format: str, **options: object) -> None:
        made = blank[format].getvalue()
        if isinstance(target, (str, Path)):
            Path(target).write_bytes(made)
        else:
            target.write(made.decode() if isinstance(target, StringIO) else made)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save)
        yield


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
