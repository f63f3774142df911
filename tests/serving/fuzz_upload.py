"""A fuzzer of what comes in: `python fuzz_upload.py CORPUS [-runs=N …]`, with libFuzzer's flags.

The first byte of an input chooses the way: a film's bytes, or a form that holds some. Whatever is
thrown but a refusal ends the run with the input that did it.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["hilum.data.radiograph", "hilum.serving", "starlette.formparsers"]
):
    from starlette.requests import Request

    from hilum.data.preprocessing import reduction_to
    from hilum.errors import RadiographError
    from hilum.recipe import ReadingPart
    from hilum.serving.film import prepare
    from hilum.serving.limits import Limits
    from hilum.serving.rejection import Rejected
    from hilum.serving.uploads import take_in

READING, STEPS = ReadingPart(), reduction_to(28)
LIMITS = Limits(film=50_000, body=100_000)
BOUNDARY = "xyz"


def seeds(folder: Path) -> None:
    """Films of every format and forms with them, where the corpus is empty."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from data.radiograph.made_films import all_formats

    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="film"; filename="f"\r\n\r\n'
    for name, film in all_formats().items():
        (folder / name).write_bytes(b"\0" + film)
    for name in ("grey8.png", "grey.jpg", "explicit.dcm"):
        body = head.encode() + all_formats()[name] + f"\r\n--{BOUNDARY}--\r\n".encode()
        (folder / f"form-{name}").write_bytes(b"\1" + body)
        (folder / f"form-twice-{name}").write_bytes(b"\1" + body.replace(b"--\r\n", b"\r\n") + body)


async def upload(body: bytes) -> None:
    pieces = [body[n : n + 4096] for n in range(0, len(body), 4096)] or [b""]

    async def receive() -> dict[str, object]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    kind = f"multipart/form-data; boundary={BOUNDARY}".encode()
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind)]}
    taken = await take_in(Request(scope, receive), LIMITS, films=4, held=lambda size: None)
    taken.close()


def one(data: bytes) -> None:
    try:
        if data[:1] == b"\1":
            asyncio.run(upload(data[1:]))
        else:
            prepare(data[1:], READING, STEPS, picture=True)
    except (Rejected, RadiographError):
        return


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        seeds(corpus)
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
