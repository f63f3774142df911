"""The process that decodes: one film after another from a socket, under limits of its own.

Who starts, times and replaces it is `decoding`; it answers in JSON and raw bytes, never in pickles.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import sys
from functools import lru_cache
from typing import Any, BinaryIO, cast

ASKED = struct.Struct("<IQ")  # bytes of the header, of the film
SAID = struct.Struct("<IQQ")  # bytes of the header, of the network's input, of the picture
HELLO = b"ready"
# What a child may open beside its socket: a module that is imported late, and no more.
_FILES = 16


def main() -> None:
    """`python -m hilum.serving.child SOCKET MEMORY SECONDS`.

    SOCKET: descriptor; MEMORY: bytes of address space in all; SECONDS: longest time of a film,
        after which the child ends itself should nobody be left to end it
    """
    descriptor, memory, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)  # the parent ends it, once its films are answered
    _silence()
    # What is imported late elsewhere is imported here before there are limits.
    import hilum.data.radiograph.dicom
    import hilum.serving.film  # noqa: F401

    with socket.socket(fileno=descriptor) as parent:
        _limit(memory)
        parent.sendall(HELLO)
        asked = cast(BinaryIO, parent.makefile("rb", buffering=1 << 16))
        while answer(asked, parent, seconds):
            pass


def answer(asked: BinaryIO, parent: socket.socket, seconds: float) -> bool:
    """Take one film and say what it is; False when there is nobody left to ask."""
    head = asked.read(ASKED.size)
    if len(head) < ASKED.size:
        return False
    header_size, content_size = ASKED.unpack(head)
    header, content = asked.read(header_size), asked.read(content_size)
    if len(content) < content_size:
        return False
    signal.setitimer(signal.ITIMER_REAL, seconds)
    said, image, picture = _read(content, header)
    signal.setitimer(signal.ITIMER_REAL, 0)
    line = json.dumps(said).encode()
    parent.sendall(SAID.pack(len(line), len(image), len(picture)) + line)
    parent.sendall(image)
    parent.sendall(picture)
    return True


def _read(content: bytes, header: bytes) -> tuple[dict[str, Any], bytes | memoryview, bytes]:
    from hilum.errors import RadiographError
    from hilum.serving.film import prepare
    from hilum.serving.wording import without_content

    reading, steps, picture = _wanted(header)
    try:
        film = prepare(content, reading, steps, picture=picture)
    except RadiographError as error:
        return {"error": without_content(error)}, b"", b""
    except MemoryError:
        return {"error": "film: needs more memory than a film may take"}, b"", b""
    said: dict[str, Any] = {
        "digest": film.digest,
        "shape": film.image_chw.shape,
        "facts": vars(film.facts),
        "warnings": film.warnings,
    }
    return said, film.image_chw.data.cast("B"), film.picture


@lru_cache(8)
def _wanted(header: bytes):  # type: ignore[no-untyped-def]
    from pydantic import TypeAdapter

    from hilum.data.preprocessing import Step
    from hilum.recipe import ReadingPart

    plain = json.loads(header)
    steps = TypeAdapter(tuple[Step, ...]).validate_python(plain["steps"])
    return ReadingPart.model_validate(plain["reading"]), steps, bool(plain["picture"])


def _silence() -> None:
    """Codecs in C write what they found in a film to the terminal; here they write to nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _limit(memory: int) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),  # a dump would hold the film
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _FILES),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main()
