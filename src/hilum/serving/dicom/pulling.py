"""Films fetched: found by QIDO-RS, retrieved by WADO-RS, into the queue that C-STORE fills.

What becomes of them is left to `service`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import requests
from dicomweb_client.api import DICOMwebClient

from hilum.errors import HilumError
from hilum.serving.dicom.queue import Queue
from hilum.serving.dicom.receiver import Inadmissible, admit
from hilum.serving.dicom.settings import WebPeer
from hilum.serving.dicom.source import TAKEN, is_uid
from hilum.serving.dicom.web import JSON_LIMIT, GuardedSession, client_of

_DATES = re.compile(r"\d{8}|\d{8}-|-\d{8}|\d{8}-\d{8}")
_MODALITIES = ("CR", "DX")
_ENVELOPE = 64 << 10  # of a multipart answer, around the object
_MEDIA = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_STUDY, _SERIES, _FILM, _CLASS = "0020000D", "0020000E", "00080018", "00080016"


class PullError(HilumError):
    """A server was not asked, or its answer cannot be used."""


@dataclass(frozen=True)
class Wanted:
    """Which films to fetch: at least one of the first three.

    dates: of the study, 20260301, 20260301-20260307, or open at one end; most: films in all
    """

    dates: str | None = None
    accession: str | None = None
    study: str | None = None
    most: int = 100

    def __post_init__(self) -> None:
        """Raises PullError."""
        if not (self.dates or self.accession or self.study):
            raise PullError("pull", "every film there is", expected="dates, accession or study")
        if self.dates and not _DATES.fullmatch(self.dates):
            raise PullError("pull dates", self.dates, expected="20260301 or 20260301-20260307")
        if self.study and not is_uid(self.study):
            raise PullError("pull study", "not a UID", expected="a Study Instance UID")
        if self.accession and (len(self.accession) > 16 or re.search(r"[*?\\]", self.accession)):
            raise PullError("pull accession", "not one number", expected="at most 16 characters")
        if self.most < 1:
            raise PullError("pull most", str(self.most), expected="1 or more")


@dataclass
class Pulled:
    """What came of it. known: films that were here or answered before; refused: not taken."""

    found: int = 0
    fetched: int = 0
    known: int = 0
    refused: int = 0


def pull(
    peer: WebPeer, wanted: Wanted, queue: Queue, bundle: str, *, most_bytes: int, seconds: float
) -> Pulled:
    """Fetch films into the queue. bundle: digest of the one that answers.

    Raises PullError when the server does not answer as DICOMweb; what was fetched until then
    stays.
    """
    session = GuardedSession(peer, seconds)
    client = client_of(session, peer)
    pulled = Pulled()
    try:
        for study, series, film in _found(client, wanted):
            if pulled.found == wanted.most:
                break
            pulled.found += 1
            if queue.knows(film, bundle):
                pulled.known += 1
                continue
            session.limit = most_bytes + _ENVELOPE
            content = _retrieve(
                session, f"{peer.url}/studies/{study}/series/{series}/instances/{film}"
            )
            session.limit = JSON_LIMIT
            draft = queue.draft()
            draft.write_bytes(content)
            try:
                new = admit(queue, draft, bundle, uid=film)
            except Inadmissible:
                pulled.refused += 1
                continue
            pulled.fetched += new
            pulled.known += not new
    except requests.HTTPError as error:
        raise PullError("pull", _status(error)) from None
    except requests.RequestException:
        # Their words hold the address that was asked, and so the query.
        raise PullError(
            "pull", "the server cannot be used", remedy="see its address, certificate and token"
        ) from None
    return pulled


def _found(client: DICOMwebClient, wanted: Wanted) -> Iterator[tuple[str, str, str]]:
    for modality in _MODALITIES:
        asked: dict[str, str] = {"Modality": modality}
        if wanted.dates:
            asked["StudyDate"] = wanted.dates
        if wanted.accession:
            asked["AccessionNumber"] = wanted.accession
        if wanted.study:
            asked["StudyInstanceUID"] = wanted.study
        for series in client.search_for_series(search_filters=asked, limit=wanted.most):
            study, name = _value(series, _STUDY), _value(series, _SERIES)
            films = client.search_for_instances(
                study, name, search_filters={}, fields=["SOPClassUID"], limit=wanted.most
            )
            for film in films:
                if _value(film, _CLASS) in TAKEN:
                    yield study, name, _value(film, _FILM)


def _status(error: requests.HTTPError) -> str:
    return "HTTP fault" if error.response is None else f"HTTP {error.response.status_code}"


def _value(found: Mapping[str, object], tag: str) -> str:
    """A UID of DICOM JSON, PS3.18 F.2; it becomes part of an address, so nothing else does."""
    element = found.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    value = values[0] if isinstance(values, list) and values else None
    if not isinstance(value, str) or not is_uid(value):
        raise PullError("pull", "an answer without the UIDs that it must have")
    return value


def _retrieve(session: GuardedSession, url: str) -> bytes:
    """The object as it is stored there.

    Not by the client, which parses an object before its sender could be held to any limit: a
    deflated one may be of any size.
    """
    response = session.get(url, headers={"Accept": _MEDIA})
    response.raise_for_status()
    kind = response.headers.get("Content-Type", "")
    boundary = re.search(r'boundary="?([^";,]+)"?', kind)
    if not kind.lower().startswith("multipart/related") or boundary is None:
        raise PullError("pull", "an answer that is no multipart object")
    marker = b"--" + boundary[1].encode("latin-1")
    start = response.content.find(b"\r\n\r\n", response.content.find(marker))
    end = response.content.find(b"\r\n" + marker, start + 4)
    if start < 0 or end < 0:
        raise PullError("pull", "an object that breaks off")
    return response.content[start + 4 : end]
