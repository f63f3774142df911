"""A film as the service takes it: bytes → network input, picture, and facts without PHI.

`prepare` is what the decoding child runs; what is answered is left to `answering`, and which words
of a film may be told to `wording`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.data.preprocessing import Step, preprocess
from hilum.data.radiograph import Radiograph, read_radiograph
from hilum.data.resampling import resample
from hilum.recipe import ReadingPart
from hilum.serving.wording import told_word

_OLDEST = 89
PICTURE_SIDE = 1024  # of the picture that is shown, along its longer side


@dataclass(frozen=True)
class Facts:
    """What may be told of a film: nothing that names a patient, a study, a place or a day.

    rows, columns: pixels of the upright film; spacing in millimetres
    age: in years; 90 for all above 89, whose age may name them (45 CFR 164.514(b)(2)(i)(C))
    """

    format: str
    rows: int
    columns: int
    bits: int
    photometric: str
    window: str
    pixel_spacing_mm: tuple[float, float] | None
    modality: str | None
    body_part: str | None
    view: str | None
    laterality: str | None
    age: float | None
    sex: str | None

    @classmethod
    def of(cls, film: Radiograph) -> Facts:
        rows, columns = film.stored_hw.shape
        told = {name: getattr(film, name) for name in cls.__annotations__ if hasattr(film, name)}
        if told["age"] is not None and told["age"] > _OLDEST:
            told["age"] = _OLDEST + 1.0
        return cls(**{**told, "rows": rows, "columns": columns})


@dataclass(frozen=True)
class Film:
    """A film that was read.

    digest: SHA-256 of its bytes, in hex
    image_chw: float32 [1, h, w] in [0, 1], the network's input
    picture: 8-bit grey PNG at most PICTURE_SIDE pixels long, or b"" where none was asked for
    warnings: what is odd about it, in sentences
    """

    digest: str
    image_chw: NDArray[np.float32] = field(repr=False)
    facts: Facts
    warnings: tuple[str, ...] = ()
    picture: bytes = field(default=b"", repr=False)


def prepare(
    content: bytes, reading: ReadingPart, steps: Sequence[Step], *, picture: bool = False
) -> Film:
    """Read and preprocess one film. Raises RadiographError, and nothing else, for bad bytes."""
    read = _known_words(read_radiograph(content, reading, name="film"))
    return Film(
        hashlib.sha256(content).hexdigest(),
        preprocess(read.stored_hw, steps),
        Facts.of(read),
        read.warnings,
        _picture(read) if picture else b"",
    )


def _known_words(film: Radiograph) -> Radiograph:
    """The film without words that the standard does not know: they may be a patient's name."""
    warnings = film.warnings
    known: dict[str, str | None] = {}
    for name in ("modality", "body_part", "view", "laterality", "sex", "photometric"):
        found = getattr(film, name)
        if found is None:
            continue
        told = known[name] = told_word(name, found)
        if told != found:
            for written in (repr(found[:64]), found[:64]):
                warnings = tuple(each.replace(written, told) for each in warnings)
    return replace(film, warnings=warnings, **known)  # type: ignore[arg-type]


def _picture(film: Radiograph) -> bytes:
    grey_hw = film.image_hw
    height, width = grey_hw.shape
    scale = min(1.0, PICTURE_SIDE / max(height, width))
    if scale < 1:
        grey_hw = resample(
            grey_hw, max(1, round(height * scale)), max(1, round(width * scale)), "bilinear"
        )
    whole_hw = np.rint(np.clip(grey_hw, 0, 1) * 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(whole_hw).save(file, "PNG", compress_level=1)
    return file.getvalue()
