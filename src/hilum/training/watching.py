"""What a training run tells of itself while it runs, and to whom.

What is done with it is the watcher's business: a progress bar, a file, a tracking server.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hilum.training.records import RunRecord


@dataclass(frozen=True)
class StepReport:
    """One optimiser step: `step` of `steps`, its loss, and the rate since the epoch began."""

    step: int
    steps: int
    epoch: int
    loss: float
    images_per_s: float
    learning_rate: float


@dataclass(frozen=True)
class EpochReport:
    """One epoch, 1 … epochs. Losses are uncalibrated; the AUROC is the mean over findings.

    tune_loss: the recipe's own loss on tune, the least of which is best: plain log loss would ask
        for another level than a loss that is weighted, and so take an epoch by its level
    """

    epoch: int
    epochs: int
    step: int
    learning_rate: float
    train_loss: float
    tune_log_loss: float
    tune_auroc: float
    images_per_s: float
    seconds: float
    best: bool
    tune_loss: float


class Watcher(Protocol):
    """Whoever wants to follow a run: a progress bar, plain lines, nobody."""

    def on_step(self, report: StepReport) -> None: ...
    def on_epoch(self, report: EpochReport) -> None: ...


class Nobody:
    """A watcher that looks away."""

    def on_step(self, report: StepReport) -> None: ...
    def on_epoch(self, report: EpochReport) -> None: ...


class Tracker(Watcher, Protocol):
    """A watcher that also keeps what it is told, such as a tracking server."""

    def on_start(self, run: RunRecord, work: Path) -> None:
        """A run begins, or goes on where one was interrupted: then `run.resumed` is above 0.

        work: the run's folder, where a tracker may keep what it needs to go on
        Raises HilumError when the run cannot be tracked.
        """

    def on_end(self, run: RunRecord, folder: Path) -> None:
        """It is over, well or not. folder: the bundle, or the run's folder when there is none."""


class Leg:
    """One of several fits that a run is made of, told to its watcher as a leg of one long run.

    place: 0 … legs - 1; all have as many steps and epochs
    """

    def __init__(self, watcher: Watcher, place: int, legs: int) -> None:
        self._watcher, self._place, self._legs = watcher, place, legs
        self._steps = 0

    def on_step(self, report: StepReport) -> None:
        self._steps = report.steps
        done = self._place * report.steps
        steps = self._legs * report.steps
        self._watcher.on_step(replace(report, step=done + report.step, steps=steps))

    def on_epoch(self, report: EpochReport) -> None:
        epoch, epochs = self._place * report.epochs + report.epoch, self._legs * report.epochs
        step = self._place * self._steps + report.step
        self._watcher.on_epoch(replace(report, epoch=epoch, epochs=epochs, step=step))
