"""The service's log: lines of JSON with what happened, and nothing of films, files or clients.

Other libraries may log what they were given, so of theirs only the logger and the level are told.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
import types
from datetime import UTC, datetime

OURS = "hilum"
_log = logging.getLogger(__name__)


class Line(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        if record.name.partition(".")[0] == OURS:
            told["event"] = record.getMessage()
            told |= getattr(record, "told", {})
        else:
            told["event"] = f"a message of {record.name}, which is not told"
        if record.exc_info and record.exc_info[0] is not None:
            told |= failure(record.exc_info[1])
        return json.dumps(told)


def failure(error: BaseException | None) -> dict[str, object]:
    """An error by its kind and place: its words may quote what was given."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    ours = [frame for frame in frames if "hilum" in frame.filename] or frames
    at = f"{ours[-1].filename.rpartition('hilum/')[2]}:{ours[-1].lineno}" if ours else ""
    return {"error": type(error).__name__, "at": at}


def configure(level: str) -> None:
    """Send all logs of this process to standard error, in this form, and errors that nobody caught.

    level: of Hilum's own
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Below this, libraries say what they do, and so what was given to them.
    root.setLevel(logging.ERROR)
    logging.getLogger(OURS).setLevel(level.upper())
    logging.captureWarnings(True)
    threading.excepthook = _in_thread
    sys.excepthook = _at_end


def _in_thread(raised: threading.ExceptHookArgs) -> None:
    if raised.exc_value is not None and not isinstance(raised.exc_value, SystemExit):
        _log.critical("a thread ended by an error", exc_info=raised.exc_value)


def _at_end(
    kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _log.critical("the process ends by an error", exc_info=error)
