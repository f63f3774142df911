"""A request's body → the films in it, under limits of size, number and time.

Nothing of the body is kept in memory beyond a small film, and no file name is looked at. What a
film holds is `decoding`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from hilum.serving.decoding import Spool
from hilum.serving.limits import Limits
from hilum.serving.rejection import Kind, Rejected

RAW = ("application/dicom", "application/octet-stream", "image/jpeg", "image/png", "image/tiff")
FORM = "multipart/form-data"
_IN_MEMORY = 1 << 20
_FIELDS = 8
_FIELD_SIZE = 1 << 10


@dataclass
class Upload:
    """What a request brought. fields: text beside the films, by name; close it when done.

    A film that is still being read by then, for nobody, is closed by its last reader.
    """

    films: list[bytes | Spool]
    fields: dict[str, str] = field(default_factory=dict)

    def close(self) -> None:
        for film in self.films:
            if isinstance(film, Spool):
                film.close()


async def take_in(
    request: Request, limits: Limits, *, films: int, held: Callable[[int], None]
) -> Upload:
    """Read a request's body.

    films: that it may hold at most; held: called with the size of each piece that has come in; may
        raise Rejected
    Raises Rejected: TOO_LARGE, UNSUPPORTED, MALFORMED, SLOW.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    limit = limits.body if kind == FORM else limits.film

    async def pieces(clock: asyncio.Timeout) -> AsyncGenerator[bytes, None]:
        size, began = 0, asyncio.get_running_loop().time()
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            held(len(piece))
            # Who is slow holds a place that others could have.
            seconds = min(limits.body_time, limits.slow_time + size / limits.rate)
            clock.reschedule(began + seconds)
            yield piece

    try:
        async with asyncio.timeout(min(limits.body_time, limits.slow_time)) as clock:
            if kind == FORM:
                return await _form(request.headers, pieces(clock), limits, films)
            if kind in RAW:
                return await _raw(pieces(clock))
    except TimeoutError:
        expected = f"expected {limits.rate:,} bytes a second, and all in {limits.body_time:g} s"
        raise Rejected(Kind.SLOW, f"the body comes too slowly; {expected}") from None
    raise Rejected(
        Kind.UNSUPPORTED, f"content type not known; expected {FORM}, or one of {', '.join(RAW)}"
    )


def too_large(limit: int) -> Rejected:
    """What a body gets that is longer than `limit` bytes."""
    return Rejected(Kind.TOO_LARGE, f"more than {limit:,} bytes")


async def _raw(pieces: AsyncGenerator[bytes, None]) -> Upload:
    file = cast(BinaryIO, SpooledTemporaryFile(max_size=_IN_MEMORY))  # noqa: SIM115
    try:
        size = 0
        async for piece in pieces:
            size += len(piece)
            file.write(piece)
        return Upload([_content(file, size)])
    except BaseException:
        file.close()
        raise


def _content(file: BinaryIO, size: int) -> bytes | Spool:
    if size > _IN_MEMORY:
        return Spool(file, size)
    with file:
        file.seek(0)
        return file.read()


class _Parser(MultiPartParser):
    """Starlette's parser, with a limit to each film."""

    spool_max_size = _IN_MEMORY
    film_limit = 0
    _film_size = 0

    def on_part_begin(self) -> None:
        self._film_size = 0
        super().on_part_begin()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._film_size += end - start
        if self._film_size > self.film_limit:
            raise too_large(self.film_limit)
        super().on_part_data(data, start, end)


async def _form(
    headers: Headers, pieces: AsyncGenerator[bytes, None], limits: Limits, films: int
) -> Upload:
    # One more, for which there is an answer of its own below.
    parser = _Parser(
        headers, pieces, max_files=films + 1, max_fields=_FIELDS, max_part_size=_FIELD_SIZE
    )
    parser.film_limit = limits.film
    try:
        form = await parser.parse()
    # Starlette lets through what its parser throws at some versions of it.
    except (MultiPartException, FormParserError):
        raise Rejected(Kind.MALFORMED, "the form cannot be read") from None
    upload = Upload([])
    try:
        _sort(form, upload, films)
    except Rejected:
        await form.close()
        raise
    return upload


def _sort(form: FormData, upload: Upload, films: int) -> None:
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and name == "film":
            upload.films.append(_content(value.file, value.size or 0))
        elif isinstance(value, str) and name != "film":
            upload.fields[name] = value
        else:
            raise Rejected(Kind.MALFORMED, "expected films as files in fields named 'film'")
    if not upload.films:
        raise Rejected(Kind.MALFORMED, "no film; expected a file in a field named 'film'")
    if len(upload.films) > films:
        raise Rejected(Kind.TOO_LARGE, f"more than {films} films in one request")
