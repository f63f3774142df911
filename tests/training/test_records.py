"""What a run writes of itself: its record, however it ends, and its figures by epoch."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from hilum.data.cohort import Cohort
from hilum.data.sources.phantom import phantom_cohort
from hilum.errors import OutputError, StoppedError, TrainingError
from hilum.recipe import make_recipe
from hilum.training.metrics import METRICS, TABLE, read_metrics, write_metrics
from hilum.training.records import RECORD, RunRecord, commit, recording, versions
from hilum.training.watching import EpochReport, Leg, StepReport


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return phantom_cohort(40)


@pytest.fixture
def record(cohort: Cohort) -> RunRecord:
    return RunRecord.of("mine", make_recipe({"seed": 7}), cohort, "d" * 64, "cpu")


def step(k: int) -> StepReport:
    return StepReport(k, 6, 1 + (k - 1) // 3, 1 / k, 10.0, 1e-3)


def epoch(k: int) -> EpochReport:
    return EpochReport(k, 2, 3 * k, 1e-3, 0.5, 0.4 / k, 0.9, 10.0, 2.5, True, 0.4 / k)


def on_disk(folder: Path) -> dict[str, object]:
    return json.loads((folder / RECORD).read_text())


def test_a_record_tells_what_runs_where_and_from_what(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch, cohort: Cohort
) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/hilum", "train", "my recipe.toml"])
    record = RunRecord.of("mine", make_recipe({"seed": 7}), cohort, "d" * 64, "cpu")
    assert record.command == "hilum train 'my recipe.toml'"
    assert (record.seed, record.recipe["train"]["epochs"]) == (7, 5)
    assert (record.source, record.synthetic) == ("phantom", True)
    assert record.versions["torch"] == version("torch")
    assert record.machine.cores == len(os.sched_getaffinity(0))
    assert record.process is not None
    assert record.process.pid == os.getpid()


def test_versions_name_python_and_every_package_that_computes() -> None:
    assert set(versions()) >= {"python", "hilum", "torch", "timm", "openvino", "numpy", "pillow"}


def test_the_commit_is_a_hash_or_nothing() -> None:
    found = commit()
    assert found is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", found)


def test_the_record_stands_from_the_start_and_grows_with_the_run(
    record: RunRecord, tmp_path: Path
) -> None:
    with recording(tmp_path / "work", record) as run:
        found = on_disk(tmp_path / "work")
        assert (found["status"], found["steps"], found["ended"]) == ("running", 0, None)
        run.on_step(step(3))
        run.on_epoch(epoch(1))
        assert on_disk(tmp_path / "work")["steps"] == 3
    found = on_disk(tmp_path / "work")
    assert (found["status"], found["process"], found["error"]) == ("done", None, None)
    assert found["ended"] is not None
    assert 0 < found["seconds"] < 60


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (TrainingError("training", "the loss is nan"), "failed", "training: the loss is nan"),
        (StoppedError("training", "stopped\nafter 3"), "interrupted", "training: stopped after 3"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (ZeroDivisionError("division by zero"), "failed", "division by zero"),
    ],
)
def test_how_a_run_ended_is_written_down_and_the_error_goes_on(
    record: RunRecord, tmp_path: Path, error: BaseException, status: str, line: str
) -> None:
    def running() -> None:
        with recording(tmp_path, record) as run:
            run.on_step(step(2))
            raise error

    with pytest.raises(type(error)):
        running()
    found = on_disk(tmp_path)
    assert (found["status"], found["error"], found["steps"]) == (status, line, 2)


def test_a_resumed_run_keeps_when_it_began_and_adds_up_its_time(
    record: RunRecord, tmp_path: Path
) -> None:
    first = record.model_copy(
        update={"started": "2026-01-02T03:04:05+00:00", "steps": 30, "seconds": 100.0}
    )
    first.write(tmp_path)
    with recording(tmp_path, record, resume=True):
        found = on_disk(tmp_path)
        assert (found["started"], found["resumed"]) == ("2026-01-02T03:04:05+00:00", 1)
        time.sleep(0.02)  # the record counts in milliseconds
    assert 100 < on_disk(tmp_path)["seconds"] < 160
    assert on_disk(tmp_path)["steps"] == 30
    with recording(tmp_path, record):  # without resume it is another run
        assert on_disk(tmp_path)["resumed"] == 0


def test_when_a_resumption_is_refused_the_earlier_record_stays(
    record: RunRecord, tmp_path: Path
) -> None:
    told = Told()
    earlier = record.model_copy(update={"status": "interrupted", "steps": 30, "process": None})
    earlier.write(tmp_path)

    def resuming() -> None:
        with recording(tmp_path, record, trackers=[told], resume=True):
            raise TrainingError("training", "written by a run with another recipe")

    with pytest.raises(TrainingError, match="another recipe"):
        resuming()
    assert RunRecord.read(tmp_path) == earlier
    assert told.heard[-1] == ("end", "interrupted", tmp_path)


def test_on_a_full_disk_the_runs_own_error_is_told(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("run.json", "cannot be written")

    def running() -> None:
        with recording(tmp_path, record):
            monkeypatch.setattr(RunRecord, "write", full)
            raise TrainingError("training", "the loss is nan")

    with pytest.raises(TrainingError, match="the loss is nan"):
        running()


def test_the_bundles_copy_says_done_before_the_bundle_is_sealed(
    record: RunRecord, tmp_path: Path
) -> None:
    with recording(tmp_path / "work", record) as run:
        run.write_done(tmp_path)
        assert on_disk(tmp_path)["status"] == "done"
        assert on_disk(tmp_path / "work")["status"] == "running"


KILLED = """
import os, signal, sys
from pathlib import Path
from hilum.training.records import RunRecord, recording
folder = Path(sys.argv[1])
record = RunRecord.read(folder)
with recording(folder, record.model_copy(update={"process": type(record.process).here()})):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_was_killed_left_a_record_whose_process_is_gone(
    record: RunRecord, tmp_path: Path
) -> None:
    record.write(tmp_path)
    assert record.process is not None
    assert not record.process.is_gone()
    found = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert found.returncode == -signal.SIGKILL
    left = RunRecord.read(tmp_path)
    assert left.status == "running"
    assert left.process is not None
    assert left.process.is_gone()
    elsewhere = left.process.model_copy(update={"host": "another.example"})
    assert not elsewhere.is_gone()  # nobody here can know


def test_only_the_first_process_of_a_world_writes(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    told = Told()
    with recording(tmp_path, record, trackers=[told]) as run:
        run.on_step(step(1))
    assert list(tmp_path.iterdir()) == []
    assert told.heard == []


class Told:
    """A tracker that remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def on_start(self, run: RunRecord, work: Path) -> None:
        self.heard.append(("start", run.status, work))

    def on_step(self, report: StepReport) -> None:
        self.heard.append(("step", report.step, report.steps))

    def on_epoch(self, report: EpochReport) -> None:
        self.heard.append(("epoch", report.epoch, report.epochs, report.step))

    def on_end(self, run: RunRecord, folder: Path) -> None:
        self.heard.append(("end", run.status, folder))


def test_trackers_are_told_of_all_of_it_in_order(record: RunRecord, tmp_path: Path) -> None:
    told = Told()
    work, bundle = tmp_path / "work", tmp_path / "bundle"
    with recording(work, record, trackers=[told]) as run:
        run.on_step(step(1))
        run.on_epoch(epoch(1))
        run.made(bundle)
    assert told.heard == [
        ("start", "running", work),
        ("step", 1, 6),
        ("epoch", 1, 2, 3),
        ("end", "done", bundle),
    ]


def test_members_of_an_ensemble_are_told_as_one_long_run() -> None:
    told = Told()
    for place in range(2):
        leg = Leg(told, place, 2)
        leg.on_step(step(6))
        leg.on_epoch(epoch(2))
    assert told.heard == [
        ("step", 6, 12),
        ("epoch", 2, 4, 6),
        ("step", 12, 12),
        ("epoch", 4, 4, 12),
    ]


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(TrainingError, match=r"run\.json: cannot be read"):
        RunRecord.read(tmp_path)


def test_a_record_of_a_later_version_can_be_read(record: RunRecord, tmp_path: Path) -> None:
    values = record.model_dump(mode="json") | {"schema_version": 9, "mood": "fair"}
    (tmp_path / RECORD).write_text(json.dumps(values))
    assert RunRecord.read(tmp_path).name == "mine"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def as_text(reports: Sequence[EpochReport]) -> list[dict[str, str]]:
    return [{name: str(value) for name, value in vars(report).items()} for report in reports]


def test_the_table_holds_what_the_lines_hold_also_after_a_resumption(tmp_path: Path) -> None:
    write_metrics(tmp_path, [])
    assert rows(tmp_path) == []
    assert (tmp_path / TABLE).read_text().startswith("epoch,epochs,step,learning_rate,train_loss")
    three = [epoch(1), epoch(2), epoch(3)]
    write_metrics(tmp_path, three)
    assert rows(tmp_path) == as_text(three)
    write_metrics(tmp_path, three[:1])  # resumed from a checkpoint after the first epoch
    write_metrics(tmp_path, [epoch(1), epoch(4)])
    assert rows(tmp_path) == as_text([epoch(1), epoch(4)])
    assert read_metrics(tmp_path) == [epoch(1), epoch(4)]
    assert len((tmp_path / METRICS).read_text().splitlines()) == 2


def test_a_run_before_its_first_epoch_has_no_figures(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []
