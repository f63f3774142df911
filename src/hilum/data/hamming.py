"""Pairs of 256-bit hashes that differ in few bits: none is missed, and few others are looked at.

What the bits mean, and how few is few, is said in `fingerprints`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

HASH_BITS = 256
# Two hashes that differ in 24 bits or fewer differ in at most one bit of at least one of 13 chunks.
# Source: Norouzi, Punjani & Fleet 2012, "Fast search in Hamming space with multi-index hashing".
_CHUNKS = 13
MOST_BITS = 2 * _CHUNKS - 2
_CANDIDATES = 1 << 17  # looked at together, which bounds memory


def pairs_within(a_nk: NDArray[np.uint8], b_nk: NDArray[np.uint8], limit: int) -> NDArray[np.intp]:
    """Rows (i, j) of hashes that differ in at most `limit` bits, sorted; shape (p, 2).

    a_nk, b_nk: packed hashes, shape (n, 32); the same array twice gives pairs i < j within it
    limit: at most MOST_BITS
    """
    if not 0 <= limit <= MOST_BITS:
        raise ValueError(f"limit = {limit}; set 0 to {MOST_BITS}")
    within = a_nk is b_nk
    a_nw, b_nw = (np.ascontiguousarray(each).view(np.uint64) for each in (a_nk, b_nk))

    def of_chunk(chunk: int) -> NDArray[np.int64]:
        found = [np.empty(0, dtype=np.int64)]
        key_a, key_b = _keys(a_nk, chunk), _keys(b_nk, chunk)
        for i, j in _candidates(key_a, key_b, chunk, within=within):
            near = np.bitwise_count(a_nw[i] ^ b_nw[j]).sum(axis=1) <= limit
            i, j = i[near], j[near]
            if within:
                i, j = np.minimum(i, j)[i != j], np.maximum(i, j)[i != j]
            found.append(i * len(b_nk) + j)
        return np.concatenate(found)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        flat = np.unique(np.concatenate(list(pool.map(of_chunk, range(_CHUNKS)))))
    return np.column_stack(np.divmod(flat, max(1, len(b_nk)))).astype(np.intp)


def _keys(hash_nk: NDArray[np.uint8], chunk: int) -> NDArray[np.int32]:
    """Every 13th bit of each hash as a number, shape (n,): chunks of neighbours would be alike."""
    key_n = np.zeros(len(hash_nk), dtype=np.int32)
    for bit in range(chunk, HASH_BITS, _CHUNKS):
        key_n <<= 1
        key_n |= (hash_nk[:, bit // 8] >> (7 - bit % 8)) & 1
    return key_n


def _candidates(
    key_a: NDArray[np.int32], key_b: NDArray[np.int32], chunk: int, *, within: bool
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows (i, j) whose keys differ in one bit or none, a bounded number at a time.

    within: both are one set, so a pair whose keys differ is wanted from one of its ends alone
    """
    bits = len(range(chunk, HASH_BITS, _CHUNKS))
    order_b = np.argsort(key_b, kind="stable")
    start_k = np.concatenate([[0], np.cumsum(np.bincount(key_b, minlength=1 << bits))])
    for flip in (0, *(1 << bit for bit in range(bits))):
        first_n = start_k[key_a ^ flip]
        count_n = start_k[(key_a ^ flip) + 1] - first_n
        if within:
            count_n[key_a & flip != 0] = 0
        some = np.flatnonzero(count_n)
        total = np.cumsum(count_n[some])
        cuts = np.searchsorted(total, np.arange(0, total[-1] if len(some) else 0, _CANDIDATES))
        for row in np.split(some, cuts[1:]):
            count = count_n[row]
            # Within each row's run of candidates: 0, 1, 2, ... from where its bucket starts.
            before = np.cumsum(count) - count
            place = np.arange(count.sum()) + np.repeat(first_n[row] - before, count)
            yield np.repeat(row, count), order_b[place]
