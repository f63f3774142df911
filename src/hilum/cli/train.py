"""`hilum train`: a recipe becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.options import Data, Json, KeepIds, Resume, Set


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or TOML file.")],
    out: Annotated[Path, typer.Option(help="Where the bundle goes.")],
    weights: Annotated[
        Path | None, typer.Option(help="State dict to start from: .safetensors, .pth or .pt.")
    ] = None,
    data: Data = None,
    changes: Set = None,
    resume: Resume = False,
    keep_ids: KeepIds = False,
    as_json: Json = False,
) -> None:
    """Train a classifier and calibrate it. The role `test` is not opened.

    Example: hilum train pneumoniamnist --out models/mine --set train.epochs=3
    """
    from hilum.cli.show import print_json
    from hilum.cli.work import need_training, open_cohort, train_bundle
    from hilum.errors import WeightsError
    from hilum.recipe import read_recipe
    from hilum.recipes import recipe_path
    from hilum.writing import refuse_unwritable

    need_training()
    plan = read_recipe(recipe_path(recipe), changes or [])
    if weights is not None:
        if not weights.is_file():
            raise WeightsError(weights, "no such file", expected="a state dict")
        model = plan.model.model_copy(update={"weights": str(weights)})
        plan = plan.model_copy(update={"model": model})
    refuse_unwritable(out.parent)
    cohort = open_cohort(plan.data, plan.reading, data)
    bundle = train_bundle(plan, cohort, out, resume=resume, keep_ids=keep_ids)
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
