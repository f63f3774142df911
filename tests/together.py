"""Runs functions of `in_world` in processes of their own: alone, as one world, or to be killed.

They are forked from a server that has imported torch once, so that each starts at once. Where the
launcher itself is tested, `torchrun` starts it.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["hilum.training.loop", "hilum.data.sources", "in_world"])


class Other:
    """One process that runs `function(*arguments)`; what it says goes to the file `log`."""

    def __init__(
        self,
        log: Path,
        function: Callable[..., None],
        *arguments: object,
        env: dict[str, str] | None = None,
    ) -> None:
        self.log = log
        self.store: object = None
        self.process: ForkServerProcess = _server.Process(
            target=_main, args=(log, env or {}, function, arguments)
        )
        self.process.start()

    def code(self, seconds: float = 120) -> int:
        """Its exit code; minus the signal's number when it was killed."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"still at work after {seconds:g} s: {self.said()}")
        return self.process.exitcode

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def finish(self) -> None:
        """Wait until it has ended, and well."""
        assert self.code() == 0, self.said()


def world(
    processes: int, folder: Path, function: Callable[..., None], *arguments: object
) -> list[Other]:
    """Begin the same function in so many processes of one world, as torchrun would.

    The store at which they meet is kept here, as torchrun keeps it: it outlives each of them.
    """
    from torch.distributed import TCPStore

    folder.mkdir(parents=True, exist_ok=True)
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    others = [
        Other(
            folder / f"log-{rank}.txt",
            function,
            *arguments,
            env={
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(processes),
                "LOCAL_WORLD_SIZE": str(processes),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(store.port),
                "TORCHELASTIC_USE_AGENT_STORE": "True",
                "TORCHELASTIC_RESTART_COUNT": "0",
            },
        )
        for rank in range(processes)
    ]
    for each in others:
        each.store = store
    return others


def together(
    processes: int, folder: Path, function: Callable[..., None], *arguments: object
) -> None:
    """Run it in a world of so many processes, and see all of them end well."""
    for each in world(processes, folder, function, *arguments):
        each.finish()


def torchrun(
    options: Sequence[str],
    command: Sequence[str | Path],
    *,
    before: Sequence[str] = (),
    env: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Begin `command` (what follows `python`) by the launcher; the caller waits for it."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", "torch.distributed.run", *options, *map(str, command)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _main(
    log: Path, env: dict[str, str], function: Callable[..., Any], arguments: Sequence[object]
) -> None:
    os.environ.update(env)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    function(*arguments)
