"""The DICOM side as a process of its own; `hilum serve --dicom` runs it beside HTTP."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from hilum.bundle import load_bundle
from hilum.errors import HilumError
from hilum.serving.dicom.service import DicomService
from hilum.serving.dicom.settings import DicomSettings, destination


def main() -> int:
    """Run until SIGTERM or an interrupt; the port is printed once films are taken."""
    parser = argparse.ArgumentParser(prog="python -m hilum.serving.dicom", description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--title", default="HILUM")
    parser.add_argument("--to", required=True, help="dicom://AE@host:port or a DICOMweb address")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--caller", action="append", default=[])
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--most-bytes", type=int, default=160 << 20)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--debug", action="store_true")
    given = parser.parse_args()
    logging.basicConfig(
        level=logging.DEBUG if given.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = DicomSettings(
            folder=given.folder,
            destination=destination(given.to, ca=given.ca),
            port=given.port,
            host=given.host,
            title=given.title,
            callers=tuple(given.caller),
            peers=tuple(given.peer),
            most_bytes=given.most_bytes,
            seconds=given.seconds,
        )
        service = DicomService(settings, load_bundle(given.bundle))
    except HilumError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"port {service.port}", flush=True)
    stop.wait()
    service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
