"""The queue in front of the engine: batches, deadlines, its bound and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest

from hilum.errors import OutputError
from hilum.serving.batching import Batcher, Record
from hilum.serving.film import Film, prepare
from hilum.serving.limits import Limits
from hilum.serving.rejection import Kind, Rejected
from serving_made import READING, STEPS, png


class Slow:
    """Stands in for an engine: says when it is asked, and answers when it may."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.asked, self.may = threading.Semaphore(0), threading.Semaphore(0)

    def answer(self, films: Sequence[Film]) -> list[str]:
        self.batches.append(len(films))
        self.asked.release()
        assert self.may.acquire(timeout=10)
        return [film.digest for film in films]


@pytest.fixture(scope="module")
def film() -> Film:
    return prepare(png(), READING, STEPS)


@pytest.fixture
def slow() -> Slow:
    return Slow()


def batcher(slow: Slow, record: Record | None = None, **limits: int | float) -> Batcher:
    return Batcher(slow, Limits(**limits), record=record)  # type: ignore[arg-type]


def put(into: Batcher, film: Film, seconds: float = 10) -> Future[object]:
    answer: Future[object] = Future()
    into.put(film, time.monotonic() + seconds, answer)  # type: ignore[arg-type]
    return answer


def test_what_waits_is_answered_together_up_to_the_largest_batch(slow: Slow, film: Film) -> None:
    queue = batcher(slow, batch=4)
    first = put(queue, film)
    slow.asked.acquire()
    others = [put(queue, film) for _ in range(6)]
    slow.may.release(3)
    assert [each.result(5) for each in (first, *others)] == [film.digest] * 7
    assert slow.batches == [1, 4, 2]
    queue.close()


def test_a_full_queue_refuses_at_once(slow: Slow, film: Film) -> None:
    queue = batcher(slow, queue=2)
    put(queue, film)
    slow.asked.acquire()
    waiting = [put(queue, film) for _ in range(2)]
    with pytest.raises(Rejected) as no:
        put(queue, film)
    assert (no.value.kind, no.value.retry_after_s) == (Kind.BUSY, 1)
    slow.may.release(2)
    assert all(each.result(5) for each in waiting)
    queue.close()


def test_a_film_past_its_deadline_is_not_computed(slow: Slow, film: Film) -> None:
    queue = batcher(slow)
    put(queue, film)
    slow.asked.acquire()
    late, in_time = put(queue, film, seconds=0.0), put(queue, film)
    slow.may.release(2)
    error = late.exception(5)
    assert isinstance(error, Rejected)
    assert error.kind is Kind.TIMED_OUT
    assert in_time.result(5)
    assert slow.batches == [1, 1]
    queue.close()


def test_what_waits_is_answered_before_the_end(slow: Slow, film: Film) -> None:
    queue = batcher(slow, batch=1)
    waiting = [put(queue, film) for _ in range(3)]
    slow.may.release(3)
    queue.close()
    assert all(each.done() for each in waiting)


def test_an_answer_past_its_deadline_is_neither_recorded_nor_given(slow: Slow, film: Film) -> None:
    kept: list[tuple[list[object], list[str]]] = []

    class Keeping:
        def record(self, answers: Sequence[object], asked: Sequence[str] = ()) -> None:
            kept.append((list(answers), list(asked)))

        def rejected(self, digest: str | None, kind: Kind) -> None:
            raise AssertionError

    queue = batcher(slow, record=Keeping())  # type: ignore[arg-type]
    put(queue, film)
    slow.asked.acquire()
    late, in_time = put(queue, film, seconds=0.3), put(queue, film)
    slow.may.release()
    slow.asked.acquire()
    time.sleep(0.4)
    slow.may.release()
    error = late.exception(5)
    assert isinstance(error, Rejected)
    assert error.kind is Kind.TIMED_OUT
    assert in_time.result(5)
    assert slow.batches == [1, 2]
    assert kept == [([film.digest], ["answered"])] * 2
    queue.close()


def test_the_end_comes_though_the_queue_is_full_and_nothing_is_taken_after_it(
    slow: Slow, film: Film
) -> None:
    queue = batcher(slow, queue=2, batch=2)
    waiting = [put(queue, film)]
    slow.asked.acquire()
    waiting += [put(queue, film) for _ in range(2)]
    ending = threading.Thread(target=queue.close, daemon=True)
    ending.start()
    time.sleep(0.1)
    with pytest.raises(Rejected, match="ending"):
        put(queue, film)
    slow.may.release(2)
    ending.join(5)
    assert not ending.is_alive()
    assert all(each.done() for each in waiting)


def test_an_engine_that_fails_fails_its_batch_and_goes_on(film: Film) -> None:
    class Failing(Slow):
        def answer(self, films: Sequence[Film]) -> list[str]:
            if not self.batches:
                self.batches.append(len(films))
                raise ValueError("once")
            return super().answer(films)

    slow = Failing()
    queue = batcher(slow)
    assert isinstance(put(queue, film).exception(5), ValueError)
    slow.may.release()
    assert put(queue, film).result(5) == film.digest
    queue.close()


def test_no_answer_is_given_that_cannot_be_recorded(slow: Slow, film: Film) -> None:
    class Full:
        def record(self, answers: object, asked: object = ()) -> None:
            raise OutputError("audit", "no space left")

        def rejected(self, digest: str | None, kind: Kind) -> None:
            raise AssertionError

    queue = batcher(slow, record=Full())
    slow.may.release()
    error = put(queue, film).exception(5)
    assert isinstance(error, Rejected)
    assert (error.kind, error.retry_after_s) == (Kind.BUSY, 30)
    queue.close()


def test_films_that_are_about_to_come_are_waited_for_but_not_long(film: Film) -> None:
    slow = Slow()
    coming = True
    queue = Batcher(slow, Limits(wait=0.2), coming=lambda: coming)  # type: ignore[arg-type]
    slow.may.release(2)
    began = time.monotonic()
    answers = [put(queue, film)]
    time.sleep(0.05)
    answers.append(put(queue, film))
    assert all(each.result(5) for each in answers)
    assert slow.batches == [2]
    assert 0.15 < time.monotonic() - began < 2
    coming = False
    began = time.monotonic()
    assert put(queue, film).result(5)
    assert np.less(time.monotonic() - began, 0.15)
    queue.close()
