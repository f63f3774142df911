"""What is read from a film's file, and the limits that every format keeps.

How each format is read is left to `raster` and `dicom`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hilum.data.grey import Grey, as_float
from hilum.errors import RadiographError

# Pixels as stored, of 8 or 16 bits.
StoredPixels = NDArray[np.uint8] | NDArray[np.uint16]

PIXEL_LIMIT = 64_000_000  # of all channels together
SIDE_MINIMUM = 16
# Three channels of a grey film stored as colour differ by no more than JPEG's chroma rounding.
GREY_TOLERANCE = 8
# A film that uses less of its range than this has most likely been given the wrong range.
NARROW = 1 / 8


@dataclass(frozen=True, kw_only=True)
class _Film:
    """What a file says of its film. No name, no birth date, no UID of a patient or study.

    format: PNG, JPEG, TIFF or DICOM
    bits: significant bits of a stored pixel
    photometric: as stored: MONOCHROME1, MONOCHROME2, RGB, ...
    pixel_spacing_mm: (row, column) spacing, None where the file does not say
    transfer_syntax: its UID, of DICOM alone
    patient_id: as the file has it; callers make a pseudonym of it before they keep it
    age: years
    warnings: what is odd, but readable: a modality or body part that is no chest film, ...
    """

    format: str
    bits: int
    photometric: str
    pixel_spacing_mm: tuple[float, float] | None = None
    view: str | None = None
    laterality: str | None = None
    modality: str | None = None
    body_part: str | None = None
    transfer_syntax: str | None = None
    patient_id: str | None = field(default=None, repr=False)
    age: float | None = None
    sex: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Radiograph(_Film):
    """A film, upright, with square pixels, air dark and bone bright.

    stored_hw: grey values; unsigned integers are shares of their full scale, floats in [0, 1]
    window: what made grey values of stored ones, in words: "window 1 of 2: centre 2048, width 4096,
        LINEAR", "VOI LUT 1 of 1", "stored range 0 to 4095"
    pixel_spacing_mm: of the pixels here, should they have been made square
    """

    stored_hw: Grey
    window: str

    @property
    def image_hw(self) -> NDArray[np.float32]:
        """Grey values as float32 in [0, 1]."""
        return as_float(self.stored_hw)


@dataclass(frozen=True, kw_only=True)
class Header(_Film):
    """What a file says of its film before a pixel is decoded.

    rows, columns: stored pixels
    """

    rows: int
    columns: int


def check_size(name: str, rows: int, columns: int, channels: int = 1) -> None:
    """Refuse what is too small for a film, and too large for memory, before a pixel is decoded."""
    size = f"{columns} x {rows} px"
    if min(rows, columns) < SIDE_MINIMUM:
        raise RadiographError(name, size, expected=f"{SIDE_MINIMUM} px or more on each side")
    if rows * columns * channels > PIXEL_LIMIT:
        found = size if channels == 1 else f"{size} in {channels} channels"
        raise RadiographError(name, found, expected=f"at most {PIXEL_LIMIT:,} pixels")


def grey_of_colour(
    name: str, colour_hwc: StoredPixels, *, bits: int = 8, ybr: bool = False
) -> StoredPixels:
    """The grey of a film stored in three channels, [h, w, 3] → [h, w].

    bits: significant bits of a channel
    ybr: the channels are luminance and two differences, not red, green and blue
    Raises RadiographError where the channels differ by more than JPEG's noise.
    """
    first, second, third = np.moveaxis(colour_hwc, 2, 0)
    scale = 2**bits - 1
    if ybr:
        away = max(_range_about(each, (scale + 1) // 2) for each in (second, third))
    else:
        highest = np.maximum(np.maximum(first, second), third)
        away = int((highest - np.minimum(np.minimum(first, second), third)).max())
    if away > GREY_TOLERANCE * scale / 255:
        raise RadiographError(
            name,
            f"a colour image (channels differ by up to {away} of {scale})",
            expected="a greyscale radiograph",
            remedy="export it as greyscale",
        )
    return np.ascontiguousarray(first if ybr else second)


def _range_about(plane_hw: StoredPixels, middle: int) -> int:
    return max(abs(int(plane_hw.max()) - middle), abs(int(plane_hw.min()) - middle))
