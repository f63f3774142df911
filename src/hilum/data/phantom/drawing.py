"""One synthetic radiograph as pixels, and the masks and boxes of what stands in it.

What is in the body is left to `attenuation` and `opacities`, how it is exposed to `film`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hilum.data.phantom.attenuation import attenuation
from hilum.data.phantom.fields import Floats, average
from hilum.data.phantom.film import expose
from hilum.data.phantom.geometry import geometry, in_lung
from hilum.data.phantom.opacities import opaque
from hilum.data.phantom.parameters import Anatomy, Film, Opacity

MIN_WORKING_SIZE = 112  # smaller films are drawn at a multiple and averaged down, as a scanner does


def draw(anatomy: Anatomy, film: Film, opacity: Opacity | None, size: int) -> Floats:
    """The radiograph, float32 [size, size] in [0, 1], air dark and bone bright."""
    _keep_freed_memory()
    factor = _oversampling(size)
    body = geometry(anatomy, size * factor)
    return expose(attenuation(anatomy, body, opacity), film, size, factor)


def lung_mask(anatomy: Anatomy, size: int) -> NDArray[np.bool_]:
    """Aerated lung clear of heart and diaphragm, bool [size, size]."""
    factor = _oversampling(size)
    return average(in_lung(geometry(anatomy, size * factor)).astype(np.float32), factor) > 0.5


def opacity_mask(anatomy: Anatomy, opacity: Opacity, size: int) -> NDArray[np.bool_]:
    """Where the opacity has at least a third of its greatest density, bool [size, size]."""
    factor = _oversampling(size)
    body = geometry(anatomy, size * factor)
    return average(opaque(body, opacity).astype(np.float32), factor) > 0.5


def opacity_boxes(
    anatomy: Anatomy, opacity: Opacity, *, grid: int = 80
) -> list[tuple[float, float, float, float]]:
    """(x, y, width, height) of the opacity in each lung it touches, fractions of the side."""
    body = geometry(anatomy, grid)
    mask = opaque(body, opacity)
    boxes = []
    for part in (mask & ~body.left, mask & body.left):
        rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        if len(rows):
            # One grid step of margin: a finer grid may find the edge up to that far out.
            left, top = max(columns[0] - 1, 0) / grid, max(rows[0] - 1, 0) / grid
            right, bottom = min(columns[-1] + 2, grid) / grid, min(rows[-1] + 2, grid) / grid
            boxes.append((left, top, right - left, bottom - top))
    return boxes


@lru_cache(maxsize=1)
def _keep_freed_memory() -> None:
    """Has glibc keep the memory that one film frees for the next; elsewhere it does nothing.

    Else each film's arrays go back to the kernel and are paged in anew, a third of its time. Once
    a block of this size has been freed, glibc raises the thresholds beyond which it gives memory
    back: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
    """
    np.empty(24 * 2**20, dtype=np.uint8)  # untouched, so it takes up no memory


def _oversampling(size: int) -> int:
    return max(1, -(-MIN_WORKING_SIZE // size))
