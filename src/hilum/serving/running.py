"""The service as a process: its address, its signals, its start and its end.

Several processes at one address are `workers`' business; what is answered, `http`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from hilum.bundle import NOT_A_DEVICE, Bundle
from hilum.engines import open_engine
from hilum.errors import HilumError
from hilum.foreign import open_model
from hilum.serving.audit import Audit
from hilum.serving.batching import Record
from hilum.serving.connection import timed
from hilum.serving.guard import Door
from hilum.serving.http import app_of
from hilum.serving.metrics import Metrics
from hilum.serving.service import Service
from hilum.serving.settings import BACKLOG, LOOPBACK, Settings
from hilum.serving.telling import configure

if TYPE_CHECKING:
    from hilum.serving.dicom.service import DicomService
    from hilum.serving.dicom.settings import DicomSettings

_HEAD_LIMIT = 16 << 10  # bytes of a request's headers


def greeting(address: str, bundle: Bundle, engine: str, dicom: str | None = None) -> str:
    """The line that tells that films are welcome. dicom: where they are received by C-STORE."""
    also = "" if dicom is None else f" and {dicom}"
    return (
        f"hilum serves {bundle.manifest.name} ({bundle.digest[:12]}) at {address}{also} "
        f"by {engine}. {NOT_A_DEVICE}"
    )


def serve(
    settings: Settings,
    listener: socket.socket,
    *,
    ready: Callable[[Bundle, str, str | None], None],
    parent: int | None = None,
) -> None:
    """Answer until SIGTERM or SIGINT, then answer what was taken on, and return.

    SIGHUP: go over to the bundle that stands at the same place by then
    ready: called with bundle, engine and the address of the DICOM side, once films are welcome
    parent: a descriptor whose end of file means the same as SIGTERM
    Raises HilumError when it cannot start.
    """
    configure(settings.level)
    refuse_dumps()
    # It waits until there is somebody to act on it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    report = None if settings.report is None else _read(settings.report)
    bundle = open_model(settings.bundle)
    metrics = Metrics()
    service = Service(
        bundle,
        settings.limits,
        engine=lambda bundle: open_engine(bundle, settings.engine, threads=settings.threads),
        record=_record(settings.audit),
        watch=metrics,
    )
    dicom = None
    try:
        # With a token a name proves nothing, and a proxy has its own.
        door = Door(settings.token, None if settings.token else (*LOOPBACK, settings.host))
        app = app_of(service, metrics, door, report=report)
        if not service.pool.ready(seconds=60):
            raise HilumError("hilum serve", "the processes that decode films do not start")
        if settings.dicom is not None:
            dicom = _beside_pacs(settings.dicom, service, metrics)
        config = uvicorn.Config(
            app,
            http=timed(settings.limits.head_time),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=int(settings.limits.drain),
            h11_max_incomplete_event_size=_HEAD_LIMIT,
        )
        server = _Server(config)
        films_at = None if dicom is None else dicom.address
        server.begun = lambda: ready(bundle, service.engine, films_at)
        close = dicom.close if dicom is not None else None
        with asyncio.Runner() as runner:
            runner.run(_run(server, service, settings.bundle, listener, parent, close))
    finally:
        if dicom is not None:
            dicom.close()
        service.close()


def _beside_pacs(settings: DicomSettings, service: Service, metrics: Metrics) -> DicomService:
    # Its libraries take a second to import, and nobody else needs them.
    from hilum.serving.dicom.counts import DicomCounts
    from hilum.serving.dicom.service import DicomService

    dicom = DicomService(settings, service)
    metrics.show(DicomCounts(dicom.status))
    return dicom


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to `_run`. begun: called when it listens."""

    begun: Callable[[], None]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun()


async def _run(
    server: _Server,
    service: Service,
    path: Path,
    listener: socket.socket,
    parent: int | None,
    close: Callable[[], None] | None,
) -> None:
    """close: ends what works beside HTTP, when that begins to end."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[object]] = set()

    def begin(work: Callable[..., object], *given: object) -> None:
        task = asyncio.create_task(asyncio.to_thread(work, *given))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def end() -> None:
        if close is not None and not service.draining:
            begin(close)
        service.draining = True
        server.should_exit = True

    def swap() -> None:
        begin(service.swap, path)

    for asked in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(asked, end)
    loop.add_signal_handler(signal.SIGHUP, swap)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
    if parent is not None:

        def parent_ended() -> None:
            if not os.read(parent, 1):
                loop.remove_reader(parent)
                end()

        loop.add_reader(parent, parent_ended)
    await server.serve([listener])
    await asyncio.gather(*tasks)


def refuse_dumps() -> None:
    """Write no memory to the disk should this process crash: it holds films."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _record(folder: Path | None) -> Callable[[Bundle], Record] | None:
    if folder is None:
        return None
    audit = Audit(folder)
    return lambda bundle: audit


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HilumError(path, f"cannot be read ({error.strerror or error})") from None
