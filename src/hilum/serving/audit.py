"""The audit: what a service answered and refused, in a record that is only ever added to.

Each line holds the hash of the line before, so a line that is altered, taken out or put in breaks
the chain. Lines of answers are those that `hilum monitor` reads, once for each film: what was
computed again to explain one has a kind of its own. Nothing here holds a pixel, a name or an id.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.data.appearance import ATTRIBUTES, appearance
from hilum.errors import DataError, OutputError
from hilum.robustness.monitoring import record
from hilum.robustness.monitoring.summary import feature_summary
from hilum.serving.rejection import Kind

if TYPE_CHECKING:
    from hilum.serving.answering import FilmAnswer

FIRST = "0" * 64  # what the first line of all has in place of a hash before it
ROTATE_BYTES = 64 << 20
_NAME = re.compile(r"^audit-(\d{8})\.jsonl$")
_LOCK = ".lock"
_SEAL = re.compile(rb'^(?P<body>.*),"hash":"(?P<hash>[0-9a-f]{64})"\}$', re.DOTALL)


def is_hash(text: str) -> bool:
    """Whether this may be a line's hash: SHA-256 in hex."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


class Audit:
    """The record in one folder. Several processes and threads may write to it at once.

    rotate_bytes: a file that has grown to this is left, and the next one begun
    """

    def __init__(self, folder: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        """Raises OutputError where the folder cannot be written."""
        self.folder, self.rotate_bytes = folder, rotate_bytes
        with self._locked():
            pass

    def record(
        self,
        answers: Sequence[FilmAnswer],
        asked: Sequence[str] = (),
        *,
        time: datetime | None = None,
    ) -> None:
        """Add a line for each answer, on the disk before this returns.

        asked: what each was asked for, "answered" or "explained"; none: all answered
        Raises OutputError.
        """
        told = time or datetime.now(UTC)
        kinds = asked or ["answered"] * len(answers)
        self._append([_answered(*each, told) for each in zip(answers, kinds, strict=True)])

    def rejected(self, digest: str | None, kind: Kind, time: datetime | None = None) -> None:
        """Add a line for a film that got no answer. digest: SHA-256 of what came, where known."""
        told = (time or datetime.now(UTC)).astimezone(UTC).isoformat()
        self._append([{"kind": "rejected", "time": told, "input": digest, "why": kind.type}])

    def _append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        with self._locked():
            file, number, before = self._end()
            text = b""
            for fields in lines:
                sealed, before = _sealed({**fields, "line": number, "before": before})
                text += sealed
                number += 1
            _write(file, text)

    def _end(self) -> tuple[Path, int, str]:
        """Where the next line goes, its number, and the hash before it."""
        files = _files(self.folder)
        if not files:
            return self.folder / _named(1), 0, FIRST
        newest = files[-1]
        following = self.folder / _named(int(newest.stem.removeprefix("audit-")) + 1)
        for place, file in enumerate(reversed(files)):
            whole, torn = _last_line(file)
            if whole is None:
                if place == 0 and not torn:
                    following = newest  # made, and nothing written to it yet
                continue
            body, said = _unsealed(file, whole)
            full = place > 0 or torn or file.stat().st_size >= self.rotate_bytes
            return (following if full else file), int(json.loads(body)["line"]) + 1, said
        return following, 0, FIRST

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o640)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
            finally:
                os.close(handle)
        except OSError as error:
            raise OutputError(
                self.folder,
                f"cannot be written ({error.strerror or error})",
                remedy="name a folder that you may write to, on a disk with room",
            ) from error


@dataclass(frozen=True)
class Verdict:
    """What was found of a record.

    lines: in all; answered, explained, rejected: of them
    head: hash of the last, to be kept elsewhere
    problems: what is broken, each with its file and line; notes: what is odd and does no harm
    """

    lines: int
    answered: int
    explained: int
    rejected: int
    files: int
    head: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        return not self.problems


def verify(folder: Path, *, begins: str = FIRST, expect: str | None = None) -> Verdict:
    """Hold every line against its hash, its number and the line before.

    begins: hash before the first line here, where earlier files were moved away
    expect: a head that was noted before and must still stand somewhere in the chain; without it
        nobody can tell whether the last lines were cut off. The chain has no key: who may write to
        the folder can make it anew, and only a head that was noted elsewhere tells of that.
    Raises DataError where there is no record.
    """
    files = _files(folder) if folder.is_dir() else []
    if not files:
        raise DataError(
            folder, "no file audit-*.jsonl", expected="a record, as 'hilum serve --audit' writes it"
        )
    walk = _Walk(begins)
    for file in files:
        _walked(file, walk)
    if expect is not None and expect not in (*walk.hashes, begins):
        walk.problems.append(f"{folder}: no line has the expected hash {expect[:12]}…")
    if not walk.lines:
        walk.problems.append(f"{folder}: no line")
    return Verdict(
        walk.lines, walk.answered, walk.explained, walk.rejected, len(files), walk.before,
        tuple(walk.problems), tuple(walk.notes),
    )  # fmt: skip


class _Walk:
    """How far a verification has come."""

    def __init__(self, begins: str) -> None:
        self.before, self.number = begins, None if begins != FIRST else 0
        self.lines = self.answered = self.explained = self.rejected = 0
        self.hashes: set[str] = set()
        self.problems: list[str] = []
        self.notes: list[str] = []

    def take(self, where: str, fields: Mapping[str, Any], said: str) -> None:
        """One line whose own hash holds."""
        number, before = fields.get("line"), fields.get("before")
        if before != self.before:
            self.problems.append(f"{where}: does not follow the line before it")
        elif self.number is not None and number != self.number:
            self.problems.append(f"{where}: numbered {number}, expected {self.number}")
        self.before, self.number = said, number + 1 if isinstance(number, int) else None
        self.hashes.add(said)
        self.lines += 1
        if fields.get("kind") == "rejected":
            self.rejected += 1
        elif fields.get("kind") == "explained":
            self.explained += 1
        else:
            self.answered += 1


def _walked(file: Path, walk: _Walk) -> None:
    with file.open("rb") as lines:
        for n, text in enumerate(lines, 1):
            where = f"{file.name}:{n}"
            if not text.endswith(b"\n"):
                walk.notes.append(f"{where}: torn or cut; what stood here and after is not known")
                continue
            match = _SEAL.match(text[:-1])
            if match is None:
                walk.problems.append(f"{where}: not a line of the record")
            elif _hash(match["body"]) != match["hash"].decode():
                walk.problems.append(f"{where}: altered, its hash does not hold")
                walk.before, walk.number = match["hash"].decode(), None
            else:
                walk.take(where, json.loads(match["body"] + b"}"), match["hash"].decode())


def _answered(answer: FilmAnswer, kind: str, time: datetime) -> dict[str, Any]:
    raw = answer.raw
    looks = appearance(raw.image_nchw[:, 0])
    line = record.Line(
        time=time.astimezone(UTC),
        bundle=answer.bundle,
        input=answer.input,
        findings={
            each.finding: record.FindingAnswer(
                logit=record.short(float(raw.logit_nf[0, f])),
                prob=each.probability,
                decision=1 if each.decision == "present" else 0,
            )
            for f, each in enumerate(answer.findings)
        },
        refer=answer.refer,
        appearance={name: record.short(looks[name][0]) for name in ATTRIBUTES},
        feature=tuple(
            record.short(number) for number in feature_summary(raw.feature_nd, answer.bundle)[0]
        ),
        synthetic=answer.synthetic,
    )
    return {"kind": kind, **line.model_dump(mode="json"), "engine": answer.engine}


def _sealed(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """A line with its hash as its last field, and that hash."""
    body = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()[:-1]
    said = _hash(body)
    return body + f',"hash":"{said}"}}\n'.encode(), said


def _unsealed(file: Path, text: bytes) -> tuple[bytes, str]:
    match = _SEAL.match(text)
    if match is None or _hash(match["body"]) != match["hash"].decode():
        raise DataError(
            file,
            "its last line is damaged",
            expected="a line as 'hilum serve --audit' writes it",
            remedy="keep the record as it is and name another folder",
        )
    return match["body"] + b"}", match["hash"].decode()


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.glob("audit-*.jsonl") if _NAME.match(each.name))


def _named(number: int) -> str:
    return f"audit-{number:08d}.jsonl"


def _last_line(file: Path) -> tuple[bytes | None, bool]:
    """The last whole line, None where there is none, and whether a torn one stands behind it."""
    step = 1 << 16
    with file.open("rb") as lines:
        end = start = lines.seek(0, os.SEEK_END)
        tail = b""
        while start > 0:
            start = max(0, start - step)
            lines.seek(start)
            tail = lines.read(min(step, end - start)) + tail
            end = start
            if tail.rstrip(b"\n").count(b"\n") >= 2 or start == 0:
                break
    torn = bool(tail) and not tail.endswith(b"\n")
    whole = tail.split(b"\n")[:-1]
    return (whole[-1] if whole else None), torn


def _write(file: Path, text: bytes) -> None:
    made = not file.exists()
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        left = memoryview(text)
        while left:
            left = left[os.write(handle, left) :]
        os.fdatasync(handle)
    finally:
        os.close(handle)
    if made:
        _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    """A new file's name is on the disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
