"""Fetching whole files from afar: three tries, each checked by size and digest; a bounded cache.

Where the files lie is `storage`'s business.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hilum.data.shards.manifest import File
from hilum.data.shards.storage import Store
from hilum.errors import DataError, OutputError

ATTEMPTS = 3
PAUSE_S = 1.0  # doubles after each try
CACHE_BYTES = 2 << 30

_T = TypeVar("_T")


class _NotWhole(ConnectionError):
    """A transfer ended, but not with the file that was asked for."""


def read_whole(store: Store, file: File | str) -> bytes:
    """A small file; its size and digest are checked where they are known.

    Raises FileNotFoundError, or DataError when it cannot be had whole.
    """

    def read() -> bytes:
        if isinstance(file, str):
            return store.read(file)
        data = store.read(file.name)
        _check(file, len(data), hashlib.sha256(data).hexdigest())
        return data

    return _persistently(store, file if isinstance(file, str) else file.name, read)


def fetch_whole(store: Store, file: File, target: Path) -> None:
    """Download a file to `target`, which appears only when it is whole.

    Raises FileNotFoundError, or DataError when it stays cut off.
    """
    part = target.with_name(f"{target.name}.{secrets.token_hex(6)}.part")

    def fetch() -> None:
        store.download(file.name, part)  # goes on with what an earlier try left
        found = part.stat().st_size
        try:
            _check(file, found, digest_of(part))
        except _NotWhole:
            part.unlink()
            raise

    try:
        _persistently(store, file.name, fetch)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _persistently(store: Store, name: str, call: Callable[[], _T]) -> _T:
    """Call again when a connection fails, twice at most, waiting longer each time."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except PermissionError as error:
            raise _lost(store, name, f"cannot be read ({error})") from error
        except ConnectionError as error:
            if attempt == ATTEMPTS:
                raise _lost(store, name, f"{error}, {ATTEMPTS} times in a row") from error
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
    raise AssertionError("no attempt was made")


def _lost(store: Store, name: str, found: str) -> DataError:
    return DataError(
        f"{store.location.rstrip('/')}/{name}",
        found,
        remedy="try again; if it stays so, write the shards anew, or leave the shard's films out "
        "by data.broken_shards = 'skip'",
    )


def _check(file: File, found: int, digest: str) -> None:
    if found != file.bytes:
        raise _NotWhole(f"{found:,} bytes, of {file.bytes:,}")
    if digest != file.sha256:
        raise _NotWhole(f"{found:,} bytes as there should be, but other ones (sha256 differs)")


def default_cache() -> Path:
    """HILUM_CACHE, or `hilum` in the user's cache folder (XDG_CACHE_HOME, ~/.cache)."""
    if named := os.environ.get("HILUM_CACHE"):
        return Path(named) / "shards"
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "hilum" / "shards"
    try:
        return Path.home() / ".cache" / "hilum" / "shards"
    except RuntimeError:  # this user has no home
        return Path(tempfile.gettempdir()) / "hilum" / "shards"


@dataclass(frozen=True)
class ShardCache:
    """Fetched shards in a folder, by digest; the longest unused go first when it is full.

    limit_bytes: of all files together; the shard in use stays, even when it is larger
    Several processes may share the folder: a file that is removed while another process reads it
    stays readable there.
    """

    folder: Path
    limit_bytes: int = CACHE_BYTES

    def path(self, store: Store, file: File) -> Path:
        """The shard on this disk, fetched when it is not there yet.

        Raises FileNotFoundError or DataError, as `fetch_whole`; OutputError when the folder cannot
        be written.
        """
        path = self.folder / f"{file.sha256}.tar"
        with _lock(str(path)):
            try:
                os.utime(path)  # its last use
                return path
            except FileNotFoundError:
                pass
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._make_room(file.bytes)
            except OSError as error:
                raise OutputError(
                    self.folder,
                    f"cannot hold fetched shards ({error.strerror or error})",
                    remedy="name another folder by HILUM_CACHE",
                ) from error
            fetch_whole(store, file, path)
            return path

    def _make_room(self, needed: int) -> None:
        held = []
        for each in self.folder.glob("*.tar"):
            with suppress(FileNotFoundError):  # another process was quicker
                status = each.stat()
                held.append((status.st_mtime_ns, status.st_size, each))
        total = sum(size for _, size, _ in held)
        for _, size, each in sorted(held):
            if total + needed <= self.limit_bytes:
                return
            each.unlink(missing_ok=True)
            total -= size


_locks: dict[str, threading.Lock] = {}
_locks_lock = threading.Lock()


def _lock(name: str) -> threading.Lock:
    """One lock for each shard, so that two threads do not fetch the same one."""
    with _locks_lock:
        return _locks.setdefault(name, threading.Lock())
