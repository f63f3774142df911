"""Hilum at work, for `compare.py` to time: films trained on, films predicted, a whole training.

python ours.py train pneumoniamnist --films 640       the loop itself, with its look at tune
python ours.py predict BUNDLE --films 624
python ours.py whole pneumoniamnist --out DIR         and test after each epoch

Weights are chosen by tune alone, as the recipe has it. `whole` looks at test after each epoch to
tell when a figure was first reached; nothing is decided by it, and its time is in no clock.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from waiting import serve

from hilum.bundle import load_bundle
from hilum.data.cohort import Cohort
from hilum.data.sources import open_source
from hilum.engines import carried_engine
from hilum.predict import predict


def some(cohort: Cohort, n: int) -> Cohort:
    return cohort.where(np.arange(len(cohort)) < n)


def serve_predictions(folder: Path, n: int, *, busy: bool) -> None:
    bundle = load_bundle(folder)
    engine = carried_engine(bundle, threads=1 if busy else None)
    cohort = open_source("pneumoniamnist")
    test = some(cohort.where(np.asarray(cohort.table["split"] == "test")), n)
    serve(
        lambda: len(predict(bundle, test, engine=engine).table),
        size=bundle.manifest.engine.input_size,
    )


def serve_training(recipe_name: str, settings: list[str], n: int, *, busy: bool) -> None:
    import torch
    from learning import short, start, training_set

    from hilum.training.loop import fit

    if busy:
        torch.set_num_threads(1)
    recipe = short(recipe_name, settings)
    data, _ = training_set(recipe)
    share = n / len(data.train)
    few = replace(
        data, train=some(data.train, n), tune=some(data.tune, math.ceil(share * len(data.tune)))
    )
    classifier = start(recipe)

    def epoch() -> int:
        with tempfile.TemporaryDirectory() as folder:
            fit(classifier, few, recipe, Path(folder))
        return n

    serve(epoch, epoch_films=len(data.train), size=recipe.input.size)


def train_whole(recipe_name: str, settings: list[str], out: Path) -> None:
    """One fit by the recipe, an epoch a line in `epochs.jsonl`."""
    from learning import Diary, recipe_of, start, training_set

    from hilum.training.loop import fit

    recipe = recipe_of(recipe_name, settings)
    data, test = training_set(recipe)
    classifier = start(recipe)
    out.mkdir(parents=True, exist_ok=True)
    diary = Diary(classifier, test, data.steps, out / "epochs.jsonl")
    with tempfile.TemporaryDirectory() as folder:
        fit(classifier, data, recipe, Path(folder), watcher=diary)
    diary.halt()
    result = {
        "test": diary.figures(),
        "train_wall_s": diary.wall,
        "train_processor_s": diary.processor,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "weights": recipe.model.weights,
    }
    (out / "result.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "predict", "whole"))
    parser.add_argument("what", help="a recipe, or the bundle that predicts")
    parser.add_argument("--films", type=int, default=624)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--busy", action="store_true", help="one thread")
    wanted = parser.parse_args()
    if wanted.task == "predict":
        serve_predictions(Path(wanted.what), wanted.films, busy=wanted.busy)
    elif wanted.task == "train":
        serve_training(wanted.what, wanted.set, wanted.films, busy=wanted.busy)
    else:
        train_whole(wanted.what, wanted.set, wanted.out)


if __name__ == "__main__":
    main()
