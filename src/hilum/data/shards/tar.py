"""A tar file whose bytes depend on its members alone, written with each member's place in it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from types import TracebackType
from typing import BinaryIO


class TarWriter:
    """Members one after another; no times, owners or names of this machine go in.

    n_bytes, sha256: of the whole file, once it is closed
    """

    def __init__(self, file: BinaryIO) -> None:
        self._sink = _Digesting(file)
        # The plain old format: PAX headers would be no use, and GNU's are not everywhere.
        self._tar = tarfile.TarFile(fileobj=self._sink, mode="w", format=tarfile.USTAR_FORMAT)

    def __enter__(self) -> TarWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._tar.close()

    def add(self, name: str, data: bytes) -> int:
        """Append a member and return where its bytes begin in the file."""
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))
        padded = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        return self._sink.n_bytes - padded

    @property
    def n_bytes(self) -> int:
        return self._sink.n_bytes

    @property
    def sha256(self) -> str:
        return self._sink.hash.hexdigest()


class _Digesting(io.RawIOBase):
    """Passes bytes on, counts and digests them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.n_bytes = 0
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.n_bytes

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._file.write(data)
        self.hash.update(data)
        self.n_bytes += len(data)
        return len(data)
