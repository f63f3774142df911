"""Fingerprints of images: a digest of pixels, and a perceptual hash that survives re-encoding.

What a shared fingerprint means for roles is decided in `roles`; for a bundle's past, in `seen`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dct

from hilum.data.cohort import Cohort
from hilum.data.grey import Grey, as_float
from hilum.data.hamming import HASH_BITS, pairs_within
from hilum.data.pixels import FilePixels
from hilum.data.print_cache import Print, film_key, keep_prints, known_prints
from hilum.errors import RadiographError
from hilum.recipe import DataPart

Progress = Callable[[int, int], None]
SIDE_MINIMUM = 64  # of a film; the hash is made of a 64 x 64 reduction
NEAR = 24  # bits, provisional

_REDUCED = 64
_FLAT = 1 / 255  # grey values no further apart say nothing of a film
_STRIP = 1 << 17  # pixels that stay in the processor's cache
_CHUNK = 256  # films that a thread takes, and the cache is asked for, at a time


@dataclass(frozen=True)
class Fingerprints:
    """Of n images, in the order of the cohort's rows.

    digest_n: SHA-256 in hex of shape and 16-bit grey values; "" for a film that cannot be read
    hash_nk: perceptual hash, uint8, shape (n, 32); zero for one that is unreadable or too small
    hashed_n: True where a perceptual hash says something (64 px a side or more, and not flat)
    broken: row -> why it cannot be read, in words
    """

    digest_n: NDArray[np.object_]
    hash_nk: NDArray[np.uint8]
    hashed_n: NDArray[np.bool_]
    broken: Mapping[int, str]


def fingerprints(
    cohort: Cohort,
    *,
    perceptual: bool = True,
    read_anew: bool = False,
    progress: Progress = lambda done, total: None,
) -> Fingerprints:
    """Read every image once, on all cores; an unchanged file known from before is not read.

    perceptual: without, no hash is made, and `hashed_n` is False throughout
    read_anew: read known files, too: what is odd or broken about them is seen in no other way
    A film that cannot be read is noted in `broken`; nothing is raised.
    """
    n = len(cohort)
    digest_n = np.full(n, "", dtype=object)
    hash_nk = np.zeros((n, HASH_BITS // 8), dtype=np.uint8)
    hashed_n = np.zeros(n, dtype=bool)
    broken: dict[int, str] = {}

    def take(position: int, found: Print) -> None:
        digest_n[position] = found.digest.hex()
        if perceptual and found.hash:
            hash_nk[position] = np.frombuffer(found.hash, dtype=np.uint8)
            hashed_n[position] = True

    def read(positions: range) -> None:
        keys = _film_keys(cohort, positions)
        known = {} if read_anew else known_prints([key for key in keys if key is not None])
        made: dict[bytes, Print] = {}
        for position, key in zip(positions, keys, strict=True):
            found = None if key is None else known.get(key)
            if found is None or (perceptual and found.hash is None):
                try:
                    found = _print(
                        cohort.pixels.read(int(cohort.table.index[position])), perceptual
                    )
                except RadiographError as error:
                    broken[position] = str(error)
                    continue
                if key is not None:
                    made[key] = found
            take(position, found)
        if made:
            keep_prints(made)

    done, cores = 0, os.cpu_count() or 1
    step = min(_CHUNK, n // (4 * cores) + 1)  # of a few films, too, each core has its share
    chunks = [range(start, min(start + step, n)) for start in range(0, n, step)]
    with ThreadPoolExecutor(cores, thread_name_prefix="hilum-print") as pool:
        try:
            for chunk, _ in zip(chunks, pool.map(read, chunks), strict=True):
                done += len(chunk)
                progress(done, n)
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt does not read the rest first
    return Fingerprints(digest_n, hash_nk, hashed_n, dict(sorted(broken.items())))


def fingerprints_for(
    cohort: Cohort, settings: DataPart, *, progress: Progress = lambda done, total: None
) -> Fingerprints | None:
    """What the settings ask for; None where duplicates are not looked for."""
    if settings.duplicates == "off":
        return None
    return fingerprints(cohort, perceptual=settings.duplicates == "near", progress=progress)


def _film_keys(cohort: Cohort, positions: range) -> list[bytes | None]:
    if not isinstance(cohort.pixels, FilePixels):
        return [None] * len(positions)
    return [film_key(cohort.pixels, int(index)) for index in cohort.table.index[positions]]


def _print(grey_hw: Grey, perceptual: bool) -> Print:
    digest = bytes.fromhex(pixel_digest(grey_hw))
    if not perceptual:
        return Print(digest, None)
    hash_k = perceptual_hash(grey_hw)
    return Print(digest, b"" if hash_k is None else hash_k.tobytes())


def pixel_digest(grey_hw: Grey) -> str:
    """SHA-256 in hex of shape and 16-bit grey values: equal for equal pixels in any file."""
    digest = hashlib.sha256(repr(grey_hw.shape).encode())
    rows = max(1, _STRIP // grey_hw.shape[1])
    for top in range(0, len(grey_hw), rows):
        digest.update(_in_16_bits(grey_hw[top : top + rows]).tobytes())
    return digest.hexdigest()


def _in_16_bits(grey_hw: Grey) -> NDArray[np.uint16]:
    """Full scale is 65535; integers need no detour by floats."""
    values: NDArray[np.uint16]
    if grey_hw.dtype == np.uint8:
        values = np.multiply(grey_hw, 257, dtype="<u2")
    elif grey_hw.dtype == np.uint16:
        values = grey_hw.astype("<u2")
    else:
        values = np.rint(grey_hw * np.float32(65535)).astype("<u2")
    return values


def perceptual_hash(grey_hw: Grey) -> NDArray[np.uint8] | None:
    """Which of the 256 lowest frequencies lie above their median, packed, shape (32,).

    None for a film under 64 px a side, or whose reduction is of one grey value.
    It is imagehash.phash(hash_size=16) without its last rounding to 8 bits, which costs a film of
    few grey values its detail; the two differ in a few bits at most.
    """
    if min(grey_hw.shape) < SIDE_MINIMUM:
        return None
    film = Image.fromarray(grey_hw if grey_hw.dtype == np.uint8 else as_float(grey_hw))
    # Means of whole blocks first, to three times the size or more: a tenth of the work.
    width, height = (max(1, side // (3 * _REDUCED)) for side in film.size)
    blocks = Image.fromarray(as_float(np.asarray(film.reduce((width, height)))))
    # The last block of a row may be cut; without `box` it would count as a whole one.
    box = (0.0, 0.0, film.width / width, film.height / height)
    size = (_REDUCED, _REDUCED)
    small_hw = np.asarray(blocks.resize(size, Image.Resampling.LANCZOS, box=box))
    if np.ptp(small_hw) < _FLAT:
        return None
    frequency = _cosines() @ small_hw.astype(np.float64) @ _cosines().T
    return np.packbits(frequency > np.median(frequency))


@cache
def _cosines() -> NDArray[np.float64]:
    """The first 16 rows of the DCT-II of 64 values, shape (16, 64)."""
    return np.asarray(dct(np.eye(_REDUCED), axis=0))[:16]


def near_pairs(a: Fingerprints, b: Fingerprints | None = None) -> NDArray[np.intp]:
    """Rows (i, j) of the same film by perceptual hash, sorted; within `a` (i < j), or a x b.

    Of rows with one and the same hash, only the first is paired with all others: enough to join
    them, and a thousand copies of one film do not make half a million pairs.
    """
    if b is None:
        first_u, row_n, same_n = _distinct(a)
        hash_uk = a.hash_nk[first_u]
        pairs = first_u[pairs_within(hash_uk, hash_uk, NEAR)]
        equal = np.column_stack([first_u[same_n], row_n])
        pairs = np.concatenate([np.sort(pairs, axis=1), equal[equal[:, 0] < equal[:, 1]]])
    else:
        (first_a, row_a, same_a), (first_b, row_b, same_b) = _distinct(a), _distinct(b)
        u, v = pairs_within(a.hash_nk[first_a], b.hash_nk[first_b], NEAR).T
        i, of_i = _rows_of(u, row_a, same_a)
        j, of_j = _rows_of(v, row_b, same_b)
        ways = ([i, first_b[v[of_i]]], [first_a[u[of_j]], j])
        pairs = np.concatenate([np.column_stack(way) for way in ways])
    return np.unique(pairs, axis=0).astype(np.intp)


def _distinct(
    prints: Fingerprints,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Of each distinct hash the first row; the rows that have a hash; which hash each has."""
    row_n = np.flatnonzero(prints.hashed_n)
    void_n = np.ascontiguousarray(prints.hash_nk[row_n]).view(f"V{HASH_BITS // 8}").ravel()
    _, first_u, same_n = np.unique(void_n, return_index=True, return_inverse=True)
    return row_n[first_u], row_n, same_n


def _rows_of(
    hash_p: NDArray[np.intp], row_n: NDArray[np.intp], same_n: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All rows that have the hash of each pair, and the pair that each is of."""
    order_n = np.argsort(same_n, kind="stable")
    start_p = np.searchsorted(same_n[order_n], hash_p)
    count_p = np.searchsorted(same_n[order_n], hash_p, side="right") - start_p
    of_pair = np.repeat(np.arange(len(hash_p)), count_p)
    place = np.arange(len(of_pair)) - np.repeat(np.cumsum(count_p) - count_p, count_p)
    return row_n[order_n[start_p[of_pair] + place]], of_pair
