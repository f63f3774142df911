"""A DICOM file → the elements that a film is read from; names, birth dates and UIDs are left out.

What the elements mean is left to `dicom` and `voi`.
"""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.encaps import generate_fragments
from pydicom.filereader import data_element_generator, read_sequence
from pydicom.tag import BaseTag, Tag

from hilum.data.radiograph.film import PIXEL_LIMIT

IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN = (
    f"1.2.840.10008.1.2{ending}" for ending in ("", ".1", ".1.99", ".2")
)
_KEYWORDS = """
    SOPClassUID Modality PatientID PatientSex PatientAge BodyPartExamined AnatomicRegionSequence
    ViewPosition Laterality ImageLaterality ImagerPixelSpacing PixelSpacing PixelAspectRatio
    SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns
    BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue
    PixelPaddingRangeLimit RescaleIntercept RescaleSlope ModalityLUTSequence WindowCenter
    WindowWidth VOILUTFunction VOILUTSequence PresentationLUTShape
""".split()  # noqa: SIM905
_TAG = {word: Tag(word) for word in (*_KEYWORDS, "LUTDescriptor", "LUTData", "CodeMeaning")}
_WANTED = [_TAG[word] for word in _KEYWORDS]
_SYNTAX = 0x0010  # of the meta group
_PIXELS = {0x7FE00008, 0x7FE00009, 0x7FE00010}  # float, double, and what a film has
_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
# All but pixels mostly lies in the first of these; no more than the last is searched for them.
_HEADS = (1 << 16, 1 << 24)
_ELEMENTS = 50_000  # hundreds are usual; a damaged file may be walked through eight bytes at a time
_INFLATED_LIMIT = 2 * PIXEL_LIMIT + _HEADS[-1]

# pydicom warns of what is read all the same or refused here in words. Set once: all reading
# threads share the filters.
warnings.filterwarnings("ignore", module=r"pydicom\.")


class Unreadable(Exception):
    """What is wrong with a file, as a RadiographError puts it, whose name is known further up."""

    def __init__(
        self, found: str, *, expected: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(found)
        self.found, self.expected, self.remedy = found, expected, remedy


@dataclass(frozen=True)
class Elements:
    """The elements of a data set by their tags, read straight from their bytes.

    pydicom would convert, check and warn of each value, and put it into the warning.
    """

    by_tag: Mapping[int, RawDataElement | DataElement | None]

    def _bytes(self, keyword: str) -> bytes:
        value = getattr(self.by_tag.get(_TAG[keyword]), "value", None)
        return value if isinstance(value, bytes) else b""

    def texts(self, keyword: str) -> list[str]:
        """The values of a string, without padding; undecodable bytes as Latin-1."""
        value = self._bytes(keyword)
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        return [part.strip(" \0\t\r\n") for part in text.split("\\")]

    def text(self, keyword: str) -> str | None:
        """The first value of a string, None where it is empty or absent."""
        return self.texts(keyword)[0] or None

    def floats(self, keyword: str) -> list[float]:
        """The finite values of a decimal string; others are left out."""
        found = []
        for text in self.texts(keyword):
            try:
                value = float(text)
            except ValueError:
                continue
            if math.isfinite(value):
                found.append(value)
        return found

    def shorts(self, keyword: str) -> list[int]:
        """The values of an US or SS element as unsigned integers."""
        value = self._bytes(keyword)
        little = getattr(self.by_tag.get(_TAG[keyword]), "is_little_endian", True)
        return list(struct.unpack_from(f"{'<' if little else '>'}{len(value) // 2}H", value))

    def short(self, keyword: str, default: int) -> int:
        return next(iter(self.shorts(keyword)), default)

    def table(self, keyword: str, entries: int) -> NDArray[np.uint16] | NDArray[np.uint8]:
        """Entries of a LUT, of 16 bits, or packed as bytes where there is but a byte for each."""
        if entries <= len(self._bytes(keyword)) < 2 * entries:
            return np.frombuffer(self._bytes(keyword), np.uint8, entries)
        return np.array(self.shorts(keyword)[:entries], np.uint16)

    def items(self, keyword: str) -> list[Elements]:
        """The items of a sequence."""
        element = self.by_tag.get(_TAG[keyword])
        items = getattr(element, "value", None) or []
        if isinstance(element, RawDataElement):
            value = self._bytes(keyword)
            implicit, little = element.is_implicit_VR, element.is_little_endian
            items = read_sequence(BytesIO(value), implicit, little, len(value), "iso8859")
        return [Elements(dict(item.items())) for item in items]


@dataclass(frozen=True)
class PixelData:
    """The bytes of the pixel data element.

    swapped: bytes stand in pairs, the second first, whatever the size of a pixel; PS3.5 A.3
    """

    data: bytes
    encapsulated: bool = False
    swapped: bool = False


@dataclass(frozen=True)
class DicomFile:
    """A file read up to its pixels.

    file: stands at the pixel data element, or at the end where there is none
    """

    file: BinaryIO
    syntax: str
    elements: Elements
    has_pixels: bool

    @property
    def native(self) -> bool:
        """Whether pixels are stored plainly."""
        return self.syntax in (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)

    def pixels(self, limit: int) -> PixelData:
        """The pixel data element, `limit` bytes of it at most.

        Raises Unreadable where it holds no integers or several frames, and ValueError where
        fragments break off.
        """
        little = self.syntax != BIG_ENDIAN
        order = "<" if little else ">"
        head = self.file.read(8)
        number, vr = struct.unpack(f"{order}2xH2s", head[:6])
        if number != 0x10:
            raise Unreadable("pixels stored as floating-point numbers", expected="integers")
        if vr in _LONG:
            (length,) = struct.unpack(f"{order}I", self.file.read(4))
        else:
            vr, length = b"OW", struct.unpack(f"{order}I", head[4:])[0]
        data = _read(self.file, min(length, limit + limit % 2))  # to the end of a swapped pair
        if length != _UNDEFINED:
            return PixelData(data, swapped=vr == b"OW" and not little)
        offsets, *frames = generate_fragments(data)
        if len(offsets) > 4:
            raise Unreadable(f"{len(offsets) // 4} frames", expected="one film a file")
        return PixelData(b"".join(frames), encapsulated=True)


def open_dicom(file: BinaryIO) -> DicomFile:
    """Read a file up to its pixels.

    Raises Unreadable, and whatever pydicom raises of a damaged file.
    """
    head = _read(file, 132)
    bare = head[128:] != b"DICM"
    if bare:
        file.seek(-len(head), 1)
    syntax = _read_meta(file)
    if syntax == DEFLATED:
        file = _inflated(file)
    start = file.tell()
    for size in _HEADS:
        file.seek(start)
        head = _read(file, size)
        elements, length = _read_head(head, syntax)
        if length < len(head) or len(head) < size:
            break
    else:
        raise Unreadable(f"no pixel data in the first {_HEADS[-1] >> 20} MB")
    file.seek(start + length)
    if syntax is None:
        syntax = EXPLICIT if _names_vr(head) else IMPLICIT
    if bare and not (elements.text("SOPClassUID") or "").startswith("1.2.840.10008.5.1.4."):
        raise Unreadable("not an image that can be read", expected="PNG, JPEG, TIFF or DICOM")
    return DicomFile(file, syntax, elements, length + 8 <= len(head))


def _read_meta(file: BinaryIO) -> str | None:
    """The transfer syntax, None where there is no meta group; leaves the file at its end.

    The group is in explicit VR, little endian, whatever follows it; PS3.10 7.1.
    """
    start, at = file.tell(), 0
    head = _read(file, _HEADS[0])
    syntax = None
    while head[at : at + 2] == b"\x02\0" and at + 12 <= len(head):
        number, vr, length = struct.unpack_from("<H2sH", head, at + 2)
        at += 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<I", head, at)
            at += 4
        if number == _SYNTAX:
            syntax = head[at : at + length].decode("latin-1").strip(" \0")
        at += length
    file.seek(start + at)
    return syntax or None


def _read_head(head: bytes, syntax: str | None) -> tuple[Elements, int]:
    """The elements before the pixels, and how many bytes they take."""
    file = BytesIO(head)
    count = 0

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal count
        count += 1
        if count > _ELEMENTS:
            raise Unreadable("more elements than a film has")
        return tag in _PIXELS

    # Some files name one syntax and use the other: whether a VR is named is plain to see.
    found = data_element_generator(
        file, not _names_vr(head), syntax != BIG_ENDIAN, at_pixels, specific_tags=list(_WANTED)
    )
    return Elements({element.tag: element for element in found}), file.tell()


def _names_vr(head: bytes) -> bool:
    return head[4:6].isalpha() and head[4:6].isupper()


def _read(file: BinaryIO, size: int) -> bytes:
    """As much of `size` as there is; a damaged size would otherwise reserve gigabytes."""
    at = file.tell()
    left = file.seek(0, 2) - at
    file.seek(at)
    return file.read(min(size, left))


def _inflated(file: BinaryIO) -> BytesIO:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(_read(file, _INFLATED_LIMIT), _INFLATED_LIMIT)
    if inflater.unconsumed_tail:
        raise Unreadable(f"more than {_INFLATED_LIMIT >> 20} MB when inflated")
    return BytesIO(data)
