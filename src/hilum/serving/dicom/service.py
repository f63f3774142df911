"""The DICOM side at work: films are received, answered and their answers sent, each in a thread.

What is owed stands in `queue`, sending is `delivering`'s; films are answered by the one service
that HTTP asks, too.
"""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from pydicom.dataset import Dataset

from hilum.errors import BundleError
from hilum.serving.answering import FilmAnswer
from hilum.serving.decoding import Spool
from hilum.serving.dicom.delivering import Deliverer, backoff, kind_of
from hilum.serving.dicom.picture import overlay_image, secondary_capture, shown_finding
from hilum.serving.dicom.pulling import Pulled, Wanted, pull
from hilum.serving.dicom.queue import Counts, Due, Queue
from hilum.serving.dicom.quiet import quieten
from hilum.serving.dicom.receiver import Receiver
from hilum.serving.dicom.report import structured_report
from hilum.serving.dicom.settings import DicomSettings, WebPeer
from hilum.serving.dicom.source import read_source
from hilum.serving.film import Film
from hilum.serving.line import Line
from hilum.serving.rejection import GaveWay, Kind, Rejected
from hilum.serving.service import Service

_log = logging.getLogger("hilum.dicom")
_TRIES = 3  # of a film that brings down whatever answers it
_TURN = 0.5  # seconds between looks at what has come due
_LOOK = 0.1  # seconds between looks at whether anything is owed
_PASSING = (Kind.BUSY, Kind.TIMED_OUT)
_BUSY_STEPS = 3  # of the wait for a service that has films enough: at most 4 to 8 s


class Status(Counts):
    """running: whether the threads live; destination: ok, or why it takes nothing."""

    running: bool
    destination: str


class DicomService:
    """Receives, answers and sends from when it is made until it is closed."""

    def __init__(self, settings: DicomSettings, service: Service) -> None:
        """service: that answers, which the caller closes after this.

        Raises DicomSettingsError or QueueError.
        """
        quieten()
        self.settings, self._service = settings, service
        self._rng = random.Random()  # nosec B311 (jitter, no secret)
        self._stop, self._closing = threading.Event(), threading.Lock()
        self._last: Counts | None = None
        self._busy = 0  # times in a row
        self.queue = Queue(settings.folder)
        self._receiver: Receiver | None = None
        try:
            if settings.port is not None:
                self._receiver = Receiver(settings, settings.port, self.queue, self._bundle)
        except BaseException:
            self.queue.close()
            raise
        self._deliverer = Deliverer(settings, self.queue, self._stop)
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=f"dicom-{name}", daemon=True)
            for name, work in (("answers", self._answer_films), ("sends", self._deliverer.run))
        ]
        for thread in self._threads:
            thread.start()
        service.beside.append(self.why_not_ready)

    @property
    def port(self) -> int:
        """The port that is listened on; 0 where nobody listens."""
        return 0 if self._receiver is None else self._receiver.port

    @property
    def address(self) -> str:
        """Where films are received: title, host and port."""
        return f"dicom://{self.settings.title}@{self.settings.host}:{self.port}"

    def status(self) -> Status:
        """The counts, which stay after the end, and how it stands."""
        with self._closing:
            counts = self._last or self.queue.counts()
        return {
            **counts,
            "running": self._runs(),
            "destination": self._deliverer.fault or "ok",
        }

    def why_not_ready(self) -> str | None:
        """Why films should not be sent here; None when they are welcome."""
        return None if self._runs() else "the DICOM side has ended"

    def pull(self, peer: WebPeer, wanted: Wanted) -> Pulled:
        """Fetch films from a DICOMweb server, to be answered as received ones are."""
        return pull(
            peer, wanted, self.queue, self._bundle(),
            most_bytes=self.settings.most_bytes, seconds=self.settings.seconds,
        )  # fmt: skip

    def wait(self, patience: float) -> bool:
        """Until nothing is owed, and True; False once nothing has moved for `patience` seconds."""
        before, since = None, time.monotonic()
        while (status := self.status())["waiting"] or status["sending"]:
            moved = status["answered"], status["sent"], status["refused"], status["set_aside"]
            now = time.monotonic()
            if moved != before:
                before, since = moved, now
            elif now - since > patience or not status["running"]:
                return False
            self._stop.wait(_LOOK)
        return True

    def close(self) -> None:
        """Stop receiving, end what is being done, leave the rest in the queue."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._receiver is not None:
            self._receiver.close()
        self.queue.films.set()
        self.queue.results.set()
        for thread in self._threads:
            thread.join()
        self._service.beside.remove(self.why_not_ready)
        with self._closing:
            self._last = self.queue.counts()
            self.queue.close()

    def _runs(self) -> bool:
        listens = self._receiver is None or self._receiver.alive
        return listens and all(thread.is_alive() for thread in self._threads)

    def _bundle(self) -> str:
        return self._service.bundle.digest

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # its words may quote a film; `running` tells that it ended
            _log.critical("a thread of the DICOM side ended: %s", type(error).__name__)

    # Answering

    def _answer_films(self) -> None:
        while not self._stop.is_set():
            try:
                due = self.queue.next_film()
                if due is None:
                    self.queue.films.wait(_TURN)
                    self.queue.films.clear()
                else:
                    self._answer(due)
            except Exception as error:  # the film at hand waits; its words may quote it
                _log.error("films cannot be answered at present: %s", kind_of(error))
                self._stop.wait(5 * _TURN)

    def _answer(self, due: Due) -> None:
        with self._service.line() as line:
            asked = self._asked(due, line)
            if asked is None:
                return
            answer, results = asked[1], dict[str, bytes]()
            try:
                made = self._insist(lambda: results.update(_objects(due, line, *asked)))
            except Exception as error:  # what is on record is not answered, and recorded, again
                _log.error("no objects can be made of an answer: %s", kind_of(error))
                self._insist(lambda: self.queue.refuse(due.key, Kind.FAILED.type))
                return
        # What is on record is kept, however long there is no room.
        if not made or not self._insist(lambda: self.queue.answer(due.key, answer.bundle, results)):
            self.queue.postpone(due.key, 0)
            return
        self._service.watch.film("referred" if answer.refer else "answered", answer.refer or "")
        _log.info("film answered")

    def _asked(self, due: Due, line: Line) -> tuple[Film, FilmAnswer, Dataset] | None:
        """The film, its answer and its header; None where it has none, or none yet."""
        if due.tries >= _TRIES:
            self._give_up(due, line, Kind.FAILED)
            return None
        try:
            source = read_source(due.path)
            film, answer = self._ask(due, line)
        except Rejected as no:
            if no.kind in _PASSING:
                self._come_again(due)
            elif isinstance(no, GaveWay) and due.tries + 1 < _TRIES:
                self._try_again(due)
            else:
                self._give_up(due, line, no.kind)
            return None
        except OSError as error:
            if _lost(due):
                self._give_up(due, line, Kind.FAILED)
            else:
                self._come_later(due, error)
            return None
        except Exception as error:
            # One film must not end the service. Its words may quote the film; its kind cannot.
            _log.error("film not answered: %s", kind_of(error))
            self._try_again(due)
            return None
        self._busy = 0
        return film, answer, source

    def _ask(self, due: Due, line: Line) -> tuple[Film, FilmAnswer]:
        service = self._service
        service.take_on(1, 0)  # no bytes: the film stays on disk
        try:
            with due.path.open("rb") as file:
                return line.read_and_answer(
                    _spool(file), time.monotonic() + service.limits.deadline
                )
        finally:
            service.let_go(1, 0)

    def _come_again(self, due: Due) -> None:
        """The service has films enough: this one waits, and so do those behind it."""
        wait = backoff(min(self._busy, _BUSY_STEPS), self._rng)
        self._busy += 1
        self._insist(lambda: self.queue.postpone(due.key, wait))
        self._stop.wait(wait)

    def _come_later(self, due: Due, error: Exception) -> None:
        """The disk or the record is at fault, which never counts against a film."""
        _log.error("film waits: %s", kind_of(error))
        self._come_again(due)

    def _try_again(self, due: Due) -> None:
        """The film may be at fault."""
        wait = backoff(due.tries, self._rng)
        self._insist(lambda: self.queue.retry(due.key, wait))

    def _insist(self, work: Callable[[], None]) -> bool:
        """Do it, however long there is no room, for no other film could be answered either.

        Returns False where the end comes first.
        """
        while True:
            try:
                work()
            except (OSError, sqlite3.Error, MemoryError) as error:
                _log.error("no room for what must be kept: %s", kind_of(error))
                if self._stop.wait(5 * _TURN):
                    return False
            else:
                return True

    def _give_up(self, due: Due, line: Line, kind: Kind) -> None:
        try:
            if not _lost(due):
                with due.path.open("rb") as file:
                    line.reject(_spool(file), kind)
            elif line.record is not None:
                line.record.rejected(None, kind)
        except Rejected:  # nothing can be recorded at present
            self._come_again(due)
            return
        except Exception as error:
            self._come_later(due, error)
            return
        _log.warning("film refused: %s", kind.type)
        self._insist(lambda: self.queue.refuse(due.key, kind.type))
        self._service.watch.film("rejected", kind.type)


def _objects(
    due: Due, line: Line, film: Film, answer: FilmAnswer, source: Dataset
) -> dict[str, bytes]:
    """The report and the picture, by the names under which they wait."""
    try:
        map_hw = line.map_of(answer, shown_finding(answer).finding).result()
    except BundleError:  # a head that has no map; the picture goes without
        map_hw = None
    report = structured_report(answer, source, name=line.bundle.manifest.name)
    image = overlay_image(film.picture, map_hw, answer)
    capture = secondary_capture(image, answer, source)
    names = {kind: f"{due.key}-{answer.bundle[:12]}-{kind}" for kind in ("sr", "sc")}
    return {names["sr"]: report, names["sc"]: capture}


def _lost(due: Due) -> bool:
    """Whether a film's file alone is gone; without its folder, a disk is."""
    return due.path.parent.exists() and not due.path.exists()


def _spool(file: BinaryIO) -> Spool:
    return Spool(file, os.fstat(file.fileno()).st_size)
