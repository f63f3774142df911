"""The page's files, read once when the service starts, and the headers they are served with.

What the page does is written in the folder `page`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from fastapi.responses import Response

FOLDER = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; frame-src 'self'; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
# A report is somebody's file: it may show itself, and neither run nor fetch anything.
REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "frame-ancestors 'self'"
)


@dataclass(frozen=True)
class _Static:
    content: bytes = field(repr=False)
    kind: str
    tag: str


class Page:
    """The files of a folder, by name."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files: dict[str, _Static] = {}
        for path in sorted(folder.glob("*")):
            if path.is_file() and path.suffix in _TYPES:
                content = path.read_bytes()
                tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
                self._files[path.name] = _Static(content, _TYPES[path.suffix], tag)

    def get(self, name: str, known: str | None) -> Response | None:
        """A file, or word that it is as `known`, its tag; None where there is no such file."""
        file = self._files.get(name)
        if file is None:
            return None
        headers = {
            "etag": file.tag,
            "cache-control": "no-cache",
            "content-security-policy": _POLICY,
        }
        if known == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers={**headers, "content-type": file.kind})
