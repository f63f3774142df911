"""Why a request is not answered: typed refusals, which HTTP and DICOM put in their own forms."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """The kinds of refusal: its name on the wire, and the HTTP status that goes with it."""

    NO_MAP = ("no-map", 404)
    UNREADABLE = ("unreadable-film", 422)
    TOO_LARGE = ("too-large", 413)
    UNSUPPORTED = ("unsupported-media", 415)
    MALFORMED = ("malformed-request", 400)
    UNAUTHORISED = ("unauthorised", 401)
    FORBIDDEN = ("forbidden-origin", 403)
    SLOW = ("slow-request", 408)
    BUSY = ("busy", 503)
    TIMED_OUT = ("timed-out", 504)
    FAILED = ("failed", 500)  # of records alone: what a client is told is an internal error

    @property
    def type(self) -> str:
        return self.value[0]

    @property
    def status(self) -> int:
        return self.value[1]


class Rejected(Exception):
    """A film or request that gets no answer. detail: one line without anything of the patient.

    retry_after_s: for BUSY, when to come again
    """

    def __init__(self, kind: Kind, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.retry_after_s = kind, detail, retry_after_s


class GaveWay(Rejected):
    """A film whose decoding process ended or went on for too long.

    The machine may be to blame as well as the film, so a film that can wait is tried again.
    """
