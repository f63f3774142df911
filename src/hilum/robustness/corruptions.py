"""Corruptions: the acquisition faults, and what else befalls a film on its way to a classifier.

Faults of dose, focus and position stand in `data.faults`, since recipes are held against them too;
here are those that no recipe is chosen by: the detector, the collimator, what lies on the patient,
and what becomes of the file.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from hilum.data.faults import FAULTS, Fault, Film, by_name
from hilum.robustness.family import Family

_METAL = 0.97  # grey of what lets no ray through


def _banded(grey_hw: Film, amplitude: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """A detector whose rows are not of one gain: stripes across the film.

    amplitude: standard deviation of the rows' offsets, of full scale; each stripe is a fiftieth of
        the film high, as read-out electronics serve many rows
    """
    height = grey_hw.shape[0]
    stripe_h = np.arange(height) * 50 // height
    return np.asarray(grey_hw + rng.normal(0, amplitude, 50)[stripe_h][:, None])


def _collimated(grey_hw: Film, share: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Blades of the collimator in the field: black beyond them, a little askew.

    share: of the side that each of the four blades covers, on average
    """
    height, width = grey_hw.shape
    y_h, x_w = np.arange(height)[:, None] / height, np.arange(width)[None, :] / width
    covered_hw = np.zeros(grey_hw.shape, dtype=np.bool_)
    for distance_hw, along_hw in ((y_h, x_w), (1 - y_h, x_w), (x_w, y_h), (1 - x_w, y_h)):
        reach, lean = share * rng.uniform(0.5, 1.5), rng.uniform(-0.03, 0.03)
        covered_hw |= distance_hw + lean * (along_hw - 0.5) < reach
    return np.where(covered_hw, np.float32(0), grey_hw)


def _inverted(grey_hw: Film, share: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Inverted polarity: air white and bone black, by a viewer or a header that is not honoured.

    share: of the contrast; 1 is the negative, below it a negative that has also lost contrast
    """
    return np.asarray(0.5 - np.float32(share) * (grey_hw - 0.5))


def _with_lines(grey_hw: Film, count: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Tubes, lines and wires over the chest: smooth bright curves from edge to edge.

    count: of them; each is a hundredth of the film wide, as an electrode's lead or a line is
    """
    height, width = grey_hw.shape
    scale = max(1, round(512 / max(height, width)))  # a thin line on a small film is a faint one
    tall, wide = height * scale, width * scale
    with Image.new("L", (wide, tall)) as drawing:
        pen = ImageDraw.Draw(drawing)
        for _ in range(round(count)):
            across = np.sort(rng.uniform(-0.1, 1.1, 4)) if rng.random() < 0.5 else rng.random(4)
            down = np.sort(rng.uniform(-0.1, 1.1, 4))
            t = np.linspace(0, 1, 60)[:, None]
            basis = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
            points = np.stack([basis @ across * wide, basis @ down * tall], axis=1)
            thick = max(1, round(max(tall, wide) / 100))
            pen.line([(float(x), float(y)) for x, y in points], fill=255, width=thick)
        small = drawing.resize((width, height), Image.Resampling.BOX)
        opaque_hw = np.asarray(small, dtype=np.float32) / 255
    # A wire lets some rays through; bone beneath it is whiter than the wire alone.
    return np.asarray(grey_hw + 0.75 * opaque_hw * (np.float32(_METAL) - grey_hw).clip(0))


def _marked(grey_hw: Film, share: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """A lead marker in a corner, as sites put them in places of their own.

    share: height of its letter, of the film's
    """
    height, width = grey_hw.shape
    size = max(6, round(share * 512))
    letter = str(rng.choice(["R", "L", "AP", "PA", "S"]))
    with Image.new("L", (512, round(512 * height / width))) as drawing:
        pen = ImageDraw.Draw(drawing)
        font = ImageFont.load_default(size)
        left, top, right, _ = pen.textbbox((0, 0), letter, font=font)
        x = rng.uniform(0.02, 0.08) * drawing.width
        if rng.random() < 0.5:
            x = drawing.width - x - (right - left)
        y = rng.uniform(0.02, 0.3) * drawing.height
        pen.text((x - left, y - top), letter, fill=255, font=font, stroke_width=size // 20)
        small = drawing.resize((width, height), Image.Resampling.BOX)
        lead_hw = np.asarray(small, dtype=np.float32) / 255
    return np.asarray(grey_hw + lead_hw * (np.float32(_METAL) - grey_hw))


def _compressed(grey_hw: Film, quality: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """JPEG, as a film is sent by a messenger or kept by a web archive.

    quality: libjpeg's, 1 to 95
    """
    stored_hw = (np.clip(grey_hw, 0, 1) * 255).round().astype(np.uint8)
    with io.BytesIO() as file:
        with Image.fromarray(stored_hw) as image:
            image.save(file, "JPEG", quality=round(quality))
        file.seek(0)
        with Image.open(file) as image:
            return np.asarray(image, dtype=np.float32) / 255


def _rescanned(grey_hw: Film, amount: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """A film on a light box, photographed: turned a little, lit from one side, flat, soft, in JPEG.

    amount: 0 to 1; the light falls off by so much of full scale from one edge to the other
    """
    height, width = grey_hw.shape
    turned_hw = FAULTS["rotation"].act(grey_hw, 4 * amount, rng)
    soft_hw = ndimage.gaussian_filter(turned_hw, 0.008 * amount * min(height, width))
    toward = rng.uniform(0, 2 * np.pi)
    y_h, x_w = np.linspace(-0.5, 0.5, height)[:, None], np.linspace(-0.5, 0.5, width)[None, :]
    light_hw = 1 + amount * 0.7 * (np.cos(toward) * x_w + np.sin(toward) * y_h)
    flat_hw = 0.12 * amount + (1 - 0.3 * amount) * soft_hw
    lit_hw = (flat_hw * light_hw).astype(np.float32)
    return _compressed(lit_hw, 90 - 60 * amount, rng)


ARTEFACTS = by_name(
    Fault("banding", _banded, (0.01, 0.02, 0.04, 0.06, 0.09)),
    Fault("collimation", _collimated, (0.02, 0.05, 0.08, 0.12, 0.16)),
    Fault("inverted_polarity", _inverted, (0.6, 0.7, 0.8, 0.9, 1.0)),
    Fault("tubes_and_wires", _with_lines, (1.0, 2.0, 4.0, 6.0, 9.0)),
    Fault("markers", _marked, (0.04, 0.07, 0.1, 0.14, 0.2)),
    Fault("jpeg", _compressed, (50.0, 30.0, 18.0, 10.0, 5.0)),
    Fault("rescan", _rescanned, (0.2, 0.4, 0.6, 0.8, 1.0)),
)
CORRUPTIONS = by_name(*FAULTS.values(), *ARTEFACTS.values())
ACQUISITION = Family("acquisition", "hilum", CORRUPTIONS)
