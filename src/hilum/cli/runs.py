"""`hilum runs`: which runs there are, how they ended, and in what they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.cli.options import Json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hilum.estimates import Estimate
    from hilum.training.history import PastRun

# A table with a column a run is no longer read on 80 columns beyond this.
_MOST = 4
_ROLES = ("tune", "calibrate")
_FIGURES = {"auroc": "AUROC", "log_loss": "log loss"}


def runs(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders with runs, or two to four runs. Otherwise ./models, or here."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare all that is found, up to four.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List bundles and unfinished runs, or tell two to four of them apart.

    Figures are those on tune and calibrate. Of test there is what the ledger holds, never more.

    Example: hilum runs models/a models/b
    """
    from rich.console import Console

    from hilum.cli.show import print_json
    from hilum.errors import HilumError
    from hilum.training.history import differences

    if not paths:
        paths = [Path("models") if Path("models").is_dir() else Path()]
    found, all_named = _found(paths)
    side_by_side = compare or (all_named and len(found) > 1)
    if side_by_side and not 2 <= len(found) <= _MOST:
        names = ", ".join(run.name for run in found) or "none"
        where = " ".join(map(str, paths))
        raise HilumError(
            where, f"{len(found)} runs: {names}", expected=f"2 to {_MOST}", remedy="name them"
        )
    if as_json:
        result: dict[str, Any] = {"runs": [_plain(run) for run in found]}
        print_json(result | ({"differences": differences(found)} if side_by_side else {}))
        return
    console = Console(highlight=False, markup=False)
    with console.capture() as said:
        if not found:
            console.print(f"no runs in {', '.join(map(str, paths))}")
        elif side_by_side:
            _compare(console, found)
        else:
            _list(console, found)
    for line in said.get().splitlines():
        print(line.rstrip())


def _found(paths: Sequence[Path]) -> tuple[list[PastRun], bool]:
    """The runs that the paths mean, and whether each path names one itself."""
    from dataclasses import replace

    from hilum.training.history import find_run, find_runs

    ones = [find_run(path) for path in paths]
    found: list[PastRun] = []
    for path, one in zip(paths, ones, strict=True):
        found += [one] if one else find_runs(path)
    names = [run.name for run in found]
    if len(set(names)) < len(names):  # then each says which folder it lies in
        found = [replace(run, name=run.folder.as_posix()) for run in found]
    return found, all(ones)


def _list(console: Console, runs: Sequence[PastRun]) -> None:
    from rich.text import Text

    by_source = sorted(runs, key=lambda run: (run.source is None, run.source or ""))
    for source, group in groupby(by_source, key=lambda run: (run.source, run.synthetic)):
        together = list(group)
        console.print(Text(_source(*source), style="bold"))
        table = _table(console, "run", "status", "started", "time", "seed")
        for role in _ROLES:
            for figure in _FIGURES.values():
                table.add_column(f"{role}\n{figure}", justify="right", no_wrap=True)
        for run in together:
            figures = [_number(run.figure(role, name)) for role in _ROLES for name in _FIGURES]
            started = (run.started or "-")[:10]
            seed = "-" if run.seed is None else str(run.seed)
            table.add_row(run.name, run.status, started, _time(run.seconds), seed, *figures)
        console.print(table)
        for line in (line for run in together for line in _notes(run)):
            console.print(line)
        console.print()
    _close(console, runs)


def _compare(console: Console, runs: Sequence[PastRun]) -> None:
    from hilum.training.history import differences

    for run in runs:
        if run.synthetic:
            console.print(f"{run.name}: {_source(run.source, run.synthetic)}")
    table = _table(console, "", *(run.name for run in runs))
    table.add_row("status", *(run.status for run in runs))
    table.add_row("started", *((run.started or "-")[:16].replace("T", " ") for run in runs))
    table.add_row("time", *(_time(run.seconds) for run in runs))
    table.add_row("steps", *(_fact(run.steps) for run in runs))
    differing = differences(runs)
    for name, values in differing.items():
        digest = name in ("data_digest", "commit")
        cells = [_fact(value)[:12] if digest else _fact(value) for value in values]
        table.add_row(name.removeprefix("recipe."), *cells)
    table.add_section()
    for label, values in _figure_rows(runs):
        table.add_row(label, *values)
    console.print(table)
    if not differing:
        console.print("Recipe, versions, commit, machine and data are the same.")
    _epochs(console, runs)
    for line in (line for run in runs for line in _notes(run)):
        console.print(line)
    _close(console, runs)


def _figure_rows(runs: Sequence[PastRun]) -> Iterator[tuple[str, list[str]]]:
    """Role, finding and figure in each run, with its interval where there is room."""
    from hilum.estimates import Estimate

    for role in _ROLES:
        findings = dict.fromkeys(f for run in runs for f in run.figures.get(role, {}))
        for finding in findings:
            for name, word in _FIGURES.items():
                found = [run.figures.get(role, {}).get(finding, {}).get(name) for run in runs]
                estimates = [Estimate.from_dict(each) if each else None for each in found]
                yield f"{role} {finding} {word}", [_estimate(e, len(runs)) for e in estimates]


def _estimate(estimate: Estimate | None, runs: int) -> str:
    if estimate is None:
        return "-"
    return estimate.in_brief() if runs == 2 else _number(estimate.value)


def _epochs(console: Console, runs: Sequence[PastRun]) -> None:
    """What every run had reached on tune after each epoch."""
    last = max(len(run.epochs) for run in runs)
    if not last:
        return
    console.print("\nOn tune after each epoch, before calibration: log loss, AUROC")
    table = _table(console, "epoch", *(run.name for run in runs))
    for k in range(last):
        lines = [run.epochs[k] if k < len(run.epochs) else None for run in runs]
        table.add_row(str(k + 1), *(_epoch(line) if line else "" for line in lines))
    console.print(table)


def _epoch(line: dict[str, Any]) -> str:
    best = " *" if line["best"] else ""
    return f"{line['tune_log_loss']:.4f}, {line['tune_auroc']:.4f}{best}"


def _notes(run: PastRun) -> Iterator[str]:
    """What a row has no room for."""
    if run.note:
        yield f"{run.name}: {run.note}"
    if not run.figures and run.epochs:
        best = next(line for line in reversed(run.epochs) if line["best"])
        yield (
            f"{run.name}: after {len(run.epochs)} of {best['epochs']} epochs at best log loss "
            f"{best['tune_log_loss']:.4f}, AUROC {best['tune_auroc']:.4f} on tune, not calibrated"
        )
    on_test = [each for each in run.openings if each["role"] == "test"]
    if on_test:
        last = on_test[-1]
        times = "once" if len(on_test) == 1 else f"{len(on_test)} times"
        aurocs = ", ".join(
            f"{_number(value)} {finding if len(last['auroc']) > 1 else ''}".strip()
            for finding, value in last["auroc"].items()
        )
        yield (
            f"{run.name}: test opened {times} (last {last['time'][:10]}): "
            f"AUROC {aurocs} on {last['n']:,} of {last['source']}"
        )


def _close(console: Console, runs: Sequence[PastRun]) -> None:
    if any(run.figures for run in runs):
        console.print("Figures on tune and calibrate flatter, for training has used these films.")
    console.print("Research use only: not a medical device.")


def _table(console: Console, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    look = box.SIMPLE_HEAD if console.is_terminal else None
    table = Table(box=look, padding=(0, 1, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", justify="right" if name == "time" else "left")
    return table


def _source(source: str | None, synthetic: bool | None) -> str:
    if source is None:
        return "source not known"
    return f"{source}, SYNTHETIC: no patient stands behind its images" if synthetic else source


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _fact(value: object) -> str:
    return "-" if value is None else str(value)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _plain(run: PastRun) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(run) | {"folder": str(run.folder)}
