"""PNG, JPEG and TIFF of 8 to 16 bits → grey values."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hilum.data.grey import Grey
from hilum.data.radiograph.film import (
    NARROW,
    PIXEL_LIMIT,
    Header,
    Radiograph,
    StoredPixels,
    check_size,
    grey_of_colour,
)
from hilum.errors import RadiographError
from hilum.recipe import ReadingPart

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF 6.0, section 8
_TRANSPARENT = ("LA", "La", "RGBA", "RGBa", "PA")
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")

# Pillow warns of what is refused here in words. Set once: all reading threads share the filters.
warnings.filterwarnings("ignore", module=r"PIL\.")


def read_raster(file: BinaryIO, name: str, reading: ReadingPart) -> Radiograph:
    """Read a PNG, JPEG or TIFF film; full scale is that of its significant bits.

    Raises RadiographError: not an image, cut off, colour, several frames, values above
    `reading.bits`, smaller than 16 px on a side, or too many pixels (checked before decoding).
    """
    with _image(file, name) as image:
        header = _header(file, image)
        white_is_zero = header.photometric == "MONOCHROME1"
        ImageOps.exif_transpose(image, in_place=True)  # a copy would be made of every film
        stored_hw = _stored(name, image)
    if stored_hw.dtype == np.uint8:  # Pillow turns films with 0 for white itself
        return _radiograph(header, stored_hw, 8)
    told, wanted = header.bits, reading.bits
    bits = wanted or told
    highest = int(stored_hw.max())
    if highest >= 2**bits:
        if bits != told:
            raise RadiographError(
                name,
                f"a stored value of {highest}",
                expected=f"at most {2**bits - 1}, since reading.bits = {bits}",
                remedy=f"set reading.bits to {highest.bit_length()} or more",
            )
        # PNG section 11.3.2.7: samples stand in the high bits, the rest is made up.
        stored_hw = np.right_shift(stored_hw, 16 - bits, dtype=np.uint16)
        highest >>= 16 - bits
    odd: tuple[str, ...] = ()
    if highest < NARROW * 2**bits and wanted is None:
        odd = (f"looks like {highest.bit_length()} bits in {bits}; set reading.bits",)
    if white_is_zero:
        stored_hw = np.uint16(2**bits - 1) - stored_hw
    return _radiograph(header, stored_hw, bits, odd)


def read_raster_header(file: BinaryIO, name: str) -> Header:
    """What a PNG, JPEG or TIFF says of its film. Raises RadiographError."""
    with _image(file, name) as image:
        return _header(file, image)


def _radiograph(
    header: Header,
    stored_hw: StoredPixels,
    bits: int,
    odd: tuple[str, ...] = (),
) -> Radiograph:
    top = 2**bits - 1
    whole = top == np.iinfo(stored_hw.dtype).max
    grey_hw: Grey = stored_hw if whole else np.divide(stored_hw, np.float32(top), dtype=np.float32)
    return Radiograph(
        format=header.format,
        bits=bits,
        photometric=header.photometric,
        warnings=odd,
        stored_hw=grey_hw,
        window=f"stored range 0 to {top}",
    )


@contextmanager
def _image(file: BinaryIO, name: str) -> Iterator[Image.Image]:
    """The opened image, its size checked; what Pillow raises within becomes a RadiographError."""
    try:
        with Image.open(file, formats=("PNG", "JPEG", "TIFF")) as image:
            check_size(name, image.height, image.width, len(image.getbands()))
            frames = getattr(image, "n_frames", 1)
            if frames != 1:
                raise RadiographError(name, f"{frames} frames", expected="one film a file")
            yield image
    except RadiographError:
        raise
    except UnidentifiedImageError:
        raise RadiographError(
            name, "not an image that can be read", expected="PNG, JPEG, TIFF or DICOM"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RadiographError(
            name, "more pixels than can be safe", expected=f"at most {PIXEL_LIMIT:,} pixels"
        ) from None
    except Exception as error:  # of a damaged file Pillow's plugins raise nearly anything
        raise RadiographError(
            name, f"cannot be decoded ({error})", remedy="export the film again"
        ) from error


def _header(file: BinaryIO, image: Image.Image) -> Header:
    if image.mode in _COLOUR:
        photometric = "RGB"
    else:
        white_is_zero = _tiff_tag(image, _PHOTOMETRIC) == 0
        photometric = "MONOCHROME1" if white_is_zero else "MONOCHROME2"
    bits = 8
    if image.mode.startswith("I;16"):
        told = _significant_bits(file) if image.format == "PNG" else _tiff_bits(image)
        bits = told if told is not None and 8 <= told <= 16 else 16
    return Header(
        format="JPEG" if image.format == "MPO" else str(image.format),
        bits=bits,
        photometric=photometric,
        rows=image.height,
        columns=image.width,
    )


def _stored(name: str, image: Image.Image) -> StoredPixels:
    if image.mode in _TRANSPARENT and _transparent(image):
        raise RadiographError(name, "a picture with transparent parts", expected="a plain film")
    if image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    if image.mode in _COLOUR:
        return grey_of_colour(name, np.asarray(image.convert("RGB")))
    if image.mode != "L" and not image.mode.startswith("I;16"):
        raise RadiographError(
            name, f"pixel type {image.mode}", expected="8 to 16 bits a pixel, greyscale"
        )
    stored_hw = np.asarray(image)
    if stored_hw.dtype == np.uint8:
        return stored_hw
    return stored_hw.astype(np.uint16)  # of either byte order


def _significant_bits(file: BinaryIO) -> int | None:
    """What a PNG's sBIT chunk says of its first channel; PNG section 11.3.2.7."""
    at = file.tell()
    try:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"sBIT" and length:
                return file.read(1)[0]
            if kind == b"IDAT":
                return None
            file.seek(length + 4, 1)
        return None
    finally:
        file.seek(at)


def _tiff_bits(image: Image.Image) -> int | None:
    told = _tiff_tag(image, _BITS_PER_SAMPLE)
    return told[0] if isinstance(told, tuple) else None


def _tiff_tag(image: Image.Image, tag: int) -> object:
    return getattr(image, "tag_v2", {}).get(tag)


def _transparent(image: Image.Image) -> bool:
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return lowest != 255
