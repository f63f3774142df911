"""Which way edges run."""

import numpy as np

from hilum.abstention.outline import CELLS, DIRECTIONS, LENGTH, SIDE, outline, thumbnails


def slow_outline(thumb_hw: np.ndarray) -> np.ndarray:
    """Pixel by pixel: each edge shared between the two directions that it lies between."""
    level_hw = (thumb_hw - thumb_hw.mean()) / max(thumb_hw.std(), 0.02)
    down_hw, across_hw = np.gradient(level_hw)
    total = np.zeros((CELLS, CELLS, DIRECTIONS))
    for y in range(SIDE):
        for x in range(SIDE):
            turn = np.arctan2(down_hw[y, x], across_hw[y, x]) / (2 * np.pi) % 1 * DIRECTIONS
            first, share = int(turn) % DIRECTIONS, turn - int(turn)
            cell = total[y * CELLS // SIDE, x * CELLS // SIDE]
            size = np.hypot(across_hw[y, x], down_hw[y, x])
            cell[first] += size * (1 - share)
            cell[(first + 1) % DIRECTIONS] += size * share
    return np.sqrt(total / total.sum()).ravel()


def test_it_equals_a_count_pixel_by_pixel() -> None:
    thumb_nhw = np.random.default_rng(0).uniform(size=(3, SIDE, SIDE)).astype(np.float32)
    found = outline(thumb_nhw)
    assert found.shape == (3, LENGTH)
    for film, each in zip(thumb_nhw, found, strict=True):
        np.testing.assert_allclose(each, slow_outline(film.astype(np.float64)), atol=1e-4)


def test_dose_and_contrast_do_not_count_but_polarity_does() -> None:
    film = np.random.default_rng(1).uniform(size=(1, SIDE, SIDE))
    np.testing.assert_allclose(outline(0.3 * film + 0.5), outline(film), atol=1e-4)
    assert np.abs(outline(1 - film) - outline(film)).max() > 0.01


def test_a_blank_film_has_no_edge() -> None:
    assert (outline(np.full((1, SIDE, SIDE), 0.4)) == 0).all()


def test_a_thumbnail_is_the_mean_of_what_each_pixel_covers() -> None:
    film = np.random.default_rng(2).uniform(size=(2, 96, 64)).astype(np.float32)
    means = film.reshape(2, SIDE, 3, SIDE, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(thumbnails(film), means, atol=1e-5)
