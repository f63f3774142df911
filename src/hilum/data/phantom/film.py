"""From attenuation to grey: beam, scatter, film curve, collimator, lead letters and noise.

Which exposure a hospital chooses is left to `sites`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hilum.data.phantom.fields import Floats, average, axis, enlarge, ramp, spline
from hilum.data.phantom.parameters import Film


def expose(attenuation: Floats, film: Film, size: int, factor: int) -> Floats:
    """Beer-Lambert, scatter, film curve, marker, collimator and noise."""
    side = len(attenuation)
    intensity = np.exp(-attenuation)
    weight = spline(16, side)
    glow = weight.T @ intensity @ weight * np.float32((16 / side) ** 2)
    intensity *= np.float32(1 - film.scatter)
    intensity += enlarge(np.float32(0.5 * film.scatter) * (glow + glow.mean()), side)
    image = _film_curve(intensity, film)
    if any(film.border):
        column, row = axis(side)[None, :], axis(side)[:, None]
        left, top, right, bottom = film.border
        open_x = ramp(column, left, 0.008) * ramp(column, 1 - right, -0.008)
        open_y = ramp(row, top, 0.008) * ramp(row, 1 - bottom, -0.008)
        image *= open_x * open_y
    x, y, height = film.marker_x, film.marker_y, film.marker_height
    _stamp(image, film.marker, x, y, height)
    _stamp(image, film.extra_marker, x, y + 1.1 * height, 0.04)
    image = average(image, factor)
    rng = np.random.default_rng(film.noise_seed)
    noise = _grain(rng, size) * np.float32(film.noise)
    noise *= np.sqrt(image + np.float32(0.15))
    image += noise
    return np.clip(image, 0, 1, out=image)


def _grain(rng: np.random.Generator, size: int) -> Floats:
    """Noise of mean 0 and standard deviation 1, [size, size]."""
    # The sum of four bytes is near enough to normal, and many times as fast to draw. Each word of
    # 64 bits gives four lanes of 16 bits, each with the sum of two bytes.
    raw = rng.bit_generator.random_raw(2 * -(-size * size // 4))
    words = np.asarray(raw, dtype=np.uint64).reshape(2, -1)
    lanes = np.uint64(0x00FF00FF00FF00FF)
    pairs = (words & lanes) + (words >> np.uint64(8) & lanes)
    dice = (pairs[0] + pairs[1]).view(np.uint16)[: size * size].reshape(size, size)
    grain: Floats = dice.astype(np.float32)
    grain -= np.float32(510)
    grain *= np.float32(1 / 147.8)
    return grain


def _film_curve(intensity: Floats, film: Film) -> Floats:
    """Film response: a sigmoid over optical depth, near 0 in air and close to 1 in dense bone."""
    slope = np.float32(2.9 * film.contrast)
    middle = np.float32(0.74 + film.exposure)
    # 1 / (1 + exp(-slope * (depth - middle))) with depth = -log(intensity)
    image = np.log(np.clip(intensity, 1e-4, np.inf))
    image += middle
    image *= slope
    np.exp(image, out=image)
    image += 1
    np.reciprocal(image, out=image)
    image -= np.float32(0.9) / (1 + np.exp(slope * middle))
    return image


def _stamp(image: Floats, letters: str, x: float, y: float, height: float) -> None:
    """Lays lead letters over the image, in place, moved inside where they would be cut."""
    if not letters:
        return
    side = len(image)
    glyph = _letters(letters, max(int(height * side), 5))
    h, w = glyph.shape
    top = int(np.clip(y * side - h / 2, 0, max(side - h, 0)))
    left = int(np.clip(x * side - w / 2, 0, max(side - w, 0)))
    window = image[top : top + h, left : left + w]
    glyph = glyph[: window.shape[0], : window.shape[1]]
    window += glyph * (np.float32(0.97) - window)


@lru_cache(maxsize=64)
def _letters(text: str, height: int) -> Floats:
    font = ImageFont.load_default(size=height)
    left, top, right, bottom = font.getbbox(text)
    canvas = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(canvas).text((1 - left, 1 - top), text, fill=255, font=font)
    return np.asarray(canvas, np.float32) / np.float32(255)
