"""The audit: chained lines that survive many writers, kills and rotation, and tell of tampering."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.cli import run
from hilum.data.cohort import Cohort
from hilum.errors import DataError, OutputError
from hilum.robustness.monitoring.record import read_record
from hilum.serving.answering import Answerer, FilmAnswer
from hilum.serving.audit import FIRST, Audit, verify
from hilum.serving.film import prepare
from hilum.serving.rejection import Kind
from serving_made import eventually

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def answers(small_bundle: Bundle, small_cohort: Cohort) -> list[FilmAnswer]:
    manifest = small_bundle.manifest
    films = []
    for n in range(6):
        file = BytesIO()
        Image.fromarray(np.rint(small_cohort.radiograph(n) * 255).astype(np.uint8)).save(
            file, "PNG"
        )
        films.append(prepare(file.getvalue(), manifest.reading, manifest.preprocessing))
    return Answerer(small_bundle).answer(films)


def write_rejections(folder: Path, count: int) -> None:
    audit = Audit(folder, rotate_bytes=200_000)
    for _ in range(count):
        audit.rejected(DIGEST, Kind.UNREADABLE)


def writer(folder: Path, count: int) -> subprocess.Popen[bytes]:
    """Another process that does the same."""
    code = (
        "import sys; from pathlib import Path; from hilum.serving.audit import Audit\n"
        "from hilum.serving.rejection import Kind\n"
        "audit = Audit(Path(sys.argv[1]), rotate_bytes=200_000)\n"
        f"for _ in range({count}): audit.rejected({DIGEST!r}, Kind.UNREADABLE)\n"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(folder)])


def lines_in(folder: Path) -> list[bytes]:
    return [
        line for f in sorted(folder.glob("audit-*.jsonl")) for line in f.read_bytes().splitlines()
    ]


def test_answers_can_be_verified_and_monitored(
    answers: list[FilmAnswer], small_bundle: Bundle, tmp_path: Path
) -> None:
    audit = Audit(tmp_path / "record")
    audit.record(answers[:4], time=datetime(2026, 1, 2, tzinfo=UTC))
    audit.record(answers[:2], ["explained", "explained"])
    audit.rejected(None, Kind.TOO_LARGE)
    audit.record(answers[4:])
    found = verify(tmp_path / "record")
    assert found.intact
    assert (found.lines, found.answered, found.explained, found.rejected) == (9, 6, 2, 1)
    assert found.notes == ()
    read = read_record(tmp_path / "record")
    assert [line.input for line in read.lines] == [each.input for each in answers]
    first = read.lines[0]
    assert first.bundle == small_bundle.digest
    assert first.findings["Pneumonia"].prob == pytest.approx(answers[0].findings[0].probability)
    assert first.time == datetime(2026, 1, 2, tzinfo=UTC)


def test_a_line_is_chained_as_the_documentation_says(
    answers: list[FilmAnswer], tmp_path: Path
) -> None:
    audit = Audit(tmp_path)
    audit.record(answers[:1])
    audit.rejected(DIGEST, Kind.UNREADABLE)
    one, two = lines_in(tmp_path)
    body, said = one.rsplit(b',"hash":"', 1)
    assert hashlib.sha256(body).hexdigest() == said[:64].decode()
    assert json.loads(one)["before"] == FIRST
    assert json.loads(two)["before"] == json.loads(one)["hash"]
    assert json.loads(one)["engine"] == answers[0].engine


def test_four_processes_lose_and_double_no_line(tmp_path: Path) -> None:
    writers = [writer(tmp_path, 500) for _ in range(4)]
    assert [each.wait(300) for each in writers] == [0] * 4
    found = verify(tmp_path)
    assert found.problems == ()
    assert found.notes == ()
    assert found.rejected == 2000
    assert found.files > 1
    assert [json.loads(line)["line"] for line in lines_in(tmp_path)] == list(range(2000))


def test_the_record_survives_kill_9(tmp_path: Path) -> None:
    for _ in range(2):
        before = len(lines_in(tmp_path))
        with writer(tmp_path, 100_000) as killed:
            try:
                eventually(lambda before=before: len(lines_in(tmp_path)) >= before + 50, 240)
            finally:
                killed.kill()
        assert verify(tmp_path).intact
    write_rejections(tmp_path, 5)
    found = verify(tmp_path)
    assert found.intact
    assert found.rejected >= 105


def test_a_torn_line_is_noted_and_the_chain_goes_on(tmp_path: Path) -> None:
    write_rejections(tmp_path, 3)
    file = tmp_path / "audit-00000001.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    write_rejections(tmp_path, 2)
    found = verify(tmp_path)
    assert found.intact
    assert found.lines == 4
    assert found.notes == (
        "audit-00000001.jsonl:3: torn or cut; what stood here and after is not known",
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: [lines[0], lines[1].replace(b"unreadable", b"too-large!"), *lines[2:]],
         "audit-00000001.jsonl:2: altered"),
        (lambda lines: [lines[0], *lines[2:]], "jsonl:2: does not follow the line before"),
        (lambda lines: [lines[0], lines[0], *lines[1:]], "jsonl:2: does not follow"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "jsonl:1: does not follow"),
        (lambda lines: [*lines[:2], b'{"kind":"answered"}', *lines[2:]],
         "jsonl:3: not a line of the record"),
        (lambda lines: lines[1:], "jsonl:1: does not follow"),
    ],
)  # fmt: skip
def test_tampering_is_found_and_named(change: object, told: str, tmp_path: Path) -> None:
    write_rejections(tmp_path, 4)
    file = tmp_path / "audit-00000001.jsonl"
    lines = change(file.read_bytes().splitlines())  # type: ignore[operator]
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    found = verify(tmp_path)
    assert not found.intact
    assert told in found.problems[0]


def test_lines_cut_off_at_the_end_are_missed_by_the_head_that_was_noted(tmp_path: Path) -> None:
    write_rejections(tmp_path, 4)
    head = verify(tmp_path).head
    assert verify(tmp_path, expect=head).intact
    file = tmp_path / "audit-00000001.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in file.read_bytes().splitlines()[:-1]))
    assert verify(tmp_path).intact
    assert "no line has the expected hash" in verify(tmp_path, expect=head).problems[0]


def test_what_follows_files_that_were_moved_away_is_verified_by_their_head(tmp_path: Path) -> None:
    audit = Audit(tmp_path, rotate_bytes=1)  # a file for each line
    for _ in range(4):
        audit.rejected(DIGEST, Kind.UNREADABLE)
    files = sorted(tmp_path.glob("audit-*.jsonl"))
    assert len(files) == 4
    head = json.loads(files[1].read_text())["hash"]
    for file in files[:2]:
        file.unlink()
    assert not verify(tmp_path).intact
    assert verify(tmp_path, begins=head).intact


def test_a_damaged_end_is_not_written_over(tmp_path: Path) -> None:
    write_rejections(tmp_path, 2)
    file = tmp_path / "audit-00000001.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"line":1', b'"line":7'))
    before = file.read_bytes()
    with pytest.raises(DataError, match="its last line is damaged"):
        Audit(tmp_path).rejected(DIGEST, Kind.BUSY)
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        Audit(tmp_path / "file")


def test_the_verb_says_intact_or_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rejections(tmp_path, 3)
    assert run(["audit", "verify", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "intact, 3 lines in 1 files (0 answered, 0 explained, 3 rejected)" in said
    head = re.search("head: ([0-9a-f]{64})", said)
    assert head is not None
    assert run(["audit", "verify", str(tmp_path), "--expect", head[1], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["intact"] is True
    file = tmp_path / "audit-00000001.jsonl"
    file.write_bytes(file.read_bytes().replace(b"unreadable", b"unreadablf"))
    assert run(["audit", "verify", str(tmp_path)]) == 1
    assert "BROKEN" in capsys.readouterr().out
    assert run(["audit", "verify", str(tmp_path / "none")]) == 2
    assert "no file audit-*.jsonl" in capsys.readouterr().err
    assert run(["audit", "verify", str(tmp_path), "--expect", "xyz"]) == 2
