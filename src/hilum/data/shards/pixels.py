"""Pixels of a cohort that lies in shards: each film is read by its place in a tar file.

Where the tar files are, and how they get here, is left to `storage` and `fetching`.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from hilum.data.grey import Grey
from hilum.data.preprocessing import undo_squash
from hilum.data.radiograph import read_radiograph
from hilum.data.shards.fetching import ShardCache
from hilum.data.shards.films import decode_webp
from hilum.data.shards.manifest import Encoding, Shard
from hilum.data.shards.storage import FolderStore, Store
from hilum.data.shards.tables import MEMBER
from hilum.errors import DataError, RadiographError
from hilum.recipe import ReadingPart

Broken = Literal["stop", "skip"]


@dataclass(frozen=True)
class Places:
    """Where each film lies, shape (n,): its shard, where its bytes begin there, how many they are,
    and their checksum; `aspect_n`: NaN, or what `undo_squash` is to restore."""

    shard_n: NDArray[np.int32]
    key_n: ExtensionArray  # text in Arrow's memory: a million of Python's would weigh 60 MB
    offset_n: NDArray[np.int64]
    length_n: NDArray[np.int64]
    crc32_n: NDArray[np.uint32]
    aspect_n: NDArray[np.float64]

    @classmethod
    def of(cls, index: pd.DataFrame) -> Places:
        """From the index of a set of shards."""

        def column(name: str, kind: Any) -> NDArray[Any]:
            return index[MEMBER + name].to_numpy(dtype=kind)

        return cls(
            column("shard", np.int32),
            index[MEMBER + "key"].array,
            column("offset", np.int64),
            column("length", np.int64),
            column("crc32", np.uint32),
            column("aspect", np.float64),
        )


class ShardPixels:
    """Films in tar shards, by row of the set's index. Safe for threads, and picklable.

    reading: how the files of an "original" set are read; others were read when they were written
    cache: for shards that are not on this disk
    broken: when a shard cannot be had whole: "stop" raises DataError, "skip" lets each of its films
        be one that cannot be read
    """

    def __init__(
        self,
        store: Store,
        shards: tuple[Shard, ...],
        places: Places,
        encoding: Encoding,
        *,
        reading: ReadingPart,
        cache: ShardCache,
        broken: Broken = "stop",
    ) -> None:
        self.store, self.shards, self.places = store, shards, places
        self._encoding, self._reading = encoding, reading
        self._cache, self._broken = cache, broken
        self._lost: dict[int, DataError] = {}
        self._checked: set[int] = set()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        options = {"reading": self._reading, "cache": self._cache, "broken": self._broken}
        return _again, (self.store, self.shards, self.places, self._encoding, options)

    @property
    def held_shards(self) -> int | None:
        """How many shards the cache holds at once; None where all lie on this disk."""
        if isinstance(self.store, FolderStore):
            return None
        return int(self._cache.limit_bytes // max(1, max(each.bytes for each in self.shards)))

    def read(self, index: int) -> Grey:
        """Film `index`, air dark and bone bright, as it is stored.

        Raises RadiographError when the film cannot be read, DataError when its shard cannot.
        """
        data, name = self.data(index), self._name(index)
        if self._encoding == "webp":
            return decode_webp(data, name)
        grey = read_radiograph(data, self._reading, name=name).stored_hw
        aspect = float(self.places.aspect_n[index])
        return grey if np.isnan(aspect) else undo_squash(grey, aspect)

    def data(self, index: int) -> bytes:
        """The film's file as it lies in its shard, its checksum compared."""
        offset, length = int(self.places.offset_n[index]), int(self.places.length_n[index])
        with self._shard(int(self.places.shard_n[index])) as shard:
            data = os.pread(shard, length, offset)
        if len(data) != length or zlib.crc32(data) != int(self.places.crc32_n[index]):
            raise RadiographError(
                self._name(index),
                "other bytes than were written",
                remedy="write the shards anew, or fetch them again",
            )
        return data

    def _name(self, index: int) -> str:
        shard = self.shards[int(self.places.shard_n[index])].name
        return f"{self.store.location.rstrip('/')}/{shard}:{self.places.key_n[index]}"

    @contextmanager
    def _shard(self, number: int) -> Iterator[int]:
        """The shard's file, open."""
        for _ in range(3):  # another process may clear the cache between the fetch and this
            path = self._path(number)
            try:
                file = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                yield file
            finally:
                os.close(file)
            return
        raise DataError(
            self._cache.folder,
            "fetched shards are removed as soon as they are here",
            remedy="give the cache more room by HILUM_CACHE_GB",
        )

    def _path(self, number: int) -> Path:
        lost = self._lost.get(number)
        if lost is None:
            try:
                return self._whole(number)
            except DataError as error:
                lost = self._lost[number] = error
        if self._broken == "skip":
            raise RadiographError(lost.where, lost.found, remedy="write the shards anew")
        raise lost

    def _whole(self, number: int) -> Path:
        """The shard on this disk. Raises DataError when it is absent or cut off."""
        shard = self.shards[number]
        try:
            if not isinstance(self.store, FolderStore):
                return self._cache.path(self.store, shard)
            path = self.store.path(shard.name)
            if number in self._checked:
                return path
            found = path.stat().st_size
        except FileNotFoundError:
            raise DataError(
                f"{self.store.location.rstrip('/')}/{shard.name}",
                "no such shard",
                expected=f"{shard.bytes:,} bytes",
                remedy="copy the whole set again",
            ) from None
        if found != shard.bytes:
            raise DataError(
                path,
                f"the shard is cut off: {found:,} bytes",
                expected=f"{shard.bytes:,}",
                remedy="copy it again, write the shards anew, or leave its films out by "
                "data.broken_shards = 'skip'",
            )
        with self._lock:
            self._checked.add(number)
        return path


def _again(
    store: Store,
    shards: tuple[Shard, ...],
    places: Places,
    encoding: Encoding,
    options: dict[str, Any],
) -> ShardPixels:
    return ShardPixels(store, shards, places, encoding, **options)
