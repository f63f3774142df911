"""Examples for the gate: frontal chest films in many forms, and made images that are none.

No photograph, hand or hip is among them: what the gate makes of those is a test of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from hilum.abstention.outline import SIDE

Thumb = NDArray[np.float32]
_LETTERS = "abcdefghijklmnopqrstuvwxyz     ABC0123456789"


def varied(thumb_nhw: Thumb, rng: np.random.Generator) -> NDArray[np.float32]:
    """Each film as another department might take it: position, proportions, dose, blades, blur.

    thumb_nhw: thumbnails in [0, 1], shape (n, 32, 32)
    """
    return np.stack([_varied(thumb_hw, rng) for thumb_hw in thumb_nhw]).astype(np.float32)


def _varied(thumb_hw: Thumb, rng: np.random.Generator) -> Thumb:
    if rng.random() < 0.5:
        thumb_hw = thumb_hw[:, ::-1]  # a heart on the right is still a chest
    tall = np.exp(rng.uniform(-0.3, 0.2))
    wide = tall * np.exp(rng.uniform(-0.15, 0.15))
    angle = np.deg2rad(rng.uniform(-12, 12))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([1 / tall, 1 / wide])
    middle = np.full(2, (SIDE - 1) / 2)
    offset = middle - matrix @ middle + rng.uniform(-3, 3, 2)
    beyond: Literal["nearest", "constant", "reflect"] = "constant"
    if rng.random() < 2 / 3:
        beyond = "nearest" if rng.random() < 0.5 else "reflect"
    moved_hw = ndimage.affine_transform(
        thumb_hw, matrix, offset.tolist(), order=1, mode=beyond, cval=float(thumb_hw.min())
    )
    low, high = moved_hw.min(), moved_hw.max()
    grey_hw = ((moved_hw - low) / (high - low + 1e-6)) ** np.exp(rng.uniform(-0.6, 0.6))
    slope = np.linspace(-1, 1, SIDE)
    grey_hw = grey_hw + slope[:, None] * rng.uniform(-0.25, 0.25) + slope * rng.uniform(-0.1, 0.1)
    if rng.random() < 0.3:
        grey_hw = ndimage.gaussian_filter(grey_hw, rng.uniform(0, 1.2))
    if rng.random() < 0.3:
        grey_hw = grey_hw + rng.normal(0, rng.uniform(0, 0.08), grey_hw.shape)
    if rng.random() < 0.3:
        top, bottom, left, right = rng.integers(1, 4, 4)
        grey = (0.0, 0.0, 0.0, 1.0)[rng.integers(4)]
        grey_hw[:top] = grey_hw[SIDE - bottom :] = grey
        grey_hw[:, :left] = grey_hw[:, SIDE - right :] = grey
    return np.asarray(grey_hw, dtype=np.float32)


def not_frontal_chests(
    thumb_nhw: Thumb, count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Images that are no frontal chest film as it should stand, shape (count, 32, 32).

    thumb_nhw: films to turn, cut and shuffle, which half of the images are made from; the rest are
        textures, shapes, text and films with nothing on them
    """
    made = []
    kinds = [*_SPOILT.values(), *_MADE.values()]
    weight_k = np.array([0.5 / len(_SPOILT)] * len(_SPOILT) + [0.125, 0.125, 0.125, 0.125])
    for kind in rng.choice(len(kinds), size=count, p=weight_k):
        film_hw = thumb_nhw[rng.integers(len(thumb_nhw))]
        image_hw = kinds[kind](film_hw, rng)
        made.append(image_hw[:, ::-1] if rng.random() < 0.5 else image_hw)
    return np.stack(made).astype(np.float32)


def _enlarged(image_hw: Thumb, side: int = SIDE) -> Thumb:
    picture = Image.fromarray(np.ascontiguousarray(image_hw, dtype=np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))


def _part(film_hw: Thumb, rng: np.random.Generator) -> Thumb:
    """A quarter of a film, or less: a shoulder, a part of the lung."""
    side = int(rng.integers(SIDE // 4, SIDE // 2 + 1))
    top, left = rng.integers(0, SIDE - side + 1, 2)
    if max(abs(top + side / 2 - SIDE / 2), abs(left + side / 2 - SIDE / 2)) < 3:
        top = 0
    return _enlarged(film_hw[top : top + side, left : left + side])


def _shuffled(film_hw: Thumb, rng: np.random.Generator) -> Thumb:
    side = int(rng.choice([4, 8, 16]))
    count = SIDE // side
    block_khw = film_hw.reshape(count, side, count, side).transpose(0, 2, 1, 3)
    block_khw = block_khw.reshape(-1, side, side)[rng.permutation(count * count)]
    mixed = block_khw.reshape(count, count, side, side).transpose(0, 2, 1, 3)
    return mixed.reshape(SIDE, SIDE)


def _far_away(film_hw: Thumb, rng: np.random.Generator) -> Thumb:
    """A film that fills a quarter of the image or less."""
    side = int(rng.integers(SIDE // 4, SIDE // 2))
    top, left = rng.integers(0, SIDE - side + 1, 2)
    ground_hw = np.full((SIDE, SIDE), rng.uniform(film_hw.min(), film_hw.max()))
    ground_hw[top : top + side, left : left + side] = _enlarged(film_hw, side)
    return ground_hw


def _rolled(film_hw: Thumb, rng: np.random.Generator) -> Thumb:
    """The chest out of the middle, across or down."""
    by = rng.integers(SIDE // 4, SIDE - SIDE // 4)
    return np.roll(film_hw, by, axis=int(rng.integers(2)))


_SPOILT: Mapping[str, Callable[[Thumb, np.random.Generator], Thumb]] = {
    "quarter turn": lambda film_hw, rng: np.rot90(film_hw, (1, 3)[rng.integers(2)]),
    "upside down": lambda film_hw, rng: film_hw[::-1],
    "negative": lambda film_hw, rng: 1 - film_hw,
    "negative, turned": lambda film_hw, rng: np.rot90(1 - film_hw, int(rng.integers(1, 4))),
    "part": _part,
    "shuffled": _shuffled,
    "far away": _far_away,
    "rolled": _rolled,
}


def _texture(_: Thumb, rng: np.random.Generator) -> Thumb:
    """Noise whose power falls with frequency, from none to steeper than any photograph's."""
    across, down = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE))
    filtered = np.fft.fft2(rng.normal(size=(SIDE, SIDE)))
    filtered = filtered / (np.hypot(across, down) + 1 / SIDE) ** rng.uniform(0, 3)
    return np.asarray(np.fft.ifft2(filtered).real)


def _shapes(_: Thumb, rng: np.random.Generator) -> Thumb:
    """Discs, bars, lines and triangles, more or less blurred."""
    side = 4 * SIDE
    picture = Image.new("L", (side, side), int(rng.integers(0, 256)))
    pen = ImageDraw.Draw(picture)
    for _shape in range(rng.integers(1, 12)):
        grey = int(rng.integers(0, 256))
        a, b, c, d = (int(each) for each in rng.integers(-20, side + 20, 4))
        box = (min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1)
        match rng.integers(4):
            case 0:
                pen.ellipse(box, fill=grey)
            case 1:
                pen.rectangle(box, fill=grey)
            case 2:
                pen.line((a, b, c, d), fill=grey, width=int(rng.integers(1, 20)))
            case _:
                pen.polygon([(a, b), (c, d), (b, c)], fill=grey)
    soft_hw = ndimage.gaussian_filter(np.asarray(picture, dtype=np.float32), rng.uniform(0, 6))
    return np.asarray(
        Image.fromarray(soft_hw).resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32
    )


def _text(_: Thumb, rng: np.random.Generator) -> Thumb:
    side = 5 * SIDE
    paper, ink = (255, 0) if rng.random() < 0.7 else (0, 255)
    picture = Image.new("L", (side, side), paper)
    pen = ImageDraw.Draw(picture)
    line = int(rng.integers(0, 30))
    while line < side:
        words = "".join(rng.choice(list(_LETTERS), rng.integers(4, 30)))
        pen.text((int(rng.integers(0, 30)), line), words, fill=ink, font_size=rng.integers(8, 24))
        line += int(rng.integers(10, 40))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)


def _nothing(_: Thumb, rng: np.random.Generator) -> Thumb:
    noise = (0.0, 0.001, 0.01, 0.1)[rng.integers(4)]
    return np.asarray(rng.uniform() + noise * rng.normal(size=(SIDE, SIDE)))


_MADE: Mapping[str, Callable[[Thumb, np.random.Generator], Thumb]] = {
    "texture": _texture,
    "shapes": _shapes,
    "text": _text,
    "nothing": _nothing,
}
