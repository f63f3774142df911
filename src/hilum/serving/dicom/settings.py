"""What the DICOM side is told when it starts, and what is refused before a socket is opened.

The command line's flags are read by `hilum.cli`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hilum.errors import HilumError
from hilum.serving.settings import is_loopback

_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")  # PS3.5 6.2: AE, no backslash
_DESTINATIONS = "dicom://AE@host:port or https://host/dicom-web"
LOOPBACK, TITLE = "127.0.0.1", "HILUM"


class DicomSettingsError(HilumError):
    """A setting of the DICOM side is wrong, or not safe to start with."""


@dataclass(frozen=True)
class DicomPeer:
    """An application entity that objects are sent to by C-STORE."""

    title: str
    host: str
    port: int


@dataclass(frozen=True)
class WebPeer:
    """A DICOMweb server: objects go by STOW-RS, and come by QIDO-RS and WADO-RS.

    token: of `Authorization: Bearer`; ca: file of the authorities trusted, None for the usual ones
    """

    url: str
    token: str | None = field(default=None, repr=False)
    ca: Path | None = None


@dataclass(frozen=True)
class DicomSettings:
    """How the DICOM side runs.

    folder: the queue's own, mode 0700; films stand in it until they are answered and sent
    destination: where answers go
    port: where films are received; 0 takes a free one, with None nobody listens
    host: address to listen at
    title: our AE title; nobody who calls another is let in
    callers: AE titles that may call, empty for any
    peers: addresses or networks (10.1.0.0/16) that may connect, empty for any
    most_bytes: of one object; longer ones end their association
    seconds: of each time-out: association, network, DIMSE
    refusals: how often the destination may refuse one object before it is set aside
    keep_hours: how long films and answers stay after delivery; 0 removes them then
    keep_refused_hours: the same of films that cannot be read
    """

    folder: Path
    destination: DicomPeer | WebPeer
    port: int | None
    host: str = LOOPBACK
    title: str = TITLE
    callers: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    associations: int = 8
    most_bytes: int = 160 << 20
    seconds: float = 30.0
    refusals: int = 5
    keep_hours: float = 0.0
    keep_refused_hours: float = 168.0

    def __post_init__(self) -> None:
        """Raises DicomSettingsError."""
        for title in (self.title, *self.callers):
            check_title(title)
        networks(self.peers)
        if self.port is not None and not 0 <= self.port < 65536:
            raise DicomSettingsError("dicom port", str(self.port), expected="1 to 65535")
        for name in ("associations", "most_bytes", "seconds", "refusals"):
            if getattr(self, name) <= 0:
                raise DicomSettingsError(
                    f"dicom {name}", str(getattr(self, name)), expected="more than 0"
                )
        if not is_loopback(self.host) and not (self.callers and self.peers):
            raise DicomSettingsError(
                "dicom host",
                f"{self.host} can be reached from other machines",
                expected="both allow lists, of AE titles and of addresses",
                remedy="name who may call, or listen on 127.0.0.1",
            )


def check_title(title: str) -> str:
    """The AE title as it is given. Raises DicomSettingsError."""
    if not _TITLE.fullmatch(title):
        raise DicomSettingsError("AE title", repr(title), expected="1 to 16 ASCII characters")
    return title


def networks(peers: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The networks that addresses and networks name. Raises DicomSettingsError."""
    try:
        return [ipaddress.ip_network(peer) for peer in peers]
    except ValueError:
        raise DicomSettingsError(
            "dicom peers", ", ".join(peers), expected="addresses or networks, as 10.1.0.0/16"
        ) from None


def destination(text: str, token: str | None = None, ca: Path | None = None) -> DicomPeer | WebPeer:
    """`dicom://AE@host:port` or a DICOMweb address. Raises DicomSettingsError."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise DicomSettingsError("destination", _shown(text), expected=_DESTINATIONS) from None
    if parts.scheme == "dicom" and parts.username and parts.hostname and port:
        return DicomPeer(check_title(parts.username), parts.hostname, port)
    return web_peer("destination", text, token, ca, expected=_DESTINATIONS)


def web_peer(
    where: str,
    text: str,
    token: str | None = None,
    ca: Path | None = None,
    *,
    expected: str = "https://host/dicom-web",
) -> WebPeer:
    """A DICOMweb address. Raises DicomSettingsError.

    Plain http is taken for this machine alone: films and answers name patients.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise DicomSettingsError(where, _shown(text), expected=expected) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise DicomSettingsError(where, _shown(text), expected=expected)
    if parts.username or parts.password:
        raise DicomSettingsError(where, "a password in an address", remedy="give a token by itself")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise DicomSettingsError(where, "plain http to another machine", expected="https://…")
    if ca is not None and not ca.is_file():
        raise DicomSettingsError(ca, "no such file", expected="certificates in PEM")
    return WebPeer(text.rstrip("/"), token, ca)


def same_server(one: str, other: str) -> bool:
    """Whether two addresses are of one server, which may be told the same token."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.hostname, first.port) == (
        second.scheme, second.hostname, second.port,
    )  # fmt: skip


def _shown(text: str) -> str:
    return repr(text.rsplit("@", 1)[-1][:64])
