"""Films → answers, several at a time: a bounded queue in front of one engine and its thread.

What is made of a batch is left to `answering`; who may put a film here, to `service`.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from hilum.errors import HilumError
from hilum.serving.answering import Answerer, FilmAnswer
from hilum.serving.film import Film
from hilum.serving.limits import Limits
from hilum.serving.rejection import Kind, Rejected
from hilum.serving.watching import Watch

_log = logging.getLogger(__name__)


class Record(Protocol):
    """What keeps account of every answer, before it is given. Raises OSError or HilumError."""

    def record(self, answers: Sequence[FilmAnswer]) -> None:
        """Keep the answers of one batch."""
        ...

    def rejected(self, digest: str | None, kind: Kind) -> None:
        """Keep that a film got no answer. digest: of its bytes, where they were read."""
        ...


@dataclass(frozen=True)
class _Waiting:
    film: Film
    until: float
    since: float
    answer: Future[FilmAnswer]


class Batcher:
    """One engine at work in a thread of its own. Many threads may put films in."""

    def __init__(
        self,
        answerer: Answerer,
        limits: Limits,
        *,
        record: Record | None = None,
        watch: Watch | None = None,
        coming: Callable[[], bool] = lambda: False,
    ) -> None:
        """coming: whether more films are about to be put in, for which it is worth to wait."""
        self._answerer, self._limits, self._record = answerer, limits, record
        self._watch, self._coming = watch or Watch(), coming
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(limits.queue)
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def put(self, film: Film, until: float, answer: Future[FilmAnswer]) -> None:
        """Have a film answered. until: of the monotonic clock. Raises Rejected when full."""
        try:
            self._waiting.put_nowait(_Waiting(film, until, time.monotonic(), answer))
        except queue.Full:
            raise Rejected(Kind.BUSY, "too many films are waiting", retry_after_s=1) from None

    def close(self) -> None:
        """Answer what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            now = time.monotonic()
            for each in batch:
                self._watch.stage("queue", now - each.since)
                if each.until <= now:
                    each.answer.set_exception(Rejected(Kind.TIMED_OUT, "no answer in time"))
            live = [each for each in batch if each.until > now]
            if live:
                self._answer(live)

    def _next(self) -> list[_Waiting] | None:
        """The films of the next batch; None at the end."""
        first = self._waiting.get()
        if first is None:
            return None
        batch, until = [first], time.monotonic() + self._limits.wait
        while len(batch) < self._limits.batch:
            left = until - time.monotonic() if self._coming() else 0
            try:
                each = self._waiting.get(timeout=left) if left > 0 else self._waiting.get_nowait()
            except queue.Empty:
                break
            if each is None:
                self._waiting.put(None)  # the end comes after this batch
                break
            batch.append(each)
        return batch

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        began = time.monotonic()
        try:
            answers = self._answerer.answer([each.film for each in batch])
            if self._record is not None:
                _kept(self._record, answers)
        except Exception as error:  # each film's own caller tells of it, or answers for it
            for each in batch:
                each.answer.set_exception(error)
            return
        self._watch.batch(len(batch), time.monotonic() - began)
        for each, answer in zip(batch, answers, strict=True):
            each.answer.set_result(answer)


def _kept(record: Record, answers: Sequence[FilmAnswer]) -> None:
    try:
        record.record(answers)
    except (OSError, HilumError) as error:
        raise cannot_record(error) from error


def cannot_record(error: Exception) -> Rejected:
    """No answer leaves the service that its record does not have."""
    _log.error("the record cannot be written (%s)", type(error).__name__)
    return Rejected(Kind.BUSY, "answers cannot be recorded at present", retry_after_s=30)
