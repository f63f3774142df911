"""Variants of a recipe: some of its settings changed, to be tried on the same films.

It is what `selection` and `sweep` share; which are tried, and which is best, is decided there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import fingerprints
from hilum.data.roles import refuse_broken
from hilum.errors import RecipeError, TrainingError
from hilum.recipe import Recipe, make_recipe
from hilum.training.environment import Place

# Films and roles are the same for all that are compared, and what is fitted after training is not
# what is compared.
OPEN = ("input", "model", "loss", "train", "augmentation")


def variant(recipe: Recipe, changes: Mapping[str, Any], where: str) -> Recipe:
    """The recipe with changes such as {"input.size": 96}, or {"input": {"size": 96}}.

    Raises RecipeError as `make_recipe` does, and on a setting that may not differ.
    """
    values = recipe.model_dump(mode="json")
    for key, value in flat(changes).items():
        *tables, last = key.split(".")
        if not tables or tables[0] not in OPEN:
            raise RecipeError(
                where,
                f"{key} is changed",
                expected=f"a setting of {', '.join(OPEN)}",
                remedy="what is compared shares films and roles; set this in the recipe itself",
            )
        table = values
        for name in tables:
            table = table.setdefault(name, {})
        table[last] = value
    return make_recipe(values, where=where)


def flat(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables in tables as keys with dots."""
    keys: dict[str, Any] = {}
    for name, value in changes.items():
        if isinstance(value, Mapping):
            keys |= flat(value, f"{prefix}{name}.")
        else:
            keys[prefix + name] = value
    return keys


def settled(recipe: Recipe) -> dict[str, Any]:
    """What must stay as it is when a run is resumed, as plain values.

    What is fitted after training, and how often state is saved, may change between.
    """
    return recipe.model_dump(
        mode="json",
        exclude={
            "calibration": True,
            "select": True,
            "sweep": True,
            "model": {"stored"},
            "train": {"checkpoint_steps", "checkpoint_minutes", "checkpoints_kept"},
        },
    )


def identity(recipe: Recipe, *others: object) -> str:
    """A digest of all in the recipe that decides how a network comes out, and of `others`."""
    values = settled(recipe)
    del values["name"], values["train"]["remember_mb"]
    return hashlib.sha256(json.dumps([values, *others], sort_keys=True).encode()).hexdigest()


def refuse_many_processes(verb: str) -> None:
    """Raise TrainingError under a launcher that has started several processes."""
    if (world := Place.here().world) > 1:
        raise TrainingError(
            verb, f"{world} processes", expected="one", remedy="start it without torchrun"
        )


def without_broken(cohort: Cohort, limit: float) -> Cohort:
    """Films that cannot be read lose their role; `test` is not looked at.

    Raises DataError when they are more than `limit` of the others.
    """
    role_n = cohort.table["role"].to_numpy(dtype=object, copy=True)
    rows = np.flatnonzero(cohort.table["role"].isin(["train", "tune", "calibrate"]))
    pool = cohort.where(np.isin(np.arange(len(cohort)), rows))
    broken = fingerprints(pool, perceptual=False).broken
    refuse_broken(cohort.name, broken, len(pool), limit)
    role_n[rows[list(broken)]] = None
    return cohort.with_column("role", role_n)
