"""One bundle at work: its films are decoded, answered and recorded together.

Which bundle that is, and how many films are taken on, is `service`'s business.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from hilum.bundle import Bundle
from hilum.data.preprocessing import preprocess
from hilum.engines import Engine
from hilum.errors import HilumError
from hilum.serving.answering import Answerer, FilmAnswer
from hilum.serving.batching import Asked, Batcher, Record, cannot_record
from hilum.serving.decoding import Decoder, Pool, Spool
from hilum.serving.describing import describe
from hilum.serving.film import Film
from hilum.serving.rejection import Kind, Rejected
from hilum.serving.watching import Watch

Content = bytes | Spool
_PIECE = 1 << 20


class Line:
    """A bundle, its engine, its decoder and its record. Many threads may use it."""

    def __init__(
        self,
        bundle: Bundle,
        pool: Pool,
        threads: ThreadPoolExecutor,
        *,
        engine: Engine,
        record: Record | None,
        watch: Watch,
    ) -> None:
        """Warm the engine. Raises BundleError when the bundle's policy cannot be read."""
        self.bundle, self.record = bundle, record
        self.answerer = Answerer(bundle, engine)
        # Read here: another bundle stands in its folder before this one has answered its last.
        self.description = describe(bundle, self.answerer.engine, pool.limits)
        self.card = bundle.card()
        self.decoder = Decoder(bundle.manifest.reading, bundle.manifest.preprocessing, pool)
        self._threads, self._watch = threads, watch
        self._decoding, self._users, self._retired = 0, 0, False
        self._lock = threading.Lock()
        self._warm(pool.limits.batch)
        self.batcher = Batcher(
            self.answerer,
            pool.limits,
            record=record,
            watch=watch,
            coming=lambda: self._decoding > 0,
        )

    def answer(
        self, content: Content, until: float, *, asked: Asked = "answered"
    ) -> Future[FilmAnswer]:
        """Have a film answered. The future may raise Rejected.

        until: of the monotonic clock; asked: what for, as the record has it
        """
        answer: Future[FilmAnswer] = Future()
        read: list[Film] = []
        answer.add_done_callback(lambda done: self._account(read, done))
        answer.set_running_or_notify_cancel()  # a caller who goes away leaves it to be answered

        def work() -> None:
            try:
                read.append(self._read_or_reject(content, until))
                self.batcher.put(read[0], until, answer, asked=asked)
            except Exception as error:  # handed to the caller
                answer.set_exception(error)

        self._comes()
        self._threads.submit(work)
        return answer

    def read_and_answer(self, content: Content, until: float) -> tuple[Film, FilmAnswer]:
        """A film with its picture, and its answer, which is on record; waits for both.

        Raises Rejected, of which nothing is recorded: whether the film is tried again is known to
        the caller, who calls `reject` when it is not.
        """
        self._comes()
        film = self._read_for_batch(content, until, picture=True)
        answer: Future[FilmAnswer] = Future()
        self.batcher.put(film, until, answer)
        return film, answer.result()

    def reject(self, content: Content, kind: Kind) -> None:
        """Record that a film gets no answer. Raises Rejected when it cannot be recorded."""
        if self.record is not None:
            self._rejected(self.record, _digest(content), kind)

    def withheld(self, done: Future[FilmAnswer]) -> None:
        """Record that an answer, if one there is, came too late to be given."""
        if self.record is None or done.exception() is not None:
            return
        with suppress(Rejected):  # it is in the log
            self._rejected(self.record, done.result().input, Kind.TIMED_OUT)

    def picture(self, content: Content, until: float) -> Future[Film]:
        """Have a film read, with its picture. The future may raise Rejected."""
        return self._threads.submit(lambda: self._read(content, until, picture=True))

    def map_of(self, answer: FilmAnswer, finding: str) -> Future[NDArray[np.float32]]:
        """Have a map made of an answer of this line."""
        return self._threads.submit(lambda: self.answerer.map_of(answer, finding))

    def enter(self) -> None:
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._retired and self._users == 0
        if last:
            self._end()

    def retire(self) -> None:
        """Answer those who are here, then end."""
        with self._lock:
            self._retired = True
            last = self._users == 0
        if last:
            self._end()

    def _end(self) -> None:
        # In a thread: the last to leave may be the one who must not wait.
        threading.Thread(target=self.batcher.close, name="retiring").start()

    def _comes(self) -> None:
        """A film is about to be read, for which it is worth to wait with a batch."""
        with self._lock:
            self._decoding += 1

    def _read(self, content: Content, until: float, *, picture: bool) -> Film:
        began = time.monotonic()
        try:
            return self.decoder.decode(content, picture=picture, until=until)
        finally:
            self._watch.stage("decode", time.monotonic() - began)

    def _read_for_batch(self, content: Content, until: float, *, picture: bool) -> Film:
        """Of a film that `_comes`."""
        try:
            return self._read(content, until, picture=picture)
        finally:
            with self._lock:
                self._decoding -= 1

    def _read_or_reject(self, content: Content, until: float) -> Film:
        try:
            return self._read_for_batch(content, until, picture=False)
        except Rejected as no:
            self.reject(content, no.kind)
            raise

    def _account(self, read: Sequence[Film], done: Future[FilmAnswer]) -> None:
        """Record a film that was read and got no answer; `_read_or_reject` does of the others."""
        error = done.exception()
        if self.record is None or error is None or not read:
            return
        kind = error.kind if isinstance(error, Rejected) else Kind.FAILED
        with suppress(Rejected):  # it is in the log
            self._rejected(self.record, read[0].digest, kind)

    def _rejected(self, record: Record, digest: str | None, kind: Kind) -> None:
        try:
            record.rejected(digest, kind)
        except (OSError, HilumError) as error:
            raise cannot_record(error) from error

    def _warm(self, batch: int) -> None:
        """Let the engine meet the shapes that it will see: its first answer takes longer."""
        grey_hw = np.random.default_rng(0).integers(0, 255, (256, 256)).astype(np.uint8)
        image_chw = preprocess(grey_hw, self.bundle.manifest.preprocessing)
        for films in (1, batch):
            self.answerer.predictor.run(np.stack([image_chw] * films))


def _digest(content: Content) -> str | None:
    """SHA-256 of a film; None where it has gone with the client who brought it."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with suppress(Rejected), content.held():
        content.file.seek(0)
        digest = hashlib.sha256()
        while piece := content.file.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest()
    return None
