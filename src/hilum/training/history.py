"""Runs that lie in a folder: bundles, and the folders of runs that have not made one.

Read from what runs write of themselves; how they are shown is the command line's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from hilum.bundle import MANIFEST, read_manifest, read_openings
from hilum.errors import BundleError, HilumError, TrainingError
from hilum.training.metrics import METRICS, metric_lines
from hilum.training.records import RECORD, RunRecord
from hilum.training.tracking import flattened


@dataclass(frozen=True)
class PastRun:
    """One run, as far as it has come.

    name: where it lies below the folder that was searched
    status: as its record says; "died" when its process is gone and nobody closed the record,
        "unfinished" without one, "damaged" when what it wrote cannot be read
    facts: what it was made of, by name, such as `recipe.train.epochs` and `versions.torch`
    figures: on tune and calibrate: role -> finding -> figure -> an Estimate's numbers
    openings: the looks at `test` that the bundle's ledger holds
    """

    name: str
    folder: Path
    status: str
    note: str | None = None
    source: str | None = None
    synthetic: bool | None = None
    started: str | None = None
    heard: str | None = None
    seconds: float | None = None
    steps: int | None = None
    seed: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    openings: list[dict[str, Any]] = field(default_factory=list)

    def figure(self, role: str, name: str) -> float | None:
        """A figure, as the plain mean over the findings that have it."""
        found = [each[name]["value"] for each in self.figures.get(role, {}).values()]
        known = [value for value in found if value is not None]
        return fmean(known) if known else None

    @classmethod
    def of_bundle(cls, folder: Path, name: str) -> Self:
        """From `bundle.json`, and from `run.json` in bundles that have one."""
        manifest = read_manifest(folder)
        record = RunRecord.read(folder) if (folder / RECORD).is_file() else None
        facts = {"recipe": manifest.recipe, "versions": manifest.versions}
        return cls(
            name=name,
            folder=folder,
            status="done",
            source=manifest.source,
            synthetic=manifest.synthetic,
            started=record.started if record else manifest.created,
            heard=record.heard if record else manifest.created,
            seconds=record.seconds if record else None,
            steps=record.steps if record else None,
            seed=manifest.recipe["seed"],
            facts=_facts(record)
            if record
            else {**dict(flattened(facts)), "commit": manifest.commit},
            figures=manifest.figures,
            epochs=metric_lines(folder),
            openings=read_openings(folder),
        )

    @classmethod
    def of_work(cls, folder: Path, name: str) -> Self:
        """From what a run without a bundle has written so far."""
        if not (folder / RECORD).is_file():
            return cls(name, folder, "unfinished", epochs=metric_lines(folder))
        record = RunRecord.read(folder)
        died = record.process is not None and record.process.is_gone()
        return cls(
            name=name,
            folder=folder,
            status="died" if died else record.status,
            note=record.error or _whereabouts(record, died=died),
            source=record.source,
            synthetic=record.synthetic,
            started=record.started,
            heard=record.heard,
            seconds=record.seconds,
            steps=record.steps,
            seed=record.seed,
            facts=_facts(record),
            epochs=metric_lines(folder),
        )


def find_runs(folder: Path) -> list[PastRun]:
    """All runs below a folder, the latest first; those that cannot be read are named, too.

    Raises HilumError when there is no such folder.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "no such folder"
        raise HilumError(folder, found, expected="a folder with bundles", remedy="name another one")
    runs = [_read(each, _name(each, folder)) for each in _folders(folder)]
    return sorted(runs, key=lambda run: run.started or "", reverse=True)


def find_run(path: Path) -> PastRun | None:
    """The run that a path means: a bundle, a run's folder, or the bundle that it was to make."""
    for each in (path, path.parent / f".{path.name}.run"):
        if _is_bundle(each) or _is_work(each):
            return _read(each, _name(each, each.parent))
    return None


def differences(runs: Sequence[PastRun]) -> dict[str, list[Any]]:
    """Facts that are not the same in all runs: name -> one value a run, None where it has none."""
    names = sorted({name for run in runs for name in run.facts})
    values = {name: [run.facts.get(name) for run in runs] for name in names}
    return {name: each for name, each in values.items() if any(v != each[0] for v in each)}


def _read(folder: Path, name: str) -> PastRun:
    bundle = _is_bundle(folder)
    try:
        return PastRun.of_bundle(folder, name) if bundle else PastRun.of_work(folder, name)
    except (BundleError, TrainingError, OSError, ValueError, KeyError) as error:
        return PastRun(name, folder, "damaged", str(error))


def _folders(top: Path) -> Iterator[Path]:
    """Bundles and runs' folders; none inside another, and none in other hidden folders."""
    for place, folders, _ in os.walk(top):
        here = Path(place)
        if _is_bundle(here) or _is_work(here):
            folders.clear()
            yield here
        folders[:] = [name for name in folders if not name.startswith(".") or _is_work(here / name)]


def _is_bundle(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _is_work(folder: Path) -> bool:
    named = folder.name.startswith(".") and folder.name.endswith(".run")
    return (folder / RECORD).is_file() or (named and (folder / METRICS).is_file())


def _name(folder: Path, top: Path) -> str:
    name = folder.name
    if name.startswith(".") and name.endswith(".run"):
        name = name.removeprefix(".").removesuffix(".run")
    inside = folder.relative_to(top).parent if folder != top else Path()
    return (inside / (name or folder.resolve().name)).as_posix()


def _facts(record: RunRecord) -> dict[str, Any]:
    parts = {"recipe", "versions", "commit", "machine", "source", "data_digest"}
    return dict(flattened(record.model_dump(mode="json", include=parts)))


def _whereabouts(record: RunRecord, *, died: bool) -> str | None:
    if record.process is None:
        return None
    process = f"process {record.process.pid} on {record.process.host}"
    return f"{process} is gone; last heard {record.heard}" if died else process
