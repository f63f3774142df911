"""Tries what is installed in a process of its own: a library that ends it is found, not suffered.

What is tried is `probe`'s, what it means `checkup`'s.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_SECONDS = 120.0  # a cold disk takes long over torch

Found = dict[str, Mapping[str, Any]]


def probe(names: Sequence[str], command: Sequence[str] = ()) -> Found:
    """By name what was found; `error` says why a part does not work.

    names: packages, or `decoder WHAT`
    command: what is run with the names behind it; otherwise Hilum's own
    """
    command = command or (sys.executable, "-m", "hilum.doctor.probe")
    found: Found = {}
    left = list(names)
    while left:
        said, begun, ended = _run([*command, *left])
        found |= said
        left = [name for name in left if name not in found]
        if not left:
            break
        # The process has ended early; what it was at is at fault, and the others are tried anew.
        blamed = begun if begun in left else left[0]
        found[blamed] = {"error": ended}
        left.remove(blamed)
    return found


def _run(command: Sequence[str]) -> tuple[Found, str | None, str]:
    """What the process said, what it had begun last, and how it ended."""
    # Warnings of other people's packages are not what is asked here; -P: nor is the current folder.
    env = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, timeout=_SECONDS, check=False, env=env
        )
        text, ended = done.stdout, _end(done.returncode)
    except subprocess.TimeoutExpired as error:
        text = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        ended = f"not done after {_SECONDS:.0f} s"
    said: Found = {}
    begun = None
    for line in text.splitlines():
        if not line.startswith("{"):  # a library that talks
            continue
        told = json.loads(line)
        if "begun" in told:
            begun = told["begun"]
        else:
            said[told.pop("name")] = told
    return said, begun, ended


def _end(code: int) -> str:
    if code < 0:
        return f"ends its process by {signal.Signals(-code).name}"
    return f"ends its process with code {code}"
