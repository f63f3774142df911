"""The queue's answers to their destination: again and again while that takes nothing.

How an object is sent is `sending`'s business, what is owed `queue`'s.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence

from hilum.serving.dicom.queue import Due, Queue
from hilum.serving.dicom.sending import STORED, Sender, Unreachable, sender_to
from hilum.serving.dicom.settings import DicomSettings

_log = logging.getLogger("hilum.dicom")
_AT_ONCE = 16  # answers in one association
_TURN = 0.5  # seconds between looks at what has come due
_WAIT, _LONGEST = 1.0, 300.0


def backoff(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, with jitter."""
    return float(min(_LONGEST, _WAIT * 2.0 ** min(failures, 16)) * rng.uniform(0.5, 1.0))


def kind_of(error: Exception) -> str:
    """An error in words that quote nothing."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__


class Deliverer:
    """Sends a queue's answers. fault: why the destination takes nothing; None while it does."""

    def __init__(self, settings: DicomSettings, queue: Queue, stop: threading.Event) -> None:
        self._settings, self._queue, self._stop = settings, queue, stop
        self._rng = random.Random()  # nosec B311 (jitter, no secret)
        self.fault: str | None = None

    def run(self) -> None:
        """Send what comes due until it is told to stop."""
        settings, failures = self._settings, 0
        sender = sender_to(settings.destination, settings.title, settings.seconds)
        while not self._stop.is_set():
            wait = 0.0
            try:
                due = self._queue.due_results(_AT_ONCE)
                if due:
                    self._send(sender, due)
                    self.fault, failures = None, 0
                self._queue.remove_delivered(settings.keep_hours, settings.keep_refused_hours)
                if not due:
                    self._queue.results.wait(_TURN)
                    self._queue.results.clear()
            except Unreachable as error:
                self.fault = str(error)
                wait = backoff(failures, self._rng)
                failures += 1
                _log.warning("destination takes nothing: %s; again in %.0f s", error, wait)
            except Exception as error:  # a full disk, or what nobody thought of: it all waits
                _log.error("answers cannot be sent at present: %s", kind_of(error))
                wait = 5 * _TURN
            self._stop.wait(wait)

    def _send(self, sender: Sender, due: Sequence[Due]) -> None:
        outcomes = sender.send([each.path for each in due])
        for each in due:
            try:
                outcome = next(outcomes)
            except Unreachable as error:
                if error.reached:  # the others go first when it is tried again
                    self._queue.put_off(each.key, backoff(4, self._rng))
                raise
            except Exception:
                self._queue.put_off(each.key, backoff(4, self._rng))
                raise
            self._note(each, outcome)
            if self._stop.is_set():
                break
        outcomes.close()

    def _note(self, each: Due, outcome: str) -> None:
        if outcome == STORED:
            self._queue.sent(each.key)
            return
        wait = backoff(each.tries + 2, self._rng)
        dead = self._queue.not_sent(each.key, outcome, wait, self._settings.refusals)
        _log.warning("answer refused: %s%s", outcome, "; set aside" if dead else "")
