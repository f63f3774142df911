"""Files that someone could send to do harm: bombs, lies about sizes, nests, stumps and noise."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from data.radiograph.made_films import all_formats, data_set, dicom, enclosed, jpeg, pattern

_DEFLATED = b"1.2.840.10008.1.2.1.99"


def hostile_films() -> dict[str, bytes]:
    """Each must be refused: a name → its bytes."""
    good = all_formats()
    noise = np.random.default_rng(0)
    films = {
        "empty": b"",
        "one byte": b"\0",
        "noise": noise.bytes(5_000),
        "noise that says it is DICOM": bytes(128) + b"DICM" + noise.bytes(5_000),
        "noise that says it is PNG": b"\x89PNG\r\n\x1a\n" + noise.bytes(5_000),
        "noise that says it is JPEG": b"\xff\xd8\xff\xe0" + noise.bytes(5_000),
        "noise that says it is TIFF": b"II*\0" + noise.bytes(5_000),
        "a page of a web site": b"<html><script>alert(1)</script></html>" * 20,
        "an archive": b"PK\x03\x04" + noise.bytes(2_000),
        "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "deflated bomb": _deflated_bomb(good["deflated.dcm"]),
        "RLE bomb": _rle_bomb(),
        "240 nested sequences": _nested(240),
        "5,000 nested sequences": _nested(5_000),
        "a PNG of 60,000 x 60,000": _png(60_000, 60_000, zlib.compress(bytes(100_000))),
        "a PNG with a text of a gigabyte": _png(
            64, 64, zlib.compress(bytes(65 * 64)), _text_bomb()
        ),
        "a DICOM of 65,535 x 65,535": _sized(65_535, 65_535),
        "a DICOM of a million frames": dicom(data_set(NumberOfFrames="1000000")),
        "a DICOM with no pixels": dicom(data_set(PixelData=b"")),
        "a DICOM of 0 x 0": _sized(0, 0),
        "a JPEG under another size": enclosed(
            jpeg(pattern(8)), JPEGBaseline8Bit, pattern(8), Rows=4000, Columns=4000
        ),
        "JPEG 2000 that is noise": enclosed(
            b"\xff\x4f\xff\x51" + noise.bytes(3_000), JPEG2000Lossless, pattern(8)
        ),
        "JPEG that is noise": enclosed(
            b"\xff\xd8\xff\xc0" + noise.bytes(3_000), JPEGBaseline8Bit, pattern(8)
        ),
    }
    for name in ("explicit.dcm", "deflated.dcm", "grey16.png", "grey.jpg", "lzw.tif"):
        for share in (0.1, 0.5):
            films[f"{share:.0%} of {name}"] = good[name][: int(share * len(good[name]))]
    return films


def harmless_bombs() -> dict[str, bytes]:
    """Of these no more is unpacked than the film that they begin with, which may be answered."""
    return {"a PNG with a gigabyte behind its pixels": _png(64, 64, _squeezed(1024))}


def _squeezed(megabytes: int) -> bytes:
    """So many megabytes of nought, deflated a thousand times."""
    squeeze = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(squeeze.compress(block) for _ in range(megabytes)) + squeeze.flush()


def _deflated_bomb(film: bytes) -> bytes:
    head, _, _ = film.partition(_DEFLATED)
    squeeze = zlib.compressobj(9, wbits=-15)
    block = bytes(1 << 20)
    bomb = b"".join(squeeze.compress(block) for _ in range(1024)) + squeeze.flush()
    return head + _DEFLATED + bomb


def _rle_bomb() -> bytes:
    """Runs of 128 for two bytes each: 4 MB that would be 256 MB under a header of 40 x 48."""
    segment = b"\x81\0" * (1 << 21)
    header = struct.pack("<16L", 1, 64, *[0] * 14)
    return enclosed(header + segment, RLELossless, pattern(8))


def _nested(depth: int) -> bytes:
    """A film behind sequences in sequences, none of which says how long it is."""
    film = dicom(data_set())
    at = film.index(b"\x08\x00\x16\x00")  # the first element behind the file's own header
    begin = b"\x08\x00\x06\x00SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return film[:at] + begin * depth + film[at:]


def _sized(rows: int, columns: int) -> bytes:
    film = data_set()
    film.Rows, film.Columns = rows, columns
    return dicom(film, ExplicitVRLittleEndian)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">L", len(content)) + kind + content
        + struct.pack(">L", zlib.crc32(kind + content))
    )  # fmt: skip


def _png(width: int, height: int, pixels: bytes, *before: bytes) -> bytes:
    header = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + b"".join(before)
    return b"\x89PNG\r\n\x1a\n" + chunks + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _text_bomb() -> bytes:
    return _chunk(b"zTXt", b"Comment\0\0" + _squeezed(1024))
