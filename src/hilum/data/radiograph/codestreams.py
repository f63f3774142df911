"""What a compressed image says of itself, read before a decoder is let near it.

A decoder in C that is told one size and finds another may fill memory or fall over.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

CODESTREAM = b"\xff\x4f\xff\x51"  # the first two markers of JPEG 2000


class Frame(NamedTuple):
    """Size and sample of a compressed image.

    process: of JPEG, the start-of-frame marker 0xC0 … 0xCF, or 0xF7 of JPEG-LS; 0 for JPEG 2000
    ids: component identifiers of a JPEG
    """

    rows: int
    columns: int
    channels: int
    bits: int
    process: int
    ids: bytes = b""


def jpeg_frame(data: bytes) -> Frame | None:
    """The frame header of a JPEG or JPEG-LS stream, None where its headers are not sound.

    Every segment up to the first scan is checked: GDCM, given a damaged one, ends the process.
    Source: ITU-T T.81, B.1 to B.2.4; ITU-T T.87, C.2 (SOF55, LSE).
    """
    if data[:2] != b"\xff\xd8":
        return None
    frame, at = None, 2
    while at + 4 <= len(data):
        fill, marker, length = struct.unpack_from(">BBH", data, at)
        if fill == marker == 0xFF:  # markers may be preceded by any number of these
            at += 1
            continue
        segment = data[at + 4 : at + 2 + length]
        if fill != 0xFF or len(segment) != length - 2:
            return None
        if marker in _FRAMES:
            if frame is not None or len(segment) < 6 or len(segment) != 6 + 3 * segment[5]:
                return None
            bits, rows, columns, channels = struct.unpack_from(">BHHB", segment)
            frame = Frame(rows, columns, channels, bits, marker, segment[6::3])
        elif marker == _SCAN:
            return frame if frame and _is_sound_scan(segment, frame) else None
        elif marker == _HUFFMAN:
            if not _are_sound_tables(segment):
                return None
        elif marker not in _HARMLESS:
            return None
        at += 2 + length
    return None


_SCAN, _HUFFMAN = 0xDA, 0xC4
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
# Quantisation tables, restart interval, applications' own, JPEG-LS parameters, comments.
_HARMLESS = (0xDB, 0xDD, *range(0xE0, 0xF0), 0xF8, 0xFE)


def _is_sound_scan(segment: bytes, frame: Frame) -> bool:
    channels = segment[0] if segment else 0
    ids = segment[1 : 1 + 2 * channels : 2]
    return len(segment) == 4 + 2 * channels > 4 and set(ids) <= set(frame.ids)


def _are_sound_tables(segment: bytes) -> bool:
    while segment:
        counts = segment[1:17]
        if len(counts) < 16 or len(segment) < 17 + sum(counts) or sum(counts) > 256:
            return False
        segment = segment[17 + sum(counts) :]
    return True


def j2k_frame(data: bytes) -> Frame | None:
    """The image size of a JPEG 2000 codestream, None where there is none.

    Source: ITU-T T.800, A.5.1 (SIZ is the first marker after SOC).
    """
    if data[:4] != CODESTREAM or len(data) < 43:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, 8)
    (channels,) = struct.unpack_from(">H", data, 40)
    components = data[42 : 42 + 3 * channels]
    if len(components) < 3 * channels or not channels or right <= left or bottom <= top:
        return None
    if any(components[i + 1 : i + 3] != b"\1\1" for i in range(0, len(components), 3)):
        return None  # subsampled
    if len(set(components[::3])) != 1:
        return None  # channels of several depths
    return Frame(bottom - top, right - left, channels, (components[0] & 0x7F) + 1, 0)
