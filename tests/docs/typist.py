"""Types the commands of a page in a world, and says what may be typed there at all.

A command that is not run needs a reason in NOT_RUN that names what tests it instead.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import typer

from docs.blocks import Command
from docs.world import World
from hilum.cli import run
from hilum.cli.app import app
from serving_made import Running, running
from together import free_port

# What looks so is not run: why, and the file that tests it instead.
NOT_RUN = {
    r"make \w": ("the whole project, on an empty machine", ".ci/run"),
    r"python3 -m venv|\. \.venv/": ("an environment of one's own", ".ci/run"),
    r"docker |scripts/check-container ": ("wants an engine", "scripts/check-container"),
    r"openssl |chmod ": ("a secret for Docker Compose", "deploy/compose"),
    r"pip install ": ("changes the environment", ".ci/run"),
    r"apt-get ": ("changes the machine", ".ci/run"),
    r"python examples/": ("run there on smaller data", "tests/docs/test_examples.py"),
    r"pytest ": ("these tests", "Makefile"),
    r"(HILUM_DATA=\S+ )?python benchmarks/": ("measures for minutes", "benchmarks/README.md"),
    r"torchrun --nnodes": ("wants several hosts", "tests/training/test_world.py"),
    r"sbatch ": ("wants SLURM", "tests/test_deploy.py"),
    r"tensorboard ": ("serves until it is stopped", "tests/training/test_tracking.py"),
    r"hilum train .*--track mlflow": ("wants a server", "tests/training/test_tracking.py"),
    r"hilum pull ": ("wants a PACS", "tests/serving/test_dicom_pacs.py"),
    r"hilum evaluate models --out": (
        "the predecessor's model, which is not to be had",
        "tests/foreign/test_opening.py",
    ),
    r"hilum (evaluate|validate) theirs/xception": (
        "somebody's model, which is not to be had",
        "tests/foreign/test_keras_file.py",
    ),
    r"hilum stress .*--family medmnist-c": (
        "wants a package that is not among ours",
        "tests/robustness/test_medmnist_c.py",
    ),
    r"hilum train .*phantom@224": ("an hour: 3,000 films are drawn", "tests/cli/test_train.py"),
}
# What ends with another code than 0, as its page says it does.
ENDS_WITH = {
    r"hilum train .*--resume$": 2,  # the run before it was not broken off
}
# What begins so is typed into a shell as it is.
SHELL = ("curl ", "echoscu ", "storescu ", "mkdir ", "python -c ", "torchrun --standalone ", "for ")
# What takes longer than a few seconds even here; `pytest -m slow` runs it.
SLOW = (
    r"hilum reproduce\b",
    r"hilum train\b",
    r"hilum generalise\b",
    r"hilum stress\b",
    r"hilum validate\b",
    r"hilum explain\b",
    r"hilum predict .*--explain",
    r"hilum data check phantom@128 ",  # all of its 5,856 films are drawn
    r"hilum export\b",
    r"hilum novelty\b",
    r"hilum card\b",  # of what the others wrote
    # One of each kind is quick enough: predictions, and a bundle; a record; a service.
    r"hilum evaluate (?!--predictions .*--group age|models/pneumoniamnist --on folder:site_b)",
    r"hilum monitor models/mine",
    r"hilum serve .*(--workers|--dicom-to https)",
    r".*--engine openvino-int8",  # made by an export
    r"torchrun\b",
    r"for\b",
)


def reason_not_to_run(text: str) -> str | None:
    """The key of NOT_RUN that a command looks like."""
    return next((each for each in NOT_RUN if re.match(each, text)), None)


def code_due(text: str) -> int:
    """The code that a command ends with."""
    return next((code for each, code in ENDS_WITH.items() if re.match(each, text)), 0)


def is_slow(text: str) -> bool:
    return any(re.match(pattern, text) for pattern in SLOW)


def parse(text: str) -> None:
    """A `hilum` command has verbs and options that exist; typer's own error where not."""
    command = typer.main.get_command(app)
    words = shlex.split(text)[1:]
    context = command.make_context("hilum", list(words))
    while hasattr(command, "resolve_command"):
        _, command, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(command.name, list(words), parent=context)


class Typist:
    """Somebody at the keyboard of one world. A service stays at work until the next one."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.environment: dict[str, str] = {}
        self._stack = ExitStack()
        self._ports: dict[str, str] = {}
        self._service: Running | None = None

    def type(self, command: Command) -> None:
        """Run it; AssertionError unless it ends well, or when nobody said what it is."""
        text = command.text
        if text.startswith("export "):
            name, _, value = text.removeprefix("export ").partition("=")
            self.environment[name] = os.environ[name] = value
        elif text.startswith("hilum serve "):
            self._serve(command)
        elif text.startswith("hilum "):
            words = shlex.split(os.path.expandvars(text))[1:]
            code, due = run(words), code_due(text)
            assert code == due, f"{command.where}: {text}: ended with {code}, not {due}"
            assert not plt.get_fignums(), f"{command.where}: {text}: left figures open"
        else:
            assert text.startswith(SHELL), f"{command.where}: {text}: nobody runs it; see typist"
            self._shell(command)

    def leave(self) -> None:
        """End what is still at work, and see it end well."""
        if self._service is not None:
            assert self._service.end() == 0, self._service.log.read_text()
            self._service = None
        self._stack.close()
        self._stack = ExitStack()
        self._ports = {}

    def _serve(self, command: Command) -> None:
        """The service with free ports in place of those that are typed."""
        self.leave()
        words = shlex.split(command.text)[2:]
        if "--dicom" in words:
            at = words.index("--dicom") + 1
            self._ports[words[at]] = words[at] = str(free_port())
        log = self.world.folder / "service.log"
        self._service = self._stack.enter_context(running(log, *words))
        found = re.search(r":(\d+)", self._service.url)
        assert found, self._service.greeting
        self._ports["8000"] = found[1]

    def _shell(self, command: Command) -> None:
        text = command.text
        for port, ours in self._ports.items():
            text = re.sub(rf"\b{port}\b", ours, text)
        text = re.sub(r"^curl ", "curl --fail --silent --show-error ", text)
        done = subprocess.run(
            ["bash", "-ec", text],
            env=os.environ | {"PATH": f"{_bin(self.world)}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        told = done.stdout + done.stderr
        assert done.returncode == 0, f"{command.where}: {text}: {done.returncode}: {told}"


def _bin(world: World) -> Path:
    """A folder with `hilum` and `python` as they run here."""
    folder = world.folder / "bin"
    folder.mkdir(exist_ok=True)
    for name, words in (("hilum", "-m hilum"), ("python", "")):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        path.chmod(0o755)
    return folder


@contextmanager
def at_the_keyboard(world: World) -> Iterator[Typist]:
    """In the world's folder, with its data; all is as before afterwards."""
    here, before = Path.cwd(), dict(os.environ)
    os.chdir(world.folder)
    os.environ.update(HILUM_DATA=str(world.data), HOME=str(world.folder / "home"))
    typist = Typist(world)
    try:
        yield typist
        typist.leave()
    finally:
        typist._stack.close()
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
