"""One frame of pixel data → the samples as they are stored: one decoder a transfer syntax.

Which was chosen and why: docs/decisions/dicom-decoders.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import decode as decode_j2k
from PIL import Image
from rle.utils import decode_pixel_data as decode_rle

from hilum.data.radiograph.codestreams import CODESTREAM, Frame, j2k_frame, jpeg_frame
from hilum.data.radiograph.elements import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    PixelData,
    Unreadable,
)

Samples = NDArray[np.integer[Any]]

_UID = "1.2.840.10008.1.2"
NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)
RLE = f"{_UID}.5"
JPEG = (f"{_UID}.4.50", f"{_UID}.4.51")
JPEG_LOSSLESS = (f"{_UID}.4.57", f"{_UID}.4.70")
JPEG_LS = (f"{_UID}.4.80", f"{_UID}.4.81")
JPEG_2000 = tuple(f"{_UID}.4.{number}" for number in (90, 91, 201, 202, 203))
SYNTAXES = (*NATIVE, RLE, *JPEG, *JPEG_LOSSLESS, *JPEG_LS, *JPEG_2000)


@dataclass(frozen=True)
class Layout:
    """How the header says that samples are stored."""

    rows: int
    columns: int
    channels: int
    bits_allocated: int
    photometric: str
    planar: bool

    @property
    def bytes(self) -> int:
        return self.rows * self.columns * self.channels * self.bits_allocated // 8


def decode(syntax: str, pixels: PixelData, layout: Layout) -> Samples:
    """Samples of 8 or 16 bits, [h, w] or [h, w, 3].

    Raises Unreadable, and whatever a decoder raises of damaged data.
    """
    data = pixels.data
    if pixels.encapsulated == (syntax in NATIVE):
        raise Unreadable("pixel data that do not fit the transfer syntax")
    if syntax in NATIVE:
        return _native(pixels, layout, big=syntax == BIG_ENDIAN)
    if syntax == RLE:
        return _rle(data, layout)
    if syntax in JPEG_2000:
        data = data[max(data.find(CODESTREAM), 0) :]  # some writers leave it in its JP2 file
    frame = j2k_frame(data) if syntax in JPEG_2000 else jpeg_frame(data)
    if frame is None:
        raise Unreadable("a compressed image without a header of its own")
    _agree(frame, layout)
    if syntax in JPEG_2000:
        return decode_j2k(data, j2k_format=0)
    if syntax in JPEG_LOSSLESS or syntax in JPEG_LS:
        return _lossless(data, syntax, frame)
    return _jpeg(data, frame, layout)


def _agree(frame: Frame, layout: Layout) -> None:
    found, told = (
        f"{each.columns} x {each.rows} px in {each.channels} channels" for each in (frame, layout)
    )
    if found != told:
        raise Unreadable(f"a compressed image of {found} under a header of {told}")
    if frame.bits > layout.bits_allocated:
        raise Unreadable(f"{frame.bits} bits a pixel under a header of {layout.bits_allocated}")


def _native(pixels: PixelData, layout: Layout, *, big: bool) -> Samples:
    if len(pixels.data) < layout.bytes:
        raise Unreadable(f"{len(pixels.data):,} of {layout.bytes:,} bytes of pixels")
    if layout.bits_allocated == 8:
        samples = np.frombuffer(pixels.data, np.uint8)
        if pixels.swapped:
            even = len(samples) // 2 * 2
            samples = samples[:even].reshape(-1, 2)[:, ::-1].reshape(-1)
    else:
        samples = np.frombuffer(pixels.data[: layout.bytes], ">u2" if big else "<u2")
        samples = samples.astype(np.uint16, copy=False)
    return _shaped(samples[: layout.bytes * 8 // layout.bits_allocated], layout, layout.planar)


def _rle(data: bytes, layout: Layout) -> Samples:
    # PS3.5 G.3: at worst two bytes stand for one. What is longer would unpack to more than a film.
    if len(data) > 2 * layout.bytes + 4096:
        raise Unreadable(f"more runs than {layout.bytes:,} bytes of pixels can need")
    try:
        plain = decode_rle(
            data,
            version=2,
            rows=layout.rows,
            columns=layout.columns,
            bits_allocated=layout.bits_allocated,
        )
    except Exception:
        raise
    except BaseException as error:
        # Rust's panic at a run that leads out of the picture; no Exception, and not to be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise Unreadable("a run of pixels that leads out of the picture") from None
    if len(plain) != layout.bytes:
        raise Unreadable(f"{len(plain):,} of {layout.bytes:,} bytes of pixels")
    samples = np.frombuffer(plain, f"<u{layout.bits_allocated // 8}")
    # PS3.5 G.2: a segment for each byte of a channel, so channels come one after another.
    return _shaped(samples, layout, planar=True)


def _shaped(samples: Samples, layout: Layout, planar: bool) -> Samples:
    rows, columns, channels = layout.rows, layout.columns, layout.channels
    if channels == 1:
        return samples.reshape(rows, columns)
    if planar:
        return np.moveaxis(samples.reshape(channels, rows, columns), 0, 2)
    return samples.reshape(rows, columns, channels)


def _jpeg(data: bytes, frame: Frame, layout: Layout) -> Samples:
    if frame.bits != 8:
        raise Unreadable(
            f"JPEG Extended of {frame.bits} bits a pixel",
            expected="8 bits, or a lossless transfer syntax",
            remedy="decompress it first, as with dcmdjpeg of DCMTK",
        )
    with Image.open(BytesIO(data), formats=("JPEG",)) as image:
        if image.size != (layout.columns, layout.rows) or len(image.getbands()) != layout.channels:
            raise Unreadable("a compressed image of another size within the first")
        told_rgb = layout.photometric == "RGB" and not {"adobe", "jfif"} & image.info.keys()
        if told_rgb and frame.ids not in (b"RGB", b"rgb"):
            # Nothing in the stream says so, and Pillow would turn it as if it were YCbCr.
            image.draft("YCbCr", image.size)
        return np.asarray(image)


def _lossless(data: bytes, syntax: str, frame: Frame) -> Samples:
    """Lossless JPEG and JPEG-LS by GDCM; the calls are those of pydicom's plugin."""
    if frame.process != (0xF7 if syntax in JPEG_LS else 0xC3):
        raise Unreadable("a compressed image of another process than its transfer syntax")
    if frame.bits < 8:  # of 6 and 7 bits GDCM makes nonsense
        raise Unreadable(f"a compressed image of {frame.bits} bits a pixel", expected="8 to 16")
    import gdcm  # type: ignore[import-untyped]

    gdcm.Trace.WarningOff()  # of a film that is refused in words
    gdcm.Trace.ErrorOff()
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((frame.columns, frame.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.MONOCHROME2
    if frame.channels == 3:
        kind = gdcm.PhotometricInterpretation.RGB
        image.SetPlanarConfiguration(0)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    allocated = 8 if frame.bits <= 8 else 16
    image.SetPixelFormat(gdcm.PixelFormat(frame.channels, allocated, frame.bits, frame.bits - 1, 0))
    # GDCM's bytes come as a string with surrogates.
    plain = image.GetBuffer().encode("utf-8", "surrogateescape")
    layout = Layout(frame.rows, frame.columns, frame.channels, allocated, "", False)
    if len(plain) != layout.bytes:
        raise Unreadable(f"{len(plain):,} of {layout.bytes:,} bytes of pixels")
    return _shaped(np.frombuffer(plain, f"<u{allocated // 8}"), layout, planar=False)
