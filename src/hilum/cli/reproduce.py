"""`hilum reproduce`: the main job from data to figures, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.options import Data, Json, Out, Resume, Set


def reproduce(
    models: Annotated[Path, typer.Option(help="Folder for the bundle.")] = Path("models"),
    out: Out = Path("outputs"),
    recipe: Annotated[str, typer.Option(help="A recipe's name or file.")] = "pneumoniamnist",
    data: Data = None,
    changes: Set = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Train, calibrate and evaluate on PneumoniaMNIST.

    Writes MODELS/{recipe's name} and, into OUT, pictures, loss_acc_auc.txt, evaluation.json and
    predictions.parquet. Without the data set, and without a network to fetch it, the built-in
    synthetic phantom takes its place and every output says so.

    Example: hilum reproduce --models models --out outputs
    """
    import time

    from hilum.card import read_evaluation, write_card
    from hilum.cli.judging import evaluate_bundle
    from hilum.cli.show import say
    from hilum.cli.work import need_training, open_cohort_or_phantom, train_bundle
    from hilum.recipe import read_recipe
    from hilum.recipes import recipe_path
    from hilum.writing import refuse_unwritable

    began = time.monotonic()
    need_training()
    plan = read_recipe(recipe_path(recipe), changes or [])
    target = models / plan.name
    for folder in (target.parent, out):
        refuse_unwritable(folder)
    cohort = open_cohort_or_phantom(plan.data, plan.reading, data)
    bundle = train_bundle(plan, cohort, target, resume=resume)
    if bundle is None:  # another process of this run writes and tells
        return
    evaluate_bundle(bundle, cohort, "test", out, as_json=as_json)
    say(f"card: {write_card(bundle, read_evaluation(out, bundle.digest))}")
    say(f"done in {time.monotonic() - began:.0f} s")
