"""Where shards lie: a folder, a web server (to read from), or object storage through fsspec.

What the files mean is left to `manifest`; that a transfer is whole, to `fetching`.
"""

from __future__ import annotations

import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from hilum.data.download import transfer
from hilum.errors import DataError, MissingExtraError, OutputError
from hilum.writing import refuse_unwritable, replacing

_TIMEOUT_S = 30.0


class Store(Protocol):
    """One place with files in it, named by plain names. Picklable, and safe for threads.

    Everything that is absent raises FileNotFoundError; a connection that fails, ConnectionError.
    """

    @property
    def location(self) -> str:
        """The place as a user writes it."""

    def read(self, name: str) -> bytes: ...

    def download(self, name: str, target: Path) -> None:
        """The whole file to `target`; what is already there may be gone on with."""


class WritableStore(Store, Protocol):
    """A place that can be written to; a file appears there whole or not at all."""

    def names(self) -> list[str]:
        """The files there, those one folder below as `folder/name`."""

    def write(self, name: str, data: bytes) -> None: ...

    def committing(self, name: str) -> AbstractContextManager[Path]:
        """A path to write to; the file is there when this is left without an error."""

    def remove(self, name: str) -> None: ...


def open_store(location: str) -> Store:
    """The store at a path, `http://…`, `https://…`, or a URL that fsspec knows, such as `s3://…`.

    Raises MissingExtraError when the library for the URL is not installed, DataError when nothing
    is known of its kind.
    """
    scheme, separator, _ = location.partition("://")
    if not separator:
        return FolderStore(Path(location))
    return WebStore(location) if scheme in ("http", "https") else _object_store(location)


def open_writable_store(location: str) -> WritableStore:
    """As `open_store`. Raises OutputError for a web server, which cannot be written to."""
    store = open_store(location)
    if not isinstance(store, FolderStore | ObjectStore):
        raise OutputError(location, "cannot be written to", expected="a folder, or s3://…")
    if isinstance(store, FolderStore):
        refuse_unwritable(store.folder)
    return store


@dataclass(frozen=True)
class FolderStore:
    """A folder on a disk."""

    folder: Path

    @property
    def location(self) -> str:
        return str(self.folder)

    def path(self, name: str) -> Path:
        return self.folder / name

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def download(self, name: str, target: Path) -> None:
        shutil.copyfile(self.path(name), target)

    def names(self) -> list[str]:
        found = [*self.folder.glob("*"), *self.folder.glob("*/*")]
        return sorted(p.relative_to(self.folder).as_posix() for p in found if p.is_file())

    def write(self, name: str, data: bytes) -> None:
        with replacing(self.path(name)) as draft:
            draft.write_bytes(data)

    def committing(self, name: str) -> AbstractContextManager[Path]:
        return replacing(self.path(name))

    def remove(self, name: str) -> None:
        path = self.path(name)
        path.unlink(missing_ok=True)
        if path.parent != self.folder:
            with suppress(OSError):  # not empty yet
                path.parent.rmdir()


@dataclass(frozen=True)
class WebStore:
    """Files on a web server, read by the standard library alone."""

    url: str

    @property
    def location(self) -> str:
        return self.url

    def read(self, name: str) -> bytes:
        with (
            _web_errors(self._url(name)),
            # http and https alone come here.
            urllib.request.urlopen(self._url(name), timeout=_TIMEOUT_S) as response,  # nosec B310
        ):
            data: bytes = response.read()
        return data

    def download(self, name: str, target: Path) -> None:
        with _web_errors(self._url(name)):
            transfer(self._url(name), target, _TIMEOUT_S)

    def _url(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/{name}"


@contextmanager
def _web_errors(url: str) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            raise FileNotFoundError(url) from error
        raise ConnectionError(f"the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise ConnectionError(str(getattr(error, "reason", None) or error)) from error


@dataclass(frozen=True)
class ObjectStore:
    """A prefix in object storage. Credentials and endpoint are the library's own business: for S3
    AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and the rest of the usual variables and files."""

    url: str

    @property
    def location(self) -> str:
        return self.url

    def read(self, name: str) -> bytes:
        with self._files() as files:
            data: bytes = files.cat_file(self._path(name))
        return data

    def download(self, name: str, target: Path) -> None:
        with self._files() as files:
            files.get_file(self._path(name), str(target))

    def names(self) -> list[str]:
        with self._files() as files:
            files.invalidate_cache()
            below = files._strip_protocol(self.url).rstrip("/") + "/"
            try:
                found = files.find(below)
            except FileNotFoundError:
                return []
        return sorted(path.removeprefix(below) for path in found)

    def write(self, name: str, data: bytes) -> None:
        with self._written(name) as files:
            files.pipe_file(self._path(name), data)

    @contextmanager
    def committing(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="hilum-") as folder:
            draft = Path(folder) / name
            yield draft
            with self._written(name) as files:
                files.put_file(str(draft), self._path(name))

    def remove(self, name: str) -> None:
        with self._written(name) as files, suppress(FileNotFoundError):
            files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/{name}"

    @contextmanager
    def _files(self) -> Iterator[Any]:
        """fsspec's file system, which it keeps for each process; its errors in our few kinds."""
        import fsspec  # type: ignore[import-untyped]

        try:
            yield fsspec.core.url_to_fs(self.url)[0]
        except (FileNotFoundError, PermissionError):
            raise
        except _object_errors() as error:
            raise ConnectionError(" ".join(str(error).split())) from error

    @contextmanager
    def _written(self, name: str) -> Iterator[Any]:
        try:
            with self._files() as files:
                yield files
        except (FileNotFoundError, PermissionError, ConnectionError) as error:
            raise OutputError(
                self._path(name),
                f"cannot be written ({' '.join(str(error).split())})",
                remedy="see that the bucket is there and that these credentials may write to it",
            ) from error


def _object_store(url: str) -> ObjectStore:
    import fsspec

    scheme = url.partition("://")[0]
    if scheme in ("s3", "s3a") and find_spec("s3fs") is None:
        raise MissingExtraError(url, "remote", "a folder on a disk")
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise DataError(url, str(error), remedy="install what it names") from error
    except ValueError as error:
        raise DataError(
            url, f"no storage is known as {scheme}://", expected="s3://…, https://…, or a folder"
        ) from error
    return ObjectStore(url)


def _object_errors() -> tuple[type[Exception], ...]:
    """What the libraries of object storage raise when a connection fails or is refused."""
    kinds: list[type[Exception]] = [OSError, EOFError]
    with suppress(ImportError):
        from aiohttp import ClientError as WebError

        kinds.append(WebError)
    with suppress(ImportError):
        from botocore.exceptions import (  # type: ignore[import-untyped]
            BotoCoreError,
            ClientError,
        )

        kinds += [BotoCoreError, ClientError]
    return tuple(kinds)
