"""Who may call and what may be sent: the receiver against real sockets, kind and unkind."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import ComputedRadiographyImageStorage, Verification

from hilum.serving.dicom.queue import Queue, key_of
from hilum.serving.dicom.quiet import quieten
from hilum.serving.dicom.receiver import Inadmissible, Receiver, admit
from hilum.serving.dicom.settings import DicomPeer, DicomSettings
from pacs import made_film, send, until

ELSEWHERE = DicomPeer("ARCHIVE", "127.0.0.1", 104)
MIB = 1 << 20

# pynetdicom leaves the socket of a connection that was refused to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = Queue(tmp_path / "queue")
    yield made
    made.close()


def receiver(queue: Queue, seconds: float = 3, **more: object) -> Receiver:
    quieten()
    settings = DicomSettings(queue.folder, ELSEWHERE, 0, seconds=seconds, **more)  # type: ignore[arg-type]
    return Receiver(settings, 0, queue, lambda: "bundle")


@pytest.fixture
def open_receiver(queue: Queue) -> Iterator[Receiver]:
    made = receiver(queue, most_bytes=4 * MIB)
    yield made
    made.close()


def test_an_echo_is_answered(open_receiver: Receiver) -> None:
    ae = AE()
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", open_receiver.port, ae_title="HILUM")
    assert association.send_c_echo().Status == 0x0000
    association.release()


@pytest.mark.parametrize(
    ("called", "calling", "taken"),
    [("HILUM", "MODALITY", True), ("OTHER", "MODALITY", False), ("HILUM", "STRANGER", False)],
)
def test_only_who_is_on_the_list_and_calls_us_by_name_is_let_in(
    queue: Queue, called: str, calling: str, taken: bool
) -> None:
    listening = receiver(queue, callers=("MODALITY",))
    status = send(listening.port, made_film(), called=called, calling=calling)
    listening.close()
    assert status == ([0x0000] if taken else [None])
    assert queue.counts()["received"] == int(taken)


@pytest.mark.parametrize(("peers", "taken"), [(("127.0.0.0/8",), True), (("10.9.8.7",), False)])
def test_only_addresses_on_the_list_are_let_in(
    queue: Queue, peers: tuple[str, ...], taken: bool
) -> None:
    listening = receiver(queue, peers=peers)
    assert send(listening.port, made_film()) == ([0x0000] if taken else [None])
    listening.close()


def test_a_film_for_processing_is_refused_as_a_kind(open_receiver: Receiver) -> None:
    ae = AE()
    ae.add_requested_context(DigitalXRayImageStorageForProcessing)
    ae.add_requested_context(ComputedRadiographyImageStorage)
    association = ae.associate("127.0.0.1", open_receiver.port, ae_title="HILUM")
    refused = [context.abstract_syntax for context in association.rejected_contexts]
    association.release()
    assert refused == [DigitalXRayImageStorageForProcessing]


def test_every_transfer_syntax_that_is_decoded_is_taken(open_receiver: Receiver) -> None:
    for syntax in (
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        JPEG2000Lossless,
        RLELossless,
    ):
        ae = AE()
        ae.add_requested_context(ComputedRadiographyImageStorage, syntax)
        association = ae.associate("127.0.0.1", open_receiver.port, ae_title="HILUM")
        assert association.accepted_contexts[0].transfer_syntax == [syntax]
        association.release()


@pytest.mark.parametrize("told", [{"uid": "1.2.3"}, {"sop_class": "1.2.3"}])
def test_an_object_that_is_not_what_the_request_says_is_refused(
    queue: Queue, told: dict[str, str]
) -> None:
    draft = queue.draft()
    made_film().save_as(draft, enforce_file_format=True)
    with pytest.raises(Inadmissible) as refused:
        admit(queue, draft, "bundle", **told)
    assert refused.value.status == 0xA900
    assert not draft.exists()


def admitted(queue: Queue, film: Dataset) -> int:
    """The status of a film that is sent."""
    film.save_as(draft := queue.draft(), enforce_file_format=True)
    try:
        admit(queue, draft, "bundle")
    except Inadmissible as no:
        return no.status
    return 0x0000


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "OTHER"},
        {"StudyInstanceUID": "1.2.3"},
        {"SeriesInstanceUID": "1.2.3"},
        {"PixelData": bytes(2 * 96 * 96)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_film_of_a_uid_that_is_here_is_refused_and_counted_and_the_first_kept(
    queue: Queue, other: dict[str, object]
) -> None:
    first = made_film()
    assert admitted(queue, first) == 0x0000
    kept = next(queue.folder.glob("inbox/*")).read_bytes()
    uid = first.SOPInstanceUID
    second = made_film(
        StudyInstanceUID=first.StudyInstanceUID, SeriesInstanceUID=first.SeriesInstanceUID
    )
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = uid
    for word, value in other.items():
        setattr(second, word, value)
    assert admitted(queue, second) == 0xA900
    counts = queue.counts()
    assert (counts["received"], counts["duplicates"], counts["conflicts"]) == (1, 0, 1)
    assert next(queue.folder.glob("inbox/*")).read_bytes() == kept
    assert list(queue.arriving.iterdir()) == []


def test_the_same_film_encoded_anew_or_with_other_words_in_its_header_is_the_same_film(
    queue: Queue,
) -> None:
    film = made_film()
    for syntax in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        film.file_meta.TransferSyntaxUID = syntax
        film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        assert admitted(queue, film) == 0x0000
        film.InstitutionName = f"ELSEWHERE {syntax}"
        assert admitted(queue, film) == 0x0000
        film.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        assert admitted(queue, film) == 0x0000
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.compress(RLELossless, generate_instance_uid=False)
    assert admitted(queue, film) == 0x0000
    counts = queue.counts()
    assert (counts["received"], counts["duplicates"], counts["conflicts"]) == (2, 5, 0)


def test_a_film_that_was_refused_may_come_again_with_other_content(queue: Queue) -> None:
    film = made_film()
    assert admitted(queue, film) == 0x0000
    queue.refuse(key_of(film.SOPInstanceUID), "unreadable-film")
    film.PixelData = bytes(2 * 96 * 96)
    assert admitted(queue, film) == 0x0000
    assert queue.counts()["received"] == 2


def test_an_object_without_its_uids_is_refused_in_words_that_quote_nothing(
    open_receiver: Receiver, queue: Queue
) -> None:
    film = made_film()
    film.StudyInstanceUID = "QUETZALCOATL"
    ae = AE()
    ae.add_requested_context(ComputedRadiographyImageStorage, film.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", open_receiver.port, ae_title="HILUM")
    answer = association.send_c_store(film)
    association.release()
    assert answer.Status == 0xC000
    assert answer.ErrorComment == "no valid StudyInstanceUID"
    assert list(queue.folder.glob("*/*.dcm")) == []


def test_an_object_beyond_the_limit_ends_its_association_and_leaves_nothing(
    open_receiver: Receiver, queue: Queue
) -> None:
    film = made_film()
    film.PixelData = np.zeros(5 * MIB, np.uint8).tobytes()
    assert send(open_receiver.port, film) == [None]
    until(lambda: not list(queue.arriving.iterdir()))
    assert send(open_receiver.port, made_film()) == [0x0000]


def test_a_pdu_without_end_costs_less_than_32_mib(open_receiver: Receiver) -> None:
    before = psutil.Process().memory_info().rss
    with socket.create_connection(("127.0.0.1", open_receiver.port)) as stranger:
        stranger.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFF0))
        sent = 0
        try:
            while sent < 256 * MIB:
                stranger.sendall(bytes(MIB))
                sent += MIB
        except OSError:
            pass
    assert sent < 256 * MIB
    assert psutil.Process().memory_info().rss - before < 32 * MIB


def test_a_data_set_without_end_costs_less_than_32_mib(
    open_receiver: Receiver, queue: Queue
) -> None:
    ae = AE()
    film = made_film()
    ae.add_requested_context(film.SOPClassUID, film.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", open_receiver.port, ae_title="HILUM")
    context = association.accepted_contexts[0].context_id
    association._reactor_checkpoint.clear()
    connection = association.dul.socket.socket
    before = psutil.Process().memory_info().rss
    command = _command(film.SOPClassUID, film.SOPInstanceUID)
    sent = 0
    try:
        connection.sendall(_pdata(context, 0x03, command))
        while sent < 256 * MIB:
            connection.sendall(_pdata(context, 0x00, bytes(64 << 10)))
            sent += 64 << 10
    except OSError:
        pass
    assert sent < 64 * MIB
    assert psutil.Process().memory_info().rss - before < 32 * MIB
    until(lambda: not list(queue.arriving.iterdir()))
    association.abort()


def test_whole_objects_that_wait_when_their_association_ends_are_not_left_behind(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    taken = queue.take

    def slow(*given: Any) -> bool:
        begun.set()
        assert go_on.wait(20)
        return taken(*given)

    monkeypatch.setattr(queue, "take", slow)
    listening = receiver(queue)
    films = [made_film(n) for n in range(4)]
    ae = AE()
    ae.add_requested_context(films[0].SOPClassUID, films[0].file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", listening.port, ae_title="HILUM")
    association._reactor_checkpoint.clear()
    context = association.accepted_contexts[0].context_id
    for n, film in enumerate(films, 1):
        request = C_STORE()
        request.MessageID, request.Priority = n, 2
        request.AffectedSOPClassUID = film.SOPClassUID
        request.AffectedSOPInstanceUID = film.SOPInstanceUID
        request.DataSet = BytesIO(encode(film, False, True))
        association.dimse.send_msg(request, context)
    assert begun.wait(20)
    until(lambda: len(list(queue.arriving.iterdir())) == 4)
    association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: len(list(queue.arriving.iterdir())) == 1)
    go_on.set()
    until(lambda: not list(queue.arriving.iterdir()))
    assert queue.counts()["received"] == 1
    association._reactor_checkpoint.set()
    association.abort()
    listening.close()


@pytest.mark.parametrize(
    "content",
    [b"GET / HTTP/1.1\r\n\r\n", b"\1\0\0\0\0\4abcd", b"\4\0\0\0\0\6\0\0\0\2\1\3", os.urandom(512)],
    ids=["http", "short request", "data first", "noise"],
)
def test_what_is_not_dicom_ends_its_connection_alone(
    open_receiver: Receiver, content: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", open_receiver.port), timeout=20) as stranger:
        stranger.sendall(content)
        stranger.shutdown(socket.SHUT_WR)
        try:
            while stranger.recv(1024):
                pass
        except ConnectionResetError:
            pass
    assert send(open_receiver.port, made_film()) == [0x0000]


@pytest.mark.parametrize("data", [b"", b"\3", b"\3" + b"\xff" * 40, b"\2" + b"x" * 40])
def test_a_damaged_message_ends_its_association_and_the_next_is_served(
    open_receiver: Receiver, data: bytes
) -> None:
    ae = AE()
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", open_receiver.port, ae_title="HILUM")
    item = struct.pack(">LB", len(data) + 1, 1) + data
    association.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, len(item)) + item)
    until(lambda: not association.is_established, 10)
    assert send(open_receiver.port, made_film()) == [0x0000]


def test_a_connection_that_says_nothing_is_closed_in_time(queue: Queue) -> None:
    listening = receiver(queue, seconds=0.5)
    with socket.create_connection(("127.0.0.1", listening.port), timeout=20) as silent:
        begun = time.monotonic()
        silent.sendall(b"\1\0")
        assert silent.recv(1024) == b""
        assert time.monotonic() - begun < 5
    listening.close()


def test_no_more_associations_than_told_are_open_at_once(queue: Queue) -> None:
    listening = receiver(queue, associations=2)
    ae = AE()
    ae.add_requested_context(Verification)
    held = [ae.associate("127.0.0.1", listening.port, ae_title="HILUM") for _ in range(3)]
    assert [each.is_established for each in held] == [True, True, False]
    for each in held[:2]:
        each.release()
    listening.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_is_told_to_the_sender_and_once_there_is_room_the_film_is_taken(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        small = Queue(disk / "queue")
        listening = receiver(small)
        filler = disk / "filler"
        filler.write_bytes(bytes(600 << 10))
        film = made_film(side=512)
        assert send(listening.port, film) == [0xA700]
        assert list(small.arriving.iterdir()) == []
        filler.unlink()
        assert send(listening.port, film) == [0x0000]
        listening.close()
        small.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_the_folder_is_ours_alone(queue: Queue, open_receiver: Receiver) -> None:
    send(open_receiver.port, made_film())
    for folder in (queue.folder, *queue.folder.iterdir()):
        if folder.is_dir():
            assert folder.stat().st_mode & 0o777 == 0o700


def _command(sop_class: str, uid: str) -> bytes:
    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHL", 0, number, len(value)) + value

    body = (
        element(0x0002, sop_class.encode())
        + element(0x0100, struct.pack("<H", 1))
        + element(0x0110, struct.pack("<H", 1))
        + element(0x0700, struct.pack("<H", 0))
        + element(0x0800, struct.pack("<H", 1))
        + element(0x1000, uid.encode())
    )
    return element(0, struct.pack("<L", len(body))) + body


def _pdata(context: int, control: int, data: bytes) -> bytes:
    item = struct.pack(">LBB", len(data) + 2, context, control) + data
    return struct.pack(">BBL", 4, 0, len(item)) + item
