"""Which process reads which film, and when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.data.cohort import Cohort
from hilum.data.shards.fetching import ShardCache
from hilum.data.shards.form import Form
from hilum.data.shards.order import evaluation_batches, training_batches
from hilum.data.shards.writing import write_shards
from hilum.data.sources.shards import shards_cohort
from hilum.recipe import DataPart, ReadingPart


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Cohort]:
    """A cohort of n films in shards of k."""
    from hilum.data.sources.phantom import phantom_cohort

    made: dict[tuple[int, int], Cohort] = {}

    def make(n: int, per_shard: int) -> Cohort:
        if (n, per_shard) not in made:
            folder = tmp_path_factory.mktemp("s") / "set"
            write_shards(phantom_cohort(n, size=16), str(folder), Form(per_shard=per_shard))
            made[n, per_shard] = shards_cohort(str(folder), DataPart(), ReadingPart())
        return made[n, per_shard]

    return make


def shards_of(cohort: Cohort, positions: np.ndarray) -> np.ndarray:
    return cohort.pixels.places.shard_n[cohort.table.index[positions]]  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize(("n", "per_shard", "batch"), [(100, 7, 12), (50, 50, 8), (37, 4, 5)])
def test_each_process_has_as_many_full_steps_and_nearly_its_own_shards(
    sharded: Callable[[int, int], Cohort], n: int, per_shard: int, batch: int, world: int
) -> None:
    cohort = sharded(n, per_shard)
    ranks = [
        training_batches(cohort, batch, np.random.default_rng(3), rank=rank, world=world)
        for rank in range(world)
    ]
    steps = n // batch
    assert [len(batches) for batches in ranks] == [steps] * world
    for step in range(steps):
        assert sum(len(batches[step]) for batches in ranks) == batch
    every = np.concatenate([np.concatenate(batches) for batches in ranks])
    assert len(np.unique(every)) == len(every) == steps * batch
    read = [set(shards_of(cohort, np.concatenate(batches)).tolist()) for batches in ranks]
    assert sum(map(len, read)) <= len(set.union(*read)) + world - 1


def test_a_process_holds_a_window_of_shards_at_a_time(
    sharded: Callable[[int, int], Cohort],
) -> None:
    cohort = sharded(100, 7)  # 15 shards, the last of 2
    order = np.concatenate(training_batches(cohort, 10, np.random.default_rng(0), window=3))
    shard_n = shards_of(cohort, order)
    first, last = {}, {}
    for place, shard in enumerate(shard_n.tolist()):
        first.setdefault(shard, place)
        last[shard] = place
    open_n = [sum(first[s] <= i <= last[s] for s in first) for i in range(len(order))]
    assert max(open_n) == 3
    # Films of different shards are mixed, and those of one are out of order.
    assert (shard_n[1:] != shard_n[:-1]).mean() > 0.4
    assert not (np.diff(order[shard_n == shard_n[0]]) > 0).all()


def test_the_window_shrinks_to_what_the_cache_holds(
    sharded: Callable[[int, int], Cohort], tmp_path: Path
) -> None:
    cohort = sharded(100, 7)
    pixels = cohort.pixels
    one = max(each.bytes for each in pixels.shards)  # type: ignore[attr-defined]

    class Elsewhere:
        location = "http://elsewhere"

    far = type(pixels)(
        Elsewhere(), pixels.shards, pixels.places, "png",
        reading=ReadingPart(), cache=ShardCache(tmp_path, 2 * one),
    )  # fmt: skip
    assert far.held_shards == 2
    from dataclasses import replace

    order = np.concatenate(
        training_batches(replace(cohort, pixels=far), 10, np.random.default_rng(0))
    )
    shard_n = shards_of(cohort, order)
    assert (shard_n[1:] != shard_n[:-1]).sum() == len(np.unique(shard_n)) - 1


def test_an_epoch_s_order_comes_from_its_seed_alone(
    sharded: Callable[[int, int], Cohort],
) -> None:
    cohort = sharded(100, 7)
    one, same, other = (
        np.concatenate(training_batches(cohort, 10, np.random.default_rng(seed)))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    left_out = [
        set(range(37)) - set(np.concatenate(training_batches(sharded(37, 4), 5, rng)).tolist())
        for rng in map(np.random.default_rng, range(5))
    ]
    assert not set.intersection(*left_out)  # no film is left out for good


@pytest.mark.parametrize("world", [1, 2, 3])
def test_what_is_not_in_shards_is_shuffled_whole(
    cohort_of: Callable[..., Cohort], world: int
) -> None:
    cohort = cohort_of(26)
    ranks = [
        training_batches(cohort, 6, np.random.default_rng(0), rank=rank, world=world)
        for rank in range(world)
    ]
    whole = np.random.default_rng(0).permutation(26)
    for step in range(4):
        for rank in range(world):
            expected = whole[6 * step : 6 * step + 6][rank::world]
            np.testing.assert_array_equal(ranks[rank][step], expected)


def test_fewer_images_than_a_batch_are_one_step(
    sharded: Callable[[int, int], Cohort], cohort_of: Callable[..., Cohort]
) -> None:
    for cohort in (sharded(5, 2), cohort_of(5)):
        for world in (1, 2, 3):
            ranks = [
                training_batches(cohort, 32, np.random.default_rng(0), rank=rank, world=world)
                for rank in range(world)
            ]
            assert all(len(batches) == 1 for batches in ranks)
            assert sorted(np.concatenate([b[0] for b in ranks]).tolist()) == list(range(5))


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize(("n", "per_shard"), [(100, 7), (5, 2), (50, 50)])
def test_evaluation_reads_every_image_once_over_all_processes(
    sharded: Callable[[int, int], Cohort], n: int, per_shard: int, world: int
) -> None:
    cohort = sharded(n, per_shard)
    keep = np.random.default_rng(1).random(n) < 0.8
    chosen = cohort.where(keep)
    each = [evaluation_batches(chosen, 4, rank=rank, world=world) for rank in range(world)]
    every = [position for batches in each for batch in batches for position in batch.tolist()]
    assert sorted(every) == list(range(int(keep.sum())))
    assert all(0 < len(batch) <= 4 for batches in each for batch in batches)
    # Shard by shard, even where the rows are in another order.
    table = chosen.table.sample(frac=1, random_state=0)
    from dataclasses import replace

    mixed = replace(chosen, table=table)
    order = np.concatenate(evaluation_batches(mixed, 4))
    assert (np.diff(shards_of(mixed, order)) >= 0).all()
    assert sorted(order.tolist()) == list(range(len(mixed)))


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("in_shards", [True, False])
@given(weights=st.lists(st.floats(0, 9), min_size=37, max_size=37).filter(any), seed=st.integers(0))
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_a_weighted_draw_gives_each_film_its_share_to_less_than_one_draw(
    sharded: Callable[[int, int], Cohort],
    cohort_of: Callable[..., Cohort],
    world: int,
    in_shards: bool,
    weights: list[float],
    seed: int,
) -> None:
    cohort = sharded(37, 4) if in_shards else cohort_of(37)
    weight_n = np.array(weights)
    ranks = [
        training_batches(
            cohort, 5, np.random.default_rng(seed), rank=rank, world=world, weight_n=weight_n
        )
        for rank in range(world)
    ]
    assert [len(batches) for batches in ranks] == [7] * world
    assert {sum(len(batches[step]) for batches in ranks) for step in range(7)} == {5}
    every = np.concatenate([np.concatenate(batches) for batches in ranks])
    drawn_n, share_n = np.bincount(every, minlength=37), 35 * weight_n / weight_n.sum()
    assert (np.abs(drawn_n - share_n) < 1 + 1e-9).all()
    if in_shards:
        read = [set(shards_of(cohort, np.concatenate(batches)).tolist()) for batches in ranks]
        assert sum(map(len, read)) <= len(set.union(*read)) + world - 1


def test_over_many_epochs_films_are_drawn_in_proportion_to_their_weights(
    cohort_of: Callable[..., Cohort],
) -> None:
    cohort, weight_n = cohort_of(26), np.arange(26.0)
    rng = np.random.default_rng(0)
    epochs = [
        np.concatenate(training_batches(cohort, 6, rng, weight_n=weight_n)) for _ in range(400)
    ]
    mean_n = np.bincount(np.concatenate(epochs), minlength=26) / 400
    # A count is one of two neighbours, so its mean of 400 has a standard error of 0.025 at most.
    np.testing.assert_allclose(mean_n, 24 * weight_n / weight_n.sum(), atol=0.1)
    assert mean_n[0] == 0


def test_equal_weights_draw_no_film_twice(cohort_of: Callable[..., Cohort]) -> None:
    order = np.concatenate(
        training_batches(cohort_of(26), 6, np.random.default_rng(0), weight_n=np.ones(26))
    )
    assert len(np.unique(order)) == len(order) == 24


def test_copies_of_a_film_are_read_while_its_shard_is_open(
    sharded: Callable[[int, int], Cohort],
) -> None:
    cohort = sharded(100, 7)
    weight_n = np.where(np.arange(100) % 20 == 0, 20.0, 1.0)
    order = np.concatenate(
        training_batches(cohort, 10, np.random.default_rng(0), window=3, weight_n=weight_n)
    )
    shard_n = shards_of(cohort, order)
    places = {shard: np.flatnonzero(shard_n == shard) for shard in set(shard_n.tolist())}
    open_n = [sum(p[0] <= i <= p[-1] for p in places.values()) for i in range(len(order))]
    assert max(open_n) <= 3
    # A film that is drawn often does not come in a row.
    often = np.bincount(order).argmax()
    assert (np.diff(np.flatnonzero(order == often)) > 1).any()
