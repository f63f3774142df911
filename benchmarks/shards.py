"""What shards cost and save: `python shards.py`.

Phantom films of 1024 x 1024 and 28 x 28 px, as PNG files and as shards on this disk. Prints rates
in films/s and, what counts, their ratios: writing shards against the bare work (Pillow decodes and
encodes the same films on as many threads), and reading films from shards against reading files.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import figures
import numpy as np
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.pixels import FilePixels
from hilum.data.shards.films import compress
from hilum.data.shards.form import Form
from hilum.data.shards.manifest import Encoding
from hilum.data.shards.writing import write_shards
from hilum.data.sources.phantom import phantom_cohort
from hilum.data.sources.shards import shards_cohort
from hilum.recipe import DataPart, ReadingPart

CORES = len(os.sched_getaffinity(0))


def film_files(folder: Path, n: int, side: int, distinct: int) -> Cohort:
    """A phantom cohort whose films are PNG files; of large ones a few are drawn and repeated."""
    cohort = phantom_cohort(n, size=side)
    folder.mkdir()
    drawn = []
    for i in range(min(n, distinct)):
        buffer = io.BytesIO()
        grey = np.rint(cohort.radiograph(i) * 255).astype(np.uint8)
        Image.fromarray(grey).save(buffer, "PNG")
        drawn.append(buffer.getvalue())
    names = [f"{i:06d}.png" for i in range(n)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(drawn[i % len(drawn)])
    return replace(cohort, pixels=FilePixels(folder, names))


def rates(
    n: int, works: Sequence[Callable[[], object]], repeats: int, clock: figures.Clock
) -> list[float]:
    """Films a second of each work, the best of some repeats, taken in turns."""
    best = [0.0] * len(works)
    for _ in range(repeats):
        for k, work in enumerate(works):
            start = clock()
            work()
            best[k] = max(best[k], n / (clock() - start))
    return best


def each(work: Callable[[int], object], rows: Sequence[int]) -> None:
    """One call a row, on all cores, in runs of rows so that the pool itself weighs little."""
    runs = np.array_split(np.asarray(rows), CORES * 8)
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda run: [work(int(row)) for row in run], runs))


def writing(
    cohort: Cohort, folder: Path, encoding: Encoding, repeats: int, clock: figures.Clock
) -> list[float]:
    """Rates of `write_shards`, and of Pillow doing the bare work."""
    pixels = cohort.pixels
    assert isinstance(pixels, FilePixels)

    def bare(row: int) -> None:
        with Image.open(pixels.path(row)) as image:
            compress(np.asarray(image), encoding)

    def shard() -> None:
        write_shards(cohort, str(folder), Form(encoding, per_shard=100), resume=False)

    n = len(cohort)
    return rates(n, [shard, lambda: each(bare, range(n))], repeats, clock)


def reading(shards: Path, files: Cohort, repeats: int, clock: figures.Clock) -> list[float]:
    """Rates of films from shards, and from files, in one random order."""
    held = shards_cohort(str(shards), DataPart(), ReadingPart())
    rows = np.random.default_rng(0).permutation(len(held)).tolist()
    works = [partial(each, cohort.pixels.read, rows) for cohort in (held, files)]
    return rates(len(rows), works, repeats, clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=96, help="large films; small ones are 50 x")
    parser.add_argument("--repeats", type=int, default=3)
    figures.add_to(parser)
    options = parser.parse_args()
    turns = (options.repeats, options.clock)
    ratios = {}
    print(f"{CORES} cores, best of {options.repeats}")
    print("| work | films/s | bare or files | ratio |\n|---|---|---|---|")

    def row(what: str, ours: float, theirs: float) -> None:
        ratios[what] = ours / theirs
        print(f"| {what} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} |", flush=True)

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        large = film_files(work / "large", options.films, 1024, 16)
        small = film_files(work / "small", 50 * options.films, 28, 1000)
        for encoding in ("png", "jpeg"):
            row(
                f"write {encoding}, 1024 px",
                *writing(large, work / encoding, encoding, *turns),
            )
        write_shards(small, str(work / "tiny"), Form())
        row("read png, 1024 px", *reading(work / "png", large, *turns))
        row("read png, 28 px", *reading(work / "tiny", small, *turns))
    figures.write(options.json, ratios)


if __name__ == "__main__":
    main()
