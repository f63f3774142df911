"""Films: small copies of a few images, as data addresses that a page carries.

Which images are shown is left to `hilum.evaluation.failures` and `galleries`.
"""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 200  # pixels: enough to see what was mistaken, not to read the film
CRISP = 64  # pixels: films up to here are kept as they are, without loss


def data_address(image_hw: NDArray[np.float32]) -> str:
    """An image as `data:image/…;base64,…`, at most SIDE pixels a side.

    image_hw: float32 [h, w], or in colour [h, w, 3], in [0, 1]
    Small films come as PNG, pixel for pixel; larger ones as JPEG.
    """
    shade_hw = np.rint(np.clip(image_hw, 0, 1) * 255).astype(np.uint8)
    with Image.fromarray(shade_hw) as image:
        target = BytesIO()
        if max(image.size) <= CRISP:
            image.save(target, format="PNG", optimize=True)
            kind = "png"
        else:
            image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            image.save(target, format="JPEG", quality=80, optimize=True)
            kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(target.getvalue()).decode()}"
