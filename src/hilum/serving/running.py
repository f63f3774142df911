"""The service as a process: its address, its signals, its start and its end.

Several processes at one address are `workers`' business; what is answered, `http`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from hilum.bundle import NOT_A_DEVICE, Bundle, load_bundle
from hilum.engines import Engine, open_engine
from hilum.errors import HilumError
from hilum.serving.audit import Audit
from hilum.serving.batching import Record
from hilum.serving.connection import timed
from hilum.serving.guard import LOOPBACK, Door
from hilum.serving.http import app_of
from hilum.serving.limits import Limits
from hilum.serving.metrics import Metrics
from hilum.serving.service import Service
from hilum.serving.telling import configure

TOKEN_LEAST = 16
_BACKLOG = 2048
_HEAD_LIMIT = 16 << 10  # bytes of a request's headers


@dataclass(frozen=True)
class Settings:
    """What `hilum serve` was asked for.

    threads: that the engine computes with; None: as many as it likes
    audit: folder of the record of all answers; None keeps none
    report: HTML that `/v1/bundle/report` shows
    level: of the log, such as "info"
    """

    bundle: Path
    host: str = "127.0.0.1"
    port: int = 8000
    limits: Limits = field(default_factory=Limits)
    threads: int | None = None
    audit: Path | None = None
    token: str | None = field(default=None, repr=False)
    report: Path | None = None
    level: str = "info"

    def __post_init__(self) -> None:
        """Raises HilumError for what would not be safe."""
        if self.token is not None and len(self.token) < TOKEN_LEAST:
            raise HilumError(
                "the token",
                f"{len(self.token)} characters",
                expected=f"{TOKEN_LEAST} or more",
                remedy="make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        if self.token is None and not is_loopback(self.host):
            raise HilumError(
                "--host",
                f"{self.host} can be reached from other machines, and there is no token",
                remedy="name a file with one by --token-file, or set HILUM_TOKEN",
            )


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, and nobody else's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises HilumError when the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise HilumError(
            f"{host}:{port}",
            f"cannot be listened at ({error.strerror or error})",
            remedy="choose another --port or --host, or end what listens there",
        ) from None
    return listener


def address_of(listener: socket.socket) -> str:
    """Its URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def greeting(address: str, bundle: Bundle, engine: str) -> str:
    """The line that tells that films are welcome."""
    return (
        f"hilum serves {bundle.manifest.name} ({bundle.digest[:12]}) at {address} by {engine}. "
        f"{NOT_A_DEVICE}"
    )


def serve(
    settings: Settings,
    listener: socket.socket,
    *,
    ready: Callable[[Bundle, str], None],
    parent: int | None = None,
) -> None:
    """Answer until SIGTERM or SIGINT, then answer what was taken on, and return.

    SIGHUP: go over to the bundle that stands at the same place by then
    ready: called with bundle and engine once films are welcome
    parent: a descriptor whose end of file means the same as SIGTERM
    Raises HilumError when it cannot start.
    """
    configure(settings.level)
    # Until there is somebody to act on it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    report = None if settings.report is None else _read(settings.report)
    bundle = load_bundle(settings.bundle)
    metrics = Metrics()
    service = Service(
        bundle,
        settings.limits,
        engine=lambda bundle: _engine(bundle, settings.threads),
        record=_record(settings.audit),
        watch=metrics,
    )
    try:
        # With a token a name proves nothing, and a proxy has its own.
        door = Door(settings.token, None if settings.token else (*LOOPBACK, settings.host))
        app = app_of(service, metrics, door, report=report)
        if not service.pool.ready(seconds=60):
            raise HilumError("hilum serve", "the processes that decode films do not start")
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
            backlog=_BACKLOG,
            timeout_graceful_shutdown=int(settings.limits.drain),
            h11_max_incomplete_event_size=_HEAD_LIMIT,
        )
        server = _Server(config)
        server.begun = lambda: ready(bundle, service.engine)
        with asyncio.Runner() as runner:
            runner.run(_run(server, service, settings.bundle, listener, parent))
    finally:
        service.close()


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
    server: _Server, service: Service, path: Path, listener: socket.socket, parent: int | None
) -> None:
    loop = asyncio.get_running_loop()
    swaps: set[asyncio.Task[bool]] = set()

    def end() -> None:
        service.draining = True
        server.should_exit = True

    def swap() -> None:
        task = asyncio.create_task(asyncio.to_thread(service.swap, path))
        swaps.add(task)
        task.add_done_callback(swaps.discard)

    for asked in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(asked, end)
    loop.add_signal_handler(signal.SIGHUP, swap)
    if parent is not None:

        def parent_ended() -> None:
            if not os.read(parent, 1):
                loop.remove_reader(parent)
                end()

        loop.add_reader(parent, parent_ended)
    await server.serve([listener])
    await asyncio.gather(*swaps)


def _engine(bundle: Bundle, threads: int | None) -> Engine:
    return open_engine(bundle, threads=threads)


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
