"""`hilum serve --dicom` as a process: HTTP and DICOM at once, swap, kill, drain, refusals."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from hilum.bundle import Bundle, bundle_draft, load_bundle, seal_bundle
from hilum.cli import run
from hilum.serving.audit import verify
from hilum.serving.dicom.quiet import quieten
from pacs import CANARIES, SC, SR, Peer, Process, made_film, send, until
from serving_made import png

# pynetdicom leaves the socket of a connection that was refused to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
PREDICT = "/v1/predict"


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    quieten()  # before films are made of values that are not allowed
    archive = Peer()
    yield archive
    archive.end()


@pytest.fixture(scope="module")
def copy(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(small_bundle.folder, tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record")


@pytest.fixture(scope="module")
def process(
    peer: Peer, copy: Path, audit: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("pacs") / "queue"
    running = Process(copy, folder, to(peer), "--audit", audit)
    yield running
    running.end()


def to(peer: Peer) -> str:
    return f"dicom://ARCHIVE@127.0.0.1:{peer.port}"


def post(process: Process, content: bytes) -> httpx.Response:
    head = {"content-type": "application/octet-stream"}
    return httpx.post(process.url + PREDICT, content=content, headers=head, timeout=30)


def recorded(audit: Path) -> list[dict[str, object]]:
    files = sorted(audit.glob("audit-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_films_by_http_and_by_dicom_are_answered_at_once_each_with_one_line_of_the_record(
    process: Process, peer: Peer, audit: Path
) -> None:
    assert httpx.get(f"{process.url}/readyz").status_code == 200
    statuses = []

    def posted() -> None:
        statuses.extend(post(process, png(seed=n)).status_code for n in range(8))

    by_http = threading.Thread(target=posted)
    by_http.start()
    films = [made_film(n) for n in range(4)]
    assert send(process.port, *films, made_film(9, Rows=0), films[0]) == [0x0000] * 6
    by_http.join()
    assert statuses == [200] * 8
    until(lambda: len(peer.stored) == 8)
    until(lambda: 'refused{reason="unreadable-film"} 1.0' in metrics(process))
    found = verify(audit)
    assert found.intact
    assert (found.answered, found.rejected) == (12, 1)
    lines = recorded(audit)
    assert len({line["input"] for line in lines}) == 13
    assert {line["why"] for line in lines if line["kind"] == "rejected"} == {"unreadable-film"}


def metrics(process: Process) -> str:
    return httpx.get(f"{process.url}/metrics").text


def test_a_film_is_answered_as_it_is_by_http(
    process: Process, peer: Peer, audit: Path, tmp_path: Path
) -> None:
    film = made_film(21)
    film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    answer = post(process, (tmp_path / "film.dcm").read_bytes()).json()["films"][0]
    send(process.port, film)
    until(lambda: any(made.StudyInstanceUID == film.StudyInstanceUID and made.SOPClassUID == SR
                      for made in list(peer.stored.values())))  # fmt: skip
    report = next(
        made for made in peer.stored.values()
        if made.StudyInstanceUID == film.StudyInstanceUID and made.SOPClassUID == SR
    )  # fmt: skip
    assert answer["findings"][0]["wording"] in texts(report)
    probabilities = [line["findings"]["Pneumonia"]["prob"] for line in recorded(audit)[-2:]]  # type: ignore[index]
    assert probabilities == [answer["findings"][0]["probability"]] * 2


def test_after_a_swap_films_that_come_are_answered_by_the_new_bundle_and_old_ones_again(
    process: Process, peer: Peer, copy: Path
) -> None:
    films = [made_film(n) for n in range(30, 34)]
    old, new = load_bundle(copy).digest, ""
    send(process.port, *films)
    new = another(copy).digest
    process.signal(signal.SIGHUP)
    late = [made_film(n) for n in range(40, 44)]
    send(process.port, *late)  # on either side of the swap
    until(lambda: new[:12] in httpx.get(f"{process.url}/v1/bundle").text)
    until(lambda: all(by(peer, each) for each in films + late))
    again = [each for each in films if by(peer, each) == {old}]
    assert again
    send(process.port, *films, *late)
    until(lambda: all(new in by(peer, each) for each in films + late))
    until(lambda: all(by(peer, each) == {old, new} for each in again))
    assert set(peer.times.values()) == {1}


def by(peer: Peer, film: Dataset) -> set[str]:
    """The bundles whose reports of a film have come, by what the reports say."""
    reports = [
        made for made in list(peer.stored.values())
        if made.StudyInstanceUID == film.StudyInstanceUID and made.SOPClassUID == SR
    ]  # fmt: skip
    said = [words for report in reports for words in texts(report)]
    return {words.split("sha256:")[1] for words in said if "sha256:" in words}


def texts(report: Dataset) -> list[str]:
    return [str(each.value) for each in report.iterall() if each.keyword == "TextValue"]


def another(folder: Path) -> Bundle:
    """Put a bundle that differs by its name alone in the place of the one in `folder`."""
    old = load_bundle(folder)
    with bundle_draft(folder) as draft:
        for file in old.manifest.files:
            (draft / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / file, draft / file)
        return seal_bundle(draft, folder, old.manifest.model_copy(update={"name": "second"}))


def test_nothing_of_a_patient_is_in_logs_at_debug_counts_record_or_file_names(
    process: Process, peer: Peer, audit: Path
) -> None:
    films = [
        made_film(51),
        made_film(52, Rows=0),
        made_film(53, PatientBirthDate="19010203X", PatientSex="QUETZALCOATL"),
        _of_another_class(made_film(54)),
    ]
    before = len(peer.stored)
    for film in films:
        send(process.port, film)
    until(lambda: len(peer.stored) == before + 4)
    peer.end()
    send(process.port, made_film(55))
    until(lambda: "hilum_dicom_destination_up 0.0" in metrics(process))
    folder = process.log.with_suffix("")
    names = " ".join(str(path) for path in folder.rglob("*"))
    shown = metrics(process)
    peer.begin()
    until(lambda: len(peer.stored) == before + 6)
    database = b"".join(path.read_bytes() for path in folder.glob("queue.sqlite*"))
    uids = [str(film[word].value) for film in films for word in ("SOPInstanceUID", "PatientID")]
    said = process.log.read_text()
    assert "film received" in said
    assert "destination takes nothing" in said
    record = "".join(map(str, recorded(audit)))
    for canary in (*CANARIES, *uids):
        for place in (said, names, shown, record, process.greeting):
            assert canary not in place
        assert canary.encode() not in database


def test_at_its_end_it_answers_what_is_at_hand_and_leaves_the_rest_in_the_queue(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    nobody = Peer()
    nobody.end()
    process = Process(small_bundle.folder, tmp_path / "queue", to(nobody))
    films = [made_film(n) for n in range(5)]
    try:
        assert send(process.port, *films) == [0x0000] * 5
    finally:
        process.end()
    assert len(list((tmp_path / "queue" / "inbox").iterdir())) == 5
    assert send(process.port, films[0]) == [None]


def test_after_a_kill_in_the_middle_no_answer_is_lost_or_doubled(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    peer = Peer()
    films = [made_film(n) for n in range(6)]
    process = Process(small_bundle.folder, tmp_path / "queue", to(peer))
    try:
        assert send(process.port, *films[:3]) == [0x0000] * 3
        until(lambda: len(peer.stored) >= 1)
        process.kill()
        process.begin()
        assert send(process.port, *films) == [0x0000] * 6
        until(lambda: len(peer.stored) == 12, 60)
    finally:
        process.end()
        peer.end()
    assert peer.kinds() == sorted([SR, SC] * 6)
    studies = {str(made.StudyInstanceUID) for made in peer.stored.values()}
    assert studies == {str(film.StudyInstanceUID) for film in films}


DICOM = ["--dicom", "0"]
TO = ["--dicom-to", "dicom://A@127.0.0.1:104"]
FOLDER = ["--dicom-folder", "queue"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*DICOM, *FOLDER], "--dicom-to"),
        ([*DICOM, *TO], "--dicom-folder"),
        (TO, "--dicom-to: nobody listens; give --dicom PORT"),
        (["--dicom-caller", "CT1"], "--dicom-caller: nobody listens"),
        (["--dicom-title", "US"], "--dicom-title: nobody listens"),
        ([*DICOM, *FOLDER, "--dicom-to", "http://pacs/web"], "plain http to another machine"),
        ([*DICOM, *FOLDER, *TO, "--workers", "2"], "--workers: 2 with --dicom"),
        ([*DICOM, *FOLDER, *TO, "--dicom-host", "0.0.0.0"], "both allow lists"),
        ([*DICOM, *FOLDER, *TO, "--dicom-peer", "hospital"], "dicom peers: hospital"),
        ([*DICOM, *FOLDER, "--dicom-to", "https://pacs/x", "--dicom-ca", "none"], "none: no such"),
    ],
)
def test_flags_that_are_not_sound_are_refused_in_one_line(
    small_bundle: Bundle, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(small_bundle.folder), "--port", "0", *arguments]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("verb", ["serve", "pull"])
def test_without_its_packages_the_part_to_install_is_named(
    small_bundle: Bundle, verb: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name, *more: None if name == "pynetdicom" else find(name, *more)
    )
    flags = {
        "serve": [*DICOM, *FOLDER, *TO],
        "pull": ["https://pacs/x", "--to", TO[1], "--folder", "queue", "--study", "1.2"],
    }
    assert run([verb, str(small_bundle.folder), *flags[verb]]) == 2
    assert "hilum[serve]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dicom://A@127.0.0.1:104", "--study", "1.2"], "expected https://host/dicom-web"),
        (["https://pacs/x"], "every film there is"),
        (["https://u:secret@pacs/x", "--study", "1.2"], "URL: a password in an address"),
    ],
)
def test_a_pull_that_is_not_sound_is_refused_in_one_line(
    small_bundle: Bundle, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url, *more = arguments
    flags = ["--to", TO[1], "--folder", "queue", *more]
    assert run(["pull", str(small_bundle.folder), url, *flags]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert "secret" not in errors
    assert errors.count("\n") == 1


def _of_another_class(film: Dataset) -> Dataset:
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = SC
    return film
