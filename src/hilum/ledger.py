"""Lines of JSON that are only ever added, such as a bundle's ledger of openings; where they stand.

What a line tells is its writer's business.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hilum.errors import BundleError


def add_line(file: Path, line: Mapping[str, Any]) -> bool:
    """False on a medium that cannot be written."""
    try:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
    except OSError:
        return False
    return True


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Every line so far, oldest first; none where there is no file.

    Raises BundleError when a line is no record.
    """
    if not file.exists():
        return []
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise BundleError(file, f"holds a line that is no record ({error})") from error


def state_folder() -> Path | None:
    """Where what Hilum notes down for this user stays; None for one without a home.

    XDG_STATE_HOME or ~/.local/state; on Windows, LOCALAPPDATA. Source: XDG Base Directory 0.8.
    """
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_STATE_HOME")
    if named:
        return Path(named) / "hilum"
    try:
        return Path.home() / ".local" / "state" / "hilum"
    except RuntimeError:
        return None
