"""The DICOM side at work: films are received, answered and their answers sent, each in a thread.

What is owed stands in `queue`; what is said of a film is `answering`'s.
"""

from __future__ import annotations

import hashlib
import logging
import random
import sqlite3
import threading
from collections.abc import Sequence
from typing import Protocol

from hilum.bundle import Bundle
from hilum.errors import BundleError
from hilum.serving.answering import Answerer, FilmAnswer
from hilum.serving.decoding import Decoder
from hilum.serving.dicom.picture import overlay_image, secondary_capture, shown_finding
from hilum.serving.dicom.pulling import Pulled, Wanted, pull
from hilum.serving.dicom.queue import Due, Queue
from hilum.serving.dicom.quiet import quieten
from hilum.serving.dicom.receiver import Receiver
from hilum.serving.dicom.report import structured_report
from hilum.serving.dicom.sending import STORED, Sender, Unreachable, sender_to
from hilum.serving.dicom.settings import DicomSettings, WebPeer
from hilum.serving.dicom.source import read_source
from hilum.serving.rejection import Kind, Rejected

_log = logging.getLogger("hilum.dicom")
_TRIES = 3  # of a film that brings down whatever answers it
_AT_ONCE = 16  # answers in one association
_TURN = 0.5  # seconds between looks at what has come due
_WAIT, _LONGEST = 1.0, 300.0
_PASSING = (Kind.BUSY, Kind.TIMED_OUT)


class Audit(Protocol):
    """Keeps the record of what was answered."""

    def record(self, answers: Sequence[FilmAnswer]) -> None: ...

    def rejected(self, digest: str, kind: str) -> None: ...


def backoff(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, with jitter."""
    return float(min(_LONGEST, _WAIT * 2.0 ** min(failures, 16)) * rng.uniform(0.5, 1.0))


class DicomService:
    """Receives, answers and sends from when it is made until it is closed."""

    def __init__(
        self,
        settings: DicomSettings,
        bundle: Bundle,
        *,
        decoder: Decoder | None = None,
        audit: Audit | None = None,
    ) -> None:
        """decoder: one of the bundle's, which the caller closes; one of our own without it.

        Raises DicomSettingsError, QueueError or BundleError.
        """
        quieten()
        self.settings, self._bundle, self._audit = settings, bundle, audit
        manifest = bundle.manifest
        self._own_decoder = decoder is None
        self._decoder = decoder or Decoder(manifest.reading, manifest.preprocessing)
        self._answerer = Answerer(bundle)
        self._rng = random.Random()  # nosec B311 (jitter, no secret)
        self._stop = threading.Event()
        self._peer_fault: str | None = None
        self.queue = Queue(settings.folder)
        try:
            self._receiver = Receiver(settings, self.queue, bundle.digest)
        except BaseException:
            self.queue.close()
            raise
        self._threads = [
            threading.Thread(target=work, name=f"dicom-{work.__name__}", daemon=True)
            for work in (self._answer_films, self._send_answers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._receiver.port

    def status(self) -> dict[str, object]:
        """The queue's counts, whether the threads live, and why the destination takes nothing."""
        return self.queue.status() | {
            "running": all(thread.is_alive() for thread in self._threads),
            "destination": self._peer_fault or "ok",
        }

    def pull(self, peer: WebPeer, wanted: Wanted) -> Pulled:
        """Fetch films from a DICOMweb server, to be answered as received ones are."""
        return pull(
            peer, wanted, self.queue, self._bundle.digest,
            most_bytes=self.settings.most_bytes, seconds=self.settings.seconds,
        )  # fmt: skip

    def close(self) -> None:
        """Stop receiving, end what is being done, leave the rest in the queue."""
        self._receiver.close()
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.queue.close()
        if self._own_decoder:
            self._decoder.close()

    # Answering

    def _answer_films(self) -> None:
        while not self._stop.is_set():
            try:
                due = self.queue.next_film()
                if due is None:
                    self.queue.changed.wait(_TURN)
                    self.queue.changed.clear()
                else:
                    self._answer(due)
            except (OSError, sqlite3.Error) as error:  # a full disk; the film waits
                _log.error("queue cannot be used: %s", _kind(error))
                self._stop.wait(5 * _TURN)

    def _answer(self, due: Due) -> None:
        if due.tries >= _TRIES:
            self._give_up(due, "failed")
            return
        try:
            answer, results = self._made(due)
        except Rejected as no:
            if no.kind in _PASSING:
                self.queue.postpone(due.key, backoff(due.tries, self._rng))
            else:
                self._give_up(due, no.kind.type)
        except OSError:
            self.queue.postpone(due.key, backoff(due.tries, self._rng))
            raise
        except Exception as error:
            # One film must not end the service. Its words may quote the film; its kind cannot.
            _log.error("film not answered: %s", _kind(error))
            self.queue.retry(due.key, backoff(due.tries, self._rng))
        else:
            if self._audit is not None:
                self._audit.record([answer])
            self.queue.answer(due.key, answer.bundle, results)
            _log.info("film answered")

    def _made(self, due: Due) -> tuple[FilmAnswer, dict[str, bytes]]:
        film = self._decoder.decode(due.path.read_bytes(), picture=True)
        source = read_source(due.path)
        answer = self._answerer.answer([film])[0]
        try:
            map_hw = self._answerer.map_of(answer, shown_finding(answer).finding)
        except BundleError:  # a head that has no map; the picture goes without
            map_hw = None
        report = structured_report(answer, source, name=self._bundle.manifest.name)
        image = overlay_image(film.picture, map_hw, answer)
        capture = secondary_capture(image, answer, source)
        names = {kind: f"{due.key}-{answer.bundle[:12]}-{kind}" for kind in ("sr", "sc")}
        return answer, {names["sr"]: report, names["sc"]: capture}

    def _give_up(self, due: Due, why: str) -> None:
        _log.warning("film refused: %s", why)
        if self._audit is not None:
            with due.path.open("rb") as file:
                self._audit.rejected(hashlib.file_digest(file, "sha256").hexdigest(), why)
        self.queue.refuse(due.key, why)

    # Sending

    def _send_answers(self) -> None:
        settings, failures = self.settings, 0
        sender = sender_to(settings.destination, settings.title, settings.seconds)
        while not self._stop.is_set():
            wait = _TURN
            try:
                due = self.queue.due_results(_AT_ONCE)
                if due:
                    self._send(sender, due)
                    self._peer_fault, failures, wait = None, 0, 0.0
                self.queue.remove_delivered(settings.keep_hours, settings.keep_refused_hours)
            except Unreachable as error:
                self._peer_fault = str(error)
                wait = backoff(failures, self._rng)
                failures += 1
                _log.warning("destination takes nothing: %s; again in %.0f s", error, wait)
            except (OSError, sqlite3.Error) as error:
                _log.error("queue cannot be used: %s", _kind(error))
                wait = 5 * _TURN
            self._stop.wait(wait)

    def _send(self, sender: Sender, due: Sequence[Due]) -> None:
        outcomes = sender.send([each.path for each in due])
        for each in due:
            try:
                outcome = next(outcomes)
            except Unreachable as error:
                if error.reached:  # the others go first when it is tried again
                    self.queue.put_off(each.key, backoff(4, self._rng))
                raise
            self._note(each, outcome)
            if self._stop.is_set():
                break
        outcomes.close()

    def _note(self, each: Due, outcome: str) -> None:
        if outcome == STORED:
            self.queue.sent(each.key)
            return
        wait = backoff(each.tries + 2, self._rng)
        dead = self.queue.not_sent(each.key, outcome, wait, self.settings.refusals)
        _log.warning("answer refused: %s%s", outcome, "; set aside" if dead else "")


def run_dicom(
    settings: DicomSettings,
    bundle: Bundle,
    stop: threading.Event,
    *,
    decoder: Decoder | None = None,
    audit: Audit | None = None,
) -> None:
    """Run the DICOM side until `stop` is set. Raises as DicomService does."""
    service = DicomService(settings, bundle, decoder=decoder, audit=audit)
    try:
        stop.wait()
    finally:
        service.close()


def _kind(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
