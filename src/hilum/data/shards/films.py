"""One film ↔ the bytes a shard keeps of it.

Which films, and where in which shard, is left to `writing` and `pixels`.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.grey import Grey, as_float
from hilum.data.pixels import FilePixels
from hilum.data.preprocessing import ShorterSide
from hilum.data.shards.manifest import Encoding
from hilum.errors import DataError, RadiographError

SUFFIXES = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "DICOM": "dcm"}

# PNG's filters leave noise, in which a search for repeats finds little: of 12 RSNA films, run
# lengths alone are written 5 times as fast as zlib's own strategy and come out 8 % smaller.
_SAVING: dict[Encoding, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {"compress_level": 6, "compress_type": zlib.Z_RLE}),
    "jpeg": ("JPEG", {"quality": 95}),
    "webp": ("WEBP", {"lossless": True, "quality": 20, "method": 1}),
}


@dataclass(frozen=True)
class Film:
    """A film as a shard keeps it.

    height, width: of the stored film; from_height, from_width: of the film as it was read
    aspect: width over height of the true film where the stored one is squashed, else NaN
    format: of the file it was read from, None where there was none
    """

    suffix: str
    data: bytes
    height: int
    width: int
    from_height: int
    from_width: int
    aspect: float = float("nan")
    format: str | None = None


def encode(cohort: Cohort, position: int, encoding: Encoding, size: int | None) -> Film:
    """Read the film in a row of the cohort and encode it.

    size: the shorter side, where it is longer; None leaves the film as it is
    Raises RadiographError when the film cannot be read.
    """
    index = int(cohort.table.index[position])
    if encoding == "original":
        return _original(cohort, index)
    pixels = cohort.pixels
    format, deep = None, None
    if isinstance(pixels, FilePixels):
        film = pixels.radiograph(index)
        format, deep = film.format, film.stored_hw.dtype != np.uint8
        grey = pixels.restored(film, index)
    else:
        grey = pixels.read(index)
    deep = grey.dtype != np.uint8 if deep is None else deep
    from_height, from_width = grey.shape
    if size is not None:
        grey = ShorterSide(size=size).apply(grey)
    stored = _stored(grey, deep=deep and encoding == "png")
    height, width = stored.shape
    return Film(
        encoding, compress(stored, encoding), height, width, from_height, from_width, format=format
    )


def compress(stored: NDArray[np.uint8] | NDArray[np.uint16], encoding: Encoding) -> bytes:
    """Grey values as a PNG, JPEG or WebP file."""
    name, options = _SAVING[encoding]
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, name, **options)
    return buffer.getvalue()


def decode_webp(data: bytes, name: str) -> NDArray[np.uint8]:
    """A lossless WebP film, which has three equal channels. Raises RadiographError."""
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            grey: NDArray[np.uint8] = np.asarray(image.convert("RGB"))[:, :, 1]
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise RadiographError(name, f"cannot be decoded ({error})") from error
    return np.ascontiguousarray(grey)


def _stored(grey: Grey, *, deep: bool) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Whole numbers of 8 bits, or of 16 where the film had more than 8."""
    if grey.dtype == (np.uint16 if deep else np.uint8):
        return grey  # type: ignore[return-value]
    scaled = as_float(grey) * np.float32(65535 if deep else 255)
    np.rint(scaled, out=scaled)
    return scaled.astype(np.uint16) if deep else scaled.astype(np.uint8)


def _original(cohort: Cohort, index: int) -> Film:
    """The very bytes of the file, which is decoded once to know that it can be."""
    pixels = cohort.pixels
    if not isinstance(pixels, FilePixels):
        raise DataError(
            "--encoding original",
            f"{cohort.name} has no files of its own",
            expected="png, jpeg or webp",
        )
    film = pixels.radiograph(index)
    height, width = film.stored_hw.shape
    aspect = float("nan") if pixels.aspect_n is None else float(pixels.aspect_n[index])
    return Film(
        SUFFIXES[film.format],
        pixels.path(index).read_bytes(),
        height,
        width,
        height,
        width,
        aspect=aspect,
        format=film.format,
    )
