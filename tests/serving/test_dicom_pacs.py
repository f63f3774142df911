"""Beside real programs: DCMTK sends, Orthanc keeps, dciodvfy and dsrdump judge what comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from hilum.bundle import Bundle
from hilum.serving.audit import verify
from hilum.serving.dicom.pulling import PullError, Wanted
from hilum.serving.dicom.service import DicomService
from hilum.serving.dicom.settings import DicomSettings, WebPeer, destination
from hilum.serving.limits import Limits
from hilum.serving.service import Service
from pacs import CANARIES, SC, SR, Orthanc, Process, made_film, need_pacs, orthanc, until, validated
from together import free_port


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    need_pacs()
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def answering(small_bundle: Bundle) -> Iterator[Service]:
    running = Service(small_bundle, Limits(children=1))
    yield running
    running.close()


def storescu(port: int, *paths: Path) -> None:
    command = ["/usr/bin/storescu", "-aec", "HILUM", "127.0.0.1", str(port), *map(str, paths)]
    subprocess.run(command, check=True, capture_output=True)


def written(folder: Path, films: list[Dataset]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{n}.dcm" for n in range(len(films))]
    for path, film in zip(paths, films, strict=True):
        film.save_as(path, enforce_file_format=True)
    return paths


def classes(archive: Orthanc, film: Dataset) -> list[str]:
    found = archive.found(StudyInstanceUID=str(film.StudyInstanceUID))
    return sorted(each["00080016"]["Value"][0] for each in found)


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_a_film_of_storescu_comes_to_orthanc_as_valid_objects(
    archive: Orthanc, answering: Service, tmp_path: Path, way: str
) -> None:
    film = made_film()
    to = archive.dicom if way == "C-STORE" else archive.web
    service = DicomService(
        DicomSettings(tmp_path / "queue", destination(to, ca=archive.certificate), 0), answering
    )
    try:
        storescu(service.port, *written(tmp_path / "films", [film]))
        until(lambda: service.status()["sent"] == 2)
    finally:
        service.close()
    assert classes(archive, film) == sorted([SR, SC])
    instances = [
        each
        for each in archive.get("/instances?expand")
        if archive.get(f"/instances/{each['ID']}/tags?simplify")["StudyInstanceUID"]
        == film.StudyInstanceUID
    ]
    assert len(instances) == 2
    for each in instances:
        assert validated(archive.file(each["ID"]), tmp_path) == []
    report = tmp_path / "report.dcm"
    sr = next(
        each for each in instances
        if archive.get(f"/instances/{each['ID']}/tags?simplify")["Modality"] == "SR"
    )  # fmt: skip
    report.write_bytes(archive.file(sr["ID"]))
    said = subprocess.run(["dsrdump", str(report)], capture_output=True, text=True, check=True)
    assert '(233604007,SCT,"Pneumonia")' in said.stdout
    assert str(film.PatientName).split("^")[0] in said.stdout


def test_films_of_orthanc_are_found_fetched_and_answered(
    archive: Orthanc, answering: Service, tmp_path: Path
) -> None:
    films = [made_film(n, StudyDate="20260401") for n in range(3)]
    for path in written(tmp_path / "films", films):
        archive.store(path.read_bytes())
    peer = WebPeer(archive.web, ca=archive.certificate)
    service = DicomService(DicomSettings(tmp_path / "queue", peer, 0), answering)
    try:
        pulled = service.pull(peer, Wanted(dates="20260401", most=2))
        assert (pulled.found, pulled.fetched) == (2, 2)
        pulled = service.pull(peer, Wanted(dates="20260401"))
        assert (pulled.found, pulled.fetched, pulled.known) == (3, 1, 2)
        until(lambda: service.status()["sent"] == 6)
    finally:
        service.close()
    for film in films:
        assert len(classes(archive, film)) == 3


def test_a_server_whose_certificate_is_not_trusted_is_given_nothing(
    archive: Orthanc, answering: Service, tmp_path: Path
) -> None:
    peer = WebPeer(archive.web)
    service = DicomService(DicomSettings(tmp_path / "queue", peer, 0), answering)
    try:
        with pytest.raises(PullError, match="cannot be used"):
            service.pull(peer, Wanted(dates="20260401"))
        storescu(service.port, *written(tmp_path / "films", [made_film()]))
        until(lambda: service.status()["destination"] == "no connection")
    finally:
        service.close()


def test_hilum_pull_says_what_waits_and_goes_on_with_it_the_next_time(
    archive: Orthanc, small_bundle: Bundle, tmp_path: Path
) -> None:
    films = [made_film(n, StudyDate="20260402") for n in range(2)]
    for path in written(tmp_path / "films", films):
        archive.store(path.read_bytes())
    record = tmp_path / "record"
    wanted = ("--dates", "20260402", "--audit", str(record))
    nobody = f"dicom://NOBODY@127.0.0.1:{free_port()}"
    done = pull(archive, small_bundle, tmp_path, "--to", nobody, "--patience", "5", *wanted)
    assert done.returncode == 1, done.stderr
    assert "2 films found: 2 fetched, 0 known, 0 not taken" in done.stdout
    assert "4 objects to be sent (destination: no connection)" in done.stdout
    assert not any(canary in done.stdout + done.stderr for canary in CANARIES)
    done = pull(archive, small_bundle, tmp_path, "--to", archive.web, "--json", *wanted)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["pulled"] == {"found": 2, "fetched": 0, "known": 2, "refused": 0}
    assert (said["queue"]["answered"], said["queue"]["sent"]) == (2, 4)
    assert [classes(archive, film).count(SR) for film in films] == [1, 1]
    assert (verify(record).answered, verify(record).rejected) == (2, 0)


def pull(
    archive: Orthanc, bundle: Bundle, folder: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hilum", "pull", str(bundle.folder), archive.web,
         "--ca", str(archive.certificate), "--folder", str(folder / "queue"), *more],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("n", [100])
def test_of_100_studies_and_one_kill_none_is_lost_or_doubled(
    archive: Orthanc, small_bundle: Bundle, tmp_path: Path, n: int
) -> None:
    films = [made_film(seed, side=256, StudyDate="20260501") for seed in range(n)]
    paths = written(tmp_path / "films", films)
    process = Process(small_bundle.folder, tmp_path / "queue", archive.dicom)
    try:
        sending = subprocess.Popen(
            ["/usr/bin/storescu", "-aec", "HILUM", "127.0.0.1", str(process.port), *paths],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: len(archive.found(StudyDate="20260501", Modality="SR")) >= n // 4, 120)
        process.kill()
        sending.wait(60)
        process.begin()
        for path in paths:  # a sender that was cut off sends again; what it had sent, too
            storescu(process.port, path)
        until(lambda: len(_studies(archive, "SR")) >= n, 300)
        until(lambda: len(_studies(archive, "OT")) >= n, 300)
    finally:
        process.end()
    expected = sorted(str(film.StudyInstanceUID) for film in films)
    assert _studies(archive, "SR") == expected
    assert _studies(archive, "OT") == expected


def _studies(archive: Orthanc, modality: str) -> list[str]:
    """The study of each object of a modality, so often as it has one."""
    found = archive.found(StudyDate="20260501", Modality=modality, limit="1000")
    return sorted(each["0020000D"]["Value"][0] for each in found)
