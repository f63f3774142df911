"""Fetch one published file: progress, retries, resume to a temporary name, digest checked.

Which file and where it belongs is the source's business.
"""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from hilum.errors import DataError, OutputError

Progress = Callable[[int, int | None], None]

_CHUNK = 1 << 18


def fetch(
    url: str,
    target: Path,
    digest: str,
    *,
    attempts: int = 3,
    pause_s: float = 1.0,
    timeout_s: float = 20.0,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Download `url` to `target`, which appears only when its digest is right.

    A broken transfer goes on where it stopped (`target.part`); the pause doubles after each try.
    digest: `sha256:<hex>` or `md5:<hex>`, as the publisher states it
    progress: called with the bytes done and the bytes in all (None when the server does not say)
    Raises DataError when the last attempt fails or the digest differs, OutputError when the
    folder cannot be written.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(target.parent, f"cannot be made ({error.strerror})") from error
    for attempt in range(1, attempts + 1):
        try:
            transfer(url, part, timeout_s, progress)
            break
        except (OSError, HTTPException) as error:
            client_error = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if attempt == attempts or client_error:
                reason = getattr(error, "reason", None) or error
                raise DataError(url, f"download failed ({reason})") from error
            time.sleep(pause_s * 2 ** (attempt - 1))
    algorithm, _, expected = digest.partition(":")
    found = hashlib.new(algorithm, part.read_bytes(), usedforsecurity=False).hexdigest()
    if found != expected:
        part.unlink()
        raise DataError(
            url,
            f"downloaded file has {algorithm} {found[:12]}…",
            expected=f"{expected[:12]}…",
            remedy="try again later",
        )
    part.replace(target)
    return target


def transfer(
    url: str, part: Path, timeout_s: float, progress: Progress = lambda done, total: None
) -> None:
    """One try; it goes on where `part` ends. Raises OSError or HTTPException when it is cut off."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        # The address stands in this package.
        response = urllib.request.urlopen(request, timeout=timeout_s)  # nosec B310
    except urllib.error.HTTPError as error:
        if (
            error.code == 416 and done
        ):  # nothing is left to send: the part is whole, or of another file
            return
        raise
    with response:
        if response.status != 206:  # the server starts over
            done = 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab" if done else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
        if total is not None and done < total:
            raise ConnectionError(f"connection closed after {done:,} of {total:,} bytes")
