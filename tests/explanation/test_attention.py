from __future__ import annotations

import numpy as np
import pytest

from hilum.data.preprocessing import Window
from hilum.explanation.attention import (
    SIDE,
    ZONES,
    Place,
    aligned,
    frame_of,
    lung_share,
    mean_estimates,
    mean_of,
    zone_shares,
)
from hilum.units import units_of

WHOLE = Window(0.0, 0.0, 120.0, 120.0)


def place(map_hw: np.ndarray, frame: Window = WHOLE, lungs: np.ndarray | None = None) -> Place:
    grey_hw = np.full(map_hw.shape, 0.5, np.float32)
    return Place(grey_hw, map_hw.astype(np.float32), frame, lungs)


def test_attention_falls_to_the_zone_it_lies_in() -> None:
    for number, name in enumerate(ZONES):
        map_hw = np.full((120, 120), -1.0)
        row, column = divmod(number, 2)
        map_hw[row * 40 + 5 : row * 40 + 35, column * 60 + 5 : column * 60 + 55] = 2.0
        share_z = zone_shares(place(map_hw))
        assert ZONES[int(np.argmax(share_z))] == name
        assert share_z.max() == pytest.approx(1.0)
    assert ZONES[0] == "upper right"  # the patient's right is on the left of the film


def test_a_film_without_attention_has_no_zones() -> None:
    assert np.isnan(zone_shares(place(np.full((120, 120), -1.0)))).all()


def test_films_are_laid_over_one_another_by_their_lungs() -> None:
    """The same chest, small in one film and large in another, comes to lie on itself."""
    places = []
    for top, side in ((10, 40), (30, 80)):
        lungs_hw = np.zeros((120, 120), dtype=np.bool_)
        lungs_hw[top : top + side, 20 : 20 + side] = True
        map_hw = np.zeros((120, 120))
        map_hw[top : top + side // 2, 20 : 20 + side // 2] = 1.0
        places.append(place(map_hw, frame_of(lungs_hw), lungs_hw))
    both = [aligned(each.map_hw, each.frame) for each in places]
    differs_hw = np.abs(both[0] - both[1]) > 0.5
    assert np.nanmean(differs_hw) < 0.03
    _, mean_hw = mean_of(places)
    assert mean_hw[SIDE // 4, SIDE // 4] == pytest.approx(1.0)
    assert mean_hw[3 * SIDE // 4, SIDE // 4] == pytest.approx(0.0)


def test_a_film_that_fills_its_frame_has_no_dark_rim() -> None:
    values_hw = np.ones((40, 90))
    assert not np.isnan(aligned(values_hw, Window(0.0, 0.0, 40.0, 90.0))).any()
    beyond = aligned(values_hw, Window(-20.0, 0.0, 80.0, 90.0))
    assert np.isnan(beyond[: SIDE // 4]).all()
    assert not np.isnan(beyond[SIDE // 4 + 1 : 3 * SIDE // 4 - 1]).any()


def test_the_share_within_the_lungs() -> None:
    lungs_hw = np.zeros((120, 120), dtype=np.bool_)
    lungs_hw[:, :30] = True
    map_hw = np.ones((120, 120))
    map_hw[:, 60:] = np.nan  # not seen
    inside, area = lung_share(place(map_hw, lungs=lungs_hw))
    assert inside == pytest.approx(0.5)
    assert area == pytest.approx(0.5)


def test_means_come_with_intervals_over_patients_and_leave_out_what_has_none() -> None:
    rng = np.random.default_rng(0)
    value_nk = rng.random((40, 2))
    value_nk[3] = np.nan
    units = units_of(np.array([f"p{n // 4}" for n in range(40)], dtype=object))
    found = mean_estimates(value_nk, ("a", "b"), units, rng, 500)
    assert found["a"].value == pytest.approx(np.nanmean(value_nk[:, 0]))
    assert found["a"].n == 39
    assert found["a"].low < found["a"].value < found["a"].high
    assert "patient" in found["a"].method
    nothing = mean_estimates(np.full((4, 2), np.nan), ("a", "b"), units, rng, 500)
    assert nothing["b"].value is None
