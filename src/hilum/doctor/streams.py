"""One small picture in each compression that films come in, to see that its decoder works here.

Made once by Pillow, pylibjpeg-rle, pyjpegls and GDCM; which decoder reads which is `decoders`'.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_UID = "1.2.840.10008.1.2"
SIDE = 8
# Before what a stream holds, where it is tried beside packages.
DECODER = "decoder "


@dataclass(frozen=True)
class Stream:
    """A picture of 8 x 8 pixels of 8 bits, whose grey values go up by 4 from 0 at the upper left.

    syntax: DICOM transfer syntax; by: the package that decodes it
    tolerance: by which a pixel may differ, grey values
    """

    what: str
    syntax: str
    by: str
    tolerance: int
    text: str

    @property
    def content(self) -> bytes:
        return base64.b64decode(self.text)


def picture() -> NDArray[np.uint8]:
    """What each stream holds, [h, w]."""
    return np.arange(0, 4 * SIDE * SIDE, 4, dtype=np.uint8).reshape(SIDE, SIDE)


STREAMS = (
    Stream(
        "JPEG",
        f"{_UID}.4.50",
        "pillow",
        3,
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4R"
        "DgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wAALCAAIAAgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcI"
        "CQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcY"
        "GRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKj"
        "pKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AIvD"
        "X/BNv7n/ABK//Idf/9k=",
    ),
    Stream(
        "JPEG lossless",
        f"{_UID}.4.70",
        "python-gdcm",
        0,
        "/9j/wwALCAAIAAgBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAAAwYI/9oACAEBAAEAAM/oiIiJQIiIiJQIiIiJQIiI"
        "iJQIiIiJQIiIiJQIiIiJQIiIiJ//2Q==",
    ),
    Stream(
        "JPEG-LS",
        f"{_UID}.4.80",
        "python-gdcm",
        0,
        "/9j/9wALCAAIAAgBAREA/9oACAEBAAAAAJ3df3AACEZNsQAAJKqZ9V0ef51/nH+bfwD/2Q==",
    ),
    Stream(
        "JPEG 2000",
        f"{_UID}.4.90",
        "pylibjpeg-openjpeg",
        0,
        "/0//UQApAAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABBwEB/1IADAAAAAEAAAQEAAH/XAAEQED/"
        "ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAA7AAH/k9+BUBIrAwsLE+S5L4U/"
        "OFCCoRT/VnHDc30kzjC9vXJjPurEavNMOjl9iy72V//Z",
    ),
    Stream(
        "RLE",
        f"{_UID}.5",
        "pylibjpeg-rle",
        0,
        "AQAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAcA"
        "BAgMEBQYHAcgJCgsMDQ4PAdAREhMUFRYXAdgZGhscHR4fAeAhIiMkJSYnAegpKissLS4vAfAxMjM0NTY3Afg5Ojs8"
        "PT4/A==",
    ),
)
