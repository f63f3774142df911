"""Where the time of a training step goes, against what limit, and what would make it quicker.

python benchmarks/training.py                                       the default recipe
python benchmarks/training.py kermany-224 --set input.size=128
python benchmarks/training.py --busy      other work on the machine: one thread, processor time
python benchmarks/training.py --no-compile

The parts are timed one after another, all cores on each, the loop itself beside them: it reads
ahead while it computes. Everything takes turns, and of each the fastest round counts.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from stepping import Clock, Parts, Stepping, Way, fastest, machine, peak_flops, untrained, warmed

from hilum.data.fingerprints import fingerprints_for
from hilum.data.reading import read_batches
from hilum.data.roles import assign_roles
from hilum.data.shards.order import training_batches
from hilum.data.sources import open_source
from hilum.recipe import Recipe, read_recipe
from hilum.recipes import recipe_path
from hilum.training.augmentation import apply_variation, draw_variation
from hilum.training.loop import TrainingSet, fit, logits
from hilum.training.making import input_steps

LOOP_STEPS = 8
WAYS = (
    Way("contiguous, float32", channels_last=False),
    Way("channels-last, float32"),
    Way("channels-last, bf16-mixed", bf16=True),
    Way("channels-last, bf16 wholly", bf16=True, wholly=True),
)
COMPILED = (
    Way("channels-last, float32, compiled", compiled=True),
    Way("channels-last, bf16-mixed, compiled", bf16=True, compiled=True),
)


def way_of(recipe: Recipe) -> Way:
    bf16 = recipe.train.precision == "bf16-mixed"
    return Way("as the recipe has it", bf16=bf16, compiled=recipe.train.compile)


def training_set(recipe: Recipe) -> TrainingSet:
    data = recipe.data
    cohort = open_source(data.source, data, recipe.reading)
    cohort, _ = assign_roles(cohort, data, seed=recipe.seed, prints=fingerprints_for(cohort, data))
    steps = input_steps(cohort.reduction, recipe.input)
    return TrainingSet(cohort.with_role("train"), cohort.with_role("tune"), steps, "benchmark")


def reading(recipe: Recipe, data: TrainingSet, clock: Clock) -> Callable[[], Parts]:
    """Decode and preprocess one batch."""
    rng = np.random.default_rng(0)
    size = recipe.train.batch_size

    def forever() -> Iterator[np.ndarray]:
        while True:
            yield from training_batches(data.train, size, rng)

    order = forever()

    def work() -> Parts:
        began = clock()
        list(read_batches(data.train, data.steps, itertools.islice(order, 1)))
        return Parts(clock() - began, 0.0, 0.0)

    return work


def augmenting(recipe: Recipe, clock: Clock) -> Callable[[], Parts]:
    n, side = recipe.train.batch_size, recipe.input.size
    image_nchw = torch.rand(n, 1, side, side, device=clock.device)

    def work() -> Parts:
        began = clock()
        variation = draw_variation(recipe.augmentation, n, np.random.default_rng(0))
        apply_variation(image_nchw, variation)
        return Parts(clock() - began, 0.0, 0.0)

    return work


def evaluating(data: TrainingSet, stepping: Stepping, clock: Clock) -> Callable[[], Parts]:
    """Logits of as many tune films as a batch has, reading included."""
    some = data.tune.where(np.arange(len(data.tune)) < stepping.n)

    def work() -> Parts:
        began = clock()
        logits(stepping.classifier, some, data.steps, clock.device)
        return Parts(clock() - began, 0.0, 0.0)

    return work


def loop_rate(recipe: Recipe, data: TrainingSet) -> float:
    """Images a second of the loop itself, over a few steps and without tune."""
    n = LOOP_STEPS * recipe.train.batch_size
    train = data.train.where(np.arange(len(data.train)) < n)
    short = recipe.train.model_copy(update={"epochs": 2, "grow_from": 1.0, "patience": 9})
    recipe = recipe.model_copy(update={"train": short})
    with tempfile.TemporaryDirectory() as folder:
        small = replace(data, train=train)
        return fit(untrained(recipe.model), small, recipe, Path(folder))[-1].images_per_s


def show_parts(recipe: Recipe, data: TrainingSet, clock: Clock, rounds: int) -> None:
    n = recipe.train.batch_size
    stepping = Stepping(recipe.model, recipe.input.size, n, way_of(recipe), clock)
    works = [
        reading(recipe, data, clock),
        augmenting(recipe, clock),
        stepping.train,
        evaluating(data, stepping, clock),
    ]
    for work in works:
        warmed(work)
    read, augment, step, tune = fastest(works, rounds)
    # Tune is looked at once an epoch: its films' share of one step.
    tune_s = tune.forward / min(n, len(data.tune)) * n * len(data.tune) / len(data.train)
    parts = {
        "decoding and preprocessing": read.forward,
        "augmentation": augment.forward,
        "forward": step.forward,
        "backward": step.backward,
        "optimiser": step.optimiser,
        "tune, once an epoch": tune_s,
    }
    total = sum(parts.values())
    print("| part of a step | ms | share | images/s of it alone |\n|---|---|---|---|")
    for name, seconds in parts.items():
        print(f"| {name} | {1000 * seconds:.1f} | {seconds / total:.1%} | {n / seconds:,.0f} |")
    print(f"| all of it | {1000 * total:.1f} | | {n / total:,.0f} |")
    if not clock.busy:
        print(f"| the loop itself, without tune | | | {loop_rate(recipe, data):,.0f} |")

    bf16 = way_of(recipe).bf16
    matrix, convolution = peak_flops(clock, torch.bfloat16 if bf16 else torch.float32)
    forward_only = min(stepping.infer().forward for _ in range(rounds))
    flops = stepping.flops()
    step_rate = n / sum(step)
    print("\n| limit | images/s | a step reaches |\n|---|---|---|")
    for name, rate in (
        ("forward only, no gradient", n / forward_only),
        (f"its operations at a convolution's {convolution / 1e9:,.0f} GFLOP/s",
         convolution / (3 * flops)),
        (f"its operations at a matrix product's {matrix / 1e9:,.0f} GFLOP/s",
         matrix / (3 * flops)),
    ):  # fmt: skip
        print(f"| {name} | {rate:,.0f} | {step_rate / rate:.1%} |")
    print(f"\nA film takes {flops / 1e9:.3f} GFLOP forward, and three times that in training.")


def show_ways(recipe: Recipe, clock: Clock, rounds: int, *, compiled: bool) -> None:
    n, side = recipe.train.batch_size, recipe.input.size
    ways = (*WAYS, *COMPILED) if compiled else WAYS
    steppings = [Stepping(recipe.model, side, n, way, clock) for way in ways]
    first = [warmed(each.train) for each in steppings]
    found = fastest([each.train for each in steppings], rounds)
    plain = dict(zip(WAYS, found, strict=False))
    print("\n| a step | images/s | forward ms | backward ms | compiling | pays after |")
    print("|---|---|---|---|---|---|")
    for way, parts, first_s in zip(ways, found, first, strict=True):
        cost = ("", "")
        if way.compiled:
            saved = sum(plain[_uncompiled(way)]) - sum(parts)
            compile_s = first_s - sum(parts)
            after = f"{compile_s / saved:,.0f} steps" if saved > 0 else "never"
            cost = (f"{compile_s:.0f} s", after)
        print(
            f"| {way.name} | {n / sum(parts):,.1f} | {1000 * parts.forward:.0f} "
            f"| {1000 * parts.backward:.0f} | {cost[0]} | {cost[1]} |"
        )


def _uncompiled(way: Way) -> Way:
    return next(each for each in WAYS if way.name == f"{each.name}, compiled")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", default="pneumoniamnist")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--busy", action="store_true", help="one thread and its processor time")
    parser.add_argument("--no-compile", action="store_true")
    asked = parser.parse_args()
    recipe = read_recipe(recipe_path(asked.recipe), asked.set)
    torch.set_num_threads(1 if asked.busy else asked.threads)
    wanted = recipe.train.accelerator
    device = "cuda" if torch.cuda.is_available() and wanted != "cpu" else "cpu"
    clock = Clock(device, busy=asked.busy)
    print(
        f"{recipe.model.backbone}, {recipe.input.size} px, {recipe.train.batch_size} films a step, "
        f"{recipe.train.precision}. {machine(device)}; load {os.getloadavg()[0]:.1f} before"
        f"{'; processor time' if asked.busy else ''}.\n"
    )
    show_parts(recipe, training_set(recipe), clock, asked.rounds)
    show_ways(recipe, clock, asked.rounds, compiled=not asked.no_compile)


if __name__ == "__main__":
    main()
