"""Sweep: Optuna looks for better values of declared settings, by what tune says alone.

The study is a SQLite file, which the same command goes on with. Which of a few recipes holds up
under other conditions is for `selection`.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints, fingerprints_for
from hilum.data.reading import Quarantine
from hilum.data.roles import assign_roles
from hilum.data.seen import pseudonymised
from hilum.errors import (
    MissingExtraError,
    OutputError,
    RecipeError,
    StoppedError,
    TrainingError,
    WeightsError,
)
from hilum.evaluation.discrimination import auroc
from hilum.evaluation.reliability import log_losses_of_logits
from hilum.recipe import Recipe, SweepRange
from hilum.training.choice import markdown_table
from hilum.training.loop import TrainingSet, logits
from hilum.training.making import input_steps, make_classifier
from hilum.training.variants import identity, refuse_many_processes, variant, without_broken
from hilum.training.watching import EpochReport, Nobody, StepReport, Watcher
from hilum.writing import refuse_unwritable

if TYPE_CHECKING:
    from optuna import Study, Trial

_NAME = "hilum"
_WARM_UP = 5  # trials that are never cut short, so that there is a median


@dataclass(frozen=True)
class TrialResult:
    """One trial. state: "complete", "pruned", "fail" (see `why`) or "running"; value: on tune."""

    number: int
    state: str
    value: float | None
    changes: Mapping[str, Any]
    seconds: float | None
    why: str | None


@dataclass(frozen=True)
class SweepResult:
    """What was tried, in order, and the recipe with the best trial's values."""

    objective: str
    best: TrialResult
    recipe: Recipe
    trials: tuple[TrialResult, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "objective": self.objective,
            "best": asdict(self.best),
            "trials": [asdict(each) for each in self.trials],
        }

    def table(self) -> str:
        """Markdown, its columns in line so that a terminal shows it as well."""
        keys = list(self.recipe.sweep.ranges)
        rows = [("trial", "state", f"tune {self.objective}", *keys, "s")]
        for each in self.trials:
            mark = f"**{each.number}**" if each.number == self.best.number else str(each.number)
            value = "" if each.value is None else f"{each.value:.4f}"
            tried = [_in_words(each.changes.get(key, "")) for key in keys]
            seconds = "" if each.seconds is None else f"{each.seconds:.0f}"
            rows.append((mark, each.state, value, *tried, seconds))
        return markdown_table(rows)


def sweep(
    recipe: Recipe,
    cohort: Cohort,
    study: Path,
    *,
    prints: Fingerprints | None = None,
    watcher: Watcher | None = None,
    keep_ids: bool = False,
) -> SweepResult:
    """Try `sweep.trials` draws from `sweep.ranges`, trained on train and judged on tune.

    study: SQLite file; one that holds trials of the same recipe and data is gone on with, until
        it holds as many as are asked for. One process at a time.
    A trial whose loss explodes, whose settings do not go together or which the device has no
    memory for has failed, and the study goes on; one that does worse after an epoch than the median
    of those before is cut short. What is compared is uncalibrated.
    Raises MissingExtraError without Optuna; RecipeError on a range that does not fit the recipe;
    OutputError when `study` is a study of another recipe or data, or none; TrainingError when no
    trial was finished; StoppedError when asked to stop.
    """
    if find_spec("optuna") is None:
        raise MissingExtraError("train --sweep", "sweep", "train --select robust")
    refuse_many_processes("--sweep")
    _refuse_bad_ranges(recipe)
    refuse_unwritable(study.parent)
    prints = prints or fingerprints_for(cohort, recipe.data)
    cohort, ledger = assign_roles(cohort, recipe.data, seed=recipe.seed, prints=prints)
    if prints is None:
        cohort = without_broken(cohort, recipe.data.broken_limit)
    facts = json.dumps(ledger.to_dict(), sort_keys=True)
    digest = hashlib.sha256(facts.encode()).hexdigest()
    if not keep_ids:
        cohort = pseudonymised(cohort, secrets.token_hex(16))
    with _quiet_optuna():
        opened = _opened(study, recipe, digest)
        work = study.with_name(f".{study.name}.trial")
        for _ in range(recipe.sweep.trials - _counted(opened)):
            _one_trial(opened, recipe, cohort, digest, work, watcher or Nobody())
        return _result(opened, recipe)


def _refuse_bad_ranges(recipe: Recipe) -> None:
    """Every key and limit is tried on the recipe before anything is trained."""
    if not recipe.sweep.ranges:
        raise RecipeError(
            "sweep.ranges",
            "is empty",
            expected="one range or more",
            remedy='add one, such as "train.learning_rate" = { low = 1e-4, high = 1e-2 }',
        )
    for key, limits in recipe.sweep.ranges.items():
        for value in _samples(limits):
            variant(recipe, {key: value}, f"sweep.ranges.{key}")


def _samples(limits: SweepRange) -> tuple[Any, ...]:
    if limits.low is None or limits.high is None:
        return limits.choices
    if limits.whole:
        return int(limits.low), int(limits.high)
    # Between the limits, a setting that counts something shows that it needs `whole`.
    return limits.low, limits.high, limits.low + 0.37 * (limits.high - limits.low)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna tells of every trial by itself; here the caller does."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _opened(path: Path, recipe: Recipe, digest: str) -> Study:
    """A new study, or the one that stands in the file when it is of this recipe and data."""
    import optuna

    _refuse_no_study(path)
    settings = recipe.sweep
    ranges = {key: each.model_dump() for key, each in settings.ranges.items()}
    own = {"recipe": identity(recipe, ranges, settings.objective), "data": digest}
    study = optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=_NAME,
        load_if_exists=True,
        direction="minimize" if settings.objective == "log_loss" else "maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_WARM_UP, n_warmup_steps=1),
    )
    for key, word in (("recipe", "another recipe"), ("data", "other images")):
        if study.user_attrs.get(key, own[key]) != own[key]:
            raise OutputError(
                path,
                f"is a study of {word}",
                expected="a study of the same recipe, ranges and data",
                remedy="name another file",
            )
        study.set_user_attr(key, own[key])
    # The same seed would make a resumed study draw its first trials again.
    seed = (recipe.seed + len(study.trials)) % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    for each in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study.tell(each.number, state=optuna.trial.TrialState.FAIL)  # of a process that has died
    return study


def _refuse_no_study(path: Path) -> None:
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            file.execute("SELECT COUNT(*) FROM studies")
    except sqlite3.Error as error:
        raise OutputError(
            path, f"is no study ({error})", expected="a study of a sweep", remedy="name another"
        ) from error


def _counted(study: Study) -> int:
    """Trials that have come to an end of their own."""
    return sum(each.state != "fail" or each.why is not None for each in _trials(study))


def _one_trial(
    study: Study, recipe: Recipe, cohort: Cohort, digest: str, work: Path, watcher: Watcher
) -> None:
    from optuna import TrialPruned
    from optuna.trial import TrialState

    trial = study.ask()
    changes = {key: _drawn(trial, key, each) for key, each in recipe.sweep.ranges.items()}
    shutil.rmtree(work, ignore_errors=True)
    try:
        own = variant(recipe, changes, f"trial {trial.number}")
        value = _on_tune(own, cohort, digest, work, _Pruner(trial, own, watcher))
    except StoppedError:
        raise
    except TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except (TrainingError, RecipeError, WeightsError, torch.OutOfMemoryError) as error:
        trial.set_user_attr("why", str(error))
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _drawn(trial: Trial, key: str, limits: SweepRange) -> Any:
    if limits.low is None or limits.high is None:
        return trial.suggest_categorical(key, limits.choices)
    if limits.whole:
        return trial.suggest_int(key, int(limits.low), int(limits.high), log=limits.log)
    return trial.suggest_float(key, limits.low, limits.high, log=limits.log)


class _Pruner:
    """Tells Optuna of every epoch, and ends a trial that Optuna gives up."""

    def __init__(self, trial: Trial, recipe: Recipe, watcher: Watcher) -> None:
        self.trial, self.objective, self.watcher = trial, recipe.sweep.objective, watcher
        self.epochs = 0  # of all members of an ensemble

    def on_step(self, report: StepReport) -> None:
        self.watcher.on_step(report)

    def on_epoch(self, report: EpochReport) -> None:
        from optuna import TrialPruned

        self.watcher.on_epoch(report)
        log_loss = self.objective == "log_loss"
        self.trial.report(report.tune_log_loss if log_loss else report.tune_auroc, self.epochs)
        self.epochs += 1
        if self.trial.should_prune():
            raise TrialPruned


def _on_tune(recipe: Recipe, cohort: Cohort, digest: str, work: Path, watcher: Watcher) -> float:
    """Train, then the objective on tune of what came out."""
    train, tune = cohort.with_role("train"), cohort.with_role("tune")
    steps = input_steps(cohort.reduction, recipe.input)
    quarantine = Quarantine(len(train), recipe.data.broken_limit)
    data = TrainingSet(train, tune, steps, digest, quarantine)
    classifier = make_classifier(recipe, data, work, watcher=watcher)
    logit_nf, label_nf = logits(classifier, tune, steps), tune.label_nf
    known_nf = ~np.isnan(label_nf)
    if recipe.sweep.objective == "log_loss":
        return float(log_losses_of_logits(logit_nf, label_nf)[known_nf].mean())
    columns = zip(logit_nf.T, label_nf.T, known_nf.T, strict=True)
    return float(np.mean([auroc(logit_n[known], y_n[known]) for logit_n, y_n, known in columns]))


def _trials(study: Study) -> tuple[TrialResult, ...]:
    return tuple(
        TrialResult(
            number=each.number,
            state=each.state.name.lower(),
            value=each.value,
            changes=each.params,
            seconds=each.duration.total_seconds() if each.duration else None,
            why=each.user_attrs.get("why"),
        )
        for each in study.trials
    )


def _result(study: Study, recipe: Recipe) -> SweepResult:
    trials = _trials(study)
    if not any(each.state == "complete" for each in trials):
        why = next((each.why for each in trials if each.why), "none was started")
        raise TrainingError("the sweep", f"no trial of {len(trials)} was finished: {why}")
    best = trials[study.best_trial.number]
    return SweepResult(
        objective=recipe.sweep.objective,
        best=best,
        recipe=variant(recipe, best.changes, f"trial {best.number}"),
        trials=trials,
    )


def _in_words(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
