"""How fast an engine is, turn about with the one that its bundle carries."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from hilum.data.reading import cores
from hilum.engines import Engine
from hilum.engines.exported import Speed
from hilum.engines.running import processor
from hilum.predict import BATCH_SIZE

_TURNS = 7
_SECONDS = 0.15  # of a turn, at least


def speed(engine: Engine, carried: Engine, image_nchw: NDArray[np.float32]) -> Speed:
    """Images a second of both, medians of several turns each, on whatever else runs here.

    image_nchw: films as the network takes them; they are repeated to a full batch
    """
    batch = np.ascontiguousarray(np.resize(image_nchw, (BATCH_SIZE, *image_nchw.shape[1:])))
    rates = np.array([[rate(each, batch) for each in (engine, carried)] for _ in range(_TURNS)])
    own, others = np.median(rates, axis=0)
    return Speed(
        processor=processor(),
        threads=cores(),
        batch=BATCH_SIZE,
        images_per_s=round(float(own), 1),
        carried_images_per_s=round(float(others), 1),
    )


def rate(engine: Engine, batch: NDArray[np.float32]) -> float:
    """Images a second in one turn of a seventh of a second."""
    engine(batch)
    start, times = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < _SECONDS or not times:
        engine(batch)
        times += 1
    return times * len(batch) / passed
