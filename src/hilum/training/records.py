"""What a run writes of itself from its start, so that one that fails can be told from another.

Its figures are `metrics`'s; what a bundle tells of how it was made stands in `bundle.json`, too.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from hilum.data.cohort import Cohort
from hilum.data.reading import cores
from hilum.errors import OutputError, StoppedError, TrainingError
from hilum.recipe import Recipe
from hilum.training.environment import Place, is_restart, main_process
from hilum.training.watching import EpochReport, Nobody, StepReport, Tracker, Watcher
from hilum.writing import replacing

RECORD = "run.json"
_SCHEMA = 1
_PACKAGES = ("hilum", "torch", "timm", "lightning-fabric", "openvino", "numpy", "pillow")

Status = Literal["running", "done", "interrupted", "failed"]


class _Part(BaseModel):
    # A later version may write more than this one reads.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Machine(_Part):
    """What a run runs on. cores: that each of its processes may use"""

    system: str
    cores: int
    processes: int
    accelerator: str


class Process(_Part):
    """Who writes the record; None in one that is closed."""

    host: str
    pid: int

    @classmethod
    def here(cls) -> Self:
        return cls(host=socket.gethostname(), pid=os.getpid())

    def is_gone(self) -> bool:
        """True when this host knows that it no longer runs; of other hosts nobody can say."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it runs, and is somebody else's
            return False
        return False


class RunRecord(_Part):
    """What `run.json` holds.

    name: of the bundle that it makes
    data_digest: of the images of every role, the same for the same source and recipe
    steps, seconds: done and spent so far, over all resumptions; work that a kill has lost is not
        in them
    error: why it failed or was interrupted, in one line
    """

    schema_version: int = _SCHEMA
    name: str
    status: Status
    error: str | None = None
    recipe: dict[str, Any]
    seed: int
    source: str
    synthetic: bool
    data_digest: str
    versions: dict[str, str]
    commit: str | None
    machine: Machine
    command: str
    started: str
    heard: str
    ended: str | None = None
    resumed: int = 0
    steps: int = 0
    seconds: float = 0.0
    process: Process | None

    @classmethod
    def of(
        cls, name: str, recipe: Recipe, cohort: Cohort, data_digest: str, accelerator: str
    ) -> Self:
        """A run that begins now, in this process."""
        return cls(
            name=name,
            status="running",
            recipe=recipe.model_dump(mode="json"),
            seed=recipe.seed,
            source=cohort.name,
            synthetic=cohort.synthetic,
            data_digest=data_digest,
            versions=versions(),
            commit=commit(),
            machine=Machine(
                system=f"{platform.system()} {platform.machine()}",
                cores=cores(),
                processes=Place.here().world,
                accelerator=accelerator,
            ),
            command=_command(),
            started=_now(),
            heard=_now(),
            process=Process.here(),
        )

    def after(self, earlier: RunRecord) -> RunRecord:
        """This run, which goes on where an earlier one was interrupted."""
        return self.model_copy(
            update={
                "started": earlier.started,
                "resumed": earlier.resumed + 1,
                "steps": earlier.steps,
                "seconds": earlier.seconds,
            }
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record in a run's folder. Raises TrainingError when it cannot be read."""
        path = folder / RECORD
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            line = str(error).splitlines()[0]
            raise TrainingError(
                path, f"cannot be read ({line})", expected="a run's record"
            ) from error

    def write(self, folder: Path) -> None:
        """Put it in place of an earlier one. Raises OutputError."""
        with replacing(folder / RECORD) as draft:
            text = json.dumps(self.model_dump(mode="json"), indent=1)
            draft.write_text(text + "\n", encoding="utf-8")


class Recording:
    """Keeps a run's record while it runs, and tells those who watch and track it."""

    def __init__(
        self, folder: Path, record: RunRecord, watcher: Watcher, trackers: Sequence[Tracker]
    ) -> None:
        self._folder, self._record = folder, record
        self._watcher, self._trackers = watcher, trackers
        self._seconds, self._began = record.seconds, time.monotonic()
        self._steps = record.steps
        self._started: list[Tracker] = []
        self._bundle: Path | None = None
        self.moved = False
        self._writes = main_process()  # the others of a world have nothing to tell

    def on_step(self, report: StepReport) -> None:
        self._steps, self.moved = report.step, True
        for each in (self._watcher, *self._trackers):
            each.on_step(report)

    def on_epoch(self, report: EpochReport) -> None:
        self._write(self._now())
        for each in (self._watcher, *self._trackers):
            each.on_epoch(report)

    def begin(self) -> None:
        self._write(self._record)
        for tracker in self._trackers:
            tracker.on_start(self._record, self._folder)
            self._started.append(tracker)

    def write_done(self, draft: Path) -> None:
        """Put the record as it will be when all is done into the bundle that is being made."""
        self.closed("done").write(draft)

    def made(self, bundle: Path) -> None:
        """Say where the bundle stands, which trackers take files from."""
        self._bundle = bundle

    def closed(self, status: Status, error: str | None = None) -> RunRecord:
        """The record of a run that ends now."""
        update = {"status": status, "error": error, "ended": _now(), "process": None}
        return self._now().model_copy(update=update)

    def close(self, record: RunRecord) -> None:
        self._write(record)
        for tracker in self._started:
            tracker.on_end(record, self._bundle or self._folder)

    def _now(self) -> RunRecord:
        seconds = round(self._seconds + time.monotonic() - self._began, 3)
        update = {"steps": self._steps, "seconds": seconds, "heard": _now()}
        return self._record.model_copy(update=update)

    def _write(self, record: RunRecord) -> None:
        if self._writes:
            record.write(self._folder)


@contextmanager
def recording(
    folder: Path,
    record: RunRecord,
    *,
    watcher: Watcher | None = None,
    trackers: Sequence[Tracker] = (),
    resume: bool = False,
) -> Iterator[Recording]:
    """Keep `run.json` in the folder from now until the run ends, however it ends.

    What it yields is the watcher to give to the run. resume: go on with the record that is there;
    when that is refused before a step is done, the earlier record stays.
    Raises what a tracker's `on_start` raises; its status is then `failed`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = None
    if (resume or is_restart()) and (folder / RECORD).is_file():
        earlier = RunRecord.read(folder)
        record = record.after(earlier)
    quiet = not main_process()
    run = Recording(folder, record, watcher or Nobody(), () if quiet else trackers)
    try:
        run.begin()
        yield run
    except BaseException as error:
        stopped = isinstance(error, StoppedError | KeyboardInterrupt | SystemExit)
        with suppress(OutputError):  # on a full disk the first error counts
            if earlier is not None and not run.moved:
                run.close(earlier)
            else:
                run.close(run.closed("interrupted" if stopped else "failed", _one_line(error)))
        raise
    run.close(run.closed("done"))


def versions() -> dict[str, str]:
    """Python's version, and those of the packages that decide what a run computes."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def commit() -> str | None:
    """The commit of the code that trains; None where it does not lie in a git checkout."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*words: str) -> str | None:
        found = subprocess.run(
            [git, "-C", str(Path(__file__).parent), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.strip() if found.returncode == 0 else None

    if ask("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None  # installed inside somebody else's checkout
    changed = ask("status", "--porcelain", "--untracked-files=no", "--", "..")
    return f"{ask('rev-parse', 'HEAD')}{'-dirty' if changed else ''}"


def _command() -> str:
    """The command line as it could be typed again."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *sys.argv[1:]])


def _one_line(error: BaseException) -> str:
    return " ".join(f"{error}".split()) or type(error).__name__


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
