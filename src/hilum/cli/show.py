"""What a person sees while a verb works: bars on a terminal, plain lines elsewhere, on stderr.

Results go to stdout; nothing here decides anything.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from hilum.training.environment import main_process

if TYPE_CHECKING:
    from hilum.evaluation import Evaluation
    from hilum.training.watching import EpochReport, StepReport

# Seconds between plain lines where there is no terminal to redraw.
_PLAIN_EVERY = 15.0

# Of the processes that train together one speaks.
console = Console(stderr=True, highlight=False, quiet=not main_process())


def say(line: str) -> None:
    """One plain line on stderr."""
    console.print(line, markup=False, soft_wrap=True)


def print_json(result: Mapping[str, Any]) -> None:
    """The machine's answer on stdout."""
    json.dump(result, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def banner(lines: list[str]) -> None:
    """A box of `#` that cannot be missed on a terminal or in a log."""
    width = max(len(line) for line in lines) + 6
    say("#" * width)
    for line in lines:
        say(f"## {line.ljust(width - 6)} ##")
    say("#" * width)


class Count(Protocol):
    """Called with how much is done and how much there is in all, None when nobody knows."""

    def __call__(self, done: int, total: int | None) -> None: ...


@contextmanager
def counting(what: str, unit: str) -> Iterator[Count]:
    """A bar on a terminal; elsewhere a line every quarter of a minute, and none for quick work."""
    if not console.is_terminal:
        last = time.monotonic()

        def plainly(done: int, total: int | None) -> None:
            nonlocal last
            if time.monotonic() - last >= _PLAIN_EVERY:
                last = time.monotonic()
                say(f"{what}: {done:,}{f' of {total:,}' if total else ''} {unit}")

        yield plainly
        return
    columns = (
        TextColumn(what),
        BarColumn(),
        TextColumn(f"{{task.completed:,.0f}} {unit}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def redraw(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        yield redraw


class TrainingProgress:
    """Follows a run: loss, AUROC on tune, images/s and the time left."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}  loss {task.fields[loss]:.3f}"),
            TextColumn("{task.fields[rate]:.0f} images/s  left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._last = time.monotonic()

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_step(self, report: StepReport) -> None:
        if not console.is_terminal:
            if time.monotonic() - self._last >= _PLAIN_EVERY:
                self._last = time.monotonic()
                say(
                    f"  step {report.step} of {report.steps}  loss {report.loss:.3f}  "
                    f"{report.images_per_s:.0f} images/s"
                )
            return
        fields: dict[str, Any] = {
            "epoch": report.epoch,
            "loss": report.loss,
            "rate": report.images_per_s,
        }
        if self._task is None:
            self._task = self._bar.add_task("", total=report.steps, **fields)
        self._bar.update(self._task, completed=report.step, **fields)

    def on_epoch(self, report: EpochReport) -> None:
        self._last = time.monotonic()
        say(
            f"epoch {report.epoch} of {report.epochs}: loss {report.train_loss:.4f}, "
            f"tune log loss {report.tune_log_loss:.4f}, tune AUROC {report.tune_auroc:.4f}, "
            f"{report.images_per_s:.0f} images/s, {report.seconds:.0f} s"
            f"{' (best so far)' if report.best else ''}"
        )


def figures_in_words(evaluation: Evaluation) -> Iterator[str]:
    """The few figures a person wants first, each with its interval."""
    from hilum.evaluation.report.reading import calibrated, shown_points

    for finding in evaluation.findings:
        counts = evaluation.n_by_label[finding]
        yield (
            f"{finding}, {evaluation.source}, role {evaluation.role}: {evaluation.n:,} images, "
            f"{counts['present']:,} with and {counts['absent']:,} without"
        )
        figures = evaluation.figures[finding]
        yield f"  AUROC                 {figures['auroc'].in_words(4)}"
        loss = "log loss, calibrated" if calibrated(evaluation, finding) else "log loss"
        yield f"  {loss:<20}  {figures['log_loss'].in_words(4)}"
        for name, point in shown_points(evaluation, finding).items():
            yield f"  at {name} (probability >= {point.threshold:.4g})"
            for figure in ("accuracy", "sensitivity", "specificity"):
                yield f"    {figure:<19} {point.figures[figure].in_words(4)}"
