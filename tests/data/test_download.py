"""Against a real server on loopback that breaks off, refuses, or serves something else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from hilum.data.download import fetch
from hilum.errors import DataError

CONTENT = bytes(range(256)) * 4000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    ranges: list[str | None]

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if self.path == "/absent":
            self.send_error(404)
            return
        if self.path == "/unavailable-once" and len(self.ranges) == 1:
            self.send_error(503)
            return
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        # "/breaks" sends half of what is left, then hangs up.
        length = (len(CONTENT) - start) // 2 if self.path == "/breaks" else len(CONTENT)
        self.wfile.write(CONTENT[start : start + length])

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[tuple[str, list[str | None]]]:
    ranges: list[str | None] = []
    handler = type("OwnHandler", (Handler,), {"ranges": ranges})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", ranges
        httpd.shutdown()


def test_a_file_arrives_with_progress(server: tuple[str, list[str | None]], tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "file"
    fetch(f"{server[0]}/file", target, DIGEST, progress=lambda *x: seen.append(x))
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [each.name for each in target.parent.iterdir()] == ["file"]


def test_a_broken_transfer_goes_on_where_it_stopped(
    server: tuple[str, list[str | None]], tmp_path: Path
) -> None:
    url, ranges = server
    target = tmp_path / "file"
    with pytest.raises(DataError, match="download failed"):
        fetch(f"{url}/breaks", target, DIGEST, attempts=3, pause_s=0)
    assert not target.exists()
    starts = [int(r.removeprefix("bytes=").removesuffix("-")) for r in ranges if r]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]
    fetch(f"{url}/file", target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert ranges[-1] is not None


def test_a_server_that_is_down_for_a_moment_is_asked_again(
    server: tuple[str, list[str | None]], tmp_path: Path
) -> None:
    fetch(f"{server[0]}/unavailable-once", tmp_path / "file", DIGEST, pause_s=0)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_file_that_does_not_exist_is_asked_for_once(
    server: tuple[str, list[str | None]], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="download failed"):
        fetch(f"{server[0]}/absent", tmp_path / "file", DIGEST, pause_s=0)
    assert len(server[1]) == 1


def test_a_file_of_another_digest_is_refused_and_nothing_stays(
    server: tuple[str, list[str | None]], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="downloaded file has md5"):
        fetch(f"{server[0]}/file", tmp_path / "file", f"md5:{'0' * 32}")
    assert list(tmp_path.iterdir()) == []


def test_a_whole_part_left_by_a_crash_is_used(
    server: tuple[str, list[str | None]], tmp_path: Path
) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch(f"{server[0]}/file", tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT
