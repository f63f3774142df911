"""One HTTP connection, whose client must say in time what it wants, and be done once answered.

All else of HTTP is uvicorn's; the time of a body that is read is kept by `uploads`.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REST = 2.0  # seconds that a client may take to read its answer before the line is cut


def timed(seconds: float) -> type[H11Protocol]:
    """A protocol that hangs up on who has not sent a request's headers in so many seconds, and on
    who has not ended in REST seconds a request that is answered already.
    """

    class Timed(H11Protocol):
        _waiting: asyncio.TimerHandle | None = None
        _resting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(cast(Any, transport))
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            begun = self.conn.their_state is not h11.IDLE
            if begun or not self.conn.trailing_data[0]:
                self._stop()  # uvicorn's own timer hangs up on who is silent between requests
            elif self._waiting is None:
                self._wait()
            if not self._has_rest():
                self._stop_resting()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._has_rest() and self._resting is None:
                self._resting = self.loop.call_later(REST, self.transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            self._stop_resting()
            super().connection_lost(exc)

        def _has_rest(self) -> bool:
            """Whether a request that is answered still has a body to come."""
            return self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY

        def _stop_resting(self) -> None:
            if self._resting is not None:
                self._resting.cancel()
                self._resting = None

        def _wait(self) -> None:
            self._waiting = self.loop.call_later(seconds, self.transport.close)

        def _stop(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

    return Timed
