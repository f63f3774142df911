"""The way to a DICOMweb server that misbehaves, on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from hilum.serving.dicom.pulling import PullError, Wanted, pull
from hilum.serving.dicom.queue import Queue
from hilum.serving.dicom.sending import Unreachable, WebSender
from hilum.serving.dicom.settings import WebPeer
from hilum.serving.dicom.web import JSON_LIMIT
from pacs import made_film

UID = "1.2.3"
FOUND = (
    '[{"0020000D": {"vr": "UI", "Value": ["%s"]}, "0020000E": {"vr": "UI", "Value": ["1.2.3"]},'
    ' "00080018": {"vr": "UI", "Value": ["1.2.3"]},'
    ' "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.1"]}}]'
)


class Unkind(BaseHTTPRequestHandler):
    answer: ClassVar[tuple[int, dict[str, str], bytes]] = (500, {}, b"")
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, headers, body = self.answer
        if "/instances/" in self.path and status == 200:
            headers = {"Content-Type": "multipart/related; boundary=x"}
            body = b"--x\r\n\r\nnot a film\r\n--x--"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[WebPeer]:
    Unkind.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Unkind) as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield WebPeer(f"http://127.0.0.1:{running.server_address[1]}/web")
        running.shutdown()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    made = Queue(tmp_path / "queue")
    yield made
    made.close()


def fetch(server: WebPeer, queue: Queue) -> object:
    return pull(server, Wanted(study=UID), queue, "a", most_bytes=1 << 20, seconds=5)


JSON = {"Content-Type": "application/dicom+json"}


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b""),
        (500, {}, b""),
        (200, JSON, b" " * (JSON_LIMIT + 1)),
        (200, JSON, (FOUND % "../../etc/passwd").encode()),
        (200, JSON, (FOUND % "1.2/3?x=").encode()),
    ],
    ids=["redirect", "fault", "too long", "path", "query"],
)
def test_an_answer_that_is_not_taken_ends_the_pull_in_words(
    server: WebPeer, queue: Queue, answer: tuple[int, dict[str, str], bytes]
) -> None:
    Unkind.answer = answer
    with pytest.raises(PullError) as refused:
        fetch(server, queue)
    assert UID not in str(refused.value)
    assert len(Unkind.asked) == 1
    assert queue.counts()["received"] == 0


def test_an_object_that_is_no_film_is_refused_and_the_pull_goes_on(
    server: WebPeer, queue: Queue
) -> None:
    Unkind.answer = (200, JSON, (FOUND % UID).encode())
    pulled = fetch(server, queue)
    assert (pulled.found, pulled.refused, pulled.fetched) == (2, 2, 0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "wanted",
    [{}, {"dates": "yesterday"}, {"study": "x"}, {"accession": "*"}, {"study": UID, "most": 0}],
)
def test_a_query_without_limits_is_not_asked(wanted: dict[str, str]) -> None:
    with pytest.raises(PullError):
        Wanted(**wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(409, "HTTP 409"), (400, "HTTP 400"), (503, None), (401, None), (302, None)],
)
def test_a_refusal_by_stow_is_told_from_one_that_passes(
    server: WebPeer, tmp_path: Path, status: int, outcome: str | None
) -> None:
    path = tmp_path / "film.dcm"
    made_film().save_as(path, enforce_file_format=True)
    Unkind.answer = (status, {"Location": "/"} if status == 302 else {}, b"")
    sending = WebSender(server, 5).send([path])
    if outcome is None:
        with pytest.raises(Unreachable):
            next(sending)
    else:
        assert next(sending) == outcome


def test_an_answer_that_confirms_nothing_is_not_taken_for_success(
    server: WebPeer, tmp_path: Path
) -> None:
    path = tmp_path / "film.dcm"
    made_film().save_as(path, enforce_file_format=True)
    Unkind.answer = (200, JSON, b"{}")
    with pytest.raises(Unreachable, match=r"not confirmed|cannot be read"):
        next(WebSender(server, 5).send([path]))
