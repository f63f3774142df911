"""Near-duplicates: pairs of images that are the same picture but for brightness, noise or encoding.

What a classifier makes of such a pair is left to `failures`; images reach it through a callable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Correlation of thumbnails from which two images are the same picture. Measured on films other than
# PneumoniaMNIST's test set. Copies re-encoded as JPEG, halved, with a narrower window, a gamma of
# 0.8 or 5 % noise reach it in 98.9 % or more of 1,000 films of ChestX-ray14, and in all of 1,000 of
# Kermany et al. and of 77 of adults with COVID-19. Different films do not: at most 0.980 among the
# 13.6 million pairs of Kermany's 5,224, 0.979 among the 11 million of PneumoniaMNIST's training
# films at 28 pixels, 0.985 among the 500,000 of ChestX-ray14's (two films of one patient).
# A copy cropped or shifted by 1 % or more is often missed.
ALIKE = 0.99
THUMBNAIL = 32  # pixels a side
MOST_IMAGES = 20_000  # every image meets every other: 200 million pairs, ten seconds
MOST_PAIRS = 10_000  # kept, the most alike first
BLOCK = 512  # images that meet all others at a time


@dataclass(frozen=True)
class Pair:
    """Two rows of the predictions, the first above the second.

    similarity: correlation of their thumbnails; exact: the same to the last pixel
    """

    first: int
    second: int
    similarity: float
    exact: bool


@dataclass(frozen=True)
class NearDuplicates:
    """All pairs of nearly the same image.

    compared: images looked at
    count: pairs found; exact: how many of them are the same to the last pixel
    pairs: the MOST_PAIRS most alike of them
    reason: why nothing was compared; None when it was
    """

    compared: int
    count: int
    exact: int
    pairs: tuple[Pair, ...]
    reason: str | None = None

    def with_different(self, decision_n: NDArray[np.generic]) -> tuple[Pair, ...]:
        """The pairs that got different decisions, the most alike first; decision per image."""
        return tuple(p for p in self.pairs if decision_n[p.first] != decision_n[p.second])


def near_duplicates(
    image_of: Callable[[int], NDArray[np.float32]], n: int, limit: float = ALIKE
) -> NearDuplicates:
    """Every pair of images whose 32x32 thumbnails correlate by `limit` or more.

    image_of: row (0 … n - 1) to image, float32 [h, w] in [0, 1]; called once a row
    Correlation sees through brightness and contrast, but not through inversion, rotation or crop.
    An image of one grey value has none and is near no other. Beyond MOST_IMAGES nothing is
    compared, and `reason` says so. O(n²) time, O(n) memory.
    """
    if n > MOST_IMAGES:
        reason = f"{n:,} images are too many to compare each with each; the most is {MOST_IMAGES:,}"
        return NearDuplicates(0, 0, 0, (), reason)
    thumbnail_nk = np.zeros((n, THUMBNAIL * THUMBNAIL), dtype=np.float32)
    number_of: dict[bytes, int] = {}
    same_n = np.empty(n, dtype=np.intp)  # equal for images that are the same to the last pixel
    for row in range(n):
        image_hw = np.ascontiguousarray(image_of(row), dtype=np.float32)
        thumbnail_nk[row] = _standardised(image_hw)
        digest = sha256(repr(image_hw.shape).encode() + image_hw.tobytes()).digest()
        same_n[row] = number_of.setdefault(digest, len(number_of))
    count, exact, kept = 0, 0, (np.empty(0), *np.empty((2, 0), dtype=np.intp))
    for start in range(0, n, BLOCK):
        similarity_bn = thumbnail_nk[start : start + BLOCK] @ thumbnail_nk[start:].T
        first_p, second_p = np.nonzero(np.triu(similarity_bn >= limit, k=1))
        similarity_p = similarity_bn[first_p, second_p].astype(np.float64).clip(-1.0, 1.0)
        first_p, second_p = first_p + start, second_p + start
        exact_p = same_n[first_p] == same_n[second_p]
        similarity_p[exact_p] = 1.0  # without float noise
        count += len(exact_p)
        exact += int(exact_p.sum())
        found = (similarity_p, first_p, second_p)
        together = tuple(np.concatenate(both) for both in zip(kept, found, strict=True))
        order_p = np.argsort(-together[0], kind="stable")[:MOST_PAIRS]
        kept = (together[0][order_p], together[1][order_p], together[2][order_p])
    pairs = (
        Pair(int(a), int(b), float(similarity), bool(same_n[a] == same_n[b]))
        for similarity, a, b in zip(*kept, strict=True)
    )
    return NearDuplicates(n, count, exact, tuple(pairs))


def _standardised(image_hw: NDArray[np.float32]) -> NDArray[np.float32]:
    """A thumbnail of mean 0 and norm 1, all 0 for an image of one grey value; shape (k,)."""
    size = (THUMBNAIL, THUMBNAIL)
    small = Image.fromarray(image_hw).resize(size, Image.Resampling.BILINEAR)
    value_k = np.asarray(small, dtype=np.float64).ravel()
    value_k -= value_k.mean()
    norm = float(np.linalg.norm(value_k))
    return (value_k / norm if norm > 1e-5 else 0 * value_k).astype(np.float32)
