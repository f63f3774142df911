"""Cohort → batches of network input, read ahead by threads within bounded memory.

Order, shares and seeds belong to the caller; what is done to a pixel, to `preprocessing`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Step, preprocess

ReadImage = Callable[[int], NDArray[np.float32]]


def read_batches(
    cohort: Cohort, steps: Sequence[Step], batches: Iterable[NDArray[np.intp]], *, ahead: int = 2
) -> Iterator[NDArray[np.float32]]:
    """The images of each batch of row positions, in order, float32 [n, 1, h, w] in [0, 1]."""
    return read_ahead(
        lambda position: preprocess(cohort.radiograph(position), steps), batches, ahead
    )


def read_ahead(
    read: ReadImage, batches: Iterable[NDArray[np.intp]], ahead: int = 2
) -> Iterator[NDArray[np.float32]]:
    """Stack `read(position)` over each batch, `ahead` batches being made while one is used."""

    def stack(positions: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.stack([read(int(position)) for position in positions])

    with ThreadPoolExecutor(max_workers=ahead, thread_name_prefix="hilum-read") as pool:
        waiting: deque[Future[NDArray[np.float32]]] = deque()
        try:
            for positions in batches:
                waiting.append(pool.submit(stack, positions))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def consecutive(n: int, batch_size: int) -> list[NDArray[np.intp]]:
    """Positions 0 … n-1 in order, cut into batches."""
    return np.split(np.arange(n), range(batch_size, n, batch_size)) if n else []
