"""The service itself, whoever asks: the bundle at work, the films taken on, the swap to another.

Requests are `http`'s business, studies `dicom`'s; processes and signals are left to `running`.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilum.bundle import Bundle
from hilum.data.preprocessing import preprocess
from hilum.engines import Engine, open_engine
from hilum.errors import HilumError
from hilum.foreign import open_model
from hilum.serving.answering import Answerer, FilmAnswer
from hilum.serving.batching import Asked, Batcher, Record, cannot_record
from hilum.serving.decoding import Decoder, Pool, Spool
from hilum.serving.describing import CARD, describe
from hilum.serving.film import Film
from hilum.serving.limits import Limits
from hilum.serving.rejection import Kind, Rejected
from hilum.serving.watching import Watch

_log = logging.getLogger(__name__)
Content = bytes | Spool
_PIECE = 1 << 20


class Line:
    """One bundle at work: its films are decoded, answered and recorded together."""

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
        self.card = bundle.read(CARD) if CARD in bundle.manifest.files else None
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
                try:
                    read.append(self._read(content, until, picture=False))
                finally:
                    with self._lock:
                        self._decoding -= 1
                self.batcher.put(read[0], until, answer, asked=asked)
            except Exception as error:  # handed to the caller
                answer.set_exception(error)

        with self._lock:
            self._decoding += 1
        self._threads.submit(work)
        return answer

    def picture(self, content: Content, until: float) -> Future[Film]:
        """Have a film read, with its picture. The future may raise Rejected."""
        return self._threads.submit(lambda: self._read(content, until, picture=True))

    def withheld(self, done: Future[FilmAnswer]) -> None:
        """Record that an answer, if one there is, came too late to be given."""
        if self.record is None or done.exception() is not None:
            return
        with suppress(Rejected):  # it is in the log
            self._rejected(self.record, done.result().input, Kind.TIMED_OUT)

    def map_of(self, answer: FilmAnswer, finding: str) -> Future[NDArray[np.float32]]:
        """Have a map made of an answer of this line."""
        return self._threads.submit(lambda: self.answerer.map_of(answer, finding))

    @contextmanager
    def used(self) -> Iterator[Line]:
        """While it is used it goes on, even should another have taken its place."""
        self.enter()
        try:
            yield self
        finally:
            self.leave()

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

    def _read(self, content: Content, until: float, *, picture: bool) -> Film:
        began = time.monotonic()
        try:
            return self.decoder.decode(content, picture=picture, until=until)
        except Rejected as no:
            if self.record is not None and not picture:
                self._keep(self.record, content, no.kind)
            raise
        finally:
            self._watch.stage("decode", time.monotonic() - began)

    def _account(self, read: Sequence[Film], done: Future[FilmAnswer]) -> None:
        """Record a film that was read and got no answer; of one that was not, `_read` does."""
        error = done.exception()
        if self.record is None or error is None or not read:
            return
        kind = error.kind if isinstance(error, Rejected) else Kind.FAILED
        with suppress(Rejected):  # it is in the log
            self._rejected(self.record, read[0].digest, kind)

    def _keep(self, record: Record, content: Content, kind: Kind) -> None:
        self._rejected(record, _digest(content), kind)

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


class Service:
    """What answers, for HTTP and DICOM alike. Many threads may use it."""

    def __init__(
        self,
        bundle: Bundle,
        limits: Limits | None = None,
        *,
        engine: Callable[[Bundle], Engine] = open_engine,
        record: Callable[[Bundle], Record] | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Start the processes that decode, and open the engine.

        engine: opens a bundle's
        record: opens the account of a bundle's answers; None keeps none
        Raises BundleError when the engine cannot be run.
        """
        self.limits, self.watch = limits or Limits(), watch or Watch()
        self.draining = False
        self._open_engine, self._open_record = engine, record
        self._lock, self._swapping = threading.Lock(), threading.Lock()
        self._films, self._bytes = 0, 0
        self.pool = Pool(self.limits, replaced=self.watch.child_replaced)
        # One more than decode: a map or a picture should not wait for films behind a slow one.
        self._threads = ThreadPoolExecutor(self.limits.children + 1, "films")
        try:
            self._line = self._new_line(bundle)
        except BaseException:
            self.close()
            raise
        self._tell(self._line, at_work=True)

    @property
    def bundle(self) -> Bundle:
        """The one that answers at present."""
        return self._line.bundle

    @property
    def engine(self) -> str:
        """Its engine's name."""
        return self._line.answerer.engine

    @contextmanager
    def line(self) -> Iterator[Line]:
        """The bundle at work, for as long as a caller has use for it."""
        with self._lock:
            line = self._line
            line.enter()
        try:
            yield line
        finally:
            line.leave()

    @property
    def films(self) -> int:
        """Films that were taken on and are not answered yet."""
        return self._films

    def refuse_new(self) -> None:
        """Raises Rejected when no new request is welcome."""
        if self.draining:
            raise Rejected(Kind.BUSY, "the service is ending", retry_after_s=5)

    def take_on(self, films: int, size: int) -> None:
        """Take on so many films, or bytes of them. Raises Rejected when that is too much.

        More of a request that was taken on is welcome while the service ends; a new one is not,
        see `refuse_new`.
        """
        with self._lock:
            full = self._films + films > self.limits.queue
            if full or (self._bytes and self._bytes + size > self.limits.held):
                raise Rejected(Kind.BUSY, "too many films are waiting", retry_after_s=1)
            self._films += films
            self._bytes += size
            held = self._films
        self.watch.films_held(held)

    def let_go(self, films: int, size: int) -> None:
        """They are answered, one way or another."""
        with self._lock:
            self._films -= films
            self._bytes -= size
            held = self._films
        self.watch.films_held(held)

    def why_not_ready(self) -> str | None:
        """Why a film should be sent elsewhere at present; None when it is welcome."""
        if self.draining:
            return "ending"
        if self._films >= self.limits.queue:
            return "too many films are waiting"
        return None if self.pool.ready() else "no process that decodes answers"

    def swap(self, path: Path) -> bool:
        """Go over to the bundle at `path`, which is verified and warmed beside the one at work.

        Films that were taken on before are answered by the old one. Returns False, and leaves the
        old one at work, when the new one is damaged or cannot be run; one line in the log says why.
        """
        with self._swapping:
            try:
                new = self._new_line(open_model(path))
            except HilumError as error:
                _log.error("the new bundle is refused: %s", error)
                self.watch.swap("refused")
                return False
            with self._lock:
                old, self._line = self._line, new
            self._tell(old, at_work=False)
            self._tell(new, at_work=True)
            self.watch.swap("done")
            old.retire()
            _log.info("bundle %s answers now", new.bundle.digest[:12])
            return True

    def close(self) -> None:
        """Answer what was taken on, and end everything."""
        self.draining = True
        if hasattr(self, "_line"):
            self._line.batcher.close()
        self.pool.close()
        self._threads.shutdown()

    def _new_line(self, bundle: Bundle) -> Line:
        record = None if self._open_record is None else self._open_record(bundle)
        engine = self._open_engine(bundle)
        return Line(
            bundle, self.pool, self._threads, engine=engine, record=record, watch=self.watch
        )

    def _tell(self, line: Line, *, at_work: bool) -> None:
        bundle = line.bundle
        self.watch.bundle(
            bundle.digest, bundle.manifest.name, line.answerer.engine, at_work=at_work
        )
