"""Other processes: those that wait and work turn about, those that run once, and Keras' own Python.

What they do is `ours.py`'s and `theirs.py`'s; what is made of their times, `compare.py`'s.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent

# A line of JSON from another process.
Told = dict[str, Any]


def keras_python(folder: Path) -> Path:
    """An interpreter that has requirements.txt installed, made in `folder` where there is none."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "ready"
    if done.exists():
        return python
    wanted = ("-r", str(HERE / "requirements.txt"))
    if uv := shutil.which("uv"):
        # TensorFlow 2.18 stops at Python 3.12.
        subprocess.run([uv, "venv", "--quiet", "--python", "3.11", folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *wanted], check=True)
    else:
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    done.touch()
    return python


def environment(*, busy: bool) -> dict[str, str]:
    """busy: one thread for each process, else as many as it takes by itself."""
    found = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return found | ({"OMP_NUM_THREADS": "1"} if busy else {}) | {"TF_CPP_MIN_LOG_LEVEL": "3"}


class Used(NamedTuple):
    """What a process took from its start to its end."""

    wall_s: float
    processor_s: float
    peak_mib: float


class Runner:
    """Starts processes and keeps what they say of errors in one log."""

    def __init__(self, log: Path, keras: Path, *, busy: bool) -> None:
        self.log, self.keras, self.busy = log, keras, busy

    def command(self, script: str, arguments: Sequence[str]) -> list[str]:
        """A script of this folder, in the environment that it is for."""
        keras = script in ("theirs.py", "train.py")
        python = str(self.keras) if keras else sys.executable
        busy = ["--busy"] if self.busy and script in ("theirs.py", "ours.py") else []
        return [python, "-W", "ignore", str(HERE / script), *arguments, *busy]

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        with self.log.open("a") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(busy=self.busy),
            )

    def once(self, command: Sequence[str], said: str = "") -> tuple[Used, list[str]]:
        """From start to end; and the lines that it printed. Exits where it fails."""
        began = time.perf_counter()
        process = self.start(command)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(said)
        process.stdin.close()
        lines = process.stdout.read().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed: see {self.log}")
        wall = time.perf_counter() - began
        return Used(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), lines


class Worker:
    """A process that works when it is told to, and waits while others do."""

    def __init__(self, runner: Runner, script: str, *arguments: str) -> None:
        self.process = runner.start(runner.command(script, arguments))
        self.log = runner.log
        self.facts = self._line()

    def _line(self) -> Told:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a process ended early: see {self.log}")
        told: Told = json.loads(line)
        return told

    def work(self) -> Told:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._line()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
