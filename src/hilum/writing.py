"""Writing a result so that a crash or a full disk leaves the old file or the new one, never half.

What is written is left to the caller.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hilum.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; on leaving without error it is renamed to `path`.

    The folder is made when absent. Raises OutputError when the file cannot be written.
    """
    # Not by process id alone: in containers that is always 1.
    draft = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        draft.replace(path)
    except OSError as error:
        raise OutputError(
            path,
            f"cannot be written ({error.strerror or error})",
            remedy="name a folder that you may write to, on a disk with room",
        ) from error
    finally:
        # A failed write leaves nothing behind; where even that fails, the first error counts.
        with suppress(OSError):
            draft.unlink(missing_ok=True)


# Ours, and those that safetensors makes beside the file that it writes.
DRAFTS = (".*.part.*", ".tmp??????")


def remove_drafts(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left in `folder`, which is
    nobody else's.
    """
    for pattern in DRAFTS:
        for draft in folder.glob(pattern):
            draft.unlink(missing_ok=True)


def refuse_unwritable(folder: Path) -> None:
    """Make `folder` and see that a file can be written there, before hours are spent.

    Raises OutputError.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(folder, "is a file", expected="a folder", remedy="name another one")
    probe = folder / f".{secrets.token_hex(6)}.probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            folder,
            f"cannot be written by user {os.getuid()} ({error.strerror or error})",
            remedy="name another folder, or let this user write there",
        ) from error
