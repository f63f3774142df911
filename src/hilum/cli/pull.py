"""`hilum pull`: films fetched from a DICOMweb server, answered, and the answers sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.options import BundleName, Json

if TYPE_CHECKING:
    from hilum.serving.dicom.pulling import Pulled
    from hilum.serving.dicom.service import Status


def pull(
    bundle: BundleName,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Of the server, https://host/dicom-web.")
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="DEST", help="Where answers go: dicom://AE@host:port, or a DICOMweb address."
        ),
    ],
    folder: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="The queue: films and answers stay here until they are delivered."
        ),
    ],
    dates: Annotated[
        str | None,
        typer.Option(metavar="DATES", help="Of the study: 20260301, or 20260301-20260307."),
    ] = None,
    accession: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Accession number of the study.")
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study Instance UID.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Films to fetch at most.")] = 100,
    title: Annotated[str, typer.Option(metavar="AE", help="Our AE title.")] = "HILUM",
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Authorities that certificates are checked against."),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep a record of every answer here.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait while nothing can be delivered.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Fetch films from a PACS by DICOMweb, answer them, and send reports and pictures back.

    Films that were answered before by this bundle are left out. What cannot be delivered waits in
    the folder for the next time, and the exit code is 1. A token is read from
    HILUM_DICOMWEB_TOKEN.

    Example: hilum pull models/pneumoniamnist https://pacs/dicom-web --to https://pacs/dicom-web
    --folder queue --dates 20260301-20260307
    """
    from hilum.cli.beside_pacs import need_pacs_packages, source_and_destination

    need_pacs_packages("hilum pull", "'hilum predict' with files")

    from hilum.cli.show import print_json
    from hilum.foreign import open_model
    from hilum.serving.audit import Audit
    from hilum.serving.dicom.pulling import Wanted
    from hilum.serving.dicom.service import DicomService
    from hilum.serving.dicom.settings import DicomSettings
    from hilum.serving.limits import Limits
    from hilum.serving.service import Service
    from hilum.serving.telling import configure

    wanted = Wanted(dates, accession, study, most)
    source, destination = source_and_destination(url, to, ca)
    settings = DicomSettings(folder, destination, None, title=title)
    record = None if audit is None else Audit(audit)
    configure("warning")
    service = Service(
        open_model(bundle),
        Limits(children=1, batch=1),  # films are answered one after another
        record=None if record is None else lambda bundle: record,
    )
    try:
        dicom = DicomService(settings, service)
        try:
            pulled = dicom.pull(source, wanted)
            dicom.wait(patience)
        finally:
            dicom.close()
    finally:
        service.close()
    status = dicom.status()
    if as_json:
        print_json({"pulled": vars(pulled), "queue": status})
    else:
        _show(pulled, status)
    if status["waiting"] or status["sending"] or status["set_aside"]:
        raise typer.Exit(1)


def _show(pulled: Pulled, status: Status) -> None:
    print(
        f"{pulled.found:,} films found: {pulled.fetched:,} fetched, {pulled.known:,} known, "
        f"{pulled.refused:,} not taken"
    )
    print(
        f"{status['answered']:,} answered and {status['sent']:,} objects sent from this folder yet"
    )
    for why, films in status["refused"].items():
        print(f"{films:,} films have no answer: {why}")
    for why, objects in status["set_aside"].items():
        print(f"{objects:,} objects were refused by the destination: {why}")
    if status["waiting"] or status["sending"]:
        print(
            f"{status['waiting']:,} films wait to be answered and {status['sending']:,} objects to "
            f"be sent (destination: {status['destination']}); pull again to go on"
        )
