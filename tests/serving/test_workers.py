"""The process that looks after the workers goes on where one cannot be started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hilum.serving import workers


def test_a_worker_that_cannot_be_replaced_is_replaced_in_another_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended() -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", ""], text=True)
        process.wait()
        return process

    tries = 0

    def start() -> subprocess.Popen[str]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError(11, "Resource temporarily unavailable")
        return new

    monkeypatch.setattr(workers, "_AGAIN", 0.0)
    looking = object.__new__(workers._Workers)
    looking._ending, looking._counts = False, tmp_path
    monkeypatch.setattr(looking, "_start", start)
    dead, new = ended(), ended()
    assert looking._looked_after(dead) is dead
    assert looking._looked_after(dead) is new
