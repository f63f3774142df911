"""The queue on disk: what a crash leaves between two steps is put right at the next start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hilum.serving.dicom.queue import Queue, QueueError, key_of
from hilum.serving.dicom.source import Content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture
def queue(folder: Path) -> Iterator[Queue]:
    made = Queue(folder)
    yield made
    made.close()


def arrived(queue: Queue, uid: str = "1.2.3", bundle: str = "a") -> bool:
    draft = queue.draft()
    draft.write_bytes(b"film")
    return queue.take(draft, uid, bundle)


def test_a_film_is_there_after_the_process_that_took_it_is_gone(folder: Path) -> None:
    first = Queue(folder)
    assert arrived(first)
    first.close()
    second = Queue(folder)
    due = second.next_film()
    assert due is not None
    assert due.path.read_bytes() == b"film"
    second.close()


def test_one_queue_has_one_service(queue: Queue, folder: Path) -> None:
    with pytest.raises(QueueError, match="another service has this queue"):
        Queue(folder)


def test_a_film_that_another_bundle_answered_is_answered_again(queue: Queue) -> None:
    arrived(queue, bundle="a")
    key = key_of("1.2.3")
    queue.answer(key, "a", {"r": b"answer"})
    queue.sent("r")
    assert queue.knows("1.2.3", "a")
    assert not queue.knows("1.2.3", "b")
    assert not arrived(queue, bundle="a")
    assert arrived(queue, bundle="b")


def test_a_refused_film_that_is_sent_again_is_tried_again(queue: Queue, folder: Path) -> None:
    arrived(queue)
    queue.refuse(key_of("1.2.3"), "unreadable-film")
    assert [path.read_bytes() for path in (folder / "refused").iterdir()] == [b"film"]
    assert arrived(queue)
    assert list((folder / "refused").iterdir()) == []


def test_films_are_answered_in_the_order_in_which_they_came(queue: Queue) -> None:
    for n in range(3):
        arrived(queue, f"1.2.{n}")
    for n in range(3):
        due = queue.next_film()
        assert due is not None
        assert due.key == key_of(f"1.2.{n}")
        queue.answer(due.key, "a", {})


def test_a_postponed_film_waits_and_nothing_counts_against_it(queue: Queue) -> None:
    arrived(queue)
    due = queue.next_film()
    assert due is not None
    queue.postpone(due.key, 0.2)
    assert queue.next_film() is None
    time.sleep(0.25)
    again = queue.next_film()
    assert again is not None
    assert again.tries == 0


def test_tries_outlive_a_crash(folder: Path) -> None:
    for tries in range(3):
        queue = Queue(folder)
        if tries == 0:
            arrived(queue)
        due = queue.next_film()
        assert due is not None
        assert due.tries == tries
        queue.close()


def test_what_was_never_acknowledged_is_removed_at_the_next_start(folder: Path) -> None:
    queue = Queue(folder)
    queue.draft().write_bytes(b"half a film")
    (folder / "inbox" / "no-row.dcm").write_bytes(b"film")
    (folder / "outbox" / "no-row.dcm").write_bytes(b"answer")
    queue.close()
    Queue(folder).close()
    assert list(folder.glob("*/*")) == []


def test_a_film_whose_refusal_was_cut_off_is_put_aside_at_the_next_start(folder: Path) -> None:
    queue = Queue(folder)
    arrived(queue)
    queue._move_refused = lambda key: None  # type: ignore[method-assign]
    queue.refuse(key_of("1.2.3"), "unreadable-film")
    queue.close()
    Queue(folder).close()
    assert len(list((folder / "refused").iterdir())) == 1
    assert list((folder / "inbox").iterdir()) == []


def test_delivered_films_go_at_once_or_after_the_hours_told(queue: Queue, folder: Path) -> None:
    arrived(queue)
    queue.answer(key_of("1.2.3"), "a", {"r": b"answer"})
    queue.remove_delivered(0, 0)
    assert len(list(folder.glob("*/*.dcm"))) == 2
    queue.sent("r")
    queue.remove_delivered(1, 0)
    assert len(list(folder.glob("*/*.dcm"))) == 2
    queue.remove_delivered(0, 0)
    assert list(folder.glob("*/*.dcm")) == []


def test_an_answer_refused_too_often_is_set_aside_and_the_film_stays(
    queue: Queue, folder: Path
) -> None:
    arrived(queue)
    queue.answer(key_of("1.2.3"), "a", {"r": b"answer"})
    assert not queue.not_sent("r", "status C000", 0, 2)
    assert queue.not_sent("r", "status C000", 0, 2)
    assert queue.due_results(9) == []
    assert queue.counts()["set_aside"] == {"status C000": 1}
    queue.remove_delivered(0, 0)
    assert len(list(folder.glob("*/*.dcm"))) == 2


def test_what_was_removed_is_not_gone_through_again(queue: Queue, folder: Path) -> None:
    for n in range(150):
        arrived(queue, f"1.2.{n}")
        if n % 2:
            queue.answer(key_of(f"1.2.{n}"), "a", {f"r{n}": b"answer"})
            queue.sent(f"r{n}")
        else:
            queue.refuse(key_of(f"1.2.{n}"), "unreadable-film")
    queue.remove_delivered(0, 0)
    assert list(folder.glob("*/*.dcm")) == []
    asked: list[str] = []
    queue._db.set_trace_callback(asked.append)
    queue.remove_delivered(0, 0)
    queue._db.set_trace_callback(None)
    assert len(asked) == 2
    assert queue.knows("1.2.1", "a")
    assert not queue.knows("1.2.1", "b")
    assert not queue.knows("1.2.0", "a")
    assert arrived(queue, "1.2.0")


def test_a_long_list_of_delivered_films_is_removed_bit_by_bit(queue: Queue, folder: Path) -> None:
    for n in range(120):
        arrived(queue, f"1.2.{n}")
        queue.answer(key_of(f"1.2.{n}"), "a", {f"r{n}": b"answer"})
        queue.sent(f"r{n}")
    queue.remove_delivered(0, 0)
    assert len(list((folder / "inbox").iterdir())) == 20
    queue.remove_delivered(0, 0)
    assert list(folder.glob("*/*.dcm")) == []


def test_a_folder_of_an_earlier_version_is_taken_over_with_its_films(folder: Path) -> None:
    queue = Queue(folder)
    arrived(queue)
    queue._db.execute("ALTER TABLE film DROP COLUMN content")
    queue.close()
    queue = Queue(folder)
    draft = queue.draft()
    draft.write_bytes(b"film")
    assert not queue.take(draft, "1.2.3", "a", Content("whose", "syntax", "pixels"))
    queue.close()
