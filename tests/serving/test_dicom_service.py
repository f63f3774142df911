"""The DICOM side within one process, its peers on real sockets of this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydicom import dcmread

from hilum.bundle import Bundle
from hilum.serving.answering import FilmAnswer
from hilum.serving.decoding import _Child
from hilum.serving.dicom import delivering, filing, sending
from hilum.serving.dicom import service as service_module
from hilum.serving.dicom.counts import DicomCounts
from hilum.serving.dicom.queue import Queue, key_of
from hilum.serving.dicom.service import DicomService
from hilum.serving.dicom.settings import DicomSettings
from hilum.serving.limits import Limits
from hilum.serving.rejection import Kind
from hilum.serving.service import Service
from pacs import SC, SR, Peer, made_film, send, until

# pynetdicom leaves the socket of a connection that was refused to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


class Record:
    """What would be in the audit. fault: it cannot be written."""

    def __init__(self) -> None:
        self.answered: list[str] = []
        self.kinds: list[Kind] = []
        self.fault: OSError | None = None

    def record(self, answers: Sequence[FilmAnswer], asked: Sequence[str] = ()) -> None:
        if self.fault is not None:
            raise self.fault
        self.answered += [answer.input for answer in answers]

    def rejected(self, digest: str | None, kind: Kind) -> None:
        if self.fault is not None:
            raise self.fault
        self.kinds.append(kind)


@pytest.fixture(scope="module")
def shared_record() -> Record:
    return Record()


@pytest.fixture(scope="module")
def answering(small_bundle: Bundle, shared_record: Record) -> Iterator[Service]:
    running = Service(small_bundle, Limits(children=1), record=lambda bundle: shared_record)
    yield running
    running.close()


@pytest.fixture
def record(shared_record: Record) -> Record:
    shared_record.__init__()  # type: ignore[misc]
    return shared_record


@pytest.fixture
def peer() -> Iterator[Peer]:
    archive = Peer()
    yield archive
    archive.end()


@pytest.fixture
def service(
    peer: Peer, answering: Service, record: Record, tmp_path: Path
) -> Iterator[DicomService]:
    running = DicomService(DicomSettings(tmp_path / "queue", peer.address, 0, seconds=5), answering)
    yield running
    running.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits long before it is tried again."""
    monkeypatch.setattr(service_module, "backoff", lambda failures, rng: 0.02)


def test_a_film_comes_back_as_a_report_and_an_overlay_of_its_own_study(
    service: DicomService, peer: Peer
) -> None:
    film = made_film()
    assert send(service.port, film) == [0x0000]
    until(lambda: len(peer.stored) == 2)
    assert peer.kinds() == sorted([SR, SC])
    for made in peer.stored.values():
        assert made.StudyInstanceUID == film.StudyInstanceUID
        assert made.PatientName == film.PatientName
        assert made.AccessionNumber == film.AccessionNumber
        assert made.SeriesInstanceUID != film.SeriesInstanceUID
        assert "RESEARCH USE ONLY" in made.SeriesDescription


def test_what_is_delivered_is_not_kept(service: DicomService, peer: Peer, tmp_path: Path) -> None:
    send(service.port, made_film())
    until(lambda: len(peer.stored) == 2)
    until(lambda: not list((tmp_path / "queue").glob("*/*.dcm")))
    status = service.status()
    assert (status["received"], status["answered"], status["sent"]) == (1, 1, 2)
    assert status["waiting"] == status["sending"] == 0
    assert status["oldest_s"] is None


def test_the_same_film_twice_is_answered_once(service: DicomService, peer: Peer) -> None:
    film = made_film()
    assert send(service.port, film, film) == [0x0000, 0x0000]
    until(lambda: service.status()["sent"] == 2)
    assert send(service.port, film) == [0x0000]
    until(lambda: service.status()["duplicates"] == 2)
    assert set(peer.times.values()) == {1}


def test_answers_wait_for_a_destination_that_is_down(answering: Service, tmp_path: Path) -> None:
    archive = Peer()
    archive.end()
    service = DicomService(
        DicomSettings(tmp_path / "queue", archive.address, 0, seconds=5), answering
    )
    try:
        send(service.port, made_film())
        until(lambda: service.status()["destination"] == "no connection")
        assert service.status()["sending"] == 2
        archive.begin()
        until(lambda: len(archive.stored) == 2)
        until(lambda: service.status()["destination"] == "ok")
    finally:
        service.close()
        archive.end()


def test_an_answer_that_waits_through_an_update_keeps_its_uid_and_is_sent_once(
    answering: Service, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Peer()
    archive.end()
    settings = DicomSettings(tmp_path / "queue", archive.address, 0, seconds=5)
    service = DicomService(settings, answering)
    film = made_film()
    send(service.port, film)
    until(lambda: service.status()["sending"] == 2)
    waiting = {dcmread(due.path).SOPInstanceUID for due in service.queue.due_results(2)}
    service.close()
    monkeypatch.setattr(filing, "__version__", "99")
    archive.begin()
    service = DicomService(settings, answering)
    send(service.port, film)
    until(lambda: service.status()["sent"] == 2)
    assert set(archive.times) == waiting
    assert set(archive.times.values()) == {1}
    assert len(record.answered) == 1
    service.close()
    archive.end()


def test_what_the_destination_refuses_for_good_is_set_aside_with_its_reason_and_tried_anew_at_start(
    peer: Peer, answering: Service, tmp_path: Path
) -> None:
    settings = DicomSettings(tmp_path / "queue", peer.address, 0, seconds=5, refusals=1)
    peer.status = 0xC123
    service = DicomService(settings, answering)
    send(service.port, made_film())
    until(lambda: service.status()["set_aside"] == {"status C123": 2})
    service.close()
    peer.status = 0x0000
    service = DicomService(settings, answering)
    until(lambda: len(peer.stored) == 2)
    service.close()


@pytest.mark.parametrize("content", [None, b"", b"QUETZALCOATL" * 40], ids=str)
def test_an_answer_whose_file_is_lost_or_damaged_is_set_aside_and_the_others_go(
    answering: Service, tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Peer()
    archive.end()
    settings = DicomSettings(tmp_path / "queue", archive.address, 0, seconds=5, refusals=2)
    monkeypatch.setattr(delivering, "backoff", lambda failures, rng: 0.1)
    service = DicomService(settings, answering)
    send(service.port, made_film())
    until(lambda: service.status()["sending"] == 2)
    first = service.queue.due_results(1)[0].path
    first.unlink()
    if content is not None:
        first.write_bytes(content)
    archive.begin()
    until(lambda: service.status()["set_aside"] == {"file lost or damaged": 1})
    until(lambda: len(archive.stored) == 1)
    assert service.status()["running"]
    service.close()
    archive.end()


def test_an_answer_at_which_sending_fails_for_no_known_reason_goes_after_the_others(
    service: DicomService, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, first = sending.dcmread, []

    def broken(path: Path) -> Any:
        first.append(path)
        if path == first[0]:
            raise MemoryError
        return read(path)

    monkeypatch.setattr(delivering, "_TURN", 0.01)
    monkeypatch.setattr(sending, "dcmread", broken)
    send(service.port, made_film())
    until(lambda: len(peer.stored) == 1)
    assert service.status()["sending"] == 1


def test_a_destination_without_room_is_tried_again_and_refuses_nothing(
    peer: Peer, service: DicomService
) -> None:
    peer.status = 0xA700
    send(service.port, made_film())
    until(lambda: service.status()["destination"] == "out of resources")
    assert service.status()["set_aside"] == {}


def test_a_film_that_cannot_be_read_is_counted_by_kind_and_kept_with_no_answer(
    service: DicomService, peer: Peer, tmp_path: Path
) -> None:
    film = made_film(PhotometricInterpretation="PALETTE COLOR")
    assert send(service.port, film) == [0x0000]
    until(lambda: service.status()["refused"] == {"unreadable-film": 1})
    assert len(list((tmp_path / "queue" / "refused").iterdir())) == 1
    assert peer.stored == {}


def test_films_after_one_that_cannot_be_read_are_answered(
    service: DicomService, peer: Peer
) -> None:
    send(service.port, made_film(1, Rows=0), made_film(2))
    until(lambda: len(peer.stored) == 2)


def test_every_film_is_on_record_once_whatever_became_of_it(
    service: DicomService, peer: Peer, record: Record
) -> None:
    films = [made_film(1), made_film(2, Rows=0), made_film(3)]
    send(service.port, *films, films[0])
    until(lambda: len(peer.stored) == 4 and service.status()["refused"])
    assert record.kinds == [Kind.UNREADABLE]
    assert len(record.answered) == len(set(record.answered)) == 2


def test_what_cannot_be_recorded_is_neither_answered_nor_refused_but_waits(
    service: DicomService, peer: Peer, record: Record, at_once: None
) -> None:
    record.fault = OSError("no room")
    send(service.port, made_film(1), made_film(2, Rows=0))
    until(lambda: service._busy > 3)
    status = service.status()
    assert (status["waiting"], status["answered"], status["refused"]) == (2, 0, {})
    assert peer.stored == {}
    record.fault = None
    until(lambda: len(peer.stored) == 2 and service.status()["refused"])
    assert (len(record.answered), record.kinds) == (1, [Kind.UNREADABLE])


def test_films_wait_while_others_fill_the_service(
    service: DicomService, answering: Service, peer: Peer, record: Record, at_once: None
) -> None:
    queue = answering.limits.queue
    answering.take_on(queue, 0)
    try:
        assert send(service.port, made_film()) == [0x0000]
        until(lambda: service._busy > 3)
        assert service.status()["waiting"] == 1
    finally:
        answering.let_go(queue, 0)
    until(lambda: len(peer.stored) == 2)
    assert record.kinds == []
    assert len(record.answered) == 1
    assert answering.films == 0


def test_a_film_that_fails_its_answer_three_times_is_refused_and_on_record_once(
    service: DicomService, answering: Service, record: Record, at_once: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tries = []

    def broken(films: object) -> list[FilmAnswer]:
        tries.append(1)
        raise RuntimeError("QUETZALCOATL")

    with answering.line() as line:
        monkeypatch.setattr(line.answerer, "answer", broken)
    send(service.port, made_film())
    until(lambda: service.status()["refused"] == {"failed": 1})
    assert len(tries) == 3
    assert (record.answered, record.kinds) == ([], [Kind.FAILED])


def test_an_answer_that_no_object_can_be_made_of_is_not_asked_for_again(
    service: DicomService, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object, **more: object) -> bytes:
        raise ValueError("QUETZALCOATL")

    monkeypatch.setattr(service_module, "structured_report", broken)
    send(service.port, made_film())
    until(lambda: service.status()["refused"] == {"failed": 1})
    assert (len(record.answered), record.kinds) == (1, [])


def test_an_answer_that_there_is_no_room_for_is_kept_once_there_is_and_recorded_once(
    service: DicomService, peer: Peer, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, full = service.queue.answer, [OSError("full"), OSError("full")]

    def answer(*given: object) -> None:
        if full:
            raise full.pop()
        keep(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(service.queue, "answer", answer)
    monkeypatch.setattr(service_module, "_TURN", 0.01)
    send(service.port, made_film())
    until(lambda: len(peer.stored) == 2)
    assert len(record.answered) == 1


@pytest.mark.parametrize("where", ["take_on", "postpone"])
def test_a_disk_at_fault_is_waited_for_and_no_film_given_up(
    service: DicomService, answering: Service, peer: Peer, record: Record, at_once: None,
    monkeypatch: pytest.MonkeyPatch, where: str,
) -> None:  # fmt: skip
    faults = [OSError(28, "QUETZALCOATL")] * 5
    owner = answering if where == "take_on" else service.queue
    true = getattr(owner, where)

    def faulty(*given: object) -> None:
        if faults:
            raise faults.pop()
        true(*given)

    monkeypatch.setattr(service_module, "_TURN", 0.01)
    monkeypatch.setattr(owner, where, faulty)
    if where == "postpone":
        record.fault = OSError("no room")
    send(service.port, made_film())
    until(lambda: not faults)
    record.fault = None
    until(lambda: len(peer.stored) == 2)
    assert service.status()["refused"] == {}
    assert len(record.answered) == 1


def test_a_record_at_fault_in_its_own_way_refuses_nothing_that_is_not_on_record(
    service: DicomService, peer: Peer, record: Record, at_once: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    record.fault = KeyError("line")  # type: ignore[assignment]
    send(service.port, made_film(1), made_film(2, Rows=0))
    until(lambda: service._busy > 3)
    status = service.status()
    assert (status["waiting"], status["refused"], status["running"]) == (2, {}, True)
    record.fault = None
    until(lambda: sum(service.status()["refused"].values()) == 2 and not peer.stored)
    assert len(record.kinds) == 2


def test_a_film_whose_file_is_lost_is_refused_and_stands_in_nobodys_way(
    answering: Service, peer: Peer, record: Record, tmp_path: Path
) -> None:
    queue = Queue(tmp_path / "queue")
    for name, bundle in (("1.2.3", answering.bundle.digest), ("1.2.4", answering.bundle.digest)):
        made_film().save_as(draft := queue.draft(), enforce_file_format=True)
        queue.take(draft, name, bundle)
    (tmp_path / "queue" / "inbox" / f"{key_of('1.2.3')}.dcm").unlink()
    queue.close()
    service = DicomService(DicomSettings(tmp_path / "queue", peer.address, 0), answering)
    until(lambda: len(peer.stored) == 2)
    assert service.status()["refused"] == {"failed": 1}
    assert record.kinds == [Kind.FAILED]
    service.close()


def test_a_film_whose_process_is_killed_is_tried_again_in_another(
    answering: Service, service: DicomService, peer: Peer, at_once: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ask, killed = _Child.ask, []

    def ask_killed(child: _Child, *given: Any) -> Any:
        if len(killed) < 2:
            killed.append(child.process.pid)
            child.process.kill()
        return ask(child, *given)

    monkeypatch.setattr(_Child, "ask", ask_killed)
    send(service.port, made_film())
    until(lambda: len(peer.stored) == 2)
    assert len(set(killed)) == 2
    assert service.status()["refused"] == {}


def test_a_film_that_is_never_decoded_in_time_is_refused_after_three_tries(
    service: DicomService, record: Record, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def slow(child: _Child, *given: object) -> None:
        tries.append(1)
        raise TimeoutError

    monkeypatch.setattr(_Child, "ask", slow)
    send(service.port, made_film())
    until(lambda: service.status()["refused"] == {"unreadable-film": 1})
    assert (len(tries), record.kinds) == (3, [Kind.UNREADABLE])


@pytest.mark.parametrize("work", ["next_film", "due_results"])
def test_no_error_ends_a_thread(
    service: DicomService, peer: Peer, monkeypatch: pytest.MonkeyPatch, work: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def broken(*given: object) -> None:
        raise ValueError("QUETZALCOATL")

    monkeypatch.setattr(service_module, "_TURN", 0.01)
    monkeypatch.setattr(delivering, "_TURN", 0.01)
    with monkeypatch.context() as broke:
        broke.setattr(service.queue, work, broken)
        send(service.port, made_film())
        until(lambda: caplog.text.count("at present: ValueError") > 3)
        assert service.status()["running"]
    until(lambda: len(peer.stored) == 2)
    assert "QUETZALCOATL" not in caplog.text


def test_a_thread_that_has_ended_makes_the_service_not_ready(
    answering: Service, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    until(answering.pool.ready)
    assert answering.why_not_ready() is None

    def broken(service: DicomService) -> None:
        raise ValueError("QUETZALCOATL")

    monkeypatch.setattr(DicomService, "_answer_films", broken)
    service = DicomService(DicomSettings(tmp_path / "queue", peer.address, 0), answering)
    until(lambda: answering.why_not_ready() == "the DICOM side has ended")
    assert not service.status()["running"]
    assert "QUETZALCOATL" not in caplog.text
    service.close()
    assert answering.why_not_ready() is None


def test_counts_are_shown_to_prometheus_and_go_on_after_the_end(
    service: DicomService, peer: Peer
) -> None:
    registry = CollectorRegistry()
    registry.register(DicomCounts(service.status))
    peer.status = 0xC123
    send(service.port, made_film(1), made_film(2, Rows=0))
    until(lambda: service.status()["answered"] == 1 and service.status()["refused"])
    for _ in range(2):
        shown = generate_latest(registry).decode()
        for line in (
            'hilum_dicom_films{state="received"} 2.0',
            'hilum_dicom_films{state="answered"} 1.0',
            'hilum_dicom_films{state="waiting"} 0.0',
            'hilum_dicom_refused{reason="unreadable-film"} 1.0',
            'hilum_dicom_objects{state="sending"} 2.0',
            "hilum_dicom_destination_up 1.0",
        ):
            assert line in shown.splitlines()
        service.close()


def test_libraries_say_nothing_even_to_a_root_logger_at_debug(
    service: DicomService, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        send(service.port, made_film())
        until(lambda: len(peer.stored) == 2)
    assert {record.name for record in caplog.records} <= {"hilum.dicom"}
