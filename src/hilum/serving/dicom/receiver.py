"""Films in: C-ECHO and C-STORE, from those who may call, onto disk before success is said.

Limits on what is sent are `bounds`'s; what becomes of a film is left to `service`.
"""

from __future__ import annotations

import ipaddress
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from hilum.data.radiograph.decoders import SYNTAXES
from hilum.serving.dicom.bounds import PDU, BoundedDimse, BoundedHandler, Spool
from hilum.serving.dicom.queue import OtherContent, Queue
from hilum.serving.dicom.settings import DicomSettings, DicomSettingsError, networks
from hilum.serving.dicom.source import TAKEN, Unusable, read_film

VERIFICATION = "1.2.840.10008.1.1"
SUCCESS, NO_ROOM, MISMATCH, UNUSABLE = 0x0000, 0xA700, 0xA900, 0xC000
_log = logging.getLogger("hilum.dicom")


class Inadmissible(Exception):
    """A film that is not taken. status: of the C-STORE response; the words are for the sender."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def admit(
    queue: Queue, draft: Path, bundle: str, *, sop_class: str | None = None, uid: str | None = None
) -> bool:
    """Take a film that has arrived in `draft`, once its header says that it is one.

    sop_class, uid: what its sender called it. Returns False where it is here already.
    Raises Inadmissible; the draft is gone either way.
    """
    try:
        source, content = read_film(draft)
        told = str(source.SOPClassUID), str(source.SOPInstanceUID)
        if (sop_class or told[0], uid or told[1]) != told:
            raise Inadmissible(MISMATCH, "object is not what the request says")
        if told[0] not in TAKEN:
            raise Inadmissible(MISMATCH, "neither CR nor DX for presentation")
        return queue.take(draft, told[1], bundle, content)
    except OtherContent:
        raise Inadmissible(MISMATCH, "another film of the same UID was here before") from None
    except Unusable as error:
        raise Inadmissible(UNUSABLE, str(error)) from None
    except (OSError, sqlite3.Error):
        raise Inadmissible(NO_ROOM, "no room to keep it") from None
    finally:
        draft.unlink(missing_ok=True)


class Receiver:
    """The listening side, in threads of its own."""

    def __init__(
        self, settings: DicomSettings, port: int, queue: Queue, bundle: Callable[[], str]
    ) -> None:
        """Listen. bundle: tells the digest of the one that answers. Raises DicomSettingsError."""
        self._queue, self._bundle = queue, bundle
        ae = AE(settings.title)
        ae.require_called_aet = True
        ae.require_calling_aet = list(settings.callers)
        ae.maximum_associations = settings.associations
        ae.maximum_pdu_size = PDU
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = settings.seconds
        ae.add_supported_context(VERIFICATION)
        for uid in TAKEN:
            ae.add_supported_context(uid, list(SYNTAXES))
        handler = type(
            "Handler",
            (BoundedHandler,),
            {
                "draft": staticmethod(queue.draft),
                "most_bytes": settings.most_bytes,
                "seconds": settings.seconds,
            },
        )
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda event: SUCCESS),
            (evt.EVT_REJECTED, lambda event: _log.warning("association refused")),
            (evt.EVT_ABORTED, self._aborted),
            (evt.EVT_CONN_CLOSE, self._closed),
            (evt.EVT_ACCEPTED, _tell_refused_contexts),
        ]
        try:
            self._server = _GuardedServer(settings, port, ae, handlers, cast(Any, handler))
        except OSError as error:
            raise DicomSettingsError(
                "dicom port",
                f"cannot listen on {settings.host}:{port} ({error.strerror})",
                remedy="choose another port or address",
            ) from None
        ae._servers.append(self._server)
        self._server.begin()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def alive(self) -> bool:
        """Whether it still listens."""
        return self._server.thread.is_alive()

    def close(self) -> None:
        """Let nobody in any more; films on their way are finished or ended."""
        self._server.shutdown()
        for assoc in self._server.active_associations:
            assoc.abort()

    def _store(self, event: evt.Event) -> int | Dataset:
        request = cast(Any, event.request)
        spool = request._dataset_file
        if not isinstance(spool, Spool):
            return _said(UNUSABLE, "no object")
        if not cast(BoundedDimse, event.assoc.dimse).claim(spool):
            return _said(NO_ROOM, "its association has ended")
        spool.close()
        if spool.error is not None:
            _log.warning("film not taken: no room to keep it")
            return _said(NO_ROOM, "no room to keep it")
        try:
            new = admit(
                self._queue,
                spool.path,
                self._bundle(),
                sop_class=str(request.AffectedSOPClassUID),
                uid=str(request.AffectedSOPInstanceUID),
            )
        except Inadmissible as no:
            _log.warning("film not taken: %s", no.why)
            return _said(no.status, no.why)
        _log.info("film received" if new else "film received again")
        return SUCCESS

    def _aborted(self, event: evt.Event) -> None:
        ended = cast(BoundedDimse, event.assoc.dimse).ended
        _log.warning("association ended: %s", ended or "by the other side or a fault of its data")

    def _closed(self, event: evt.Event) -> None:
        cast(BoundedDimse, event.assoc.dimse).close()


class _GuardedServer(ThreadedAssociationServer):
    """Closes connections of strangers, and of too many, before a byte of theirs is read."""

    daemon_threads = True

    def __init__(
        self,
        settings: DicomSettings,
        port: int,
        ae: AE,
        handlers: list[evt.EventHandlerType],
        handler: Any,
    ) -> None:
        self._networks = networks(settings.peers)
        self._most = 2 * settings.associations  # those that will be refused in words among them
        super().__init__(
            ae, (settings.host, port), settings.title, ae.supported_contexts,
            evt_handlers=handlers, request_handler=handler,
        )  # fmt: skip

    def begin(self) -> None:
        self.thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="dicom", daemon=True
        )
        self.thread.start()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        address = ipaddress.ip_address(client_address[0])
        if self._networks and not any(address in network for network in self._networks):
            _log.warning("connection refused: its address is not on the list")
            return False
        if len(self.active_associations) >= self._most:
            _log.warning("connection refused: too many at once")
            return False
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.warning("connection failed before it became an association")


def _said(status: int, why: str) -> Dataset:
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = why[:64]
    return answer


def _tell_refused_contexts(event: evt.Event) -> None:
    for context in event.assoc.rejected_contexts:
        _log.warning(
            "not taken: %s", getattr(context.abstract_syntax, "name", "an unknown kind of object")
        )
