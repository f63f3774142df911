"""Stored value → grey value, as one table: modality LUT, VOI LUT or window, inversion, padding.

Sections are those of DICOM PS3.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.data.radiograph.elements import Elements, Unreadable

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Stored:
    """What a stored pattern of bits means as a number; C.7.6.3.1."""

    bits_allocated: int
    bits: int
    high_bit: int
    signed: bool

    def values(self) -> NDArray[np.int64]:
        """The number that each pattern stands for, shape (2 ** bits_allocated,)."""
        pattern_v = np.arange(1 << self.bits_allocated, dtype=np.int64)
        # Bits outside of those stored may hold overlays or anything else; PS3.5 8.1.1.
        value_v = (pattern_v >> (self.high_bit + 1 - self.bits)) & ((1 << self.bits) - 1)
        if self.signed:
            value_v -= (value_v >> (self.bits - 1)) << self.bits
        return value_v

    @property
    def limits(self) -> tuple[int, int]:
        half = 1 << (self.bits - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


@dataclass(frozen=True)
class GreyTable:
    """Grey value of each stored pattern.

    grey_v: float32 in [0, 1], air dark and bone bright
    padding_v: the patterns that pad a film to its frame, None where there are none
    window: what made them, in words; chosen: whether the file carries it
    """

    grey_v: NDArray[np.float32]
    padding_v: NDArray[np.bool_] | None
    window: str
    chosen: bool
    warnings: tuple[str, ...] = ()


def grey_table(elements: Elements, stored: Stored, photometric: str, window: int) -> GreyTable:
    """Compose all steps into one table.

    window: which VOI LUT or window, VOI LUTs first, then windows, each in the file's order;
        1 the first, 0 the stored range
    Raises Unreadable when the file has others, but not that one.
    """
    value_v = stored.values()
    real_v, low, high = _modality(elements, value_v, stored)
    grey_v, words, odd = _voi(elements, real_v, window, signed=low < 0)
    chosen = grey_v is not None
    if grey_v is None:
        # C.11.2: without a VOI LUT the step is an identity, so the range is what can be stored.
        grey_v = _clipped((real_v - low) / ((high - low) or 1))
        words = f"stored range {_plain(low)} to {_plain(high)}"
    # MONOCHROME1 means lowest is white, after VOI: C.7.6.3.1.2. INVERSE says the same of the
    # output, C.11.6.1.2, and goes with MONOCHROME1 in C.8.11.3: together they turn once.
    if photometric == "MONOCHROME1" or elements.text("PresentationLUTShape") == "INVERSE":
        grey_v = 1 - grey_v
    padding_v = _padding(elements, value_v, stored)
    if padding_v is not None:
        grey_v = np.where(padding_v, 0, grey_v)  # no part of the picture: C.7.5.1.1.2
    return GreyTable(grey_v.astype(np.float32), padding_v, words, chosen, odd)


def _modality(
    elements: Elements, value_v: NDArray[np.int64], stored: Stored
) -> tuple[Values, float, float]:
    """Modality LUT or rescale, C.11.1, with the lowest and highest output."""
    if luts := elements.items("ModalityLUTSequence"):
        lut = _lut(luts[0], signed=stored.signed)
        return lut.look_up(value_v), 0.0, float(lut.top)
    slope = next(iter(elements.floats("RescaleSlope")), 1.0) or 1.0
    intercept = next(iter(elements.floats("RescaleIntercept")), 0.0)
    first, last = (slope * limit + intercept for limit in stored.limits)
    real_v = slope * value_v.astype(np.float64) + intercept
    return real_v, min(first, last), max(first, last)


def _voi(
    elements: Elements, real_v: Values, window: int, *, signed: bool
) -> tuple[Values | None, str, tuple[str, ...]]:
    """The chosen VOI LUT or window, C.11.2; none where the file has none or 0 is asked for."""
    luts = elements.items("VOILUTSequence")
    pairs = list(zip(elements.floats("WindowCenter"), elements.floats("WindowWidth"), strict=False))
    count = len(luts) + len(pairs)
    if window == 0 or (window == 1 and not count):
        return None, "", ()
    if window > count:
        raise Unreadable(f"{count} VOI LUTs and windows, and reading.window = {window}")
    if window <= len(luts):
        lut = _lut(luts[window - 1], signed=signed)
        return lut.look_up(real_v) / lut.top, f"VOI LUT {window} of {len(luts)}", ()
    number = window - len(luts)
    centre, width = pairs[number - 1]
    function = elements.text("VOILUTFunction") or "LINEAR"
    if function not in _FUNCTIONS or width < (1 if function == "LINEAR" else 1e-9):
        found = f"centre {_plain(centre)}, width {_plain(width)}, {function}"
        return None, "", (f"window {number} makes no sense ({found}); stored range taken",)
    words = f"window {number} of {len(pairs)}: centre {_plain(centre)}, width {_plain(width)}"
    return _FUNCTIONS[function](real_v, centre, width), f"{words}, {function}", ()


def _linear(x: Values, centre: float, width: float) -> Values:
    """C.11.2.1.2.1."""
    if width == 1:
        return (x > centre - 0.5).astype(np.float64)
    return _clipped((x - (centre - 0.5)) / (width - 1) + 0.5)


def _linear_exact(x: Values, centre: float, width: float) -> Values:
    """C.11.2.1.3.2."""
    return _clipped((x - centre) / width + 0.5)


def _sigmoid(x: Values, centre: float, width: float) -> Values:
    """C.11.2.1.3.1."""
    y: Values = 1 / (1 + np.exp((-4 * (x - centre) / width).clip(-700, 700)))  # exp(710) overflows
    return y


def _clipped(y: Values) -> Values:
    return y.clip(0, 1)


_FUNCTIONS: dict[str, Callable[[Values, float, float], Values]] = {
    "LINEAR": _linear,
    "LINEAR_EXACT": _linear_exact,
    "SIGMOID": _sigmoid,
}


@dataclass(frozen=True)
class _Lut:
    """A table of a Modality or VOI LUT sequence, C.11.1.1 and C.11.2.1.1."""

    first: int
    top: int
    output: Values

    def look_up(self, x: Values | NDArray[np.int64]) -> Values:
        index = np.clip(np.rint(x) - self.first, 0, len(self.output) - 1)
        output: Values = self.output[index.astype(np.intp)]
        return output


def _lut(item: Elements, *, signed: bool) -> _Lut:
    descriptor = item.shorts("LUTDescriptor")
    if len(descriptor) < 3:
        raise Unreadable("a lookup table without a descriptor")
    entries, first, bits = descriptor[0] or 65536, descriptor[1], descriptor[2]
    if signed and first >= 32768:
        first -= 65536
    output = item.table("LUTData", entries)
    if len(output) < entries or not 1 <= bits <= 16:
        raise Unreadable("a lookup table that breaks off")
    top = (1 << bits) - 1
    return _Lut(first, top, np.minimum(output, top).astype(np.float64))


def _padding(
    elements: Elements, value_v: NDArray[np.int64], stored: Stored
) -> NDArray[np.bool_] | None:
    """PixelPaddingValue and, where it is a range, its other end; C.7.5.1.1.2."""
    ends = elements.shorts("PixelPaddingValue")[:1] + elements.shorts("PixelPaddingRangeLimit")[:1]
    if not elements.shorts("PixelPaddingValue"):
        return None
    if stored.signed:
        ends = [end - 65536 if end >= 32768 else end for end in ends]
    return (value_v >= min(ends)) & (value_v <= max(ends))


def _plain(number: float) -> str:
    return f"{number:.6g}"
