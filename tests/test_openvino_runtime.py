"""OpenVINO, and what it leaves behind in its process."""

from __future__ import annotations

import subprocess
import sys

from hilum.bundle import Bundle

_LET_GO_ELSEWHERE = """
import gc, os, signal, sys, threading
from hilum.bundle import load_bundle
from hilum.engines import open_engine

signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
engines = [open_engine(load_bundle(sys.argv[1]))]

def let_go():
    engines.clear()
    gc.collect()

thread = threading.Thread(target=let_go)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_a_signal_is_heard_after_another_thread_has_let_an_engine_go(small_bundle: Bundle) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LET_GO_ELSEWHERE, str(small_bundle.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
