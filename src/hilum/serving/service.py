"""The service itself, whoever asks: the bundle at work, the films taken on, the swap to another.

Requests are `http`'s business, studies `dicom`'s; processes and signals are left to `running`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from hilum.bundle import Bundle
from hilum.engines import Engine, open_engine
from hilum.errors import HilumError
from hilum.foreign import open_model
from hilum.serving.batching import Record
from hilum.serving.decoding import Pool
from hilum.serving.limits import Limits
from hilum.serving.line import Line
from hilum.serving.rejection import Kind, Rejected
from hilum.serving.watching import Watch

_log = logging.getLogger(__name__)


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
        # What works beside and can fail by itself, each of which says why it has.
        self.beside: list[Callable[[], str | None]] = []
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
        if not self.pool.ready():
            return "no process that decodes answers"
        return next((why for each in self.beside if (why := each())), None)

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
