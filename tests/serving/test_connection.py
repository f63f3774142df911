"""A connection whose client does not say in time what it wants is closed."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvicorn

from hilum.serving import connection
from hilum.serving.connection import timed
from serving_made import done


async def hello(scope: object, receive: object, send: object) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    await send(start)  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"hi"})  # type: ignore[operator]


async def served(*said: bytes) -> tuple[bytes, float]:
    """What a client hears who sends pieces 0.1 s apart and then is silent, and for how long."""
    config = uvicorn.Config(
        hello,
        port=0,
        http=timed(0.5),
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=20,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    for piece in said:
        writer.write(piece)
        await asyncio.sleep(0.1)
    try:
        heard = await asyncio.wait_for(reader.read(), 2)
    except TimeoutError:
        heard = b"still there"
    seconds = time.monotonic() - began
    writer.close()
    server.should_exit = True
    await serving
    return heard, seconds


REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def test_silence_and_headers_in_drops_end_a_connection() -> None:
    for said in ([], [b"GET / HTTP/1.1\r\n", b"host:", b" x\r\n", b"a: b\r\n"]):
        heard, seconds = done(served(*said))
        assert heard == b""
        assert seconds < 5


def test_so_do_headers_in_drops_after_a_first_request() -> None:
    heard, seconds = done(served(REQUEST, b"GET / HT"))
    assert heard.endswith(b"hi")
    assert seconds < 5


def test_who_has_asked_may_be_silent_for_a_while() -> None:
    assert done(served(REQUEST))[0] == b"still there"


def test_so_does_a_body_that_goes_on_after_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REST", 0.5)
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    heard, seconds = done(served(head % 10**8, *[b"x"] * 3))
    assert heard.endswith(b"hi")
    assert seconds < 5
    heard, _ = done(served(head % 3, b"x", b"xx", REQUEST))
    assert heard == b"still there"
