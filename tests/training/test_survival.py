"""Runs that are killed, starved, poisoned or told to stop: nothing is lost but the steps since the
last checkpoint, and nothing half-written stays."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.training.checkpoint import Checkpoint, checkpoints
from hilum.training.metrics import METRICS, TABLE
from in_world import Small, train_small
from made import write_npz
from together import Other, together, world

STEPS = 12  # two epochs of six


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "pneumoniamnist.npz"
    write_npz(path)
    return path


@pytest.fixture(scope="module")
def whole(npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A run without a break, of all that draws at random or keeps a state of its own."""
    run = Small(
        "pneumoniamnist",
        npz,
        tmp_path_factory.mktemp("whole"),
        dropout=0.2,
        noise=0.05,
        train={"batch_size": 8, "mixup": 0.2, "average": "ema", "checkpoint_steps": 2},
    )
    alive(run)
    assert run.steps() == list(range(1, STEPS + 1))
    return run


def alive(run: Small) -> None:
    """Train to the end."""
    together(1, run.folder, train_small, run)


def begun(run: Small) -> Other:
    (process,) = world(1, run.folder, train_small, run)
    return process


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def figures(run: Small) -> list[tuple[float, float]]:
    return [(each["train_loss"], each["tune_log_loss"]) for each in run.reports()]


def saved_steps(run: Small) -> list[int]:
    return [int(path.stem.split("-")[1]) for path in checkpoints(run.work)]


def left_behind(run: Small) -> list[str]:
    """Files in the run's folder that are no whole checkpoint, metrics or note of why it stopped."""
    known = {METRICS, TABLE, "stopped.json"}
    names = {path.name for path in (run.work).iterdir()}
    return sorted(names - known - {path.name for path in checkpoints(run.work)})


def kill_and_resume(whole: Small, folder: Path, kills: int, seed: int) -> None:
    """SIGKILL at random moments, each time resumed; then the same as the run without a break."""
    rng = np.random.default_rng(seed)
    run = whole.again(folder=folder)
    done = 0
    for _ in range(kills):
        life = run.again(
            resume=bool(saved_steps(run)) if run.work.exists() else False,
            die_at=int(rng.integers(done + 1, STEPS)),
            die_after=float(rng.uniform(0, 0.05)),
        )
        code = begun(life).code()
        assert code in (0, -signal.SIGKILL)
        if code == 0:  # it was faster than the signal
            break
        reached, saved = run.steps()[-1], saved_steps(run)
        # At most the two steps since the last checkpoint are lost, and the one that was in work.
        assert reached - max(saved, default=0) <= 2
        for path in checkpoints(run.work):
            Checkpoint.read(path)
        done = min(max(saved, default=0), STEPS - 2)
    else:
        alive(run.again(resume=bool(saved_steps(run))))
    assert same(run.weights(), whole.weights())
    assert figures(run) == figures(whole)
    assert left_behind(run) == []


def test_a_run_killed_three_times_ends_as_one_that_was_not(whole: Small, tmp_path: Path) -> None:
    kill_and_resume(whole, tmp_path, kills=3, seed=0)


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_as_one_that_was_not(whole: Small, tmp_path: Path) -> None:
    kill_and_resume(whole, tmp_path, kills=10, seed=1)


def test_what_a_process_left_that_died_while_it_wrote_is_removed(
    whole: Small, tmp_path: Path
) -> None:
    run = whole.again(folder=tmp_path, die_at=5)
    assert begun(run).code() == -signal.SIGKILL
    draft = run.work / ".checkpoint-000000006.0123456789ab.part.safetensors"
    (run.work / ".tmpUH4M6r").write_bytes(b"half")  # as safetensors leaves it
    draft.write_bytes(b"half")
    alive(run.again(resume=True, die_at=None))
    assert left_behind(run) == []
    assert same(run.weights(), whole.weights())


def test_sigterm_is_answered_in_time_and_the_run_goes_on_later(
    whole: Small, tmp_path: Path
) -> None:
    run = whole.again(folder=tmp_path, train={**whole.train, "checkpoint_steps": None}, slow_s=0.1)
    process = begun(run)
    wait_for_step(run, 3)
    began = time.monotonic()
    os.kill(process.process.pid or 0, signal.SIGTERM)
    assert process.code() == 2
    assert time.monotonic() - began < 30
    (step,) = saved_steps(run)
    assert f"interrupted after step {step} of {STEPS}" in process.said()
    assert "--resume" in process.said()
    assert left_behind(run) == []
    alive(run.again(resume=True, slow_s=0.0))
    assert run.steps() == list(range(1, STEPS + 1))  # no step was taken twice
    assert same(run.weights(), whole.weights())


def wait_for_step(run: Small, step: int, seconds: float = 60) -> None:
    notes, deadline = run.folder / "steps-0.txt", time.monotonic() + seconds
    while not notes.exists() or len(notes.read_text().split()) < step:
        assert time.monotonic() < deadline, f"step {step} was not reached"
        time.sleep(0.01)


# --- a disk that is full --------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB; needs root, and leave to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def refused_for_room(run: Small) -> None:
    process = begun(run)
    assert process.code() == 2
    (line,) = [each for each in process.said().splitlines() if each.startswith("hilum:")]
    assert "cannot be written" in line
    assert "on a disk with room" in line
    assert saved_steps(run) == [4]
    Checkpoint.read(checkpoints(run.work)[0])  # the older one is whole
    assert left_behind(run) == []


def test_a_full_disk_ends_the_run_in_one_line_and_leaves_the_older_checkpoint(
    whole: Small, small_disk: Path, tmp_path: Path
) -> None:
    run = whole.again(folder=tmp_path / "notes", disk=small_disk, fill_disk_at=5)
    refused_for_room(run)
    (small_disk / "filler").unlink()
    alive(run.again(resume=True, fill_disk_at=None))
    assert same(run.weights(), whole.weights())


def test_a_file_that_may_not_grow_does_the_same(whole: Small, tmp_path: Path) -> None:
    run = whole.again(folder=tmp_path, small_files_at=5)
    refused_for_room(run)
    alive(run.again(resume=True, small_files_at=None))
    assert same(run.weights(), whole.weights())


# --- films and rates that break a run -------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2])
def test_a_loss_that_is_no_number_stops_the_run_with_its_films_written_down(
    whole: Small, tmp_path: Path, processes: int
) -> None:
    run = whole.again(folder=tmp_path, poisoned=(7,))
    for process in world(processes, tmp_path, train_small, run):
        assert process.code() == 2
        assert "the loss is nan at step" in process.said()
        assert "stopped.json" in process.said()
    noted = json.loads((run.work / "stopped.json").read_text())
    assert noted["loss"] == "nan"
    assert len(noted["image_ids"]) == 8  # the whole batch, of all processes
    assert (tmp_path / "poisoned.txt").read_text().split()[0] in noted["image_ids"]
    assert noted["step"] == run.steps()[-1] + 1 if run.steps() else noted["step"] == 1
    assert left_behind(run) == []


def test_a_loss_that_explodes_stops_the_run(whole: Small, tmp_path: Path) -> None:
    rates = {"learning_rate": 300.0, "warmup_fraction": 0.0, "average": "none", "mixup": 0.0}
    run = whole.again(folder=tmp_path, train={**whole.train, **rates, "epochs": 20})
    process = begun(run)
    assert process.code() == 2
    noted = json.loads((run.work / "stopped.json").read_text())
    assert math.isfinite(float(noted["loss"]))
    assert float(noted["loss"]) > 1000
    assert "set a lower train.learning_rate" in process.said()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_reading_thread_that_dies_ends_the_run(
    whole: Small, tmp_path: Path, processes: int
) -> None:
    run = whole.again(folder=tmp_path, deadly=(7,))
    began = time.monotonic()
    codes = [process.code() for process in world(processes, tmp_path, train_small, run)]
    assert all(code not in (0, None) for code in codes)
    assert time.monotonic() - began < 60
    said = "".join(path.read_text() for path in tmp_path.glob("log-*.txt"))
    assert "the decoder died" in said
    assert left_behind(run) == []
