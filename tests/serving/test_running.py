"""`hilum serve` as a process: start, refusals to start, drain, swap, workers, log."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from hilum.bundle import Bundle, bundle_draft, load_bundle, seal_bundle
from hilum.serving.audit import verify
from serving_made import Running, eventually, png, refused, running

TOKEN = "a-token-of-many-letters"
PREDICT = "/v1/predict"
HEAD = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def copy(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(small_bundle.folder, tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def service(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("log")
    arguments = (copy, "--log", "debug", "--audit", folder / "audit")
    with running(folder / "log", *arguments) as service:
        yield service


def another(folder: Path, name: str) -> Bundle:
    """Put a bundle that differs by its name alone in the place of the one in `folder`."""
    old = load_bundle(folder)
    with bundle_draft(folder) as draft:
        for file in old.manifest.files:
            (draft / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / file, draft / file)
        return seal_bundle(draft, folder, old.manifest.model_copy(update={"name": name}))


class Clients:
    """So many that post one film after another until they are stopped."""

    def __init__(self, url: str, number: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.digests: list[str] = []
        self.errors: list[Exception] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post, args=(url, n)) for n in range(number)]
        for each in self._threads:
            each.start()

    def _post(self, url: str, n: int) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self._stop.is_set():
                try:
                    response = client.post(PREDICT, content=png(seed=n), headers=HEAD)
                except httpx.HTTPError as error:
                    self.errors.append(error)
                    return
                self.statuses[response.status_code] += 1
                if response.status_code == 200:
                    self.digests.append(response.json()["bundle"]["digest"])

    def stop(self) -> None:
        self._stop.set()
        for each in self._threads:
            each.join(30)


def test_one_line_says_that_it_serves_and_that_it_is_no_device(
    service: Running, small_bundle: Bundle
) -> None:
    assert small_bundle.digest[:12] in service.greeting
    assert "openvino-f32" in service.greeting
    assert "not a medical device" in service.greeting
    with service.client() as client:
        assert client.get("/readyz").json() == {"status": "ok"}
        assert "server" not in client.get("/healthz").headers


def test_the_log_tells_outcomes_and_nothing_of_films_or_files(service: Running) -> None:
    with service.client() as client:
        response = client.post(
            f"{PREDICT}?patient=JANE-DOE",
            files={"film": ("JANE-DOE-1961.png", png())},
            headers={"user-agent": "JANE-DOE", "x-request-id": "JANE-DOE"},
        )
        assert response.status_code == 200
        client.get("/JANE-DOE")
        client.post(PREDICT, content=b"JANE-DOE", headers=HEAD)
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as raw:
            raw.sendall(b"JANE-DOE\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 400")
    log = service.log.read_text()
    assert "JANE" not in log
    told = {line["request"]: line for line in service.told() if line["event"] == "request"}
    line = told[response.headers["x-request-id"]]
    assert (line["route"], line["status"]) == (PREDICT, 200)
    assert line["outcome"] in ("answered", "referred")


def test_every_answer_is_on_record_before_it_is_given(service: Running) -> None:
    folder = service.log.parent / "audit"
    before = verify(folder)
    with service.client() as client:
        client.post(PREDICT, content=png(seed=5), headers=HEAD)
        client.post(PREDICT, content=b"nonsense", headers=HEAD)
    after = verify(folder)
    assert after.intact
    added = after.answered - before.answered, after.rejected - before.rejected
    assert added == (1, 1)


def test_killed_decoders_are_replaced_and_the_service_lives(service: Running) -> None:
    killed = service.children()
    assert killed
    for child in killed:
        child.kill()
    with service.client() as client:
        statuses = {client.post(PREDICT, content=png(), headers=HEAD).status_code for _ in range(6)}
        assert 200 in statuses
        assert statuses <= {200, 422}
        assert client.get("/readyz").status_code == 200
    assert service.children()
    assert not {each.pid for each in service.children()} & {each.pid for each in killed}


def test_memory_stays_where_it_is_while_too_long_bodies_come(service: Running) -> None:
    def resident() -> int:
        return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])

    process = psutil.Process(service.process.pid)
    before = greatest = resident()
    told = threading.Event()

    def pieces(size: int) -> Iterator[bytes]:
        nonlocal greatest
        for n in range(size >> 16):
            if n % 64 == 0:
                greatest = max(greatest, resident())
            yield bytes(1 << 16)
        told.set()

    with service.client() as client:
        no = client.post(
            PREDICT, content=pieces(1 << 26), headers={**HEAD, "content-length": str(1 << 27)}
        )
        assert no.status_code == 413
    with service.client() as client:
        no = client.post(PREDICT, content=pieces((1 << 26) + (1 << 20)), headers=HEAD)
        assert no.status_code == 413
    assert greatest - before < 32 << 20


def test_a_swap_under_load_loses_no_request(copy: Path, service: Running) -> None:
    old = load_bundle(copy)
    clients = Clients(service.url, 8)
    try:
        time.sleep(0.5)
        new = another(copy, "second")
        service.signal(signal.SIGHUP)
        eventually(lambda: new.digest in clients.digests, 30)
        time.sleep(0.3)
    finally:
        clients.stop()
    assert not clients.errors
    assert set(clients.statuses) == {200}
    assert set(clients.digests) == {old.digest, new.digest}
    with service.client() as client:
        assert client.get("/v1/bundle").json()["name"] == "second"
        metrics = client.get("/metrics").text
    at_work = [
        line.split()[-1] for line in metrics.splitlines() if line.startswith("hilum_bundle_")
    ]
    assert sorted(at_work) == ["0.0", "1.0"]


def test_a_damaged_bundle_is_refused_and_the_old_one_goes_on(copy: Path, service: Running) -> None:
    with service.client() as client:
        before = client.get("/v1/bundle").json()["digest"]
        file = copy / "openvino" / "model.bin"
        sound = file.read_bytes()
        file.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        service.signal(signal.SIGHUP)
        eventually(lambda: "the new bundle is refused" in service.log.read_text(), 30)
        file.write_bytes(sound)
        assert client.get("/v1/bundle").json()["digest"] == before
        assert client.post(PREDICT, content=png(), headers=HEAD).status_code == 200
        assert 'hilum_swaps_total{outcome="refused"} 1.0' in client.get("/metrics").text


def test_what_was_taken_on_is_answered_before_the_end(service: Running) -> None:
    clients = Clients(service.url, 8)
    eventually(lambda: clients.statuses[200] > 0, 30)
    children = service.children()
    service.signal(signal.SIGTERM)
    code = service.end()
    clients.stop()
    assert code == 0, service.log.read_text()[-2000:]
    # Busy is said to those on an open connection; new ones find nobody.
    assert set(clients.statuses) <= {200, 503}
    assert clients.statuses[200] > 0
    refusals = (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
    assert all(isinstance(error, refusals) for error in clients.errors)
    answered = [line for line in service.told() if line.get("status") == 200]
    assert sum(line["route"] == PREDICT for line in answered) >= clients.statuses[200]
    eventually(lambda: not any(child.is_running() for child in children))


def test_several_workers_share_address_swap_counts_and_end(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    folder = shutil.copytree(small_bundle.folder, tmp_path / "small")
    env = {"HILUM_TOKEN": TOKEN}
    with running(tmp_path / "log", folder, "--workers", "2", env=env) as service:
        workers = psutil.Process(service.process.pid).children()
        assert len(workers) == 2
        assert TOKEN not in " ".join(word for each in workers for word in each.cmdline())
        head = {"authorization": f"Bearer {TOKEN}", **HEAD}
        for n in range(12):
            found = httpx.post(service.url + PREDICT, content=png(seed=n), headers=head, timeout=30)
            assert found.status_code == 200
        metrics = httpx.get(f"{service.url}/metrics", headers=head).text
        counted = 'hilum_requests_total{route="/v1/predict",status="200"} 12.0'
        assert counted in metrics
        workers[0].kill()
        eventually(lambda: len(psutil.Process(service.process.pid).children()) == 2, 30)
        assert httpx.get(f"{service.url}/healthz", timeout=30).status_code == 200
        new = another(folder, "second")

        def all_swapped() -> bool:
            asked = [httpx.get(f"{service.url}/v1/bundle", headers=head) for _ in range(8)]
            return {each.json()["digest"] for each in asked} == {new.digest}

        service.signal(signal.SIGHUP)
        eventually(all_swapped, 30)
        everything = psutil.Process(service.process.pid).children(recursive=True)
        assert service.end() == 0
        eventually(lambda: not any(each.is_running() for each in everything))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "--token-file"),
        (["--token-file", "nowhere"], "nowhere: cannot be read"),
        (["--log", "loud"], "--log: loud"),
        (["--report", "nowhere", "--port", "0"], "nowhere: cannot be read"),
    ],
)
def test_what_would_not_be_safe_or_sound_is_refused_in_one_line(
    small_bundle: Bundle, arguments: list[str], said: str
) -> None:
    code, errors = refused(small_bundle.folder, *arguments)
    assert code == 2
    assert said in errors
    assert errors.count("\n") == 1


def test_a_port_in_use_and_a_bundle_that_is_none_are_refused_in_one_line(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, errors = refused(small_bundle.folder, "--port", port)
    assert (code, errors.count("\n")) == (2, 1)
    assert f"127.0.0.1:{port}" in errors
    code, errors = refused(tmp_path, "--port", "0")
    assert (code, errors.count("\n")) == (2, 1), errors
    assert "no bundle here" in errors


def test_a_short_token_is_refused(small_bundle: Bundle) -> None:
    code, errors = refused(small_bundle.folder, env={"HILUM_TOKEN": "short"})
    assert code == 2
    assert "16 or more" in errors
    assert json.dumps("short") not in errors
