"""`hilum train`: a recipe becomes a bundle."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.completing import recipes
from hilum.cli.options import Data, Json, KeepIds, Resume, Set


class Criterion(StrEnum):
    """What `--select` chooses by."""

    ROBUST = "robust"


class Tracking(StrEnum):
    """Where `--track` sends a run's figures."""

    MLFLOW = "mlflow"
    TENSORBOARD = "tensorboard"


def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name or TOML file.", autocompletion=recipes)
    ],
    out: Annotated[Path, typer.Option(help="Where the bundle goes.")],
    weights: Annotated[
        Path | None, typer.Option(help="State dict to start from: .safetensors, .pth or .pt.")
    ] = None,
    data: Data = None,
    changes: Set = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fit the head alone, on frozen features: seconds.")
    ] = False,
    select: Annotated[
        Criterion | None,
        typer.Option(help="First choose among the recipe's \\[select] candidates, by folds."),
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="First try values of the recipe's \\[sweep] ranges.")
    ] = False,
    track: Annotated[
        list[Tracking] | None, typer.Option(help="Also send figures to; may be given twice.")
    ] = None,
    resume: Resume = False,
    keep_ids: KeepIds = False,
    as_json: Json = False,
) -> None:
    """Train a classifier and calibrate it. The role `test` is not opened.

    Selection and sweep keep what they have tried in OUT.selection and OUT.sweep, and go on there.

    Example: hilum train pneumoniamnist --out models/mine --set train.epochs=3
    """
    from hilum.cli.show import print_json, say
    from hilum.cli.work import choose_recipe, need_training, open_cohort, train_bundle
    from hilum.errors import WeightsError
    from hilum.recipe import read_recipe
    from hilum.recipes import recipe_path
    from hilum.training.tracking import open_trackers
    from hilum.writing import refuse_unwritable

    need_training()
    plan = read_recipe(recipe_path(recipe), changes or [])
    if weights is not None:
        if not weights.is_file():
            raise WeightsError(weights, "no such file", expected="a state dict")
        model = plan.model.model_copy(update={"weights": str(weights)})
        plan = plan.model_copy(update={"model": model})
    refuse_unwritable(out.parent)
    trackers = open_trackers([each.value for each in track or []], say)
    cohort = open_cohort(plan.data, plan.reading, data)
    plan, selection = choose_recipe(
        plan, cohort, out, quick=quick, select=select is not None, sweep=sweep, keep_ids=keep_ids
    )
    bundle = train_bundle(
        plan,
        cohort,
        out,
        resume=resume,
        keep_ids=keep_ids,
        selection=selection,
        trackers=trackers,
    )
    if bundle is None:  # another process of this run writes and tells
        return
    if as_json:
        print_json(
            {
                "bundle": str(bundle.folder),
                "digest": bundle.digest,
                "figures": bundle.manifest.figures,
            }
        )
    else:
        print(bundle.folder)
