"""The header of a film as it arrived: whose it is, so that its answers file with its study.

Pixels, and what is told of a film without its patient, are left to `hilum.data.radiograph`.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
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
_READS = 20_000  # an element takes two or three; an item of a sequence that has no length, one
_VALUE = 64 << 10  # of an element that is carried over
_ITEMS, _DEPTH = 256, 4  # of a sequence that is
_PIXELS = 0x7FE00008
_NO_LENGTH = 0xFFFFFFFF


class Unusable(Exception):
    """A header that no answer can be filed by. The words quote nothing of it."""


@dataclass(frozen=True)
class Content:
    """What tells a film from another of the same UID, in digests.

    whose: of its patient, study and series; pixels: of what follows the header, as it is encoded
    """

    whose: str
    syntax: str
    pixels: str

    def told(self) -> str:
        """As it is kept."""
        return " ".join((self.whose, self.syntax, self.pixels))

    def may_be(self, told: str) -> bool:
        """Whether it may be the film that told this: archives encode films anew, and correct what
        their headers say of other things. Of one that told nothing, nothing is known.
        """
        if not told:
            return True
        other = Content(*told.split(" "))
        encoded_alike = self.syntax == other.syntax
        return self.whose == other.whose and (self.pixels == other.pixels or not encoded_alike)


def read_source(path: Path) -> Dataset:
    """The elements of STUDY, and those that an answer refers to.

    Raises Unusable, and OSError where the disk is at fault.
    """
    return read_film(path)[0]


def read_film(path: Path) -> tuple[Dataset, Content]:
    """The same, and what tells the film from another. Raises as `read_source`."""
    pixels = hashlib.sha256()
    try:
        with path.open("rb") as file:
            source, syntax, rest = _read(file)
            while piece := rest.read(1 << 20):
                pixels.update(piece)
        for word in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"):
            if not is_uid(source[word].value):
                raise Unusable(f"no valid {word}")
        for element in source:
            if element.VR == "SQ":
                _check_items(element.value)
    except Unusable:
        raise
    except KeyError:
        raise Unusable("without the UIDs that every object has") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # pydicom's words, and zlib's, may quote the header; what they mean is the same.
        raise Unusable("not readable as DICOM") from None
    words = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    whose = "\n".join(str(source.get(word, "")).strip() for word in words)
    told = hashlib.sha256(whose.encode(errors="surrogateescape")).hexdigest()
    return source, Content(told, syntax, pixels.hexdigest())


def is_uid(value: object) -> bool:
    """Whether it is a UID; components with leading zeros, which PS3.5 forbids, are out there."""
    return len(str(value)) <= 64 and re.fullmatch(r"\d+(\.\d+)+", str(value)) is not None


class _Bounded:
    """A file that is read so often and so much, and no more: pydicom parses every sequence that
    does not tell its length, wanted or not.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._reads, self._bytes = file, 0, 0
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        self._reads += 1
        self._bytes += size
        if self._reads > _READS or self._bytes > _HEAD:
            raise Unusable("more in its header than a film has")
        return self._file.read(size)


def _read(file: BinaryIO) -> tuple[Dataset, UID, BinaryIO]:
    """The header, the transfer syntax, and the file, which stands behind the header."""
    # The meta group is in explicit VR, little endian; its length stands first, PS3.10 7.1.
    head = file.read(132 + 12)
    size = int.from_bytes(head[140:144], "little")
    if head[128:132] != b"DICM" or size > _VALUE:
        raise Unusable("not readable as DICOM")
    syntax = UID(_meta(file.read(size))["TransferSyntaxUID"].value)
    if syntax == DEFLATED:
        file = BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(_HEAD), _HEAD))

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) in _WANTED and _VALUE < length < _NO_LENGTH:
            raise Unusable("more in its header than a film has")
        return int(tag) >= _PIXELS

    source = read_dataset(
        cast(BinaryIO, _Bounded(file)), syntax == IMPLICIT, syntax != BIG_ENDIAN,
        stop_when=at_pixels, specific_tags=_WANTED,
    )  # fmt: skip
    return source, syntax, file


def _meta(content: bytes) -> Dataset:
    file = cast(BinaryIO, _Bounded(BytesIO(content)))
    return read_dataset(file, is_implicit_VR=False, is_little_endian=True)


def _check_items(items: Iterable[Dataset], depth: int = 1) -> int:
    """How many items a sequence has in all. Raises Unusable."""
    if depth > _DEPTH:
        raise Unusable("more in its header than a film has")
    count = 0
    for item in items:
        count += 1
        for element in item:
            if element.VR == "SQ":
                count += _check_items(element.value, depth + 1)
        if count > _ITEMS:
            raise Unusable("more in its header than a film has")
    return count
