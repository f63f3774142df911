"""One file → float32 [h, w] in [0, 1], air dark and bone bright: the only reader of image files.

`raster` reads PNG, JPEG and TIFF, `dicom` reads DICOM; what is done to the pixels afterwards is in
`preprocessing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hilum.data.grey import Grey
from hilum.data.radiograph.film import PIXEL_LIMIT, SIDE_MINIMUM, Header, Radiograph
from hilum.data.radiograph.raster import read_raster, read_raster_header
from hilum.data.radiograph.signature import is_dicom
from hilum.errors import RadiographError
from hilum.recipe import ReadingPart

__all__ = [
    "PIXEL_LIMIT",
    "SIDE_MINIMUM",
    "SUFFIXES",
    "Header",
    "Radiograph",
    "read_header",
    "read_radiograph",
]

_DEFAULT = ReadingPart()
BLANK = "blank: every pixel has the same grey value"
SUFFIXES = (".dcm", ".dicom", ".jpeg", ".jpg", ".png", ".tif", ".tiff")


def read_radiograph(
    film: str | Path | bytes,
    reading: ReadingPart = _DEFAULT,
    *,
    strict: bool = False,
    name: str | None = None,
) -> Radiograph:
    """Read a PNG, JPEG, TIFF or DICOM film, told apart by content.

    film: its file, or the file's bytes
    strict: refuse a blank film, and a modality, body part or view that is no frontal chest film,
        instead of warning
    name: what errors call it; the path where none is given
    Raises RadiographError, and nothing else, for whatever the file holds.
    """
    with _opened(film, name) as (file, called):
        if is_dicom(file):
            from hilum.data.radiograph.dicom import read_dicom  # pydicom takes a second to load

            read = read_dicom(file, called, reading, strict=strict)
        else:
            read = read_raster(file, called, reading)
    if not _blank(read.stored_hw):
        return read
    if strict:
        raise RadiographError(called, BLANK, expected="a frontal chest film")
    return replace(read, warnings=(*read.warnings, BLANK))


def _blank(stored_hw: Grey) -> bool:
    # A few pixels tell nearly always.
    return np.ptp(stored_hw[::16, ::16]) == 0 and bool(np.ptp(stored_hw) == 0)


def read_header(film: str | Path | bytes, *, name: str | None = None) -> Header:
    """What the file says of its film, after the checks that need no pixel.

    Raises RadiographError.
    """
    with _opened(film, name) as (file, called):
        if is_dicom(file):
            from hilum.data.radiograph.dicom import read_dicom_header

            return read_dicom_header(file, called)
        return read_raster_header(file, called)


@contextmanager
def _opened(film: str | Path | bytes, name: str | None) -> Iterator[tuple[BinaryIO, str]]:
    if isinstance(film, bytes):
        yield BytesIO(film), name or "film"
        return
    called = name or str(film)
    try:
        file = Path(film).open("rb")  # noqa: SIM115 (closed below, apart from these errors)
    except FileNotFoundError:
        raise RadiographError(called, "no such file", expected="an image file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise RadiographError(called, f"cannot be opened ({reason})") from None
    with file:
        yield file, called
