"""The order in which a cohort's images are read, and which process reads which.

Films in shards are read shard by shard, a few at a time, each process its own; others in any order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.data.cohort import Cohort
from hilum.data.shards.pixels import ShardPixels

WINDOW = 4  # shards whose films are mixed with each other

Positions = NDArray[np.intp]


def training_batches(
    cohort: Cohort,
    batch_size: int,
    rng: np.random.Generator,
    *,
    rank: int = 0,
    world: int = 1,
    window: int = WINDOW,
    weight_n: NDArray[np.float64] | None = None,
) -> list[Positions]:
    """One epoch's row positions for process `rank` of `world`, cut into its parts of each batch.

    batch_size: images of all processes together in a step; every process has as many steps, and
        every batch is full, unless there are fewer images than one batch. What is left over, less
        than a batch, has its turn in another epoch.
    rng: in the same state in every process
    window: films are mixed across so many shards at a time; fewer when the cache of fetched shards
        would not hold twice that. A process shares its first and last shard at most with others.
    weight_n: how often each image is drawn, relative to the others, in as many batches; None: as
        they come, none twice
    """
    n = len(cohort)
    steps = max(1, n // batch_size)
    size = min(n, batch_size)
    drawn_n = None if weight_n is None else _drawn(weight_n, steps * size, rng)
    if not isinstance(cohort.pixels, ShardPixels):
        order = rng.permutation(n if drawn_n is None else np.repeat(np.arange(n), drawn_n))
        order = order[: steps * size]
        return [batch[rank::world] for batch in np.split(order, steps)]
    shares = [steps * len(range(each, size, world)) for each in range(world)]
    order, shard_n = _shard_by_shard(cohort, cohort.pixels, rng)
    if drawn_n is not None:
        order, shard_n = np.repeat(order, drawn_n[order]), np.repeat(shard_n, drawn_n[order])
    mine = slice(sum(shares[:rank]), sum(shares[: rank + 1]))
    order, shard_n = order[mine], shard_n[mine]
    own = np.random.default_rng(rng.integers(0, 2**63, world)[rank])
    starts = np.flatnonzero(np.diff(shard_n, prepend=-1))  # where another shard begins
    parts = np.split(order, starts[:: _mixed(cohort.pixels, window)][1:])
    return np.split(np.concatenate([own.permutation(part) for part in parts]), steps)


def evaluation_batches(
    cohort: Cohort, batch_size: int, *, rank: int = 0, world: int = 1
) -> list[Positions]:
    """Row positions for process `rank` of `world`: over all of them every image once, none twice.

    batch_size: of one process. Processes may differ by a batch.
    """
    n = len(cohort)
    order = np.arange(n)
    if isinstance(cohort.pixels, ShardPixels):
        order = np.argsort(_shards(cohort, cohort.pixels), kind="stable")
    mine = order[rank * n // world : (rank + 1) * n // world]
    return np.split(mine, range(batch_size, len(mine), batch_size)) if len(mine) else []


def _drawn(weight_n: NDArray[np.float64], draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """How often each image is drawn: its share of the draws on average, and never a whole draw off.

    Systematic resampling (Kitagawa 1996): images lie side by side, as wide as their shares, and are
    drawn where the marks of a ruler fall that is put down anywhere. They lie in random order, for
    neighbours' draws hang together.
    """
    shuffled = rng.permutation(len(weight_n))
    end_n = np.cumsum(weight_n[shuffled])
    # Marks at u, u + 1, …: each image has those from its beginning to its end.
    marks_n = np.ceil(end_n / end_n[-1] * draws - rng.random()).astype(np.intp)
    drawn_n = np.empty(len(weight_n), dtype=np.intp)
    drawn_n[shuffled] = np.diff(marks_n, prepend=0)
    return drawn_n


def _mixed(pixels: ShardPixels, window: int) -> int:
    """Shards to mix: half of what the cache holds, for the next ones come while these are read."""
    held = pixels.held_shards
    return window if held is None else max(1, min(window, held // 2))


def _shards(cohort: Cohort, pixels: ShardPixels) -> NDArray[np.int32]:
    """The shard of each row, shape (n,)."""
    shard_n: NDArray[np.int32] = pixels.places.shard_n[cohort.table.index.to_numpy()]
    return shard_n


def _shard_by_shard(
    cohort: Cohort, pixels: ShardPixels, rng: np.random.Generator
) -> tuple[Positions, NDArray[np.int32]]:
    """Row positions, films and shards in random order, but each shard's films together."""
    shard_n = _shards(cohort, pixels)
    place_k = rng.permutation(len(pixels.shards))
    shuffled = rng.permutation(len(shard_n))
    order = shuffled[np.argsort(place_k[shard_n[shuffled]], kind="stable")]
    return order, shard_n[order]
