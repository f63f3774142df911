"""How many phantom radiographs one core draws in a second, at 28, 224 and 1,024 pixels a side.

What the radiographs show is left to `hilum.data.phantom`. Run it alone on one thread, for other
work on the machine counts against it:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv/bin/python benchmarks/phantom.py
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hilum.data.sources.phantom import phantom_cohort

FILMS_BY_SIZE = {28: 30, 224: 30, 1024: 6}  # films in one batch
BATCHES = 5  # the fastest counts: what slows a batch down is other work


def images_per_second(size: int, films: int) -> float:
    """Images drawn in a second of the fastest batch, each batch of other images."""
    pixels = phantom_cohort(films * (BATCHES + 1), size=size).pixels
    seconds = []
    for batch in range(BATCHES + 1):
        start = time.perf_counter()
        for index in range(batch * films, (batch + 1) * films):
            pixels.read(index)
        seconds.append(time.perf_counter() - start)
    return films / min(seconds[1:])  # the first batch also fills the tables


def machine() -> str:
    """Processor, cores, how busy they are, and the versions that matter."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the run, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )


def commit() -> str:
    """Commit of the working tree, with a + when tracked files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def main() -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {machine()}")
    print(f"threads: OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}")
    for size, films in FILMS_BY_SIZE.items():
        print(f"{size:5d} px: {images_per_second(size, films):6.1f} images/s")


if __name__ == "__main__":
    main()
