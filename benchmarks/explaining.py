"""What Grad-CAM costs over the bare prediction: both in one process, turn about.

python benchmarks/explaining.py BUNDLE [--films 256] [--turns 9]

Films are phantoms that lie in memory, so that nothing but the pixel path and the engine is timed.
Prints processor time of each and the ratio, its median and its range over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hilum.bundle import load_bundle
from hilum.data.pixels import ArrayPixels
from hilum.data.sources.phantom import phantom_cohort
from hilum.explanation.saliency import GradCam
from hilum.predict import predict


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle")
    parser.add_argument("--films", type=int, default=256)
    parser.add_argument("--turns", type=int, default=9)
    asked = parser.parse_args()
    bundle = load_bundle(asked.bundle)
    side = bundle.manifest.engine.input_size
    cohort = phantom_cohort(asked.films, size=side)
    grey = [np.rint(cohort.radiograph(n) * 255).astype(np.uint8) for n in range(len(cohort))]
    cohort = replace(cohort, pixels=ArrayPixels(np.stack(grey)))

    def explained() -> None:
        cam = GradCam(bundle, len(cohort))
        predict(bundle, cohort, look=cam)
        cam.saliency()

    bare_t, explained_t = [], []
    predict(bundle, cohort)  # what is done once, such as imports, counts for neither
    for turn in range(asked.turns):
        pair = [(bare_t, lambda: predict(bundle, cohort)), (explained_t, explained)]
        for kept, work in pair if turn % 2 else reversed(pair):
            kept.append(seconds(work))
    ratios = [b / a for a, b in zip(bare_t, explained_t, strict=True)]
    print(
        f"{side} px, {len(cohort)} films: bare {statistics.median(bare_t):.2f} s, "
        f"with Grad-CAM {statistics.median(explained_t):.2f} s of processor; ratio "
        f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
