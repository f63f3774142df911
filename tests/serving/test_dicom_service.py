"""The DICOM side as a whole, its peers on real sockets of this machine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from hilum.bundle import Bundle
from hilum.serving.dicom.service import DicomService, run_dicom
from hilum.serving.dicom.settings import DicomSettings
from pacs import CANARIES, SC, SR, Peer, Process, made_film, send, until
from together import free_port

# pynetdicom leaves the socket of a connection that was refused to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def peer() -> Iterator[Peer]:
    archive = Peer()
    yield archive
    archive.end()


@pytest.fixture
def service(peer: Peer, small_bundle: Bundle, tmp_path: Path) -> Iterator[DicomService]:
    running = DicomService(
        DicomSettings(tmp_path / "queue", peer.address, 0, seconds=5), small_bundle
    )
    yield running
    running.close()


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


def test_answers_wait_for_a_destination_that_is_down(small_bundle: Bundle, tmp_path: Path) -> None:
    archive = Peer()
    archive.end()
    service = DicomService(
        DicomSettings(tmp_path / "queue", archive.address, 0, seconds=5), small_bundle
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


def test_what_the_destination_refuses_for_good_is_set_aside_with_its_reason_and_tried_anew_at_start(
    peer: Peer, small_bundle: Bundle, tmp_path: Path
) -> None:
    settings = DicomSettings(tmp_path / "queue", peer.address, 0, seconds=5, refusals=1)
    peer.status = 0xC123
    service = DicomService(settings, small_bundle)
    send(service.port, made_film())
    until(lambda: service.status()["set_aside"] == {"status C123": 2})
    service.close()
    peer.status = 0x0000
    service = DicomService(settings, small_bundle)
    until(lambda: len(peer.stored) == 2)
    service.close()


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


class Record:
    def __init__(self) -> None:
        self.answered: list[str] = []
        self.kinds: list[str] = []

    def record(self, answers: object) -> None:
        self.answered += [answer.input for answer in answers]  # type: ignore[attr-defined]

    def rejected(self, digest: str, kind: str) -> None:
        self.kinds.append(kind)


def test_answers_and_refusals_are_put_on_record(
    peer: Peer, small_bundle: Bundle, tmp_path: Path
) -> None:
    record = Record()
    service = DicomService(
        DicomSettings(tmp_path / "queue", peer.address, 0), small_bundle, audit=record
    )
    send(service.port, made_film(1), made_film(2, Rows=0))
    until(lambda: record.kinds == ["unreadable-film"] and len(record.answered) == 1)
    service.close()


def test_it_runs_until_it_is_told_to_stop(peer: Peer, small_bundle: Bundle, tmp_path: Path) -> None:
    stop, port = threading.Event(), free_port()
    settings = DicomSettings(tmp_path / "queue", peer.address, port)
    running = threading.Thread(target=run_dicom, args=(settings, small_bundle, stop))
    running.start()
    until(lambda: send(port, made_film()) == [0x0000])
    stop.set()
    running.join(30)
    assert not running.is_alive()


def test_after_a_kill_in_the_middle_no_answer_is_lost_or_doubled(
    peer: Peer, small_bundle: Bundle, tmp_path: Path
) -> None:
    films = [made_film(n) for n in range(6)]
    process = Process(small_bundle, tmp_path / "queue", f"dicom://ARCHIVE@127.0.0.1:{peer.port}")
    try:
        assert send(process.port, *films[:3]) == [0x0000] * 3
        until(lambda: len(peer.stored) >= 1)
        process.kill()
        process.begin()
        assert send(process.port, *films) == [0x0000] * 6
        until(lambda: len(peer.stored) == 12, 60)
    finally:
        process.end()
    assert peer.kinds() == sorted([SR, SC] * 6)
    studies = {str(made.StudyInstanceUID) for made in peer.stored.values()}
    assert studies == {str(film.StudyInstanceUID) for film in films}


def test_nothing_of_a_patient_is_in_logs_at_debug_in_status_or_in_file_names(
    peer: Peer, small_bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    films = [
        made_film(1),
        made_film(2, Rows=0),
        made_film(3, PatientBirthDate="19010203X", PatientSex="QUETZALCOATL"),
        _of_another_class(made_film(4)),
    ]
    folder = tmp_path / "queue"
    process = Process(small_bundle, folder, f"dicom://ARCHIVE@127.0.0.1:{peer.port}")
    try:
        for film in films:
            send(process.port, film)
        until(lambda: len(peer.stored) == 4)
        peer.end()
        send(process.port, made_film(5))
        names = " ".join(str(path) for path in folder.rglob("*"))
        until(lambda: "destination takes nothing" in process.log.read_text())
    finally:
        process.end()
        peer.begin()
    database = (folder / "queue.sqlite").read_bytes()
    uids = [str(film[word].value) for film in films for word in ("SOPInstanceUID", "PatientID")]
    said = process.log.read_text()
    assert "film received" in said
    for canary in (*CANARIES, *uids):
        assert canary not in said
        assert canary not in names
        assert canary.encode() not in database


def test_libraries_say_nothing_even_to_a_root_logger_at_debug(
    service: DicomService, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        send(service.port, made_film())
        until(lambda: len(peer.stored) == 2)
    assert {record.name for record in caplog.records} <= {"hilum.dicom"}


def _of_another_class(film: Dataset) -> Dataset:
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = SC
    return film
