"""Answers out: by C-STORE or STOW-RS, each told as stored, refused, or to be tried again.

When to try again is left to `service`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Protocol

import requests
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context

from hilum.serving.dicom.settings import DicomPeer, WebPeer
from hilum.serving.dicom.web import GuardedSession, WebFault, client_of

STORED, UNREADABLE = "", "file lost or damaged"
_SR = "1.2.840.10008.5.1.4.1.1.88.33"  # Comprehensive SR
_SC = "1.2.840.10008.5.1.4.1.1.7"
_WARNINGS = (0xB000, 0xB006, 0xB007)  # stored, with something coerced or left out; PS3.4 B.2.3
_LATER = (408, 425, 429, 401, 403, 404, 407)  # set right by time, or by whoever runs the server


class Unreachable(Exception):
    """The destination takes nothing now. The words quote nothing that is sent.

    reached: it was there, and gave way at this object
    """

    def __init__(self, why: str, *, reached: bool = True) -> None:
        super().__init__(why)
        self.reached = reached


class Sender(Protocol):
    """Sends objects one after another."""

    def send(self, paths: Sequence[Path]) -> Generator[str]:
        """For each in turn STORED, UNREADABLE, or why it was refused. Raises Unreachable."""
        ...


def sender_to(peer: DicomPeer | WebPeer, title: str, seconds: float) -> Sender:
    """A sender to a destination. title: our AE title; seconds: of each time-out."""
    if isinstance(peer, DicomPeer):
        return StoreSender(peer, title, seconds)
    return WebSender(peer, seconds)


class StoreSender:
    """C-STORE, one association for all that is sent at once."""

    def __init__(self, peer: DicomPeer, title: str, seconds: float) -> None:
        self._peer = peer
        self._ae = AE(title)
        self._ae.acse_timeout = self._ae.dimse_timeout = self._ae.network_timeout = seconds
        self._ae.connection_timeout = seconds
        self._contexts = [
            build_context(uid, syntax)
            for uid in (_SR, _SC)
            for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
        ]

    def send(self, paths: Sequence[Path]) -> Generator[str]:
        peer = self._peer
        try:
            association = self._ae.associate(
                peer.host, peer.port, contexts=self._contexts, ae_title=peer.title
            )
        except (OSError, RuntimeError):
            raise Unreachable("no connection", reached=False) from None
        if not association.is_established:
            why = "association refused" if association.is_rejected else "no connection"
            raise Unreachable(why, reached=False)
        try:
            for number, path in enumerate(paths, 1):
                made = _read(path)
                if made is None:
                    yield UNREADABLE
                    continue
                try:
                    answer = association.send_c_store(made, msg_id=number)
                except RuntimeError:
                    raise Unreachable("association ended") from None
                except (ValueError, AttributeError):
                    yield "kind of object not taken"
                    continue
                yield _outcome(answer)
        finally:
            if association.is_established:
                association.release()


def _outcome(answer: Dataset) -> str:
    if "Status" not in answer:
        raise Unreachable("no answer")
    status = int(answer.Status)
    if status == 0 or status in _WARNINGS:
        return STORED
    if status & 0xFF00 == 0xA700:
        raise Unreachable("out of resources")
    return f"status {status:04X}"


def _read(path: Path) -> Dataset | None:
    """An answer; None where its file is lost or damaged, which holds up no other."""
    try:
        made = dcmread(path)
        return made if "SOPInstanceUID" in made else None
    except MemoryError:
        raise
    except Exception:
        # An empty file alone has three kinds of error, and their words may quote what is there.
        return None


class WebSender:
    """STOW-RS, one object a request."""

    def __init__(self, peer: WebPeer, seconds: float) -> None:
        self._client = client_of(GuardedSession(peer, seconds), peer)

    def send(self, paths: Sequence[Path]) -> Generator[str]:
        for path in paths:
            made = _read(path)
            if made is None:
                yield UNREADABLE
                continue
            try:
                answer = self._client.store_instances([made])
            except requests.HTTPError as error:
                code = error.response.status_code if error.response is not None else 0
                if code >= 500 or code in _LATER:
                    raise Unreachable(f"HTTP {code}") from None
                yield f"HTTP {code}"
                continue
            except WebFault as error:
                raise Unreachable(str(error)) from None
            except (requests.RequestException, OSError):
                raise Unreachable("no connection", reached=False) from None
            except Exception:
                # The client's own words for an answer it cannot read may quote it.
                raise Unreachable("an answer that cannot be read") from None
            yield _stored(answer, str(made.SOPInstanceUID))


def _stored(answer: Dataset, uid: str) -> str:
    for failed in answer.get("FailedSOPSequence") or []:
        reason = int(failed.get("FailureReason") or 0)
        if reason & 0xFF00 == 0xA700:
            raise Unreachable("out of resources")
        return f"status {reason:04X}"
    stored = [item.ReferencedSOPInstanceUID for item in answer.get("ReferencedSOPSequence") or []]
    if uid not in stored:
        raise Unreachable("not confirmed")
    return STORED
