from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

import in_world
from hilum.data.shards.form import Form
from hilum.data.shards.writing import write_shards
from hilum.data.sources import open_source
from hilum.errors import TrainingError
from hilum.recipe import TrainPart
from hilum.training.environment import Place, is_restart, main_process
from hilum.training.world import gathered, launch, synced
from in_world import (
    ROWS,
    Small,
    films,
    loss_of,
    network,
    norms_and_answers,
    results,
    train_small,
)
from made import write_npz
from together import Other, free_port, together, torchrun, world

SCRIPT = Path(in_world.__file__)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    together(2, folder, norms_and_answers, folder)
    return folder


def test_synced_norms_in_two_processes_equal_one_process_with_the_whole_batch(
    two_processes: Path,
) -> None:
    module, film_nchw = network(), films().requires_grad_()
    out_nf = module(film_nchw)
    loss_of(out_nf).backward()
    whole = results(module, out_nf, film_nchw)
    parts = [torch.load(two_processes / f"norm-{rank}.pt") for rank in (0, 1)]
    for rank, part in enumerate(parts):
        assert list(part) == list(whole)  # the state dict's names and order are as before
        for name, tensor in part.items():
            expected = whole[name][ROWS[rank]] if name in ("out", "films") else whole[name]
            scale = max(1.0, float(expected.abs().max()))
            assert torch.allclose(tensor, expected, rtol=0, atol=1e-5 * scale), name
    # Without syncing the same network says something else, so the test can fail.
    alone_nf = network()(films()[ROWS[0]])
    assert not torch.allclose(alone_nf, whole["out"][ROWS[0]], atol=1e-2)


def test_answers_are_put_in_place_and_rows_that_nobody_saw_are_nan(two_processes: Path) -> None:
    for rank in (0, 1):
        with np.load(two_processes / f"gathered-{rank}.npz") as found:
            row_n = np.arange(8.0)
            assert np.array_equal(found["whole_nf"][:8], np.stack([row_n, -row_n], axis=1))
            assert np.isnan(found["whole_nf"][8:]).all()
            assert np.isnan(found["nobody_nf"]).all()


def test_a_row_that_two_processes_looked_at_is_an_error(two_processes: Path) -> None:
    for rank in (0, 1):
        line = (two_processes / f"twice-{rank}.txt").read_text()
        assert line == (
            "the processes' answers: row 3 was looked at 2 times; expected each image once"
        )


def test_one_process_is_a_world_of_its_own() -> None:
    fabric = launch(TrainPart(accelerator="cpu"))
    assert (fabric.world_size, fabric.global_rank) == (1, 0)
    module = network()
    kinds = [type(each) for each in module]
    assert [type(each) for each in synced(module, fabric)] == kinds
    whole_nf = gathered(fabric, np.array([2, 0]), np.array([[5.0], [np.inf]]), 3)
    assert np.array_equal(whole_nf, [[np.inf], [np.nan], [5.0]], equal_nan=True)
    with pytest.raises(TrainingError, match="row 1 was looked at 2 times"):
        gathered(fabric, np.array([1, 1]), np.zeros((2, 1)), 3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_an_accelerator_that_is_absent_is_one_line() -> None:
    with pytest.raises(TrainingError, match=r"train.accelerator = 'cuda'.*set 'auto' or 'cpu'"):
        launch(TrainPart(accelerator="cuda"))


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE = 2 without LOCAL_RANK.*torchrun"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE = 'two'; expected a number"),
        (
            {
                "WORLD_SIZE": "2",
                "TORCHELASTIC_MAX_RESTARTS": "1",
                "TORCHELASTIC_USE_AGENT_STORE": "True",
            },
            "would not find each other; set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1",
        ),
        (
            {"WORLD_SIZE": "5", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"},
            "5 processes, of which 2 run on this host; expected as many on every host",
        ),
    ],
)
def test_an_environment_that_is_half_set_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], line: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match=line):
        Place.here()


def test_the_environment_tells_who_speaks_and_whether_this_is_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main_process()
    assert not is_restart()
    torchrun_sets = {"WORLD_SIZE": "4", "RANK": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for name, value in torchrun_sets.items():
        monkeypatch.setenv(name, value)
    assert Place.here() == Place(rank=2, world=4, on_host=2)
    assert Place.here().hosts == 2
    assert not main_process()
    monkeypatch.setenv("RANK", "0")
    assert main_process()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert is_restart()


def test_who_speaks_is_known_without_torch() -> None:
    code = "import sys; import hilum.training.environment; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- training in several processes ----------------------------------------------------------------

# Sums of single-precision numbers in another order; Adam's steps carry the difference on.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "pneumoniamnist.npz"
    write_npz(path, n=70)
    return path


@pytest.fixture(scope="module")
def alone(npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A run in one process."""
    run = Small("pneumoniamnist", npz, tmp_path_factory.mktemp("alone"))
    together(1, run.folder, train_small, run)
    return run


def losses(run: Small, rank: int = 0) -> list[tuple[float, float]]:
    return [(each["train_loss"], each["tune_log_loss"]) for each in run.reports(rank)]


def alike(one: Small, other: Small) -> None:
    """The same figures each epoch, and the same answers at the end, within the tolerance."""
    assert np.allclose(losses(one), losses(other), rtol=0, atol=TOLERANCE)
    assert np.allclose(one.tune_logits(), other.tune_logits(), rtol=0, atol=TOLERANCE)


def agreeing(run: Small) -> None:
    """Both processes end with the very same weights and figures."""
    one, other = run.weights(0), run.weights(1)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert losses(run, 0) == losses(run, 1)


def test_two_processes_with_synced_norms_train_as_one(alone: Small, tmp_path: Path) -> None:
    run = alone.again(folder=tmp_path, train={"sync_batch_norm": True})
    together(2, tmp_path, train_small, run)
    alike(alone, run)
    agreeing(run)
    # It is the norms that make them alike: without syncing they are not.
    unsynced = alone.again(folder=tmp_path / "unsynced")
    together(2, unsynced.folder, train_small, unsynced)
    assert not np.allclose(losses(alone), losses(unsynced), rtol=0, atol=10 * TOLERANCE)


def test_processes_whose_norms_differ_still_judge_and_keep_one_network(
    alone: Small, tmp_path: Path
) -> None:
    run = alone.again(folder=tmp_path, train={"average": "ema"})
    together(3, tmp_path, train_small, run)
    agreeing(run)
    # The figure on tune is that of the weights that are kept, each image counted once.
    logit_n, label_n = run.tune_logits()[:, 0], run.tune_labels()[:, 0]
    loss = np.logaddexp(0, np.where(label_n == 1, -logit_n, logit_n)).mean()
    assert len(label_n) % 3  # shares are unequal
    assert loss == pytest.approx(min(tune for _, tune in losses(run)), abs=1e-6)


@pytest.mark.parametrize("processes", [1, 2])
def test_gradients_of_micro_batches_add_up(alone: Small, tmp_path: Path, processes: int) -> None:
    # A network without batch norm: its statistics would be those of each micro-batch.
    whole = alone.again(folder=tmp_path / "whole", backbone="test_nfnet")
    cut = whole.again(folder=tmp_path / "cut", train={"accumulate": 3})
    together(1, whole.folder, train_small, whole)
    together(processes, cut.folder, train_small, cut)
    alike(whole, cut)


def test_films_that_one_process_cannot_read_do_not_hang_the_other(
    alone: Small, tmp_path: Path
) -> None:
    # In another number in each process, with norms that wait for each other.
    run = alone.again(
        folder=tmp_path,
        train={"sync_batch_norm": True, "accumulate": 4, "batch_size": 16},
        broken=tuple(range(0, 24, 2)),
    )
    together(2, tmp_path, train_small, run)
    agreeing(run)


def test_a_batch_too_small_for_the_processes_is_refused(alone: Small, tmp_path: Path) -> None:
    run = alone.again(folder=tmp_path, train={"batch_size": 3})
    for process in world(2, tmp_path, train_small, run):
        assert process.code() == 2
        assert "train.batch_size: 3 films a step for 2 processes" in process.said()
        assert "set 4 or more" in process.said()


def test_two_processes_train_on_shards(npz: Path, alone: Small, tmp_path: Path) -> None:
    cohort = open_source("pneumoniamnist", data=npz)
    write_shards(cohort, str(tmp_path / "shards"), Form(per_shard=10))
    run = alone.again(source=f"shards:{tmp_path / 'shards'}", data=None, folder=tmp_path / "two")
    together(2, run.folder, train_small, run)
    agreeing(run)
    one = run.again(folder=tmp_path / "one")
    together(1, one.folder, train_small, one)
    assert run.tune_labels().tolist() == one.tune_labels().tolist() == alone.tune_labels().tolist()
    # Films come in an order of their own, so the figures are near and not equal.
    assert np.allclose(losses(one), losses(run), atol=0.2)


def two_lives(first: Small, folders: list[Path], env: list[dict[str, str]]) -> list[Other]:
    """A world of two in which each has its own folder and environment."""
    port = str(free_port())
    return [
        Other(
            folder / f"second-{rank}.txt",
            train_small,
            first.again(folder=folder),
            env={
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "LOCAL_WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                **env[rank],
            },
        )
        for rank, folder in enumerate(folders)
    ]


@pytest.fixture
def interrupted(alone: Small, tmp_path: Path) -> Small:
    """Two processes that died after step 4 of each epoch's 3, with a checkpoint of step 3."""
    run = alone.again(folder=tmp_path / "run", die_at=4)
    codes = [process.code() for process in world(2, run.folder, train_small, run)]
    assert all(codes)
    return run.again(die_at=None)


def test_all_go_on_when_one_was_started_again(interrupted: Small) -> None:
    # torchrun counts restarts host by host, and a host that lost nobody counts none.
    env = [{}, {"TORCHELASTIC_RESTART_COUNT": "1"}]
    for process in two_lives(interrupted, [interrupted.folder] * 2, env):
        process.finish()
    assert interrupted.steps() == [1, 2, 3, 4, 4, 5, 6]  # one step was lost
    agreeing(interrupted)


def test_hosts_that_share_no_folder_are_told_so(interrupted: Small, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for process in two_lives(
        interrupted.again(resume=True), [interrupted.folder, elsewhere], [{}, {}]
    ):
        assert process.code() == 2
        assert "expected one folder that all hosts share" in process.said()


# --- by torchrun itself: several seconds each, most of them to import torch -----------------------

RECIPE = """
name = "small"
input = { size = 32 }
model = { backbone = "test_efficientnet", weights = "none", dropout = 0.0 }
augmentation = { noise = 0.0 }
train = { epochs = 2, batch_size = 16, sync_batch_norm = true, accelerator = "cpu" }
"""
HERE = ["--standalone", "--nproc-per-node=2"]
RESTARTS = ["--max-restarts=2", "--monitor-interval=0.1"]
FRESH = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def ended(process: subprocess.Popen[str], seconds: float = 240) -> str:
    try:
        said, _ = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:  # torchrun hands the signal on
            process.terminate()
            process.wait(60)
    return said


def worker(launcher: subprocess.Popen[str], rank: int) -> int:
    """The process id of a rank that the launcher has started."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            status = (environ.parent / "status").read_text()
            variables = environ.read_bytes().split(b"\0")
            if f"PPid:\t{launcher.pid}\n" in status and f"RANK={rank}".encode() in variables:
                return int(environ.parent.name)
    raise AssertionError(f"no process of rank {rank}")


def until(what: Callable[[], bool], launcher: subprocess.Popen[str], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert launcher.poll() is None, ended(launcher)
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_the_command_line_in_two_processes_makes_the_bundle_of_one(
    npz: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(RECIPE)
    command = ["-m", "hilum", "train", recipe, "--data", npz.parent, "--out"]
    two = torchrun(HERE, [*command, tmp_path / "two"])
    said = ended(two)
    assert two.returncode == 0, said
    one = torchrun(["--standalone", "--nproc-per-node=1"], [*command, tmp_path / "one"])
    told = ended(one)
    assert one.returncode == 0, told
    assert said.count("epoch 1 of 2") == said.count("tune log loss") - 1 == 1  # one process speaks

    def figures(name: str) -> list[list[float]]:
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        keys = ("train_loss", "tune_log_loss", "tune_auroc")
        return [[json.loads(line)[key] for key in keys] for line in lines]

    assert np.allclose(figures("one"), figures("two"), rtol=0, atol=TOLERANCE)
    assert {path.name for path in tmp_path.iterdir()} == {"small.toml", "one", "two"}


@pytest.mark.slow
def test_a_worker_that_is_killed_is_started_again_from_the_last_checkpoint(
    alone: Small, tmp_path: Path
) -> None:
    run = alone.again(folder=tmp_path, train={"epochs": 4, "checkpoint_steps": 1}, slow_s=0.2)
    launcher = torchrun([*HERE, *RESTARTS], [SCRIPT, run.to_json()], env=FRESH)
    notes = tmp_path / "steps-0.txt"
    until(lambda: notes.exists() and len(run.steps()) >= 5, launcher)
    os.kill(worker(launcher, 1), signal.SIGKILL)
    said = ended(launcher)
    assert launcher.returncode == 0, said
    steps = run.steps()
    lost = len(steps) - len(set(steps))
    assert sorted(set(steps)) == list(range(1, len(set(steps)) + 1))
    assert lost <= 1  # it saves after each step
    assert steps[-1] == run.reports()[-1]["step"]
    agreeing(run)


@pytest.mark.slow
def test_a_process_that_fails_at_once_does_not_leave_the_others_waiting(
    alone: Small, tmp_path: Path
) -> None:
    run = alone.again(folder=tmp_path)
    launcher = torchrun(HERE, [SCRIPT, run.to_json()], env={"ABSENT_RANK": "1"})
    said = ended(launcher, 120)
    assert launcher.returncode != 0
    assert "exitcode  : 3" in said


@pytest.fixture
def two_hosts() -> Iterator[list[tuple[list[str], str]]]:
    """Two network namespaces joined by a wire: what to put before a command, and the address."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"hilum{os.getpid()}{letter}" for letter in "ab"]
    wires = [f"hw{os.getpid() % 10**6}{letter}" for letter in "ab"]
    setup = [["netns", "add", name] for name in names]
    setup.append(["link", "add", wires[0], "type", "veth", "peer", "name", wires[1]])
    for k, (name, wire) in enumerate(zip(names, wires, strict=True)):
        setup += [
            ["link", "set", wire, "netns", name],
            ["-n", name, "address", "add", f"10.77.0.{k + 1}/24", "dev", wire],
            ["-n", name, "link", "set", wire, "up"],
            ["-n", name, "link", "set", "lo", "up"],
        ]
    try:
        for words in setup:
            done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"ip {' '.join(words)}: {done.stderr.strip()}")
        yield [
            (["ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME={wire}"], f"10.77.0.{k + 1}")
            for k, (name, wire) in enumerate(zip(names, wires, strict=True))
        ]
    finally:
        for name in names:  # the wire goes with them
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def on_hosts(
    hosts: list[tuple[list[str], str]], run: Small, *options: str
) -> list[subprocess.Popen[str]]:
    return [
        torchrun(
            [
                "--nnodes=2",
                "--nproc-per-node=1",
                "--rdzv-backend=c10d",
                f"--rdzv-endpoint={hosts[0][1]}:29511",
                "--rdzv-id=hilum-test",
                f"--rdzv-conf=is_host={int(k == 0)}",
                f"--local-addr={address}",
                *options,
            ],
            [SCRIPT, run.to_json()],
            before=before,
            env=FRESH,
        )
        for k, (before, address) in enumerate(hosts)
    ]


@pytest.mark.slow
def test_two_hosts_train_as_one_process(
    two_hosts: list[tuple[list[str], str]], alone: Small, tmp_path: Path
) -> None:
    run = alone.again(folder=tmp_path, train={"sync_batch_norm": True})
    for launcher in on_hosts(two_hosts, run):
        said = ended(launcher)
        assert launcher.returncode == 0, said
    alike(alone, run)
    agreeing(run)


@pytest.mark.slow
def test_a_worker_killed_on_one_host_is_started_again_on_both(
    two_hosts: list[tuple[list[str], str]], alone: Small, tmp_path: Path
) -> None:
    run = alone.again(folder=tmp_path, train={"epochs": 4, "checkpoint_steps": 1}, slow_s=0.2)
    launchers = on_hosts(two_hosts, run, *RESTARTS)
    notes = tmp_path / "steps-0.txt"
    until(lambda: notes.exists() and len(run.steps()) >= 5, launchers[0])
    os.kill(worker(launchers[1], 1), signal.SIGKILL)
    for launcher in launchers:
        said = ended(launcher)
        assert launcher.returncode == 0, said
    steps = run.steps()
    assert sorted(set(steps)) == list(range(1, run.reports()[-1]["step"] + 1))
    assert len(steps) - len(set(steps)) <= 1
    agreeing(run)
