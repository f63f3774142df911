"""Films that tests of the service send, and the service as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import httpx
import numpy as np
import psutil
from PIL import Image

from hilum.cli import run
from hilum.data.preprocessing import Resize
from hilum.recipe import ReadingPart

_T = TypeVar("_T")
READING, STEPS = ReadingPart(), (Resize(height=32, width=32),)


def png(side: int = 64, seed: int = 0, *, wide: int | None = None) -> bytes:
    """A grey film of noise."""
    rng = np.random.default_rng(seed)
    return encoded(rng.integers(0, 255, (side, wide or side)).astype(np.uint8))


def encoded(grey_hw: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(grey_hw).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Running:
    """`hilum serve` at work."""

    def __init__(self, process: subprocess.Popen[str], greeting: str, log: Path) -> None:
        self.process, self.greeting, self.log = process, greeting, log
        found = re.search(r"http://\S+", greeting)
        assert found, (greeting, log.read_text())
        self.url = found[0]

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)  # type: ignore[arg-type]

    def told(self) -> list[dict[str, object]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def children(self) -> list[psutil.Process]:
        """The processes that decode, those aside that are dead and not replaced yet."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        live = [each for each in below if each.status() != psutil.STATUS_ZOMBIE]
        return [each for each in live if "hilum.serving.child" in each.cmdline()]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, seconds: float = 40) -> int:
        """Its exit code after SIGTERM."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def running(
    log: Path, *arguments: str | Path, env: dict[str, str] | None = None
) -> Iterator[Running]:
    """`hilum serve` with these arguments, at a free port; killed with all its processes after."""
    with log.open("w") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "hilum", "serve", *map(str, arguments), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
            env=os.environ | (env or {}),
        )
    assert process.stdout is not None
    try:
        yield Running(process, process.stdout.readline(), log)
    finally:
        if process.poll() is None:
            for each in psutil.Process(process.pid).children(recursive=True):
                each.kill()
            process.kill()
            process.wait()
        process.stdout.close()


def refused(*arguments: str | Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and errors of a `hilum serve` that cannot start."""
    with redirect_stderr(StringIO()) as said, patch.dict(os.environ, env or {}):
        code = run(["serve", *map(str, arguments)])
    return code, said.getvalue()


def done(work: Coroutine[Any, Any, _T]) -> _T:
    """What it comes to, in a thread of its own: the browser's tests keep a loop in theirs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def eventually(true: object, seconds: float = 10) -> None:
    """Wait until `true()` is."""
    until = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)
