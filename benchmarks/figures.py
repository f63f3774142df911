"""What quick benchmarks have in common: a clock, and a file of figures for `bench.py`.

What is measured, and how, is each benchmark's own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

Clock = Callable[[], float]


def add_to(parser: argparse.ArgumentParser) -> None:
    """The flags `--json FILE` and `--busy`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the ratios there, too")
    parser.add_argument(
        "--busy",
        action="store_const",
        const=time.process_time,
        default=time.perf_counter,
        dest="clock",
        help="other work on the machine: processor time, of all threads, and not the clock's",
    )


def write(target: Path | None, ratios: Mapping[str, float]) -> None:
    """Write the ratios, by name, where a file was asked for."""
    if target is not None:
        target.write_text(json.dumps(dict(ratios), indent=1) + "\n", encoding="utf-8")
