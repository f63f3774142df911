"""Limits that pynetdicom does not set: bytes of a PDU, a command and an object, seconds of each.

An arriving object goes to a file in the queue's folder as it comes; what is then done with it is
left to `receiver`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pydicom.filewriter import write_file_meta_info
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dsutils import create_file_meta
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket, RequestHandler

PDU = 128 << 10  # announced; PS3.8 D.1
_PDU_LIMIT = 256 << 10  # of whatever comes, a request for an association with its contexts too
_COMMAND_LIMIT = 64 << 10
_MESSAGES = 4  # waiting in one association; a peer sends the next after the answer to the last


class Spool:
    """An arriving object's file. It never fails: `error` says why it is not complete."""

    def __init__(self, path: Path, most: int) -> None:
        self.name = str(path)
        self.path, self.most = path, most
        self.size = 0
        self.error: OSError | None = None
        self._file = path.open("xb")

    @property
    def file(self) -> Spool:
        """pynetdicom flushes the file of its temporary file."""
        return self

    @property
    def overfull(self) -> bool:
        return self.size > self.most

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.error is None and not self.overfull:
            try:
                self._file.write(data)
            except OSError as error:  # a full disk: the answer to the sender says so
                self.error = error
        return len(data)

    def flush(self) -> None:
        """Left to `close`: one system call a fragment would be many."""

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error


class BoundedSocket(AssociationSocket):
    """Reads a PDU of limited length in limited time."""

    seconds: float

    def recv(self, nr_bytes: int) -> bytearray:
        """Raises OSError for a PDU that is too long or comes too slowly."""
        connection = cast(socket.socket, self.socket)
        if nr_bytes > _PDU_LIMIT:
            raise OSError("a PDU longer than was agreed")
        data, until = bytearray(), time.monotonic() + self.seconds
        try:
            while len(data) < nr_bytes:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError("a PDU that does not end")
                connection.settimeout(left)
                more = connection.recv(min(nr_bytes - len(data), 1 << 16))
                if not more:
                    break
                data += more
        finally:
            connection.settimeout(self.seconds)
        return data


class BoundedDimse(DIMSEServiceProvider):
    """Puts arriving objects into files, and ends associations that send without end."""

    def __init__(self, assoc: Association, draft: Callable[[], Path], most: int) -> None:
        super().__init__(assoc)
        self._draft, self._most = draft, most
        self._spools: set[Spool] = set()  # that nobody has claimed
        self._lock, self._closed = threading.Lock(), False

    def receive_primitive(self, primitive: P_DATA) -> None:
        for context, data in primitive.presentation_data_value_list:
            one = P_DATA()
            one.presentation_data_value_list = cast(Any, [[context, data]])
            try:
                super().receive_primitive(one)
                why = self._beyond(context)
            except Exception:
                # It would end the thread that reads, and leave the association hanging.
                why = "a message that cannot be read"
            if why:
                self.discard()
                self.message = None
                self.ended = why
                self.dul.event_queue.put("Evt19")  # PS3.8 9.2: invalid; both sides abort
                return

    def _beyond(self, context: int) -> str | None:
        """Which limit what has come is beyond, None where it is within; opens an object's file."""
        message = self.message
        if message is None:
            many = self.msg_queue.qsize() > _MESSAGES
            return "more messages than are answered" if many else None
        if message.encoded_command_set.tell() > _COMMAND_LIMIT:
            return "a command without end"
        if not isinstance(message, C_STORE_RQ):
            data = message.data_set
            much = data is not None and data.tell() > _COMMAND_LIMIT
            return "a data set where none is expected" if much else None
        spool = cast(Any, message._data_set_file)
        if spool is None:
            spool = self._spool(message, context)
            message._data_set_file = cast(Any, spool)
            message._data_set_path = spool.path
        return "an object larger than is taken" if spool.overfull else None

    def discard(self) -> None:
        """Remove what has come of an object that will not be complete."""
        spool = cast(Any, self.message._data_set_file if self.message else None)
        if isinstance(spool, Spool) and self.claim(spool):
            _remove(spool)

    def claim(self, spool: Spool) -> bool:
        """Take a complete object over; False where it went with its association."""
        with self._lock:
            mine = spool in self._spools
            self._spools.discard(spool)
        return mine

    def close(self) -> None:
        """Remove what has come and was not claimed, complete or not: it was not acknowledged."""
        with self._lock:
            self._closed = True
            left, self._spools = self._spools, set()
        for spool in left:
            _remove(spool)

    def _spool(self, message: C_STORE_RQ, context: int) -> Spool:
        with self._lock:
            if self._closed:
                raise OSError("an association that has ended")
            spool = Spool(self._draft(), self._most)
            self._spools.add(spool)
        spool.write(b"\0" * 128 + b"DICM")
        command = message.command_set
        accepted = self.assoc._accepted_cx.get(context)
        if accepted is None:
            spool.error = OSError("a context that was not accepted")
            return spool
        meta = create_file_meta(
            sop_class_uid=command.AffectedSOPClassUID,
            sop_instance_uid=command.AffectedSOPInstanceUID,
            transfer_syntax=accepted.transfer_syntax[0],
        )
        write_file_meta_info(cast(Any, spool), meta)
        return spool

    ended: str | None = None


def _remove(spool: Spool) -> None:
    spool.close()
    spool.path.unlink(missing_ok=True)


class BoundedHandler(RequestHandler):
    """Begins an association within the limits; `draft`, `most_bytes` and `seconds` are told by
    the subclass that the receiver makes.
    """

    draft: Callable[[], Path]
    most_bytes: int
    seconds: float

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        connection = cast(BoundedSocket, assoc.dul.socket)
        # The library makes it of a class that cannot be chosen.
        connection.__class__ = BoundedSocket
        connection.seconds = self.seconds
        cast(socket.socket, connection.socket).settimeout(self.seconds)
        assoc.dimse = BoundedDimse(assoc, self.draft, self.most_bytes)
        return assoc
