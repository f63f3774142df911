"""The routes: answers, refusals in one form, limits before and while a body is read."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from data.radiograph.made_films import data_set, dicom
from hilum.bundle import NOT_A_DEVICE, Bundle, load_bundle
from hilum.cli import run
from hilum.robustness.monitoring.record import read_record
from hilum.serving.audit import Audit
from hilum.serving.film import Film, prepare
from hilum.serving.guard import Door
from hilum.serving.http import app_of
from hilum.serving.limits import Limits
from hilum.serving.metrics import Metrics
from hilum.serving.schemas import Described, FilmRejected, Problem, Said
from hilum.serving.service import Service
from serving_made import done, png

TOKEN = "a token of many letters"
LIMITS = Limits(children=1, film=100_000, body=250_000, films=4, queue=6, body_time=1.0)


@pytest.fixture(scope="module")
def service(small_bundle: Bundle) -> Iterator[Service]:
    service = Service(small_bundle, LIMITS, watch=Metrics())
    yield service
    service.close()


def client_of(service: Service, door: Door) -> TestClient:
    assert isinstance(service.watch, Metrics)
    app = app_of(service, service.watch, door, report=b"<h1>Report</h1>")
    return TestClient(app, base_url="http://127.0.0.1:8000")


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return client_of(service, Door())


def post(client: TestClient, content: bytes, kind: str = "image/png") -> httpx.Response:
    return client.post("/v1/predict", content=content, headers={"content-type": kind})


def refusal(response: httpx.Response, status: int, kind: str) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(response.json())
    assert (problem.status, problem.type) == (status, f"urn:hilum:{kind}")
    return problem


def test_one_film_as_the_body_is_answered(client: TestClient, service: Service) -> None:
    film = png()
    said = Said.model_validate(post(client, film).json())
    assert said.bundle.digest == service.bundle.digest
    assert said.notice == NOT_A_DEVICE
    (answer,) = said.films
    assert not isinstance(answer, FilmRejected)
    assert answer.input == hashlib.sha256(film).hexdigest()
    assert (answer.name, answer.facts.rows) == ("film-1", 64)
    (finding,) = answer.findings
    assert (finding.decision == "present") == (finding.probability >= finding.threshold)


def test_several_films_are_answered_in_order_and_a_bad_one_alone_is_refused(
    client: TestClient,
) -> None:
    films = [png(seed=1), b"nonsense", dicom(data_set())]
    names = ["JANE^DOE.png", "1.png", "../2.dcm"]
    response = client.post(
        "/v1/predict", files=[("film", pair) for pair in zip(names, films, strict=True)]
    )
    assert response.status_code == 200
    said = Said.model_validate(response.json())
    assert [film.status for film in said.films if film.status == "rejected"] == ["rejected"]
    bad = said.films[1]
    assert isinstance(bad, FilmRejected)
    assert (bad.name, bad.error.status, bad.error.type) == ("film-2", 422, "unreadable-film")
    assert "JANE" not in response.text
    alone = post(client, films[0]).json()["films"][0]["findings"][0]["probability"]
    first = response.json()["films"][0]["findings"][0]["probability"]
    assert first == pytest.approx(alone, abs=1e-5)


def test_what_http_answers_is_what_predict_answers(
    client: TestClient,
    small_bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path_factory.mktemp("film") / "film.png"
    path.write_bytes(png(seed=2))
    assert run(["predict", str(small_bundle.folder), str(path), "--json"]) == 0
    (expected,) = json.loads(capsys.readouterr().out)["films"]
    (film,) = post(client, path.read_bytes()).json()["films"]
    found = film["findings"][0]
    assert found["probability"] == pytest.approx(expected["probability"], abs=2e-6)
    assert (found["decision"] == "present") == bool(expected["decision"])
    assert (found["refer"] or {}).get("reason") == expected["refer"]


def test_a_film_is_told_by_its_content_and_not_by_its_type(client: TestClient) -> None:
    response = post(client, dicom(data_set()), "image/jpeg")
    assert response.json()["films"][0]["facts"]["format"] == "DICOM"


def test_where_all_are_bad_the_answer_is_the_first_refusal(client: TestClient) -> None:
    refusal(post(client, b"nonsense"), 422, "unreadable-film")
    both = [("film", ("a", b"nonsense")), ("film", ("b", b"more"))]
    refusal(client.post("/v1/predict", files=both), 422, "unreadable-film")
    refusal(post(client, b""), 422, "unreadable-film")


def test_what_is_not_of_the_form_is_refused(client: TestClient) -> None:
    refusal(client.post("/v1/predict"), 415, "unsupported-media")
    refusal(post(client, b"x", "text/plain"), 415, "unsupported-media")
    refusal(post(client, b"x", "multipart/form-data"), 400, "malformed-request")
    refusal(post(client, b"x", "multipart/form-data; boundary=b"), 400, "malformed-request")
    refusal(
        client.post("/v1/predict", data={"film": "x"}, files={"n": b""}), 400, "malformed-request"
    )
    refusal(client.post("/v1/predict", files={"other": png()}), 400, "malformed-request")
    header = "x" * 10_000
    body = f'--b\r\ncontent-disposition: form-data; name="{header}"\r\n\r\n1\r\n--b--\r\n'
    refusal(
        post(client, body.encode(), "multipart/form-data; boundary=b"), 400, "malformed-request"
    )
    films = [("film", (f"{n}.png", png())) for n in range(5)]
    assert "4 films" in refusal(client.post("/v1/predict", files=films), 413, "too-large").detail
    refusal(client.get("/v1/nothing"), 404, "no-such-thing")
    refusal(client.get("/v1/bundle/"), 404, "no-such-thing")
    assert client.delete("/v1/predict").headers["allow"] == "POST"


def test_too_long_a_body_is_refused_whether_its_length_is_told_or_not(client: TestClient) -> None:
    def pieces(size: int) -> Iterator[bytes]:
        for _ in range(size // 1000):
            yield bytes(1000)

    refusal(post(client, bytes(100_001)), 413, "too-large")
    head = {"content-type": "image/png"}
    response = client.post("/v1/predict", content=pieces(101_000), headers=head)
    assert "100,000 bytes" in refusal(response, 413, "too-large").detail
    refusal(client.post("/v1/predict", files={"film": bytes(100_001)}), 413, "too-large")
    many = [("film", (str(n), bytes(90_000))) for n in range(3)]
    assert "250,000" in refusal(client.post("/v1/predict", files=many), 413, "too-large").detail


def test_an_explanation_fits_the_picture(client: TestClient, service: Service) -> None:
    film = {"film": ("f.dcm", dicom(data_set()))}
    picture = Image.open(BytesIO(client.post("/v1/picture", files=film).content))
    response = client.post("/v1/explain", files=film, data={"finding": "Pneumonia"})
    overlay = Image.open(BytesIO(response.content))
    assert response.headers["content-type"] == "image/png"
    assert (picture.mode, overlay.mode) == ("L", "RGBA")
    assert picture.size == overlay.size
    assert np.ptp(np.asarray(overlay)[..., 3]) > 0
    no = client.post("/v1/explain", files=film, data={"finding": "Scoliosis"})
    assert refusal(no, 400, "malformed-request").detail == "no such finding; expected Pneumonia"
    two = [("film", ("a", png())), ("film", ("b", png()))]
    refusal(client.post("/v1/explain", files=two), 413, "too-large")
    refusal(client.post("/v1/picture", files={"film": b"x"}), 422, "unreadable-film")


def test_the_bundle_tells_what_it_is(client: TestClient, small_bundle: Bundle) -> None:
    told = client.get("/v1/bundle").json()
    Described.model_validate(told)
    assert told["digest"] == small_bundle.digest
    (finding,) = told["findings"]
    point = next(each for each in finding["operating_points"] if each["deployed"])
    assert point["name"] == told["deployed"]
    assert 0 <= point["sensitivity"]["low"] <= point["sensitivity"]["high"] <= 1
    assert told["ages"] is None
    assert "not known" in told["ages_in_words"]
    card = client.get("/v1/bundle/card")
    assert card.content == small_bundle.card()
    report = client.get("/v1/bundle/report")
    assert report.text == "<h1>Report</h1>"
    assert report.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_the_bundle_at_work_answers_all_when_its_folder_is_gone(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    copy = load_bundle(shutil.copytree(small_bundle.folder, tmp_path / "copy"))
    service = Service(copy, LIMITS, watch=Metrics())
    client = client_of(service, Door())
    shutil.rmtree(copy.folder)
    try:
        assert post(client, png()).status_code == 200
        assert client.post("/v1/explain", files={"film": png()}).status_code == 200
        assert client.get("/v1/bundle").json()["digest"] == small_bundle.digest
        assert client.get("/v1/bundle/card").content == small_bundle.card()
    finally:
        service.close()


def test_every_film_is_on_record_once_for_what_it_was_asked(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    service = Service(small_bundle, LIMITS, record=lambda _: Audit(tmp_path), watch=Metrics())
    client = client_of(service, Door())
    try:
        assert post(client, png()).status_code == 200
        assert client.post("/v1/explain", files={"film": png()}).status_code == 200
        assert client.post("/v1/picture", files={"film": png()}).status_code == 200
        with service.line() as line, pytest.MonkeyPatch.context() as patch:
            answer = line.answerer.answer

            def late(films: Any) -> Any:
                time.sleep(1.2)
                return answer(films)

            patch.setattr(line.answerer, "answer", late)
            patch.setattr(service, "limits", replace(LIMITS, deadline=1.0))
            refusal(post(client, png()), 504, "timed-out")

            def broken(_: object) -> None:
                raise ValueError

            patch.setattr(line.answerer, "answer", broken)
            patch.setattr(service, "limits", LIMITS)
            refusal(post(client, png()), 500, "internal-error")
            # Too late only when it is already on record: by this much nobody can know before.
            done: Future[Any] = Future()
            done.set_result(replace(answer([film_of(line.bundle)])[0], input="late"))
            line.withheld(done)
    finally:
        service.close()
    lines = [
        json.loads(line) for line in (tmp_path / "audit-00000001.jsonl").read_text().splitlines()
    ]
    digest = hashlib.sha256(png()).hexdigest()
    assert [(each["kind"], each["input"], each.get("why")) for each in lines] == [
        ("answered", digest, None),
        ("explained", digest, None),
        ("rejected", digest, "timed-out"),
        ("rejected", digest, "failed"),
        ("rejected", "late", "timed-out"),
    ]
    assert len(read_record(tmp_path).lines) == 1


def film_of(bundle: Bundle) -> Film:
    return prepare(png(), bundle.manifest.reading, bundle.manifest.preprocessing)


def test_a_picture_that_nobody_waits_for_any_more_is_not_waited_for(service: Service) -> None:
    with service.line() as line:
        holding = [threading.Event() for _ in range(2)]
        held = [line._threads.submit(each.wait, 10) for each in holding]
        picture = line.picture(png(), time.monotonic() + 10)
        assert picture.cancel()
        for each in holding:
            each.set()
        assert all(each.result(5) for each in held)
        assert not line.batcher._coming()


def test_a_token_is_wanted_for_answers_and_metrics_alone(service: Service) -> None:
    client = client_of(service, Door(TOKEN, None))
    for path in ("/healthz", "/readyz"):
        assert client.get(path).status_code == 200
    assert client.get("/").status_code in (200, 404)
    for path in ("/v1/bundle", "/v1/bundle/card", "/v1/bundle/report", "/metrics", "/openapi.json"):
        no = client.get(path)
        refusal(no, 401, "unauthorised")
        assert no.headers["www-authenticate"] == "Bearer"
        for wrong in (
            "Bearer ",
            f"Basic {TOKEN}",
            f"Bearer {TOKEN}x",
            "Bearer ÿ".encode("latin-1"),
        ):
            refusal(client.get(path, headers={"authorization": wrong}), 401, "unauthorised")  # type: ignore[dict-item]
        assert client.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    refusal(post(client, png()), 401, "unauthorised")


def test_pages_of_other_sites_cannot_ask(client: TestClient, service: Service) -> None:
    refusal(client.get("/healthz", headers={"host": "evil.example"}), 400, "malformed-request")
    for near in ("evil@localhost", "localhost/evil", "local\thost", "localhost:x", ""):
        refusal(client.get("/healthz", headers={"host": near}), 400, "malformed-request")
    for ours in ("localhost:8000", "[::1]:8000", "127.0.0.1"):
        assert client.get("/healthz", headers={"host": ours}).status_code == 200
    refusal(client.get("/v1/bundle", headers={"origin": "http://evil"}), 403, "forbidden-origin")
    cross = {"sec-fetch-site": "cross-site"}
    refusal(client.post("/v1/predict", headers=cross), 403, "forbidden-origin")
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert client.get("/v1/bundle", headers=own).status_code == 200


def test_every_answer_has_the_headers_of_safety(client: TestClient) -> None:
    for path in ("/healthz", "/v1/bundle", "/nothing", "/metrics", "/"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in headers
        assert len(headers["x-request-id"]) == 16


def test_bytes_that_are_told_of_and_do_not_come_take_no_room(service: Service) -> None:
    slow = Service(service.bundle, replace(LIMITS, held=100_000, slow_time=0.3), watch=Metrics())

    async def ask(told: int, sent: bytes, silent: float) -> int:
        began: list[int] = []
        parts = iter([sent, None])

        async def receive() -> dict[str, object]:
            part = next(parts)
            if part is None:
                await asyncio.sleep(silent)
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": part, "more_body": len(part) < told}

        async def send(message: dict[str, Any]) -> None:
            began.append(message.get("status", 0))

        headers = [(b"content-type", b"image/png"), (b"content-length", str(told).encode())]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/predict", "scheme": "http",
            "query_string": b"", "headers": headers, "http_version": "1.1",
        }  # fmt: skip
        await app(scope, receive, send)
        return began[0]

    async def all_at_once() -> list[int]:
        idle = [ask(90_000, b"x", 5) for _ in range(3)]
        return await asyncio.gather(*idle, ask(len(png()), png(), 0))

    app: Any = app_of(slow, Metrics(), Door(hosts=None))
    try:
        assert done(all_at_once()) == [408, 408, 408, 200]
    finally:
        slow.close()
    assert (slow.films, slow._bytes) == (0, 0)


def test_a_length_beside_a_transfer_coding_is_refused_and_the_line_cut(client: TestClient) -> None:
    both = {"content-length": "1", "transfer-encoding": "chunked", "content-type": "image/png"}
    for no in (
        client.post("/v1/predict", content=iter([png()]), headers=both),
        client.get("/healthz", headers=both),
    ):
        refusal(no, 400, "malformed-request")
        assert no.headers["connection"] == "close"


def test_a_path_with_a_line_in_it_is_no_path_of_ours(client: TestClient, service: Service) -> None:
    for path in ("/v1/predict%0A", "/v1/explain%0a", "/v1/picture%0A"):
        refusal(client.post(path, content=png()), 404, "no-such-thing")
    for path in ("/v1/bundle%0A", "/healthz%0A", "/%0A"):
        refusal(client.get(path), 404, "no-such-thing")
    assert service.films == 0


def test_busy_is_said_before_a_byte_is_read(client: TestClient, service: Service) -> None:
    service.take_on(6, 0)
    try:
        no = post(client, png())
        refusal(no, 503, "busy")
        assert int(no.headers["retry-after"]) >= 1
        refusal(client.get("/readyz"), 503, "busy")
        assert client.get("/healthz").status_code == 200
    finally:
        service.let_go(6, 0)
    assert post(client, png()).status_code == 200
    service.take_on(3, 0)
    try:
        films = [("film", (str(n), png())) for n in range(4)]
        refusal(client.post("/v1/predict", files=films), 503, "busy")
    finally:
        service.let_go(3, 0)
    assert service.films == 0


def test_metrics_count_films_and_requests_by_outcome(client: TestClient) -> None:
    def count(line: str) -> float:
        text = client.get("/metrics").text
        return float(next((x.split()[-1] for x in text.splitlines() if x.startswith(line)), 0))

    bad = 'hilum_films_total{outcome="rejected",reason="unreadable-film"}'
    requests = 'hilum_requests_total{route="/v1/predict",status="422"}'
    before = count(bad), count(requests)
    post(client, b"nonsense")
    assert (count(bad), count(requests)) == (before[0] + 1, before[1] + 1)
    client.get("/v1/JANE-DOE")
    assert "JANE" not in client.get("/metrics").text
    assert count("hilum_bundle_info{") == 1
    assert count("hilum_batch_films_count") > 0


def test_an_error_inside_is_told_by_its_id_alone(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def broken(*_: object) -> None:
        raise ValueError("JANE DOE")

    with service.line() as line:
        monkeypatch.setattr(line.answerer, "answer", broken)
    no = post(client, png())
    refusal(no, 500, "internal-error")
    assert "JANE" not in no.text


def test_openapi_tells_every_refusal_and_an_example(client: TestClient) -> None:
    told = client.get("/openapi.json").json()
    predict = told["paths"]["/v1/predict"]["post"]
    statuses = {"200", "400", "401", "403", "408", "413", "415", "422", "500", "503", "504"}
    assert set(predict["responses"]) == statuses
    Said.model_validate(predict["responses"]["200"]["content"]["application/json"]["example"])
    assert set(predict["requestBody"]["content"]) >= {"multipart/form-data", "application/dicom"}
    assert "Problem" in told["components"]["schemas"]


def test_a_classifier_without_maps_says_so_and_answers_all_the_same(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service.line() as line:
        monkeypatch.setattr(line.answerer, "_head", None)
        response = client.post("/v1/explain", content=png(), headers={"content-type": "image/png"})
        refusal(response, 404, "no-map")
        assert post(client, png()).status_code == 200
