"""Bytes → Film, in processes of their own: what a file holds can end one of these, and no more.

What the process does is left to `child`, what it does to a film to `film.prepare`.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from hilum.data.preprocessing import Step
from hilum.recipe import ReadingPart
from hilum.serving.child import ASKED, HELLO, SAID
from hilum.serving.film import Facts, Film
from hilum.serving.limits import Limits
from hilum.serving.rejection import GaveWay, Kind, Rejected

_log = logging.getLogger(__name__)
_SECRETS = ("HILUM_TOKEN", "HILUM_DICOMWEB_TOKEN")
_START = 60.0  # seconds that a child may take to import what it needs
_PIECE = 1 << 20
# A child's answer is believed within these bounds alone: its codecs may have been overrun.
_SAID_LIMIT = 1 << 16
_IMAGE_LIMIT = 4 * 4096 * 4096
_PICTURE_LIMIT = 1 << 23


class _Gone(Exception):
    """The child ended, or did not answer in time."""


@dataclass
class Spool:
    """A film that waits in a file, so that it does not fill memory; for one reader at a time.

    Whoever brought it may close it at any time: the file goes when nobody reads it any more.
    """

    file: BinaryIO
    size: int
    _readers: int = field(default=0, init=False, repr=False)
    _closed: bool = field(default=False, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the file open meanwhile. Raises Rejected where nobody wants it read any more."""
        with self._lock:
            if self._closed and not self._readers:
                raise Rejected(Kind.TIMED_OUT, "no answer in time")
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                last = self._closed and not self._readers
            if last:
                self.file.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            last = not self._readers
        if last:
            self.file.close()


class _Child:
    """One process that decodes, for one caller at a time; it is started without waiting for it."""

    def __init__(self, limits: Limits) -> None:
        self.socket, other = socket.socketpair()
        with ExitStack() as failed, other:
            failed.callback(self.socket.close)
            environment = {
                **{name: value for name, value in os.environ.items() if name not in _SECRETS},
                # Each thread of a numerical library takes address space.
                **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")},
            }
            # A little longer than the parent waits: it acts where no parent is left.
            alarm = limits.decode_time + 5
            command = [sys.executable, "-P", "-m", "hilum.serving.child", str(other.fileno())]
            self.process = subprocess.Popen(
                [*command, str(limits.child_memory), str(alarm)],
                pass_fds=[other.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            failed.pop_all()
        self.began = False

    def begin(self, seconds: float = _START) -> None:
        """Wait until it is ready. Raises _Gone, and TimeoutError."""
        if not self.began:
            self.socket.settimeout(seconds)
            if self._take(len(HELLO)) != HELLO:
                raise _Gone
            self.began = True

    def ask(self, header: bytes, content: bytes | Spool, seconds: float) -> _Said:
        """Let it read a film. Raises _Gone, and TimeoutError."""
        until = time.monotonic() + seconds
        size = len(content) if isinstance(content, bytes) else content.size
        self._send(ASKED.pack(len(header), size) + header, until)
        if isinstance(content, bytes):
            self._send(content, until)
        else:
            left = size
            content.file.seek(0)
            while left:
                piece = content.file.read(min(_PIECE, left))
                if not piece:
                    raise ValueError("a film that is shorter than it was")
                self._send(piece, until)
                left -= len(piece)
        self._wait(until)
        sizes = SAID.unpack(self._take(SAID.size))
        limits = (_SAID_LIMIT, _IMAGE_LIMIT, _PICTURE_LIMIT)
        if any(size > limit for size, limit in zip(sizes, limits, strict=True)):
            raise _Gone
        said, image, picture = (self._take(size) for size in sizes)
        return _Said(said, image, picture)

    def _send(self, data: bytes, until: float) -> None:
        self._wait(until)
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise
        except OSError:
            raise _Gone from None

    def _wait(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)

    def _take(self, size: int) -> bytearray:
        taken = bytearray(size)
        view, at = memoryview(taken), 0
        while at < size:
            try:
                n = self.socket.recv_into(view[at:])
            except TimeoutError:
                raise
            except OSError:
                raise _Gone from None
            if n == 0:
                raise _Gone
            at += n
        return taken

    def end(self) -> None:
        """End it at once."""
        self.socket.close()
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class _Said:
    header: bytearray
    image: bytearray
    picture: bytearray


class Pool:
    """Processes that decode, for all bundles of a service. Many threads may ask at once."""

    def __init__(
        self, limits: Limits | None = None, *, replaced: Callable[[], None] = lambda: None
    ) -> None:
        """Start them. replaced: called whenever one has ended and another is started."""
        self.limits = limits or Limits()
        self._replaced = replaced
        self._lock = threading.Lock()
        self._closed = False
        self._children = {_Child(self.limits) for _ in range(self.limits.children)}
        # The one that was used last is the one whose memory is warm.
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        for child in self._children:
            self._idle.put(child)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes at work."""
        with self._lock:
            return tuple(child.process.pid for child in self._children)

    def ask(self, header: bytes, content: bytes | Spool, until: float) -> _Said:
        """Let the next free process read a film. until: of the monotonic clock. Raises Rejected.

        A process may be ended by somebody else, as when memory is short: its film is tried once
        more. One that ends two processes is to blame itself.
        """
        try:
            return self._ask(header, content, until)
        except _Gone:
            try:
                return self._ask(header, content, until)
            except _Gone:
                detail = "film: it ended the process that decodes it"
                raise GaveWay(Kind.UNREADABLE, detail) from None

    def _ask(self, header: bytes, content: bytes | Spool, until: float) -> _Said:
        child = self._free(until)
        sound = False
        try:
            child.begin()
            said = child.ask(header, content, self.limits.decode_time)
            sound = True
            return said
        except TimeoutError:
            limit = f"{self.limits.decode_time:g} s"
            raise GaveWay(Kind.UNREADABLE, f"film: not decoded within {limit}") from None
        except _Gone:
            if not child.began:
                raise Rejected(
                    Kind.BUSY, "films cannot be decoded at present", retry_after_s=5
                ) from None
            raise
        finally:
            self._give_back(child, sound=sound)

    def ready(self, seconds: float = 1.0) -> bool:
        """Whether films can be decoded: all processes are at work, or one that rests answers."""
        try:
            child = self._free(time.monotonic())
        except Rejected as no:
            with self._lock:
                living = any(child.process.poll() is None for child in self._children)
            return no.kind is Kind.TIMED_OUT and living
        sound = False
        try:
            child.begin(seconds)
            sound = child.process.poll() is None
        except TimeoutError:
            sound = True  # it is still on its way
            return False
        except _Gone:
            return False
        finally:
            self._give_back(child, sound=sound)
        return sound

    def close(self) -> None:
        """End all of them; a film that is being read is rejected."""
        with self._lock:
            self._closed = True
            children, self._children = self._children, set()
        for child in children:
            child.end()

    def _free(self, until: float) -> _Child:
        """One that lives; of those that died at rest, another in its place."""
        dead: list[_Child] = []
        try:
            while not self._closed:
                left = 0.0 if dead else max(0.0, until - time.monotonic())
                child: _Child | None = self._idle.get(timeout=left)
                if child is not None and child.process.poll() is not None:
                    child = self._instead_of(child)
                if child is None:
                    break
                if child.process.poll() is None:
                    return child
                dead.append(child)
        except queue.Empty:
            if not dead:
                raise Rejected(Kind.TIMED_OUT, "no answer in time") from None
            raise Rejected(
                Kind.BUSY, "films cannot be decoded at present", retry_after_s=5
            ) from None
        finally:
            for child in dead:
                self._idle.put(child)
        raise Rejected(Kind.BUSY, "the service is ending", retry_after_s=5)

    def _give_back(self, child: _Child, *, sound: bool) -> None:
        put = child if sound else self._instead_of(child)
        if put is not None:
            self._idle.put(put)

    def _instead_of(self, child: _Child) -> _Child | None:
        """Another in its place, or None at the end of all.

        Where none can be started at present it is the dead one, and who takes it next tries again.
        """
        child.end()
        with self._lock:
            if self._closed:
                self._children.discard(child)
                return None
            try:
                new = _Child(self.limits)
            except OSError as error:
                _log.error("a process that decodes cannot be started (%s)", error.strerror)
                return child
            self._children.discard(child)
            self._children.add(new)
        self._replaced()
        return new


class Decoder:
    """Reads films as one bundle wants them. Many threads may ask at once."""

    def __init__(
        self, reading: ReadingPart, steps: Sequence[Step], pool: Pool | None = None
    ) -> None:
        """pool: that decodes, which the caller closes; None starts one of its own."""
        self.reading, self.steps = reading, tuple(steps)
        self._own = pool is None
        self.pool = pool or Pool()
        self._header = {picture: self._asked(picture) for picture in (False, True)}

    def decode(
        self, content: bytes | Spool, *, picture: bool = False, until: float | None = None
    ) -> Film:
        """Read one film. until: when the answer is no longer wanted. Raises Rejected."""
        limits = self.pool.limits
        size = len(content) if isinstance(content, bytes) else content.size
        if size > limits.film:
            raise Rejected(
                Kind.TOO_LARGE, f"film: {size:,} bytes; expected at most {limits.film:,}"
            )
        if size == 0:
            raise Rejected(Kind.UNREADABLE, "film: empty; expected an image file")
        if until is None:
            until = time.monotonic() + limits.deadline
        with nullcontext() if isinstance(content, bytes) else content.held():
            said = self.pool.ask(self._header[picture], content, until)
        plain = json.loads(said.header)
        if "error" in plain:
            raise Rejected(Kind.UNREADABLE, plain["error"])
        facts = plain["facts"]
        if facts["pixel_spacing_mm"] is not None:
            facts["pixel_spacing_mm"] = tuple(facts["pixel_spacing_mm"])
        return Film(
            plain["digest"],
            np.frombuffer(said.image, np.float32).reshape(plain["shape"]),
            Facts(**facts),
            tuple(plain["warnings"]),
            bytes(said.picture),
        )

    def close(self) -> None:
        """End what decodes, where it is its own."""
        if self._own:
            self.pool.close()

    def _asked(self, picture: bool) -> bytes:
        asked = {
            "reading": self.reading.model_dump(mode="json"),
            "steps": [step.model_dump(mode="json") for step in self.steps],
            "picture": picture,
        }
        return json.dumps(asked).encode()
