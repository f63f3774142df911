"""An answer as a Secondary Capture: the film under its map, and below it what is said in words."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from hilum import __version__
from hilum.abstention import REASONS
from hilum.explanation.pictures import COLOURS, LIMIT, tinted
from hilum.serving.answering import FilmAnswer, FindingAnswer
from hilum.serving.dicom import codes as ours
from hilum.serving.dicom.filing import Filed, encoded, evidence, notice

_NARROWEST = 640  # pixels; the words below need as many
_INK, _PAPER, _WARN = (235, 235, 235), (16, 16, 16), (255, 196, 64)


def shown_finding(answer: FilmAnswer) -> FindingAnswer:
    """The finding whose map is drawn: the one furthest above its operating point."""
    return max(answer.findings, key=lambda each: each.probability - each.threshold)


def overlay_image(
    picture: bytes, map_hw: NDArray[np.float32] | None, answer: FilmAnswer
) -> NDArray[np.uint8]:
    """The picture with its legend, uint8 [h, w, 3].

    picture: `Film.picture`; map_hw: of `shown_finding`, in logits, None without one
    """
    with Image.open(BytesIO(picture)) as opened:
        grey_hw = np.asarray(opened, dtype=np.float32) / np.float32(255)
    if map_hw is None:
        film_hw3 = np.repeat(grey_hw[..., None], 3, axis=2)
    else:
        film_hw3 = tinted(grey_hw, map_hw, LIMIT["grad_cam"])
    film = Image.fromarray((film_hw3 * 255).round().astype(np.uint8), "RGB")
    if film.width < _NARROWEST:
        height = round(film.height * _NARROWEST / film.width)
        film = film.resize((_NARROWEST, height), Image.Resampling.BILINEAR)
    legend = _legend(film.width, answer, with_map=map_hw is not None)
    whole = Image.new("RGB", (film.width, film.height + legend.height), _PAPER)
    whole.paste(film, (0, 0))
    whole.paste(legend, (0, film.height))
    return np.asarray(whole)


def _legend(width: int, answer: FilmAnswer, *, with_map: bool) -> Image.Image:
    size = max(15, width // 48)
    font, line = ImageFont.load_default(size), round(size * 1.45)
    said = [(notice(answer.synthetic), _WARN)]
    said += [(_in_words(each), _INK) for each in answer.findings]
    said.append((f"Hilum {__version__}, bundle {answer.bundle[:12]}, {answer.engine}", _INK))
    pad = size // 2
    lines = [(part, ink) for words, ink in said for part in _wrapped(words, font, width - 2 * pad)]
    bar = 3 * line if with_map else 0
    strip = Image.new("RGB", (width, 2 * pad + line * len(lines) + bar), _PAPER)
    draw = ImageDraw.Draw(strip)
    for row, (words, ink) in enumerate(lines):
        draw.text((pad, pad + row * line), words, fill=ink, font=font)
    if with_map:
        _scale(strip, draw, answer, pad + line * len(lines), line, font)
    return strip


def _in_words(each: FindingAnswer) -> str:
    said = f"REFER: {REASONS[each.refer]}" if each.refer else each.decision.upper()
    return (
        f"{each.finding}: {said} (probability {each.probability:.2f}, "
        f"called present from {each.threshold:.2f})"
    )


def _scale(
    strip: Image.Image,
    draw: ImageDraw.ImageDraw,
    answer: FilmAnswer,
    top: int,
    line: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    pad, limit = line // 3, LIMIT["grad_cam"]
    finding = shown_finding(answer).finding
    draw.text((pad, top), f"Colour: where the classifier finds {finding}", fill=_INK, font=font)
    colour_w3 = (COLOURS(np.linspace(0, 1, 240))[:, :3] * 255).round().astype(np.uint8)
    bar = Image.fromarray(np.repeat(colour_w3[None], line // 2, axis=0), "RGB")
    strip.paste(bar, (pad, top + line + line // 4))
    for share, words in ((0.0, f"{-limit:g}"), (0.5, "0"), (1.0, f"{limit:g}")):
        draw.text(
            (pad + 240 * share, top + 2 * line), words, fill=_INK, font=font,
            anchor=("la", "ma", "ra")[round(2 * share)],
        )  # fmt: skip
    draw.text((pad + 260, top + line + line // 8), "logits, against … for", fill=_INK, font=font)


def _wrapped(
    words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> list[str]:
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def secondary_capture(image_hw3: NDArray[np.uint8], answer: FilmAnswer, source: Dataset) -> bytes:
    """The picture as a DICOM file, of the film's study."""
    filed = Filed(source, answer.bundle, answer.engine, "sc")
    film = evidence(source)
    image = SCImage(
        pixel_array=np.ascontiguousarray(image_hw3),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        study_instance_uid=film.StudyInstanceUID,
        series_instance_uid=filed.series,
        series_number=filed.number,
        sop_instance_uid=filed.uid,
        instance_number=1,
        **filed.equipment(),
    )
    # No words for it where the film has none; it is seen as the film is.
    image["PatientOrientation"].value = source.get("PatientOrientation") or None
    image.add_new("Laterality", "CS", None)
    for word in (
        "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
    ):  # fmt: skip
        if word in source:
            image[word] = source[word]
    image.BurnedInAnnotation = "YES"
    image.ImageComments = notice(answer.synthetic)
    what = f"Map of {shown_finding(answer).finding} by Hilum {__version__} laid over the film"
    image.DerivationDescription = f"{what}. {notice(answer.synthetic)}"
    referred = Dataset()
    referred.ReferencedSOPClassUID = film.SOPClassUID
    referred.ReferencedSOPInstanceUID = film.SOPInstanceUID
    purpose = ours.SOURCE_IMAGE
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = purpose.value, purpose.scheme_designator
    code.CodeMeaning = purpose.meaning
    referred.PurposeOfReferenceCodeSequence = [code]
    image.SourceImageSequence = [referred]
    return encoded(image, source)
