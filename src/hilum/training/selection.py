"""Selection: which of several recipes to take, found without a look at test.

Each is trained on patient-disjoint folds of train, tune and calibrate and judged by its worst under
acquisition faults. Figures are `stress`'s; the choice among them is `choice`'s.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints, fingerprints_for
from hilum.data.folds import Fold, draw_folds
from hilum.data.reading import Quarantine
from hilum.data.roles import assign_roles
from hilum.data.seen import pseudonymised
from hilum.errors import OutputError, RecipeError
from hilum.recipe import Recipe
from hilum.training.checkpoint import checkpoints
from hilum.training.choice import Candidate, FoldResult, Selection
from hilum.training.loop import TrainingSet
from hilum.training.making import input_steps, make_classifier
from hilum.training.stress import StressFigures, stress
from hilum.training.variants import flat, identity, refuse_many_processes, variant, without_broken
from hilum.training.watching import Watcher
from hilum.writing import refuse_unwritable, replacing

__all__ = ["AS_IT_STANDS", "RECORD", "Selection", "chosen_recipe", "select"]

AS_IT_STANDS = "as it stands"
RECORD = "selection.jsonl"


def select(
    recipe: Recipe,
    cohort: Cohort,
    folder: Path,
    *,
    prints: Fingerprints | None = None,
    watcher: Watcher | None = None,
    keep_ids: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Selection:
    """Try the recipe as it stands and each of `select.candidates`; the role `test` is not opened.

    folder: every finished fold of a candidate is a line of its `selection.jsonl`; the same call
        goes on from there, and from the checkpoint of a fold that was interrupted
    prints: the cohort's fingerprints, where they are at hand
    tell: called with a line for each finished fold
    Raises RecipeError when a candidate's changes do not fit, DataError when a fold lacks a class,
    TrainingError when a candidate cannot be trained or the run is stopped.
    """
    refuse_many_processes("--select")
    tried = candidates(recipe)
    refuse_unwritable(folder)
    prints = prints or fingerprints_for(cohort, recipe.data)
    cohort, ledger = assign_roles(cohort, recipe.data, seed=recipe.seed, prints=prints)
    if prints is None:
        cohort = without_broken(cohort, recipe.data.broken_limit)
    folds = draw_folds(cohort, recipe.data, recipe.select.folds, seed=recipe.seed, prints=prints)
    if not keep_ids:
        cohort = pseudonymised(cohort, secrets.token_hex(16))
    record = _Record(folder / RECORD)
    found = []
    for name, (changes, own) in tried.items():
        results = []
        for k, fold in enumerate(folds):
            key = identity(own, fold.digest, own.select.severity, own.select.prevalence)
            if key not in record.results:
                result = _try(own, cohort, fold, folder / key[:16], watcher)
                record.add(key, name, k, result)
                loss = result.worst_log_loss
                tell(
                    f"{name}, fold {k + 1} of {len(folds)}: worst-case log loss {loss:.4f}, "
                    f"{result.seconds:.0f} s"
                )
            results.append(record.results[key])
        found.append(Candidate(name, changes, tuple(results)))
    return Selection(
        source=cohort.name,
        n=sum(len(fold.held_out) for fold in folds),
        grouping=ledger.grouping,
        severity=recipe.select.severity,
        prevalence=recipe.select.prevalence,
        warnings=_warnings(cohort, folds, ledger.grouping),
        candidates=tuple(found),
    )


def candidates(recipe: Recipe) -> dict[str, tuple[dict[str, Any], Recipe]]:
    """Name -> changes and recipe, the recipe itself first. Raises RecipeError."""
    tried: dict[str, tuple[dict[str, Any], Recipe]] = {AS_IT_STANDS: ({}, recipe)}
    for name, changes in recipe.select.candidates.items():
        where = f"select.candidates.{name}"
        if name == AS_IT_STANDS:
            raise RecipeError(where, "is the recipe itself", remedy="choose another name")
        tried[name] = (flat(changes), variant(recipe, changes, where))
    if len(tried) == 1:
        raise RecipeError(
            "select.candidates",
            "is empty",
            expected="one candidate or more besides the recipe as it stands",
            remedy='add one, such as [select.candidates.larger] "input.size" = 96',
        )
    return tried


def chosen_recipe(recipe: Recipe, selection: Selection) -> Recipe:
    """The recipe with the changes of the chosen candidate."""
    chosen = selection.chosen
    return variant(recipe, chosen.changes, f"select.candidates.{chosen.name}")


def _try(
    recipe: Recipe, cohort: Cohort, fold: Fold, work: Path, watcher: Watcher | None
) -> FoldResult:
    """Train on a fold and measure what it held out. `work` goes when that is done."""
    train, tune, held_out = fold.parts(cohort)
    steps = input_steps(cohort.reduction, recipe.input)
    data = TrainingSet(
        train, tune, steps, fold.digest, Quarantine(len(train), recipe.data.broken_limit)
    )
    began = time.perf_counter()
    started = work.exists() and bool(checkpoints(work))
    classifier = make_classifier(recipe, data, work, watcher=watcher, resume=started)
    seconds = time.perf_counter() - began
    met = stress(classifier, steps, tune, held_out, recipe, work / "openvino")
    shutil.rmtree(work)
    return FoldResult(seconds, met)


def _warnings(cohort: Cohort, folds: list[Fold], grouping: str) -> tuple[str, ...]:
    if grouping == "image":
        by_image = (
            "patients are not known, so folds are by image: one patient may stand on both sides, "
            "figures flatter, and what remembers patients may be chosen (data.patients names a "
            "table that tells them)"
        )
        return (by_image,)
    always = len(folds[0].train) + len(folds[0].tune) + len(folds[0].held_out)
    always -= sum(len(fold.held_out) for fold in folds)
    return (f"{always:,} films of unknown patients are trained on in every fold",) if always else ()


class _Record:
    """Finished folds, a line each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, FoldResult] = {}
        self.text = path.read_text(encoding="utf-8") if path.exists() else ""
        for number, line in enumerate(self.text.splitlines(), 1):
            try:
                plain = json.loads(line)
                met = {name: StressFigures(**each) for name, each in plain["conditions"].items()}
                self.results[plain["key"]] = FoldResult(float(plain["seconds"]), met)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise OutputError(
                    path,
                    f"line {number} was not written by a selection",
                    remedy="move the file away and start again",
                ) from error

    def add(self, key: str, name: str, k: int, result: FoldResult) -> None:
        plain = {
            "key": key,
            "candidate": name,
            "fold": k + 1,
            "seconds": result.seconds,
            "conditions": {each: asdict(figures) for each, figures in result.met.items()},
        }
        self.text += json.dumps(plain) + "\n"
        with replacing(self.path) as draft:
            draft.write_text(self.text, encoding="utf-8")
        self.results[key] = result
