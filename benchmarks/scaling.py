"""What a million films of 1024 x 1024 on 64 GPUs ask for: `HILUM_DATA=... python scaling.py`.

Measures here what a film of `rsna_sample` costs to read from JPEG shards of several sizes, in bytes
and in seconds of one core (its own time, so that other work on the machine counts little), and puts
it beside what GPUs, hosts and object storage are published to do. Prints the tables of
docs/scaling.md; every formula is in `plan`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.data.preprocessing import CentreSquare, Resize
from hilum.data.reading import consecutive, read_batches
from hilum.data.shards.form import Form
from hilum.data.shards.writing import write_shards
from hilum.data.sources import open_source
from hilum.data.sources.shards import shards_cohort
from hilum.recipe import DataPart, ReadingPart

FILMS = 1_000_000
EPOCHS = 10
GPUS = 64
BATCH = 2048
# EfficientNet-B0, training, 224 px, mixed precision, channels last, one RTX 3090: timm's
# results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv. An A100 is taken to do no worse.
GPU_RATE, GPU_SIDE = 1751.72, 224
# AWS p4d.24xlarge: 8 A100, 96 hardware threads on 48 cores, 400 Gbit/s; the price of an EC2
# Capacity Block in us-west-2, December 2024.
GPUS_A_HOST, CORES_A_HOST, BYTES_A_HOST, DOLLARS_A_HOUR = 8, 48, 400e9 / 8, 14.75
DOLLARS_A_GET = 0.0004 / 1000  # S3 Standard, us-east-1
FILMS_A_SHARD = 1000
PARAMETERS = 5.29e6  # of EfficientNet-B0, the same table


@dataclass(frozen=True)
class Case:
    """Films kept with `stored` pixels a side for a network of `side`; None: as they came."""

    stored: int | None
    side: int


CASES = (Case(None, 224), Case(256, 224), Case(512, 448), Case(None, 1024))


@dataclass(frozen=True)
class Cost:
    """Of one film. core_s: from the shard's bytes to the network's input."""

    bytes: float
    core_s: float


def measured(case: Case, folder: Path, rounds: int) -> Cost:
    source = open_source("rsna:rsna_sample", DataPart(), ReadingPart())
    out = folder / f"{case.stored}-{case.side}"
    write_shards(source, str(out), Form("jpeg", size=case.stored))
    cohort = shards_cohort(str(out), DataPart(), ReadingPart())
    steps = (CentreSquare(), Resize(height=case.side, width=case.side))
    n = len(cohort)
    best = np.inf
    for _ in range(rounds):
        began = time.process_time()
        for _ in read_batches(cohort, steps, consecutive(n, 32), threads=1):
            pass
        best = min(best, (time.process_time() - began) / n)
    total = sum(path.stat().st_size for path in out.glob("*.tar"))
    return Cost(total / n, float(best))


def plan(case: Case, cost: Cost) -> list[str]:
    """One row: what 64 GPUs could take, what feeding them needs, and what limits."""
    hosts = GPUS / GPUS_A_HOST
    by_gpu = GPUS * GPU_RATE * (GPU_SIDE / case.side) ** 2
    by_core = hosts * CORES_A_HOST / cost.core_s
    by_wire = hosts * BYTES_A_HOST / cost.bytes
    limits = {"GPUs": by_gpu, "cores": by_core, "network": by_wire}
    limit = min(limits, key=lambda name: limits[name])
    rate = limits[limit]
    hours = EPOCHS * FILMS / rate / 3600
    gets = EPOCHS * FILMS / FILMS_A_SHARD
    dollars = hours * hosts * DOLLARS_A_HOUR + gets * DOLLARS_A_GET
    return [
        f"{case.stored or 1024} → {case.side}",
        f"{cost.bytes / 1e3:,.0f} kB",
        f"{1e3 * cost.core_s:.2f} ms",
        f"{by_gpu:,.0f}",
        f"{by_gpu * cost.bytes / 1e9:.1f} GB/s",
        f"{by_gpu * cost.core_s:,.0f}",
        limit,
        f"{rate:,.0f}",
        f"{rate / BATCH:.1f}",
        f"{FILMS / rate:,.0f} s",
        f"${dollars:,.0f}",
    ]


HEAD = (
    "stored → input, px",
    "a film",
    "one core, a film",
    "64 GPUs, films/s",
    "bytes for that",
    "cores for that",
    "limit",
    "films/s",
    "steps/s",
    "an epoch",
    f"{EPOCHS} epochs",
)


def row(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores here; at hand in the plan: {GPUS // GPUS_A_HOST * CORES_A_HOST}")
    row(HEAD)
    row(["---"] * len(HEAD))
    with tempfile.TemporaryDirectory() as name:
        for case in CASES:
            row(plan(case, measured(case, Path(name), options.rounds)))
    step = BATCH / (GPUS * GPU_RATE)
    ring = 2 * 4 * PARAMETERS * (1 - GPUS_A_HOST / GPUS)
    print(
        f"\ngradients at 224 px: {ring / 1e6:.0f} MB out of each host in a step of "
        f"{1e3 * step:.0f} ms, {8 * ring / step / 1e9:.0f} Gbit/s"
    )


if __name__ == "__main__":
    main()
