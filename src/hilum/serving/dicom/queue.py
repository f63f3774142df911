"""The work that is owed, on disk: a film is not acknowledged before it stands here, and stays
until its answers are delivered. What is done with the work is left to `service`.

Files hold films and answers, SQLite their states. A file is always complete before its row says
so, and a row always changes before its file goes; what a crash leaves between is put right by
`mend`. Names are digests: nothing of a patient stands in a name or in the table.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from hilum.errors import HilumError
from hilum.serving.dicom.source import Content

_TABLES = """
CREATE TABLE IF NOT EXISTS film (
    key TEXT PRIMARY KEY, state TEXT NOT NULL, bundle TEXT NOT NULL DEFAULT '',
    tries INTEGER NOT NULL DEFAULT 0, received REAL NOT NULL, changed REAL NOT NULL,
    due REAL NOT NULL DEFAULT 0, why TEXT NOT NULL DEFAULT '',
    content TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS result (
    name TEXT PRIMARY KEY, film TEXT NOT NULL, state TEXT NOT NULL,
    refusals INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0, why TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS film_state ON film (state, due);
CREATE INDEX IF NOT EXISTS film_changed ON film (state, changed);
CREATE INDEX IF NOT EXISTS result_state ON result (state, due);
CREATE INDEX IF NOT EXISTS result_film ON result (film);
CREATE TABLE IF NOT EXISTS count (name TEXT PRIMARY KEY, n INTEGER NOT NULL);
"""
# A film's states: waiting; answered, refused; done, when all is delivered; gone and dropped, once
# the files of one that was done or refused are removed.
_UNANSWERED = ("", "refused", "dropped")  # and not about to be
_HOUR = 3600.0
_AT_ONCE = 100  # films whose files are removed in one go, for which films that arrive must wait


class Counts(TypedDict):
    """Counts of a queue, which name nobody.

    received, duplicates, conflicts, answered, sent: since the folder was made; waiting, sending,
    set_aside: now, the last by reason; refused: films by kind; oldest_s: age of the oldest film
    that is not done, None without one. Of films all but sending, sent and set_aside, which are of
    objects.
    """

    received: int
    duplicates: int
    conflicts: int
    waiting: int
    answered: int
    sending: int
    sent: int
    refused: dict[str, int]
    set_aside: dict[str, int]
    oldest_s: float | None


class QueueError(HilumError):
    """The queue's folder cannot be used."""


class OtherContent(Exception):
    """A film comes under the UID of another that is here, or was answered."""


@dataclass(frozen=True)
class Due:
    """Work whose time has come: a film to answer, or an answer to send. tries: failed so far."""

    key: str
    path: Path
    tries: int


def key_of(sop_instance_uid: str) -> str:
    """The name under which a film stands here."""
    return hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:40]


class Queue:
    """One folder's queue; one process at a time has it, any thread may ask."""

    def __init__(self, folder: Path) -> None:
        """Make or reopen it, and put right what a crash has left. Raises QueueError."""
        self.folder = folder
        self.arriving = folder / "arriving"
        self._inbox, self._outbox = folder / "inbox", folder / "outbox"
        self._refused = folder / "refused"
        self._lock = threading.RLock()
        self.films, self.results = threading.Event(), threading.Event()  # there are new ones
        try:
            for each in (folder, self.arriving, self._inbox, self._outbox, self._refused):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
                each.chmod(0o700)
            self._held = (folder / "lock").open("a")
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._held.close()
            raise QueueError(
                folder, "another service has this queue", remedy="stop it, or name another folder"
            ) from None
        except OSError as error:
            raise QueueError(folder, f"cannot be used ({error.strerror})") from error
        old = os.umask(0o077)
        try:
            self._db = sqlite3.connect(
                folder / "queue.sqlite", check_same_thread=False, isolation_level=None
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_TABLES)
            columns = [row[1] for row in self._db.execute("PRAGMA table_info(film)")]
            if "content" not in columns:  # a folder of an earlier version
                self._db.execute("ALTER TABLE film ADD COLUMN content TEXT NOT NULL DEFAULT ''")
        except sqlite3.Error as error:
            raise QueueError(
                folder / "queue.sqlite", f"cannot be used ({error})", remedy="name another folder"
            ) from None
        finally:
            os.umask(old)
        self._mend()

    def close(self) -> None:
        with self._lock:
            self._db.close()
            self._held.close()

    # Films

    def draft(self) -> Path:
        """A new name to write an arriving film under."""
        return self.arriving / secrets.token_hex(16)

    def take(
        self, draft: Path, sop_instance_uid: str, bundle: str, content: Content | None = None
    ) -> bool:
        """Make a film that was written completely our own: once this returns it is on disk.

        bundle: digest of the one that answers now; a film that another has answered is answered
        again. content: tells it from another of its UID. Returns False where it is here or
        answered already, and its draft is dropped.
        Raises OtherContent, and OSError or sqlite3.Error, as with a full disk; the film is then
        not ours.
        """
        key, now = key_of(sop_instance_uid), time.time()
        with self._lock:
            row = self._db.execute("SELECT state, bundle, content FROM film WHERE key = ?", (key,))
            state, answered_by, first = row.fetchone() or ("", "", "")
            if content and state not in _UNANSWERED and not content.may_be(first):
                with self._change():
                    self._count("conflict")
                raise OtherContent
            if not _anew(state, answered_by, bundle):
                draft.unlink(missing_ok=True)
                with self._change():
                    self._count("duplicate")
                return False
            _settle(draft, self._inbox / f"{key}.dcm")
            with self._change():
                self._db.execute(
                    "INSERT OR REPLACE INTO film (key, state, received, changed, content) "
                    "VALUES (?, 'waiting', ?, ?, ?)",
                    (key, now, now, content.told() if content else ""),
                )
                self._count("received")
            (self._refused / f"{key}.dcm").unlink(missing_ok=True)
        self.films.set()
        return True

    def knows(self, sop_instance_uid: str, bundle: str) -> bool:
        """Whether `take` would drop the film: it is here, or was answered by this bundle."""
        found = self._all("SELECT state, bundle FROM film WHERE key = ?", key_of(sop_instance_uid))
        state, answered_by = found[0] if found else ("", "")
        return not _anew(state, answered_by, bundle)

    def next_film(self) -> Due | None:
        """The film that has waited longest, with one try more against it, None without any."""
        with self._lock, self._change():
            row = self._db.execute(
                "SELECT key, tries FROM film WHERE state = 'waiting' AND due <= ? "
                "ORDER BY received LIMIT 1",
                (time.time(),),
            ).fetchone()
            if row is None:
                return None
            self._db.execute("UPDATE film SET tries = tries + 1 WHERE key = ?", (row[0],))
        return Due(row[0], self._inbox / f"{row[0]}.dcm", row[1])

    def postpone(self, key: str, seconds: float) -> None:
        """Try a film again later, through no fault of its own."""
        with self._lock, self._change():
            self._db.execute(
                "UPDATE film SET due = ?, tries = tries - 1 WHERE key = ?",
                (time.time() + seconds, key),
            )

    def retry(self, key: str, seconds: float) -> None:
        """Try a film again later; the try counts against it."""
        with self._lock, self._change():
            self._db.execute("UPDATE film SET due = ? WHERE key = ?", (time.time() + seconds, key))

    def refuse(self, key: str, why: str) -> None:
        """Give up a film that cannot be answered. why: a kind, which quotes nothing of it."""
        with self._lock:
            with self._change():
                changed = self._db.execute(
                    "UPDATE film SET state = 'refused', why = ?, changed = ? "
                    "WHERE key = ? AND state = 'waiting'",
                    (why, time.time(), key),
                )
                if changed.rowcount:  # not where only the move is tried again
                    self._count(f"refused:{why}")
            self._move_refused(key)

    def answer(self, key: str, bundle: str, results: Mapping[str, bytes]) -> None:
        """Keep a film's answers for sending, all or none. results: name → DICOM file.

        Raises OSError or sqlite3.Error, as with a full disk.
        """
        with self._lock:
            for name, content in results.items():
                draft = self.draft()
                try:
                    draft.write_bytes(content)
                    _settle(draft, self._outbox / f"{name}.dcm")
                finally:
                    draft.unlink(missing_ok=True)
            with self._change():
                self._db.execute(
                    "UPDATE film SET state = 'answered', bundle = ?, changed = ? WHERE key = ?",
                    (bundle, time.time(), key),
                )
                self._db.executemany(
                    "INSERT OR REPLACE INTO result (name, film, state) VALUES (?, ?, 'waiting')",
                    [(name, key) for name in results],
                )
                self._count("answered")
        self.results.set()

    # Answers

    def due_results(self, most: int) -> list[Due]:
        """Answers to send now, the oldest first."""
        rows = self._all(
            "SELECT name, refusals FROM result WHERE state = 'waiting' AND due <= ? "
            "ORDER BY rowid LIMIT ?",
            time.time(),
            most,
        )
        return [Due(name, self._outbox / f"{name}.dcm", tries) for name, tries in rows]

    def sent(self, name: str) -> None:
        """The destination has an answer; with a film's last one, the film is done."""
        with self._lock, self._change():
            self._db.execute("UPDATE result SET state = 'sent' WHERE name = ?", (name,))
            self._db.execute(
                "UPDATE film SET state = 'done', changed = ? WHERE state = 'answered' AND "
                "key = (SELECT film FROM result WHERE name = ?) AND NOT EXISTS "
                "(SELECT 1 FROM result WHERE film = film.key AND state != 'sent')",
                (time.time(), name),
            )
            self._count("sent")

    def not_sent(self, name: str, why: str, seconds: float, most: int) -> bool:
        """The destination refused an answer; at the `most`th time it is set aside.

        Returns whether it was.
        """
        with self._lock, self._change():
            self._db.execute(
                "UPDATE result SET refusals = refusals + 1, why = ?, due = ?, state = "
                "CASE WHEN refusals + 1 >= ? THEN 'dead' ELSE 'waiting' END WHERE name = ?",
                (why, time.time() + seconds, most, name),
            )
            (state,) = self._db.execute(
                "SELECT state FROM result WHERE name = ?", (name,)
            ).fetchone()
        return bool(state == "dead")

    def put_off(self, name: str, seconds: float) -> None:
        """Send an answer later, which has not been refused."""
        with self._lock, self._change():
            self._db.execute(
                "UPDATE result SET due = ? WHERE name = ?", (time.time() + seconds, name)
            )

    def remove_delivered(self, keep_hours: float, keep_refused_hours: float) -> None:
        """Remove the films and answers that have been delivered, or refused, for so long."""
        with self._lock:
            done = self._unchanged("done", keep_hours)
            for key in done:
                (self._inbox / f"{key}.dcm").unlink(missing_ok=True)
                for (name,) in self._all("SELECT name FROM result WHERE film = ?", key):
                    (self._outbox / f"{name}.dcm").unlink(missing_ok=True)
            refused = self._unchanged("refused", keep_refused_hours)
            for key in refused:
                (self._refused / f"{key}.dcm").unlink(missing_ok=True)
            if not (done or refused):
                return
            with self._change():
                each = [(key,) for key in done]
                self._db.executemany("DELETE FROM result WHERE film = ?", each)
                self._db.executemany("UPDATE film SET state = 'gone' WHERE key = ?", each)
                each = [(key,) for key in refused]
                self._db.executemany("UPDATE film SET state = 'dropped' WHERE key = ?", each)

    def _unchanged(self, state: str, hours: float) -> list[str]:
        """Films that have been in a state for so long, the first of them."""
        rows = self._all(
            "SELECT key FROM film WHERE state = ? AND changed <= ? LIMIT ?",
            state, time.time() - hours * _HOUR, _AT_ONCE,
        )  # fmt: skip
        return [key for (key,) in rows]

    def counts(self) -> Counts:
        """How much has come and gone, and what is owed."""
        counts: dict[str, int] = dict(self._all("SELECT name, n FROM count"))
        waiting = self._all("SELECT COUNT(*) FROM film WHERE state = 'waiting'")[0][0]
        sending = self._all("SELECT COUNT(*) FROM result WHERE state = 'waiting'")[0][0]
        dead = self._all("SELECT why, COUNT(*) FROM result WHERE state = 'dead' GROUP BY why")
        oldest = self._all("SELECT MIN(received) FROM film WHERE state IN ('waiting', 'answered')")[
            0
        ][0]
        return {
            "received": counts.get("received", 0),
            "duplicates": counts.get("duplicate", 0),
            "conflicts": counts.get("conflict", 0),
            "waiting": waiting,
            "answered": counts.get("answered", 0),
            "sending": sending,
            "sent": counts.get("sent", 0),
            "refused": {
                name.partition(":")[2]: n
                for name, n in sorted(counts.items())
                if name.startswith("refused:")
            },
            "set_aside": dict(dead),
            "oldest_s": None if oldest is None else round(max(0.0, time.time() - oldest), 1),
        }

    # What a crash leaves

    def _mend(self) -> None:
        with self._lock:
            for draft in self.arriving.iterdir():  # never acknowledged
                draft.unlink()
            states: dict[str, str] = dict(self._all("SELECT key, state FROM film"))
            for path in self._inbox.iterdir():
                state = states.get(path.stem)
                if state is None:  # its row was never written, so it was never acknowledged
                    path.unlink()
                elif state == "refused":
                    self._move_refused(path.stem)
            names = {name for (name,) in self._all("SELECT name FROM result")}
            for path in self._outbox.iterdir():
                if path.stem not in names:  # the film still waits, and will be answered
                    path.unlink()
            with self._change():
                # Whoever starts the service again may have put the destination right.
                self._db.execute(
                    "UPDATE result SET state = 'waiting', refusals = 0, due = 0 "
                    "WHERE state = 'dead'"
                )
                self._db.execute("UPDATE result SET due = 0 WHERE state = 'waiting'")

    def _move_refused(self, key: str) -> None:
        path = self._inbox / f"{key}.dcm"
        if path.exists():
            path.replace(self._refused / path.name)

    # SQLite

    @contextmanager
    def _change(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _count(self, name: str) -> None:
        self._db.execute(
            "INSERT INTO count (name, n) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1",
            (name,),
        )

    def _all(self, statement: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def _anew(state: str, answered_by: str, bundle: str) -> bool:
    """Whether a film in this state, "" where it is not here, is to be answered when it comes."""
    if state in ("done", "gone"):
        return answered_by != bundle
    return state in _UNANSWERED


def _settle(draft: Path, path: Path) -> None:
    """Rename a file so that neither its content nor its name is lost with the power."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
