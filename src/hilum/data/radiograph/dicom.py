"""DICOM film → grey values and what its header says.

Files are opened by `elements`, pixels decoded by `decoders`, greys made by `voi`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.data.grey import Grey, as_float
from hilum.data.radiograph.decoders import JPEG, SYNTAXES, Layout, Samples, decode
from hilum.data.radiograph.elements import DicomFile, Elements, Unreadable, open_dicom
from hilum.data.radiograph.film import (
    NARROW,
    Header,
    Radiograph,
    StoredPixels,
    check_size,
    grey_of_colour,
)
from hilum.data.radiograph.voi import GreyTable, Stored, grey_table
from hilum.errors import RadiographError
from hilum.recipe import ReadingPart

MODALITIES = ("CR", "DX", "RG")
# As the standard and the consoles of several countries have it; PS3.16 annex L.
_CHEST = {"CHEST", "THORAX", "LUNG", "LUNGS", "CXR", "TORAX", "TORACE", "BRUST", "LUNGE", "POUMON"}
_LATERAL = {"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LLO", "RLO"}
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0, "": 1.0}
_CHANNELS = {"MONOCHROME1": 1, "MONOCHROME2": 1, "RGB": 3}
_CHANNELS |= {f"YBR_{kind}": 3 for kind in ("FULL", "FULL_422", "ICT", "RCT")}
_Entry = TypeVar("_Entry", np.uint8, np.float32, np.bool_)
_SQUARE = 0.01  # spacing is often rounded to two digits
_ELONGATED = 4.0


@dataclass(frozen=True)
class _Described:
    """A header with what decoding needs. unfit: why this may be no frontal chest film."""

    header: Header
    layout: Layout
    stored: Stored
    aspect: float
    unfit: tuple[str, ...]


def read_dicom(
    file: BinaryIO, name: str, reading: ReadingPart, *, strict: bool = False
) -> Radiograph:
    """Read a DICOM film: decode, modality LUT, VOI LUT or window, inversion, square pixels.

    strict: refuse another modality, body part or a lateral view, of which there is a warning else
    Raises RadiographError: damaged, a transfer syntax that nothing here decodes, real colour,
    several frames, no pixels, too small, or too large (checked before decoding).
    """
    with _in_words(name, "not readable as DICOM"):
        opened = open_dicom(file)
        described = _describe(name, opened)
    header, layout = described.header, described.layout
    if strict and described.unfit:
        expected = f"a frontal chest film ({', '.join(MODALITIES)})"
        raise RadiographError(name, described.unfit[0], expected=expected)
    with _in_words(name, "pixels that cannot be decoded"):
        limit = layout.bytes if opened.native else 2 * layout.bytes + (1 << 20)
        samples = decode(opened.syntax, opened.pixels(limit), layout)
        table = grey_table(opened.elements, described.stored, layout.photometric, reading.window)
        pattern_hw = _patterns(samples, layout.bits_allocated)
        if pattern_hw.ndim == 3:
            ybr = layout.photometric.startswith("YBR_FULL") and opened.syntax not in JPEG
            pattern_hw = grey_of_colour(name, pattern_hw, bits=described.stored.bits, ybr=ybr)
        stored_hw = _grey(pattern_hw, table)
        odd = _odd(stored_hw, pattern_hw, table)
        stored_hw, spacing = _square(name, stored_hw, described)
    said = {key: value for key, value in vars(header).items() if key not in ("rows", "columns")}
    said |= {"pixel_spacing_mm": spacing, "warnings": header.warnings + table.warnings + odd}
    return Radiograph(stored_hw=stored_hw, window=table.window, **said)


def read_dicom_header(file: BinaryIO, name: str) -> Header:
    """What a DICOM file says of its film, without decoding it. Raises RadiographError."""
    with _in_words(name, "not readable as DICOM"):
        return _describe(name, open_dicom(file)).header


@contextmanager
def _in_words(name: str, found: str) -> Iterator[None]:
    """Whatever a damaged file makes pydicom and the decoders raise, as a RadiographError.

    Their own words are left out: they may quote an element, and so the patient.
    """
    try:
        yield
    except RadiographError:
        raise
    except Unreadable as error:
        raise RadiographError(
            name, error.found, expected=error.expected, remedy=error.remedy
        ) from None
    except Exception:
        raise RadiographError(name, found, remedy="export the film again") from None


def _describe(name: str, opened: DicomFile) -> _Described:
    elements = opened.elements
    rows, columns = elements.short("Rows", 0), elements.short("Columns", 0)
    if not rows or not columns:
        raise Unreadable("no pixel data", expected="a radiograph")
    photometric = (elements.text("PhotometricInterpretation") or "MONOCHROME2").upper()
    channels = elements.short("SamplesPerPixel", 1)
    if _CHANNELS.get(photometric) != channels:
        raise Unreadable(
            f"photometric interpretation {_quoted(photometric)} with {channels} samples a pixel",
            expected="MONOCHROME1 or MONOCHROME2",
            remedy="export it as greyscale",
        )
    check_size(name, rows, columns, channels)
    frames = next(iter(elements.floats("NumberOfFrames")), 1)
    if frames > 1:
        raise Unreadable(f"{frames:.0f} frames", expected="one film a file")
    if opened.syntax not in SYNTAXES:
        raise Unreadable(
            f"transfer syntax {_quoted(opened.syntax)}",
            expected="one that is decoded here",
            remedy="see docs/decisions/dicom-decoders.md",
        )
    if not opened.has_pixels:
        raise Unreadable("no pixel data", expected="a radiograph")
    stored = _stored(elements)
    unfit = tuple(_unfit(elements))
    header = Header(
        format="DICOM",
        rows=rows,
        columns=columns,
        bits=stored.bits,
        photometric=photometric,
        pixel_spacing_mm=_pair(elements, "PixelSpacing") or _pair(elements, "ImagerPixelSpacing"),
        view=_upper(elements, "ViewPosition"),
        laterality=_upper(elements, "ImageLaterality") or _upper(elements, "Laterality"),
        modality=_upper(elements, "Modality"),
        body_part=_body_part(elements),
        transfer_syntax=opened.syntax,
        patient_id=elements.text("PatientID"),
        age=_age(elements),
        sex=_upper(elements, "PatientSex"),
        warnings=unfit,
    )
    planar = elements.short("PlanarConfiguration", 0) == 1
    layout = Layout(rows, columns, channels, stored.bits_allocated, photometric, planar)
    # C.7.6.3.1.7: the ratio stands where no spacing does.
    row, column = header.pixel_spacing_mm or _pair(elements, "PixelAspectRatio") or (1.0, 1.0)
    if not 1 / _ELONGATED <= row / column <= _ELONGATED:
        raise Unreadable(f"pixels of {row:g} x {column:g}", expected="nearly square ones")
    return _Described(header, layout, stored, row / column, unfit)


def _stored(elements: Elements) -> Stored:
    allocated = elements.short("BitsAllocated", 0)
    bits = elements.short("BitsStored", allocated)
    high_bit = elements.short("HighBit", bits - 1)
    if allocated not in (8, 16) or not 1 <= bits <= high_bit + 1 <= allocated:
        raise Unreadable(
            f"{bits} bits a pixel up to bit {high_bit} of {allocated}",
            expected="8 or 16 bits allocated, and as many stored or fewer",
        )
    return Stored(allocated, bits, high_bit, elements.short("PixelRepresentation", 0) == 1)


def _unfit(elements: Elements) -> Iterator[str]:
    modality, part = _upper(elements, "Modality"), _body_part(elements)
    if modality is not None and modality not in MODALITIES:
        yield f"modality {_quoted(modality)}, not a radiograph's ({', '.join(MODALITIES)})"
    if part is not None and not _CHEST & set(re.findall(r"[A-Z]+", part)):
        yield f"body part {_quoted(part)}, not the chest"
    view = _upper(elements, "ViewPosition")
    if view is not None and _LATERAL & set(re.findall(r"[A-Z]+", view)):
        yield f"view {_quoted(view)}, which is lateral"


def _body_part(elements: Elements) -> str | None:
    regions = elements.items("AnatomicRegionSequence")
    return _upper(elements, "BodyPartExamined") or (
        _upper(regions[0], "CodeMeaning") if regions else None
    )


def _upper(elements: Elements, keyword: str) -> str | None:
    text = elements.text(keyword)
    return text.upper() if text else None


def _quoted(text: str) -> str:
    """A short text of the file, fit for a message."""
    return repr(text[:64]) if not text[:64].isprintable() or " " in text else text[:64]


def _pair(elements: Elements, keyword: str) -> tuple[float, float] | None:
    values = elements.floats(keyword)
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _age(elements: Elements) -> float | None:
    """PS3.5 6.2, AS: three digits and D, W, M or Y; years where the letter is left out."""
    found = re.fullmatch(r"(\d{1,3})([DWMY]?)", _upper(elements, "PatientAge") or "")
    return round(int(found[1]) * _YEARS[found[2]], 4) if found else None


def _patterns(samples: Samples, bits_allocated: int) -> StoredPixels:
    """Samples as the patterns of bits they are, whatever sign a decoder gave them."""
    if samples.dtype.kind == "i":
        samples = samples.astype(f"i{bits_allocated // 8}", copy=False)
    return samples.view(np.uint8) if samples.itemsize == 1 else samples.view(np.uint16)


def _grey(pattern_hw: StoredPixels, table: GreyTable) -> Grey:
    """Grey values; of 8 bits where they are exact in them, as most films of 8 bits are."""
    if len(table.grey_v) == 256:
        whole_v = np.rint(table.grey_v * 255).astype(np.uint8)
        if np.abs(as_float(whole_v) - table.grey_v).max() < 1e-6:
            same = np.array_equal(whole_v, np.arange(256))
            return pattern_hw if same else _looked_up(whole_v, pattern_hw)
    return _looked_up(table.grey_v, pattern_hw)


def _looked_up(table_v: NDArray[_Entry], pattern_hw: StoredPixels) -> NDArray[_Entry]:
    """Table entry of each pixel, some rows at a time: NumPy takes eight bytes for each index."""
    found_hw = np.empty(pattern_hw.shape, table_v.dtype)
    rows = max(1, (1 << 18) // pattern_hw.shape[1])
    for top in range(0, len(found_hw), rows):
        some = slice(top, top + rows)
        np.take(table_v, pattern_hw[some], out=found_hw[some], mode="clip")
    return found_hw


def _odd(grey_hw: Grey, pattern_hw: StoredPixels, table: GreyTable) -> tuple[str, ...]:
    if table.padding_v is not None:
        grey_hw = grey_hw[~_looked_up(table.padding_v, pattern_hw)]
    spread = float(as_float(grey_hw.max()) - as_float(grey_hw.min())) if grey_hw.size else 0.0
    if spread == 0:
        return (f"one grey value throughout ({table.window})",)
    if spread < NARROW and not table.chosen:
        return (f"little of the {table.window} is used, and the file has no window",)
    return ()


def _square(
    name: str, grey_hw: Grey, described: _Described
) -> tuple[Grey, tuple[float, float] | None]:
    """Square pixels, the coarser side made as fine as the other; C.7.6.3.1.7, 10.7.1.3."""
    spacing, aspect = described.header.pixel_spacing_mm, described.aspect
    if abs(aspect - 1) <= _SQUARE:
        return grey_hw, spacing
    rows, columns = grey_hw.shape
    rows, columns = round(rows * max(aspect, 1)), round(columns * max(1 / aspect, 1))
    check_size(name, rows, columns)
    image = Image.fromarray(as_float(grey_hw)).resize((columns, rows), Image.Resampling.BICUBIC)
    square_hw = np.clip(np.asarray(image), np.float32(0), np.float32(1))
    return square_hw, (min(spacing),) * 2 if spacing else None
