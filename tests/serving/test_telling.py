"""What a process says of errors that nobody caught, and that it leaves no films behind."""

from __future__ import annotations

import json
import subprocess
import sys


def said_by(code: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout, done.stderr


def test_an_error_that_ends_a_thread_or_the_process_is_told_without_its_words() -> None:
    _, errors = said_by("""
import threading
from hilum.serving.telling import configure
configure("info")
def fail():
    raise ValueError("JANE DOE")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
""")
    told = [json.loads(line) for line in errors.splitlines()]
    assert [(line["level"], line["error"]) for line in told] == [("critical", "ValueError")] * 2
    assert "JANE" not in errors


def test_a_service_that_crashes_writes_no_memory_to_the_disk() -> None:
    limit, _ = said_by("""
import resource
from hilum.serving.running import refuse_dumps
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
refuse_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE))
""")
    assert limit == "(0, 0)\n"
