"""Who keeps a run's figures besides its own folder: an MLflow server, TensorBoard's files.

How each is told is its module's business; here they are opened, and kept from ending a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.errors import HilumError, MissingExtraError
from hilum.training.environment import main_process
from hilum.training.metrics import TABLE
from hilum.training.watching import EpochReport, StepReport, Tracker

if TYPE_CHECKING:
    from hilum.training.records import RunRecord

TRACKERS = ("mlflow", "tensorboard")


def open_trackers(names: Sequence[str], say: Callable[[str], None]) -> list[Tracker]:
    """Trackers by name, each ready to take a run; an unreachable one is told of before training.

    say: takes a line for the user
    Of several processes only the first has any.
    Raises HilumError (no such tracker, or its server cannot be reached) or MissingExtraError.
    """
    if not main_process():
        return []
    return [_Patient(_opened(name, say), name, say) for name in dict.fromkeys(names)]


def _opened(name: str, say: Callable[[str], None]) -> Tracker:
    if name not in TRACKERS:
        raise HilumError("--track", repr(name), expected=" or ".join(TRACKERS))
    if find_spec(name) is None:
        raise MissingExtraError(f"--track {name}", name, f"{TABLE}, which every run writes")
    if name == "mlflow":
        from hilum.training.tracking.mlflow import MlflowTracker

        return MlflowTracker(say)
    from hilum.training.tracking.tensorboard import TensorboardTracker

    return TensorboardTracker(say)


class _Patient:
    """A tracker whose failures do not end a run that has begun: the first is told, and no more."""

    def __init__(self, tracker: Tracker, name: str, say: Callable[[str], None]) -> None:
        self._tracker, self._name, self._say = tracker, name, say
        self._told = False

    def on_start(self, run: RunRecord, work: Path) -> None:
        self._tracker.on_start(run, work)

    def on_step(self, report: StepReport) -> None:
        self._try(lambda: self._tracker.on_step(report))

    def on_epoch(self, report: EpochReport) -> None:
        self._try(lambda: self._tracker.on_epoch(report))

    def on_end(self, run: RunRecord, folder: Path) -> None:
        self._try(lambda: self._tracker.on_end(run, folder), at_end=True)

    def _try(self, tell: Callable[[], None], *, at_end: bool = False) -> None:
        try:
            tell()
        except Exception as error:  # stores and their plug-ins raise whatever they like
            if at_end or not self._told:
                line = one_line(error)
                went = "not all of the run is there" if at_end else "training goes on without it"
                self._say(f"warning: {self._name}: {line}; {went}; the figures are in {TABLE}")
            self._told = True


def one_line(error: Exception) -> str:
    """What a library says went wrong, cut to a line, without the passwords of addresses."""
    line = re.sub(r"//[^/@\s]+@", "//", " ".join(str(error).split()))
    return line[:200] or type(error).__name__


def flattened(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """A recipe's settings by their full names, such as `train.epochs`; lists stay whole."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def final_figures(manifest: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a bundle on tune and calibrate by name, such as `tune/Pneumonia/auroc`."""
    return {
        f"{role}/{finding}/{name}": figure["value"]
        for role, findings in manifest["figures"].items()
        for finding, figures in findings.items()
        for name, figure in figures.items()
        if figure["value"] is not None
    }


def epoch_figures(report: EpochReport) -> dict[str, float]:
    """What trackers are told of an epoch; rates are those of its steps."""
    return {
        "train_loss": report.train_loss,
        "tune_log_loss": report.tune_log_loss,
        "tune_auroc": report.tune_auroc,
        "epoch_seconds": report.seconds,
        "epoch": float(report.epoch),
    }


def step_figures(report: StepReport) -> dict[str, float]:
    """What trackers are told of a step."""
    return {
        "loss": report.loss,
        "learning_rate": report.learning_rate,
        "images_per_s": report.images_per_s,
    }
