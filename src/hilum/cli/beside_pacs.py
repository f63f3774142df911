"""What verbs that stand beside a PACS are told: destination, queue, who may call, tokens.

What may be told is `hilum.serving.dicom.settings`' business.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hilum.serving.dicom.settings import DicomPeer, DicomSettings, WebPeer

_PANEL = "Beside a PACS"
_TOKEN = "HILUM_DICOMWEB_TOKEN"  # nosec B105 (where it is looked for)

Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, metavar="PORT", rich_help_panel=_PANEL,
        help="Receive films by C-STORE here, and send the answers on; 0 takes a free port.",
    ),
]  # fmt: skip
To = Annotated[
    str | None,
    typer.Option(
        metavar="DEST", rich_help_panel=_PANEL,
        help="Where answers go: dicom://AE@host:port, or https://host/dicom-web, whose token is "
        f"in {_TOKEN}.",
    ),
]  # fmt: skip
Folder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", rich_help_panel=_PANEL,
        help="The queue: films and answers stay here until they are delivered.",
    ),
]  # fmt: skip
Title = Annotated[
    str | None,
    typer.Option(metavar="AE", rich_help_panel=_PANEL, help="Our AE title. Otherwise HILUM."),
]
Host = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", rich_help_panel=_PANEL,
        help="Address to receive at. Otherwise 127.0.0.1; any other needs both lists below.",
    ),
]  # fmt: skip
Callers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="AE", rich_help_panel=_PANEL, help="AE title that may call; may be repeated."
    ),
]
Peers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NET", rich_help_panel=_PANEL,
        help="Address or network that may connect, as 10.1.0.0/16; may be repeated.",
    ),
]  # fmt: skip
Authorities = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=_PANEL,
        help="Authorities that certificates of DICOMweb servers are checked against.",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What was given of the DICOM side's flags; None or empty where nothing was."""

    port: int | None
    to: str | None
    folder: Path | None
    title: str | None = None
    host: str | None = None
    callers: Sequence[str] = ()
    peers: Sequence[str] = ()
    ca: Path | None = None

    def settings(self) -> DicomSettings | None:
        """None where no DICOM is asked for. Raises HilumError."""
        from hilum.errors import HilumError

        if self.port is None:
            for name, value in vars(self).items():
                if value:
                    flag = {"callers": "caller", "peers": "peer"}.get(name, name)
                    raise HilumError(
                        f"--dicom-{flag}", "nobody listens", remedy="give --dicom PORT"
                    )
            return None
        if self.to is None:
            raise HilumError(
                "--dicom", "no destination", remedy="say by --dicom-to where answers go"
            )
        if self.folder is None:
            raise HilumError(
                "--dicom", "no folder", remedy="say by --dicom-folder where films wait"
            )
        need_pacs_packages("hilum serve --dicom", "'hilum serve' without it")

        from hilum.serving.dicom.settings import LOOPBACK, TITLE, DicomSettings, destination

        return DicomSettings(
            self.folder,
            destination(self.to, os.environ.get(_TOKEN), self.ca),
            self.port,
            callers=tuple(self.callers),
            peers=tuple(self.peers),
            host=self.host or LOOPBACK,
            title=self.title or TITLE,
        )


def need_pacs_packages(verb: str, instead: str) -> None:
    """Raises MissingExtraError."""
    from importlib.util import find_spec

    from hilum.errors import MissingExtraError

    needed = ("pynetdicom", "highdicom", "dicomweb_client", "prometheus_client")
    if any(find_spec(name) is None for name in needed):
        raise MissingExtraError(verb, "serve", instead)


def source_and_destination(
    url: str, to: str, ca: Path | None
) -> tuple[WebPeer, DicomPeer | WebPeer]:
    """Where films are fetched and where answers go. Raises DicomSettingsError.

    The token is the source's, and told to no other server.
    """
    from hilum.serving.dicom.settings import destination, same_server, web_peer

    token = os.environ.get(_TOKEN)
    source = web_peer("URL", url, token, ca)
    return source, destination(to, token if same_server(url, to) else None, ca)
