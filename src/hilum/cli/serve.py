"""`hilum serve`: a bundle over HTTP, with a page, and beside a PACS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli import beside_pacs
from hilum.cli.options import BundleName

if TYPE_CHECKING:
    from hilum.bundle import Bundle


def serve(
    bundle: BundleName,
    host: Annotated[
        str, typer.Option(help="Address to listen at; one beyond this machine needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="That answers. Otherwise the fastest there is."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    decoders: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode films. Otherwise one a core.")
    ] = None,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Films a worker takes on at a time; 503 beyond.")
    ] = 128,
    audit: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep a record of every answer here.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Holds the token to ask for. Otherwise HILUM_TOKEN."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The report.html of an evaluation to show.")
    ] = None,
    log: Annotated[str, typer.Option(help="error, info or debug.")] = "info",
    dicom: beside_pacs.Port = None,
    dicom_to: beside_pacs.To = None,
    dicom_folder: beside_pacs.Folder = None,
    dicom_title: beside_pacs.Title = None,
    dicom_host: beside_pacs.Host = None,
    dicom_caller: beside_pacs.Callers = None,
    dicom_peer: beside_pacs.Peers = None,
    dicom_ca: beside_pacs.Authorities = None,
) -> None:
    """Serve a bundle over HTTP: answers for PNG, JPEG and DICOM films, and a page at /.

    SIGTERM ends it when all that was taken on is answered; SIGHUP goes over to the bundle that
    stands at the same place by then.

    Example: hilum serve models/pneumoniamnist

    Example: hilum serve models/pneumoniamnist --host 0.0.0.0 --token-file token --workers 2

    Example: hilum serve models/pneumoniamnist --dicom 11112 --dicom-to
    dicom://ORTHANC@127.0.0.1:4242 --dicom-folder queue
    """
    from dataclasses import replace
    from importlib.util import find_spec

    from hilum.errors import HilumError, MissingExtraError

    needed = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
    if any(find_spec(name) is None for name in needed):
        raise MissingExtraError("hilum serve", "serve", "'hilum predict'")
    if log not in ("error", "info", "debug"):
        raise HilumError("--log", log, expected="error, info or debug")

    told = beside_pacs.Told(
        dicom, dicom_to, dicom_folder, dicom_title, dicom_host, dicom_caller or (),
        dicom_peer or (), dicom_ca,
    ).settings()  # fmt: skip
    if told is not None and workers > 1:
        raise HilumError("--workers", f"{workers} with --dicom", expected="1, which has the queue")

    from hilum.serving.limits import Limits
    from hilum.serving.settings import Settings, address_of, listen

    limits = Limits(queue=max_queue)
    if decoders is not None:
        limits = replace(limits, children=decoders)
    settings = Settings(
        bundle,
        host=host,
        port=port,
        limits=limits,
        engine=engine,
        audit=audit,
        token=_token(token_file),
        report=report,
        level=log,
        dicom=told,
    )
    with listen(host, port) as listener:
        from hilum.serving.running import greeting
        from hilum.serving.running import serve as run
        from hilum.serving.workers import serve_by

        address = address_of(listener)

        def ready(loaded: Bundle, engine: str, films_at: str | None) -> None:
            print(greeting(address, loaded, engine, films_at), flush=True)

        if workers == 1:
            run(settings, listener, ready=ready)
        else:
            serve_by(workers, settings, listener, ready=ready)


def _token(file: Path | None) -> str | None:
    from hilum.errors import HilumError

    if file is None:
        return os.environ.get("HILUM_TOKEN") or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise HilumError(file, "cannot be read", expected="a file with a token") from None
