"""Images a second of a bundle's engines on this machine, in a few seconds.

A glance, while whatever else runs here goes on; figures to quote are made by `benchmarks`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.bundle import Bundle
from hilum.engines import Engine, engines_of, open_engine
from hilum.engines.choosing import runs_here
from hilum.engines.running import has_bf16, openvino_engine
from hilum.exporting.speed import rate
from hilum.predict import BATCH_SIZE

_TURNS = 3


@dataclass(frozen=True)
class Measured:
    """Median of three turns; in batches of 32, from the network's input to its logits."""

    engine: str
    images_per_s: float


def measure(bundle: Bundle) -> list[Measured]:
    """Each engine that runs here, the fastest first; bf16 is tried where the processor has it."""
    side = bundle.manifest.engine.input_size
    rng = np.random.default_rng(0)
    batch = rng.random((BATCH_SIZE, 1, side, side), dtype=np.float32)
    engines: list[Engine] = [
        open_engine(bundle, name) for name in engines_of(bundle) if runs_here(name)
    ]
    if has_bf16() and all(each.name != "openvino-bf16" for each in engines):
        engines.append(openvino_engine(bundle.engine, precision="bf16"))
    found = [
        Measured(each.name, round(float(np.median([rate(each, batch) for _ in range(_TURNS)])), 1))
        for each in engines
    ]
    return sorted(found, key=lambda each: -each.images_per_s)
