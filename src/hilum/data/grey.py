"""Grey values as they are stored, and as a share of full scale.

Which stored value is air and which bone is settled before, in `radiograph`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Unsigned integers are shares of their full scale: 255 or 65535 = 1. Floats are in [0, 1] already.
Grey = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]


def full_scale(grey: Grey) -> np.float32:
    """The stored value that means 1."""
    match grey.dtype.kind:
        case "u":
            return np.float32(2 ** (8 * grey.dtype.itemsize) - 1)
        case "f":
            return np.float32(1)
    raise TypeError(f"grey values of type {grey.dtype}; expected unsigned integers or floats")


def as_float(grey: Grey) -> NDArray[np.float32]:
    """Grey values as float32 in [0, 1], same shape; floats are handed back as they are."""
    if grey.dtype == np.float32:
        return grey  # type: ignore[return-value]
    # In one pass over memory: a film is several megabytes.
    return np.divide(grey, full_scale(grey), dtype=np.float32)
