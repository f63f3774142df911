"""What a file is, told by how it begins; its suffix may be wrong."""

from __future__ import annotations

import struct
from typing import BinaryIO


def is_dicom(file: BinaryIO) -> bool:
    """Whether the file begins as DICOM does, with its preamble or, as some archives, without."""
    start = file.tell()
    head = file.read(132)
    file.seek(start)
    return head[128:] == b"DICM" or _is_bare(head)


def _is_bare(head: bytes) -> bool:
    """Whether a data set begins here: a first element of group 2 or 8 with a sensible length."""
    if len(head) < 132 or head[:2] not in (b"\x02\0", b"\x08\0") or head[3]:
        return False
    if head[4:6].isalpha() and head[4:6].isupper():
        return True
    (length,) = struct.unpack("<I", head[4:8])
    return head[0] == 8 and length % 2 == 0 and length <= 1024
