"""A process that does one piece of work each time it is told to, and says what it took.

Standard library alone: both environments import it. What the work is, is `ours.py`'s and
`theirs.py`'s; who waits for whom, `compare.py`'s.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable


def serve(work: Callable[[], int], **facts: object) -> None:
    """Do it for every line of standard input; each is answered with a line of JSON.

    work: returns how many films it took; facts: told at the start
    """
    print(json.dumps({"ready": True, **facts}), flush=True)
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        n = work()
        answer = {
            "films": n,
            "wall_s": time.perf_counter() - wall,
            "processor_s": time.process_time() - processor,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(answer), flush=True)
