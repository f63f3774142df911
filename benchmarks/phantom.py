"""How many phantom radiographs one core draws in a second, at 28, 224 and 1,024 pixels a side.

What the radiographs show is left to `hilum.data.phantom`. Run it alone on one thread, for other
work on the machine counts against it:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv/bin/python benchmarks/phantom.py

With `--busy` processor time is counted, so that it need not be alone. The ratio is to
something of the same size that everybody has: SciPy's Gaussian blur of a film, of a sigma of one
fiftieth of its side.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import figures
import numpy as np
from scipy.ndimage import gaussian_filter

from hilum.data.sources.phantom import phantom_cohort

FILMS_BY_SIZE = {28: 30, 224: 30, 1024: 6}  # films in one batch
BATCHES = 5  # the fastest counts: what slows a batch down is other work


def images_per_second(size: int, films: int, clock: figures.Clock) -> tuple[float, float]:
    """Images drawn, and blurred, in a second of the fastest batch, each batch of other images."""
    pixels = phantom_cohort(films * (BATCHES + 1), size=size).pixels
    blurred_hw = pixels.read(0)

    def fastest(work: Callable[[int], object]) -> float:
        seconds = []
        for batch in range(BATCHES + 1):
            start = clock()
            for index in range(batch * films, (batch + 1) * films):
                work(index)
            seconds.append(clock() - start)
        return films / min(seconds[1:])  # the first batch also fills the tables

    return fastest(pixels.read), fastest(lambda _: gaussian_filter(blurred_hw, size / 50))


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    figures.add_to(parser)
    asked = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {machine()}")
    print(f"threads: OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}")
    ratios = {}
    for size, films in FILMS_BY_SIZE.items():
        drawn, blurred = images_per_second(size, films, asked.clock)
        print(f"{size:5d} px: {drawn:6.1f} images/s, a blur takes {drawn / blurred:.3f} of that")
        ratios[f"a blur to a drawing, {size} px"] = drawn / blurred
    figures.write(asked.json, ratios)


if __name__ == "__main__":
    main()
