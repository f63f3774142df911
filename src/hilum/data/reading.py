"""Cohort → batches of network input, read ahead by threads within bounded memory.

Order, shares and seeds belong to the caller; what is done to a pixel, to `preprocessing`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilum.data.cohort import Cohort
from hilum.data.preprocessing import Step, preprocess
from hilum.errors import DataError, RadiographError


class Batch(NamedTuple):
    """Images that were read: their row positions in the cohort, and float32 [n, 1, h, w].

    Without one that could be read: [0, 1, 0, 0].
    """

    positions: NDArray[np.intp]
    image_nchw: NDArray[np.float32]


@dataclass
class Quarantine:
    """Films that cannot be read: the run goes on without them, up to a limit.

    n: images in all; limit: share of them that may be broken, 0 stops at the first
    broken: row position -> the error's line
    """

    n: int
    limit: float = 0.0
    broken: dict[int, str] = field(default_factory=dict)

    @property
    def readable_n(self) -> NDArray[np.bool_]:
        """True for every film that is not in here, shape (n,)."""
        readable_n = np.ones(self.n, dtype=np.bool_)
        readable_n[list(self.broken)] = False
        return readable_n

    def add(self, position: int, error: RadiographError) -> None:
        """Keep note of one film. Raises the error itself at limit 0, DataError above the limit."""
        if self.limit == 0:
            raise error
        self.broken[position] = str(error)
        if len(self.broken) > max(1, self.limit * self.n):
            raise DataError(
                error.where,
                f"{len(self.broken):,} of {self.n:,} films cannot be read, the last: {error.found}",
                expected=f"at most {self.limit:.3g} of them",
                remedy="mend the films, or raise the limit (data.broken_limit, --broken-limit)",
            )


def read_batches(
    cohort: Cohort,
    steps: Sequence[Step],
    batches: Iterable[NDArray[np.intp]],
    *,
    quarantine: Quarantine | None = None,
    ahead: int = 2,
    threads: int | None = None,
) -> Iterator[Batch]:
    """The images of each batch of row positions, in order, one Batch for each that is asked for.

    quarantine: takes the films that cannot be read, which their batch then lacks, to the point of
        being empty; None raises RadiographError at the first
    ahead: batches that are read while the caller works on one; they are all that is held
    threads: that read, each one film at a time; None: one for each core
    Any error but RadiographError ends the reading when its film's turn comes.
    """
    quarantine = quarantine or Quarantine(len(cohort))
    index_n = cohort.table.index.to_numpy()

    def read(batch: _BeingRead, place: int) -> None:
        try:
            image_chw = preprocess(cohort.pixels.read(int(index_n[batch.positions[place]])), steps)
        except RadiographError as error:
            batch.errors[place] = error
        else:
            batch.put(place, image_chw)

    def begin(positions: NDArray[np.intp]) -> tuple[_BeingRead, list[Future[None]]]:
        batch = _BeingRead(positions)
        return batch, [pool.submit(read, batch, place) for place in range(len(positions))]

    def end(batch: _BeingRead, films: list[Future[None]]) -> Batch:
        wait(films)  # for all at once: to wake for each would take time from those who read
        for film in films:
            film.result()
        return batch.read(quarantine)

    pool = ThreadPoolExecutor(threads or cores(), thread_name_prefix="hilum-read")
    try:
        waiting: deque[tuple[_BeingRead, list[Future[None]]]] = deque()
        for positions in batches:
            waiting.append(begin(positions))
            if len(waiting) > ahead:
                yield end(*waiting.popleft())
        while waiting:
            yield end(*waiting.popleft())
    finally:
        # Where the caller stops early, a film in work is read to its end, and no other begun.
        pool.shutdown(cancel_futures=True)


def consecutive(n: int, batch_size: int) -> list[NDArray[np.intp]]:
    """Positions 0 … n-1 in order, cut into batches."""
    return np.split(np.arange(n), range(batch_size, n, batch_size)) if n else []


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _BeingRead:
    """A batch whose films come in any order, each from the thread that has read it.

    errors: place in the batch -> why that film cannot be read
    """

    def __init__(self, positions: NDArray[np.intp]) -> None:
        self.positions = positions
        self.errors: dict[int, RadiographError] = {}
        self._image_nchw: NDArray[np.float32] | None = None
        self._lock = threading.Lock()

    def put(self, place: int, image_chw: NDArray[np.float32]) -> None:
        with self._lock:
            if self._image_nchw is None:  # the first film tells of what size they are
                shape = (len(self.positions), *image_chw.shape)
                self._image_nchw = np.empty(shape, dtype=np.float32)
        self._image_nchw[place] = image_chw

    def read(self, quarantine: Quarantine) -> Batch:
        """What could be read; what could not goes into quarantine, in order and by one thread."""
        for place in sorted(self.errors):
            quarantine.add(int(self.positions[place]), self.errors[place])
        if self._image_nchw is None:
            return Batch(np.empty(0, dtype=np.intp), np.empty((0, 1, 0, 0), dtype=np.float32))
        if not self.errors:
            return Batch(self.positions, self._image_nchw)
        kept = np.delete(np.arange(len(self.positions)), list(self.errors))
        return Batch(self.positions[kept], self._image_nchw[kept])
