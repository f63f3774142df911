"""What `hilum serve` was asked for, refused where it would not be safe, and the address it has.

Light, so that a refusal comes at once; what is made of it is left to `running`.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.errors import HilumError
from hilum.serving.limits import Limits

if TYPE_CHECKING:
    from hilum.serving.dicom.settings import DicomSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOKEN_LEAST = 16
BACKLOG = 2048


@dataclass(frozen=True)
class Settings:
    """What `hilum serve` was asked for.

    engine: that answers, by its name; None: the fastest there is
    threads: that it computes with; None: as many as it likes
    audit: folder of the record of all answers; None keeps none
    report: HTML that `/v1/bundle/report` shows
    level: of the log, such as "info"
    dicom: how films come and go by DICOM; None where they do not
    """

    bundle: Path
    host: str = "127.0.0.1"
    port: int = 8000
    limits: Limits = field(default_factory=Limits)
    engine: str | None = None
    threads: int | None = None
    audit: Path | None = None
    token: str | None = field(default=None, repr=False)
    report: Path | None = None
    level: str = "info"
    dicom: DicomSettings | None = None

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
        with ExitStack() as unless_it_listens:
            listener = unless_it_listens.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            unless_it_listens.pop_all()
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
