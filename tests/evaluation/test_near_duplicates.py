from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hilum.evaluation import near_duplicates as module
from hilum.evaluation.near_duplicates import ALIKE, MOST_IMAGES, Pair, near_duplicates

Film = NDArray[np.float32]


def films(n: int, side: int = 28, seed: int = 0) -> list[Film]:
    """Smooth pictures that are nothing like each other."""
    rng = np.random.default_rng(seed)
    small = rng.random((n, 6, 6), dtype=np.float32)
    return [
        np.asarray(Image.fromarray(s).resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
        for s in small
    ]


def slow_correlation(one: Film, other: Film) -> float:
    thumbnails = [
        np.asarray(Image.fromarray(film).resize((32, 32), Image.Resampling.BILINEAR)).ravel()
        for film in (one, other)
    ]
    return float(np.corrcoef(*thumbnails)[0, 1])


@pytest.mark.parametrize("block", [3, 512])
def test_pairs_are_those_whose_thumbnails_correlate(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    given = films(14)
    rng = np.random.default_rng(1)
    given += [(film + 0.1 * rng.random(film.shape)).astype(np.float32) for film in given[3:8]]
    given += [given[2].copy()]
    n = len(given)
    found = near_duplicates(lambda row: given[row], n, limit=0.2)
    slow = {(a, b): slow_correlation(given[a], given[b]) for a in range(n) for b in range(a + 1, n)}
    expected = {pair: similarity for pair, similarity in slow.items() if similarity >= 0.2}
    assert len(expected) > 6
    assert {(pair.first, pair.second): pair.similarity for pair in found.pairs} == pytest.approx(
        expected, abs=1e-5
    )
    assert (found.compared, found.count, found.exact) == (n, len(expected), 1)
    assert found.pairs[0] == Pair(2, n - 1, pytest.approx(1.0), exact=True)
    similarity = [pair.similarity for pair in found.pairs]
    assert similarity == sorted(similarity, reverse=True)


def test_only_pairs_with_different_decisions_are_failures() -> None:
    given = films(3)
    given += given
    found = near_duplicates(lambda row: given[row], 6)
    decision_n = np.array([1, 0, 1, 1, 1, 1], dtype=np.int8)
    assert [(p.first, p.second) for p in found.pairs] == [(0, 3), (1, 4), (2, 5)]
    assert [(p.first, p.second) for p in found.with_different(decision_n)] == [(1, 4)]
    assert found.exact == 3


def test_the_same_picture_at_another_size_or_brightness_is_no_exact_duplicate() -> None:
    film, larger = films(1)[0], films(1, side=112)[0]
    darker = (0.6 * film + 0.1).astype(np.float32)
    found = near_duplicates(lambda row: [film, larger, darker][row], 3)
    assert (found.count, found.exact) == (3, 0)


def test_films_of_one_grey_value_are_near_no_other_yet_counted_as_compared() -> None:
    blank = [np.full((28, 28), grey, dtype=np.float32) for grey in (0.0, 0.5, 0.5, 1.0)]
    found = near_duplicates(lambda row: blank[row], 4)
    assert (found.compared, found.count, found.pairs, found.reason) == (4, 0, (), None)


@pytest.mark.parametrize("n", [0, 1])
def test_no_image_or_one_makes_no_pair(n: int) -> None:
    given = films(1)
    assert near_duplicates(lambda row: given[row], n).count == 0


def test_too_many_images_are_not_compared_and_the_reason_is_given() -> None:
    def unread(row: int) -> Film:
        raise AssertionError(f"image {row} was read")

    found = near_duplicates(unread, MOST_IMAGES + 1)
    assert found.pairs == ()
    assert (
        found.reason == "20,001 images are too many to compare each with each; the most is 20,000"
    )


def test_of_very_many_pairs_the_most_alike_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 4)
    given = [films(1)[0]] * 3 + [(films(1)[0] * 0.99).astype(np.float32)]
    found = near_duplicates(lambda row: given[row], 4)
    assert (found.count, found.exact, len(found.pairs)) == (6, 3, 4)


def jpeg(film: Film) -> Film:
    file = io.BytesIO()
    Image.fromarray((255 * film).astype(np.uint8)).save(file, "JPEG", quality=50)
    return np.asarray(Image.open(file), dtype=np.float32) / 255


def noisy(film: Film) -> Film:
    noise = np.random.default_rng(0).normal(0, 0.05, film.shape)
    return (film + noise).clip(0, 1).astype(np.float32)


def narrower(film: Film) -> Film:
    return (1.3 * film - 0.12).clip(0, 1)


CHANGES: list[Callable[[Film], Film]] = [jpeg, noisy, narrower, lambda film: film**0.8]


def test_on_real_films_the_limit_keeps_apart_copies_and_different_films(data_folder: Path) -> None:
    """PneumoniaMNIST's training set holds 18 pairs of one film twice; no other pair is as near."""
    with np.load(data_folder / "pneumoniamnist.npz") as archive:
        given = list(archive["train_images"].squeeze().astype(np.float32) / 255)
    found = near_duplicates(lambda row: given[row], len(given), limit=0.97)
    assert found.exact == 18
    different = [pair.similarity for pair in found.pairs if not pair.exact]
    assert 0.97 < max(different) < 0.98 < ALIKE


def test_a_changed_copy_of_a_real_film_is_found(data_folder: Path) -> None:
    files = sorted((data_folder / "nih_sample" / "images").glob("*.png"))[:100]
    if not files:
        pytest.skip("no nih_sample in HILUM_DATA")
    given = [np.asarray(Image.open(file).convert("L"), dtype=np.float32) / 255 for file in files]
    given += [change(film) for change in CHANGES for film in given[:100]]
    found = near_duplicates(lambda row: given[row], len(given))
    copies = {(pair.first, pair.second) for pair in found.pairs if pair.first < 100}
    for k in range(len(CHANGES)):
        assert (
            sum((row, 100 * (k + 1) + row) in copies for row in range(100)) >= 95
        )  # 98.9 of 100 films
    assert all((second - first) % 100 == 0 for first, second in copies)
