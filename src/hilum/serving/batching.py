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
from typing import Literal, Protocol

from hilum.errors import HilumError
from hilum.serving.answering import Answerer, FilmAnswer
from hilum.serving.film import Film
from hilum.serving.limits import Limits
from hilum.serving.rejection import Kind, Rejected
from hilum.serving.watching import Watch

_log = logging.getLogger(__name__)


# What an answer is wanted for: itself, or what explains it, when it has been given before.
Asked = Literal["answered", "explained"]


class Record(Protocol):
    """What keeps account of every answer, before it is given. Raises OSError or HilumError."""

    def record(self, answers: Sequence[FilmAnswer], asked: Sequence[Asked] = ()) -> None:
        """Keep the answers of one batch. asked: what each was asked for; none: to be answered."""
        ...

    def rejected(self, digest: str | None, kind: Kind) -> None:
        """Keep that a film got no answer. digest: of its bytes, where they were read."""
        ...


@dataclass(frozen=True, eq=False)
class _Waiting:
    film: Film
    until: float
    since: float
    answer: Future[FilmAnswer]
    asked: Asked


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
        # `put` keeps its bound, so that the word of the end always finds room.
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue()
        self._lock, self._ending = threading.Lock(), False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def put(
        self, film: Film, until: float, answer: Future[FilmAnswer], *, asked: Asked = "answered"
    ) -> None:
        """Have a film answered. until: of the monotonic clock. Raises Rejected when full."""
        with self._lock:
            if self._ending:
                raise Rejected(Kind.BUSY, "the service is ending", retry_after_s=5)
            if self._waiting.qsize() >= self._limits.queue:
                raise Rejected(Kind.BUSY, "too many films are waiting", retry_after_s=1)
            self._waiting.put(_Waiting(film, until, time.monotonic(), answer, asked))

    def close(self) -> None:
        """Answer what waits, then end."""
        with self._lock:
            if not self._ending:
                self._waiting.put(None)
            self._ending = True
        self._thread.join()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            now = time.monotonic()
            for each in batch:
                self._watch.stage("queue", now - each.since)
            live = _in_time(batch, now)
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
            pairs = list(zip(batch, answers, strict=True))
            given = _in_time(batch, time.monotonic())
            pairs = [(each, answer) for each, answer in pairs if each in given]
            if self._record is not None and pairs:
                asked = [each.asked for each, _ in pairs]
                _kept(self._record, [answer for _, answer in pairs], asked)
        except Exception as error:  # each film's own caller tells of it, or answers for it
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
            return
        self._watch.batch(len(batch), time.monotonic() - began)
        for each, answer in pairs:
            each.answer.set_result(answer)


def _in_time(batch: Sequence[_Waiting], now: float) -> list[_Waiting]:
    """Those whose answer is still wanted; the others are told that it is not."""
    for each in batch:
        if each.until <= now:
            each.answer.set_exception(Rejected(Kind.TIMED_OUT, "no answer in time"))
    return [each for each in batch if each.until > now]


def _kept(record: Record, answers: Sequence[FilmAnswer], asked: Sequence[Asked]) -> None:
    try:
        record.record(answers, asked)
    except (OSError, HilumError) as error:
        raise cannot_record(error) from error


def cannot_record(error: Exception) -> Rejected:
    """No answer leaves the service that its record does not have."""
    _log.error("the record cannot be written (%s)", type(error).__name__)
    return Rejected(Kind.BUSY, "answers cannot be recorded at present", retry_after_s=30)
