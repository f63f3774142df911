"""One file → float32 [h, w] in [0, 1], air dark and bone bright: the only reader of image files.

What is done to the pixels afterwards is in `preprocessing`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from hilum.errors import RadiographError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
PIXEL_LIMIT = 64_000_000
SIDE_MINIMUM = 16
_PHOTOMETRIC = 262  # TIFF 6.0, section 8
# Three channels of a grey film stored as colour differ by no more than JPEG's chroma rounding.
GREY_TOLERANCE = 8

# Pillow warns of what is refused here in words. Set once: all reading threads share the filters.
warnings.filterwarnings("ignore", module=r"PIL\.")

_FULL_SCALE = {"L": 255, "I;16": 65535, "I;16B": 65535, "I;16L": 65535}


def read_radiograph(path: str | Path) -> NDArray[np.float32]:
    """Read a PNG, JPEG or TIFF film of 8 or 16 bits.

    Returns float32 [h, w] in [0, 1], full scale of the stored type = 1.
    Raises RadiographError: no such file, not an image, cut off, colour, several frames,
    smaller than 16 px on a side, or more than 64 megapixels (checked before decoding).
    """
    path = Path(path)
    if not path.is_file():
        raise RadiographError(path, "no such file", expected="an image file")
    try:
        with Image.open(path) as image:
            _check_header(path, image)
            return _grey(path, image)
    except UnidentifiedImageError:
        raise RadiographError(
            path, "not an image that can be read", expected="PNG, JPEG or TIFF"
        ) from None
    except Image.DecompressionBombError:
        raise RadiographError(
            path, "more pixels than can be safe", expected=f"at most {PIXEL_LIMIT:,}"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise RadiographError(
            path, f"cannot be decoded ({error})", remedy="export the film again"
        ) from error


def _check_header(path: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise RadiographError(
            path, f"{width} x {height} px", expected=f"at most {PIXEL_LIMIT:,} pixels"
        )
    if min(width, height) < SIDE_MINIMUM:
        raise RadiographError(
            path, f"{width} x {height} px", expected=f"{SIDE_MINIMUM} px or more on each side"
        )
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise RadiographError(path, f"{frames} frames", expected="one film a file")


def _grey(path: Path, image: Image.Image) -> NDArray[np.float32]:
    white_is_zero = image.mode.startswith("I;16") and _tiff_tag(image, _PHOTOMETRIC) == 0
    image = ImageOps.exif_transpose(image)
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") and _transparent(image):
        raise RadiographError(path, "a picture with transparent parts", expected="a plain film")
    if image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    if image.mode in ("P", "RGB", "RGBA", "CMYK", "YCbCr"):
        colour = np.asarray(image.convert("RGB"))
        spread = int((colour.max(axis=2).astype(np.int16) - colour.min(axis=2)).max())
        if spread > GREY_TOLERANCE:
            raise RadiographError(
                path,
                f"a colour image (channels differ by up to {spread} of 255)",
                expected="a greyscale radiograph",
                remedy="export it as greyscale",
            )
        return colour[:, :, 1].astype(np.float32) / np.float32(255)
    if image.mode not in _FULL_SCALE:
        raise RadiographError(
            path, f"pixel type {image.mode}", expected="8 or 16 bits a pixel, greyscale"
        )
    grey = np.asarray(image).astype(np.float32) / np.float32(_FULL_SCALE[image.mode])
    return 1 - grey if white_is_zero else grey  # Pillow turns 8-bit films itself


def _tiff_tag(image: Image.Image, tag: int) -> object:
    return getattr(image, "tag_v2", {}).get(tag)


def _transparent(image: Image.Image) -> bool:
    return image.convert("RGBA").getchannel("A").getextrema()[0] != 255
