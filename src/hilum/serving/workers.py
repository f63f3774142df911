"""Several processes that serve at one address: started, passed signals, replaced when one dies.

What each of them does is `running`'s business.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from prometheus_client import multiprocess

from hilum.bundle import Bundle
from hilum.errors import HilumError
from hilum.foreign import open_model
from hilum.serving.limits import Limits
from hilum.serving.metrics import SHARED
from hilum.serving.running import serve
from hilum.serving.settings import Settings
from hilum.serving.telling import configure

_log = logging.getLogger(__name__)
_FAILED = 2
_AGAIN = 1.0  # seconds before a worker that died is replaced, so that a broken one does not spin


def serve_by(
    workers: int,
    settings: Settings,
    listener: socket.socket,
    *,
    ready: Callable[[Bundle, str, None], None],
) -> None:
    """Serve by several processes until SIGTERM or SIGINT, and return when all have ended.

    Each has its share of the processor's cores. ready: called once all of them answer
    Raises HilumError when they cannot start.
    """
    configure(settings.level)
    bundle = open_model(settings.bundle)
    cores = settings.limits.children
    share = replace(
        settings,
        limits=replace(settings.limits, children=max(1, cores // workers)),
        threads=max(1, cores // workers),
    )
    with tempfile.TemporaryDirectory(prefix="hilum-metrics-") as counts:
        _Workers(workers, share, listener, Path(counts)).run(
            lambda engine: ready(bundle, engine, None)
        )


class _Workers:
    def __init__(
        self, number: int, settings: Settings, listener: socket.socket, counts: Path
    ) -> None:
        self._settings, self._listener, self._counts = settings, listener, counts
        self._ending = False
        self._woken = threading.Event()
        for asked in (signal.SIGTERM, signal.SIGINT):
            signal.signal(asked, self._end)
        signal.signal(signal.SIGHUP, self._swap)
        self._at_work = [self._start() for _ in range(number)]

    def run(self, ready: Callable[[str], None]) -> None:
        engines = [_first_line(worker) for worker in self._at_work]
        if not all(engines):
            self._end()
            for worker in self._at_work:
                worker.wait()
            if any(worker.returncode == _FAILED for worker in self._at_work):
                raise SystemExit(_FAILED)  # it said why
            return
        ready(engines[0])
        while self._at_work:
            self._woken.wait(0.2)
            self._woken.clear()
            self._at_work = [each for each in map(self._looked_after, self._at_work) if each]
            if self._ending:  # said again, for one that was started meanwhile
                self._pass_on(signal.SIGTERM)

    def _looked_after(self, worker: subprocess.Popen[str]) -> subprocess.Popen[str] | None:
        if worker.poll() is None:
            return worker
        multiprocess.mark_process_dead(worker.pid, str(self._counts))  # type: ignore[no-untyped-call]
        if self._ending:
            return None
        _log.error("a worker ended (%s) and is replaced", worker.returncode)
        time.sleep(_AGAIN)
        try:
            return None if self._ending else self._start()
        except OSError as error:
            _log.error("a worker cannot be started (%s)", error.strerror)
            return worker  # the next turn finds it dead again

    def _start(self) -> subprocess.Popen[str]:
        descriptor = self._listener.fileno()
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "hilum.serving.workers", str(descriptor)],
            pass_fds=[descriptor],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {SHARED: str(self._counts)},
            text=True,
            # Signals of a terminal reach the first process alone, which passes them on.
            start_new_session=True,
            preexec_fn=_block_swaps,
        )
        assert worker.stdin is not None
        # The token is in here: not on a command line, which others may read.
        worker.stdin.write(json.dumps(asdict(self._settings), default=str) + "\n")
        worker.stdin.flush()  # and it stays open: its end tells the worker that nobody is left
        return worker

    def _end(self, *_: object) -> None:
        self._ending = True
        self._pass_on(signal.SIGTERM)
        self._woken.set()

    def _swap(self, *_: object) -> None:
        self._pass_on(signal.SIGHUP)

    def _pass_on(self, asked: signal.Signals) -> None:
        for worker in getattr(self, "_at_work", ()):
            worker.send_signal(asked)


def _block_swaps() -> None:
    """A worker that is told of a new bundle while it starts looks for it when it has started."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])


def _first_line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def main() -> int:
    """One worker: `python -m hilum.serving.workers SOCKET`, its settings on standard input."""
    plain = json.loads(sys.stdin.readline())
    limits = Limits(**plain.pop("limits"))
    paths = {
        name: None if plain[name] is None else Path(plain.pop(name))
        for name in ("bundle", "audit", "report")
        if plain[name] is not None
    }
    settings = Settings(**{**plain, **paths, "limits": limits})
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        try:
            serve(
                settings,
                listener,
                ready=lambda _, engine, __: print(engine, flush=True),
                parent=sys.stdin.fileno(),
            )
        except HilumError as error:
            print(f"hilum: {error}", file=sys.stderr)
            return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
