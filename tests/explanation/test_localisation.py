from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hilum.data.preprocessing import Window
from hilum.explanation.grid import Grid
from hilum.explanation.localisation import (
    BASELINES,
    SIDE,
    Scene,
    best_threshold,
    boxes_on_grid,
    film_figures,
    localise,
    overlaps,
)
from hilum.units import units_of

GRID = 14
TILES = Grid.of_tiles(GRID * 9, GRID)
WHOLE = Window(0.0, 0.0, float(SIDE), float(SIDE))


def patch(row: int, column: int, side: int) -> np.ndarray:
    truth_hw = np.zeros((SIDE, SIDE), dtype=np.bool_)
    truth_hw[row : row + side, column : column + side] = True
    return truth_hw


def scenes(rng: np.random.Generator, n: int, side: int = 27) -> list[Scene]:
    """Films of noise with the finding in a square at a place of its own."""
    return [
        Scene(
            patch(*rng.integers(0, SIDE - side, 2), side),
            rng.random((SIDE, SIDE), dtype=np.float32),
            WHOLE,
        )
        for _ in range(n)
    ]


def pointing_at(scene: Scene) -> np.ndarray:
    """A coarse map that is high where the finding is."""
    cell = SIDE // GRID
    truth_hw = scene.truth_hw[: cell * GRID, : cell * GRID].astype(float)
    return truth_hw.reshape(GRID, cell, GRID, cell).mean(axis=(1, 3))


def test_a_map_that_is_the_evidence_reaches_all_and_an_even_one_its_share() -> None:
    truth_hw = patch(20, 50, 30)
    exact = film_figures(truth_hw.astype(np.float32), truth_hw)
    assert (exact.hit, exact.energy, exact.average_precision) == (True, 1.0, 1.0)
    even = film_figures(np.ones((SIDE, SIDE), np.float32), truth_hw)
    assert even.energy == pytest.approx(even.area) == pytest.approx(900 / SIDE**2)
    assert even.average_precision == pytest.approx(even.area)


def test_average_precision_of_pixels_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth_hw = patch(3, 90, 20)
    map_hw = np.round(rng.normal(size=(SIDE, SIDE)) + truth_hw, 1)  # with ties
    found = film_figures(map_hw, truth_hw).average_precision
    assert found == pytest.approx(average_precision_score(truth_hw.ravel(), map_hw.ravel()))


def test_what_speaks_against_the_finding_is_no_energy() -> None:
    truth_hw = patch(0, 0, 64)
    map_hw = np.where(truth_hw, 1.0, -5.0)
    assert film_figures(map_hw, truth_hw).energy == 1.0
    assert film_figures(np.full((SIDE, SIDE), -1.0), truth_hw).energy == 0.0


def test_evidence_that_the_network_did_not_see_counts_as_missed() -> None:
    truth_hw = patch(0, 0, 20) | patch(60, 60, 20)
    map_hw = truth_hw.astype(np.float32)
    map_hw[:40] = np.nan
    found = film_figures(map_hw, truth_hw)
    assert (found.hit, found.energy) == (True, 1.0)
    assert found.average_precision < 0.6
    iou_t, dice_t = overlaps(map_hw, truth_hw, np.array([0.5]))
    assert (iou_t[0], dice_t[0]) == (pytest.approx(0.5), pytest.approx(2 / 3))


def test_the_peak_of_a_plateau_is_its_middle() -> None:
    map_hw = np.zeros((SIDE, SIDE))
    map_hw[:11, :11] = 1.0
    assert film_figures(map_hw, patch(5, 5, 1)).hit
    assert not film_figures(map_hw, patch(0, 0, 4)).hit


def test_overlaps_are_those_of_counting() -> None:
    rng = np.random.default_rng(1)
    truth_hw, map_hw = patch(30, 40, 25), rng.normal(size=(SIDE, SIDE))
    threshold_t = np.array([-1.0, 0.0, float(map_hw[3, 3]), 9.0])
    iou_t, dice_t = overlaps(map_hw, truth_hw, threshold_t)
    for threshold, iou, dice in zip(threshold_t, iou_t, dice_t, strict=True):
        marked_hw = map_hw >= threshold
        both = (marked_hw & truth_hw).sum()
        assert iou == pytest.approx(both / (marked_hw | truth_hw).sum())
        assert dice == pytest.approx(2 * both / (marked_hw.sum() + truth_hw.sum()))


def test_the_threshold_parts_what_is_high_on_the_evidence() -> None:
    rng = np.random.default_rng(2)
    truths = [scene.truth_hw for scene in scenes(rng, 6)]
    maps = [np.where(t, 0.8, 0.2) + rng.uniform(-0.1, 0.1, t.shape) for t in truths]
    assert 0.3 < best_threshold(maps, truths) <= 0.75


def test_a_box_marks_the_cells_whose_centres_it_holds() -> None:
    mask_hw = boxes_on_grid([(512, 0, 256, 128), (0, 1000, 24, 24)], 1024, 1024)
    assert mask_hw.shape == (SIDE, SIDE)
    assert mask_hw[:16, 64:96].all()
    assert mask_hw.sum() == 16 * 32 + 9
    assert boxes_on_grid([(0, 0, 50, 100)], 100, 200).shape == (SIDE // 2, SIDE)


def test_maps_that_point_at_the_finding_lie_above_every_baseline() -> None:
    rng = np.random.default_rng(3)
    some = scenes(rng, 40)
    map_nhw = np.stack([pointing_at(scene) for scene in some]) - 0.1
    units = units_of(np.array([f"p{n // 2}" for n in range(40)], dtype=object))
    (found,) = localise("Opacity", map_nhw, TILES, some, units, rng)
    assert (found.group, found.n) == ("all", 40)
    assert "five folds" in found.threshold
    assert found.figures["hit_rate"].value == 1.0
    assert found.figures["dice"].value > 0.7
    assert "patient" in found.figures["energy"].method
    for kind in BASELINES:
        for figure in ("hit_rate", "energy", "average_precision", "dice"):
            assert found.above[kind][figure].low > 0, (kind, figure)
        assert found.baselines[kind]["energy_over_area"].value < 3
    assert found.figures["energy_over_area"].value > 8


def test_maps_of_noise_lie_above_none() -> None:
    rng = np.random.default_rng(4)
    some = scenes(rng, 60)
    units = units_of(np.array([None] * 60, dtype=object))
    (found,) = localise("Opacity", rng.normal(size=(60, GRID, GRID)), TILES, some, units, rng)
    for figure in ("energy", "average_precision", "dice"):
        assert found.above["brightness"][figure].low < 0.01
    assert found.figures["energy_over_area"].value == pytest.approx(1, abs=0.2)


def test_the_threshold_comes_from_calibrate_where_it_has_evidence() -> None:
    rng = np.random.default_rng(5)
    some, other = scenes(rng, 8), scenes(rng, 8)
    map_nhw = np.stack([pointing_at(scene) for scene in some])
    elsewhere = np.stack([10 * pointing_at(scene) for scene in other])  # too high a threshold
    units = units_of(np.array([None] * 8, dtype=object))
    (found,) = localise("Opacity", map_nhw, TILES, some, units, rng, calibrate=(elsewhere, other))
    assert found.threshold.startswith("set on calibrate; of the baselines on other patients")
    assert found.figures["dice"].value == 0


def test_sizes_of_the_evidence_are_groups_of_their_own() -> None:
    rng = np.random.default_rng(6)
    some = scenes(rng, 10, side=20) + scenes(rng, 10, side=70)
    map_nhw = np.stack([pointing_at(scene) for scene in some])
    units = units_of(np.array([None] * 20, dtype=object))
    found = localise("Opacity", map_nhw, TILES, some, units, rng)
    assert [(each.group, each.n) for each in found] == [("all", 20), ("small", 10), ("large", 10)]
    with pytest.raises(ValueError, match="no film"):
        localise("Opacity", map_nhw[:0], TILES, [], units.where(np.array([], dtype=int)), rng)
