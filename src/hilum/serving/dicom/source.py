"""The header of a film as it arrived: whose it is, so that its answers file with its study.

Pixels, and what is told of a film without its patient, are left to `hilum.data.radiograph`.
"""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from hilum.data.radiograph.elements import BIG_ENDIAN, DEFLATED, IMPLICIT

CR = UID("1.2.840.10008.5.1.4.1.1.1")
DX = UID("1.2.840.10008.5.1.4.1.1.1.1")  # For Presentation
TAKEN = (CR, DX)

# Patient and General Study, PS3.3 C.7.1.1 and C.7.2.1: what an object of the same study repeats.
STUDY = """
    SpecificCharacterSet PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex
    OtherPatientIDsSequence StudyInstanceUID StudyDate StudyTime StudyID AccessionNumber
    IssuerOfAccessionNumberSequence ReferringPhysicianName
    StudyDescription TimezoneOffsetFromUTC
""".split()  # noqa: SIM905
_FILM = """
    SOPClassUID SOPInstanceUID SeriesInstanceUID PatientOrientation LossyImageCompression
    LossyImageCompressionRatio LossyImageCompressionMethod
""".split()  # noqa: SIM905
_WANTED: list[BaseTag | int] = [Tag(word) for word in (*STUDY, *_FILM)]
_HEAD = 16 << 20
_ELEMENTS = 50_000
_PIXELS = 0x7FE00008


class Unusable(Exception):
    """A header that no answer can be filed by. The words quote nothing of it."""


def read_source(path: Path) -> Dataset:
    """The elements of STUDY, and those that an answer refers to.

    Raises Unusable, and OSError where the disk is at fault.
    """
    try:
        syntax = UID(read_file_meta_info(path).TransferSyntaxUID)
        with path.open("rb") as file:
            source = _read(file, syntax)
        for word in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"):
            if not is_uid(source[word].value):
                raise Unusable(f"no valid {word}")
    except Unusable:
        raise
    except KeyError:
        raise Unusable("without the UIDs that every object has") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # pydicom's words, and zlib's, may quote the header; what they mean is the same.
        raise Unusable("not readable as DICOM") from None
    return source


def is_uid(value: object) -> bool:
    """Whether it is a UID; components with leading zeros, which PS3.5 forbids, are out there."""
    return len(str(value)) <= 64 and re.fullmatch(r"\d+(\.\d+)+", str(value)) is not None


def _read(file: BinaryIO, syntax: UID) -> Dataset:
    file.seek(132)
    # The meta group is in explicit VR, little endian; its length stands first, PS3.10 7.1.
    group = file.read(12)
    file.seek(132 + 12 + int.from_bytes(group[8:12], "little"))
    if syntax == DEFLATED:
        file = BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(_HEAD), _HEAD))
    count = 0

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal count
        count += 1
        if count > _ELEMENTS:
            raise Unusable("more elements than a film has")
        return int(tag) >= _PIXELS

    return read_dataset(
        file, syntax == IMPLICIT, syntax != BIG_ENDIAN, stop_when=at_pixels, specific_tags=_WANTED
    )
