"""What somebody may send to do harm, and what must never leave: hostile films, patients' names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from data.radiograph.made_films import data_set, dicom
from hilum.bundle import Bundle
from serving.hostile import harmless_bombs, hostile_films
from serving_made import Running, png, running

MIB = 1 << 20
# Planted wherever a file or a request can hold something of a patient.
CANARY = re.compile(rb"(?i)canary|19610203|1961-02-03|4711-?0815|2\.25\.4711")


@pytest.fixture(scope="module")
def service(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("safety")
    arguments = (small_bundle.folder, "--log", "debug", "--audit", folder / "audit")
    with running(folder / "log", *arguments, "--decoders", "1") as service:
        yield service


def post(client: httpx.Client, film: bytes, route: str = "/v1/predict") -> httpx.Response:
    return client.post(route, content=film, headers={"content-type": "application/octet-stream"})


def resident(service: Running) -> int:
    """What the service itself holds, without the processes that decode."""
    return psutil.Process(service.process.pid).memory_info().rss


def test_a_hostile_film_gets_one_typed_refusal_and_the_service_lives(service: Running) -> None:
    with service.client() as client:
        post(client, png())
        before = resident(service)
        for name, film in hostile_films().items():
            response = post(client, film)
            assert response.status_code in (400, 413, 422), (name, response.text)
            told = response.json()
            assert told["type"].startswith("urn:hilum:"), name
            assert told["detail"].count("\n") == 0
        for name, film in harmless_bombs().items():
            assert post(client, film).status_code in (200, 422), name
        assert resident(service) - before <= 32 * MIB
        assert post(client, png()).status_code == 200
        assert client.get("/readyz").status_code == 200


def test_a_hostile_film_among_good_ones_costs_them_nothing(service: Running) -> None:
    films = [png(seed=1), hostile_films()["deflated bomb"], png(seed=2)]
    with service.client() as client:
        told = client.post("/v1/predict", files=[("film", ("x", film)) for film in films]).json()
        alone = [post(client, films[n]).json()["films"][0]["findings"] for n in (0, 2)]
    assert [film["status"] == "rejected" for film in told["films"]] == [False, True, False]
    for n, findings in zip((0, 2), alone, strict=True):
        for here, there in zip(told["films"][n]["findings"], findings, strict=True):
            assert here["probability"] == pytest.approx(there["probability"], abs=1e-5)


def canary_film(**elements: object) -> bytes:
    """A chest film whose header is full of a patient."""
    film = data_set(
        PatientName="CANARY^NAME", PatientID="4711-0815", PatientBirthDate="19610203",
        StudyInstanceUID="2.25.4711", SeriesInstanceUID="2.25.47111", StudyDate="19610203",
        AccessionNumber="CANARYACC", InstitutionName="CANARY HOSPITAL", StudyID="CANARY",
        ReferringPhysicianName="CANARY^DOCTOR", StudyDescription="canary study",
        OtherPatientIDs="CANARY2", PatientAddress="1 Canary Street", ImageComments="canary",
        PatientComments="canary", OperatorsName="CANARY^OPERATOR", StationName="CANARY1",
        **elements,
    )  # fmt: skip
    nested = Dataset()
    nested.PatientName = "CANARY^NESTED"
    film.ReferencedPatientSequence = Sequence([nested])
    film.add_new(0x00091010, "LO", "CANARY PRIVATE")
    film.SOPInstanceUID = "2.25.4711.1"
    return dicom(film)


def test_nothing_of_a_patient_leaves_by_answer_log_metrics_or_record(service: Running) -> None:
    good = canary_film()
    films = [good, canary_film(PixelData=b"\0\0"), good[: len(good) // 2], canary_film(Rows=0)]
    films.append(canary_film(Modality="CT", NumberOfFrames="7"))
    headers = {"user-agent": "canary", "referer": "http://127.0.0.1/canary", "x-patient": "canary"}
    said: list[bytes] = []

    def keep(response: httpx.Response) -> None:
        # What a client itself put into the address comes back to nobody else.
        said.append(response.content + repr(response.headers.raw).encode())

    with service.client(headers=headers) as client:
        for film in films:
            for route in ("/v1/predict", "/v1/explain", "/v1/picture"):
                keep(post(client, film, route))
                keep(client.post(f"{route}?name=canary", files={"film": ("CANARY.dcm", film)}))
        keep(client.post("/v1/predict", files={"canary": ("CANARY.dcm", good)}))
        keep(client.post("/v1/predict", data={"film": "canary"}))
        keep(client.get("/v1/CANARY"))
        keep(client.get("/v1/bundle", headers={"host": "127.0.0.1"}))
        keep(client.get("/metrics"))
    answered = [content for content in said if b'"findings"' in content]
    assert answered  # the film that is whole was answered
    folder = service.log.parent
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert any(b'"kind":"answered"' in content for content in kept.values())
    assert len(kept[service.log]) > 1000  # it has told of every request
    for content in [*said, *kept.values()]:
        found = CANARY.search(content)
        assert found is None, content[max(0, found.start() - 200) : found.end() + 100]


def run_schemathesis(service: Running, examples: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            "run", f"{service.url.rstrip('/')}/openapi.json",
            "--max-examples", str(examples), "--seed", "0", "--no-color",
            "--generation-database", "none", "--request-timeout", "30",
            # OpenAPI has no words for what a film is: bytes that are none are refused all the same.
            "--exclude-checks", "positive_data_acceptance",
        ],
        capture_output=True, text=True, check=False, cwd=service.log.parent, timeout=1200,
    )  # fmt: skip


def test_what_the_api_says_of_itself_is_true(service: Running) -> None:
    done = run_schemathesis(service, 15)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_what_the_api_says_of_itself_is_true_of_a_great_many_requests(service: Running) -> None:
    done = run_schemathesis(service, 500)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def fuzz(runs: int, corpus: Path) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("fuzz_upload.py")
    # A shell between: Linux counts the memory of whoever starts a process into that process's
    # peak, which is what the fuzzer holds its limit against.
    return subprocess.run(
        [
            "sh", "-c", '"$@"; exit $?', "sh",
            sys.executable, script, str(corpus), f"-runs={runs}", "-seed=1", "-max_len=20000",
            "-rss_limit_mb=3000", "-timeout=20", f"-artifact_prefix={corpus}/",
        ],
        capture_output=True, text=True, check=False, timeout=3600,
    )  # fmt: skip


def test_the_way_of_an_upload_withstands_a_fuzzer(tmp_path: Path) -> None:
    done = fuzz(3_000, tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    assert re.search(r"Done 3\d\d\d runs", done.stderr), done.stderr[-2000:]


@pytest.mark.slow
def test_the_way_of_an_upload_withstands_a_fuzzer_for_long(tmp_path: Path) -> None:
    done = fuzz(200_000, tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]


def test_the_log_is_lines_of_json(service: Running) -> None:
    for line in service.log.read_text().splitlines():
        json.loads(line)
