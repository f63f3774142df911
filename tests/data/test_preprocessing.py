"""The steps from a radiograph to a network's input, with Pillow as the judge of resampling."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from hilum.data.grey import as_float, full_scale
from hilum.data.preprocessing import (
    CentreSquare,
    PadSquare,
    Resize,
    ShorterSide,
    Step,
    preprocess,
    reduction_to,
    undo_squash,
)
from hilum.data.resampling import Interpolation, resample

PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
}


def by_pillow(
    image_hw: NDArray[np.float32], height: int, width: int, interpolation: Interpolation
) -> NDArray[np.float32]:
    resized = Image.fromarray(image_hw).resize((width, height), PILLOW[interpolation])
    return np.asarray(resized, dtype=np.float32)


def test_every_interpolation_has_pillows_for_a_judge() -> None:
    assert set(get_args(Interpolation)) == set(PILLOW)


@pytest.mark.parametrize("interpolation", PILLOW)
@pytest.mark.parametrize(
    ("film", "to"),
    [
        ((1024, 1024), (224, 224)),
        ((28, 28), (64, 64)),
        ((28, 28), (224, 224)),
        ((224, 224), (28, 28)),
        ((1201, 997), (320, 224)),
        ((997, 1201), (1024, 64)),
        ((2400, 2048), (28, 28)),
        ((300, 300), (300, 299)),
        ((17, 900), (900, 17)),
        ((1, 1), (16, 16)),
        ((16, 16), (1, 1)),
        ((2, 3), (3, 2)),
        ((40, 30), (20, 15)),
    ],
)
def test_resampling_is_pillows(
    film: tuple[int, int], to: tuple[int, int], interpolation: Interpolation
) -> None:
    image_hw = np.random.default_rng(0).random(film, dtype=np.float32)
    ours = resample(image_hw, *to, interpolation)
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    np.testing.assert_allclose(ours, by_pillow(image_hw, *to, interpolation), rtol=0, atol=1e-6)


@pytest.mark.parametrize("interpolation", PILLOW)
def test_resampling_is_pillows_at_any_size(interpolation: Interpolation) -> None:
    rng = np.random.default_rng(1)
    for _ in range(150):
        height, width, to_height, to_width = rng.integers(1, 200, 4).tolist()
        image_hw = rng.random((height, width), dtype=np.float32)
        np.testing.assert_allclose(
            resample(image_hw, to_height, to_width, interpolation),
            by_pillow(image_hw, to_height, to_width, interpolation),
            rtol=0,
            atol=1e-6,
            err_msg=f"{height} x {width} to {to_height} x {to_width}",
        )


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.dtype(">u2")])
def test_whole_numbers_are_resampled_as_the_shares_they_stand_for(kind: np.dtype) -> None:
    largest = np.iinfo(kind).max
    stored = np.random.default_rng(0).integers(0, largest, (600, 500), endpoint=True).astype(kind)
    shares = (stored / largest).astype(np.float32)
    for side in (64, 700):
        np.testing.assert_allclose(
            resample(stored, side, side, "bicubic"),
            by_pillow(shares, side, side, "bicubic"),
            rtol=0,
            atol=1e-6,
        )


def test_part_of_a_film_is_resampled_as_if_it_were_all() -> None:
    """A crop is a window on a larger film's memory, turned and mirrored ones too."""
    film = np.random.default_rng(0).integers(0, 256, (300, 400)).astype(np.uint8)
    for view in (film[10:250, 33:], film.T, film[::-1, ::-2], np.asfortranarray(film)):
        np.testing.assert_array_equal(
            resample(view, 64, 48, "bicubic"),
            resample(np.ascontiguousarray(view), 64, 48, "bicubic"),
        )


def test_stored_values_become_shares_of_full_scale_exactly() -> None:
    for kind in (np.uint8, np.uint16):
        stored = np.arange(np.iinfo(kind).max + 1).astype(kind)
        shares = as_float(stored)
        assert shares.dtype == np.float32
        expected = stored.astype(np.float32) / np.float32(np.iinfo(kind).max)
        np.testing.assert_array_equal(shares, expected)
        np.testing.assert_array_equal(np.rint(shares * np.iinfo(kind).max), stored)
    np.testing.assert_array_equal(
        as_float(np.array([[1, 65535]], dtype=">u2")), np.float32([[1 / 65535, 1]])
    )
    ready = np.zeros((2, 2), dtype=np.float32)
    assert as_float(ready) is ready


def test_signed_numbers_have_no_full_scale() -> None:
    with pytest.raises(TypeError, match="grey values of type int16"):
        full_scale(np.zeros((2, 2), dtype=np.int16))  # type: ignore[arg-type]


def test_the_largest_centred_square_is_cut() -> None:
    image_hw = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert CentreSquare().apply(image_hw).tolist() == image_hw[:, 0:3].tolist()
    assert CentreSquare().apply(image_hw.T).shape == (3, 3)


def test_air_is_added_on_both_sides_of_a_film_that_is_not_square() -> None:
    stored = np.arange(1, 7, dtype=np.uint8).reshape(2, 3)
    assert PadSquare().apply(stored).tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]
    tall = np.full((5, 2), 200, dtype=np.uint8)
    padded = PadSquare().apply(tall)
    assert padded.dtype == np.uint8
    assert padded.tolist() == [[0, 200, 200, 0, 0]] * 5
    square = np.ones((4, 4), dtype=np.float32)
    assert PadSquare().apply(square) is square


def test_padding_keeps_the_aspect_and_all_of_the_film() -> None:
    """A disc stays round in it, and stays whole; cutting loses its sides."""
    y, x = np.mgrid[:200, :400]
    wide = (((y - 100) ** 2 + (x - 200) ** 2) < 90**2).astype(np.float32)
    padded = preprocess(wide, (PadSquare(), Resize(height=100, width=100)))[0] > 0.5
    assert abs(int(padded.any(axis=0).sum()) - int(padded.any(axis=1).sum())) <= 1
    assert padded.sum() == pytest.approx(np.pi * 22.5**2, rel=0.03)


def test_resizing_keeps_a_flat_film_flat_and_the_range_closed() -> None:
    flat = np.full((60, 60), 0.3, dtype=np.float32)
    np.testing.assert_allclose(Resize(height=28, width=28).apply(flat), 0.3, atol=1e-6)
    edge = (np.indices((28, 28)).sum(axis=0) > 27).astype(np.float32)
    resized = Resize(height=112, width=112).apply(edge)
    assert resized.min() == 0.0
    assert resized.max() == 1.0


def test_the_shorter_side_is_shrunk_and_the_aspect_kept() -> None:
    tall = np.random.default_rng(0).integers(0, 256, (900, 600)).astype(np.uint8)
    shrunk = ShorterSide(size=256).apply(tall)
    assert shrunk.shape == (384, 256)
    np.testing.assert_allclose(shrunk, Resize(height=384, width=256).apply(tall))
    assert ShorterSide(size=256).apply(tall.T).shape == (256, 384)
    assert ShorterSide(size=600).apply(tall) is tall
    assert ShorterSide(size=601).apply(tall) is tall


def test_a_film_that_has_the_size_already_is_not_touched() -> None:
    stored = np.arange(400, dtype=np.uint16).reshape(20, 20)
    assert Resize(height=20, width=20).apply(stored) is stored
    ready = preprocess(stored, (Resize(height=20, width=20),))
    assert ready.dtype == np.float32
    np.testing.assert_array_equal(ready[0], as_float(stored))


def test_input_is_one_channel_of_floats_whatever_was_stored() -> None:
    steps = (PadSquare(), Resize(height=64, width=64))
    stored = np.random.default_rng(0).integers(0, 256, (90, 70)).astype(np.uint8)
    from_bytes = preprocess(stored, steps)
    assert from_bytes.shape == (1, 64, 64)
    assert from_bytes.dtype == np.float32
    assert from_bytes.flags.c_contiguous
    np.testing.assert_allclose(from_bytes, preprocess(as_float(stored), steps), atol=1e-6)
    assert preprocess(stored, ()).shape == (1, 90, 70)


@pytest.mark.parametrize(
    ("aspect", "shape"), [(1.0, (224, 224)), (1.4, (160, 224)), (0.7, (224, 157))]
)
def test_a_squashed_film_gets_its_proportions_back(aspect: float, shape: tuple[int, int]) -> None:
    squashed = np.random.default_rng(0).integers(0, 256, (224, 224)).astype(np.uint8)
    assert undo_squash(squashed, aspect).shape == shape


def test_undoing_a_squash_makes_the_disc_round() -> None:
    y, x = np.mgrid[:300, :420]
    true = ((y - 150) ** 2 + (x - 210) ** 2 < 120**2).astype(np.float32)
    squashed = np.asarray(Resize(height=224, width=224).apply(true))
    restored = undo_squash(squashed, 420 / 300)
    assert restored.shape == (160, 224)
    again = by_pillow(true, 160, 224, "bicubic")
    assert np.abs(restored - again).mean() < 0.01


def test_what_old_bundles_store_is_read_and_means_the_same() -> None:
    stored = [
        {"step": "centre_square"},
        {"step": "resize", "height": 28, "width": 28, "interpolation": "bilinear"},
        {"step": "resize", "height": 64, "width": 64, "interpolation": "bicubic"},
    ]
    steps = TypeAdapter(tuple[Step, ...]).validate_python(stored)
    assert steps == (*reduction_to(28), Resize(height=64, width=64, interpolation="bicubic"))
    assert [step.model_dump() for step in steps] == stored


def test_new_steps_are_stored_by_their_names() -> None:
    steps = TypeAdapter(tuple[Step, ...])
    new = (PadSquare(), ShorterSide(size=256))
    assert steps.validate_json(steps.dump_json(new)) == new
    assert [step["step"] for step in steps.dump_python(new)] == ["pad_square", "shorter_side"]
    with pytest.raises(ValidationError, match="pad_round"):
        steps.validate_python([{"step": "pad_round"}])


def test_the_reduction_leaves_a_film_of_the_source_as_it_is() -> None:
    image_hw = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    np.testing.assert_array_equal(preprocess(image_hw, reduction_to(28))[0], image_hw)


def test_pneumoniamnist_is_enlarged_as_it_was_when_pillow_did_it(data_folder: Path) -> None:
    """Bundles of before see the same films, to the rounding of floats."""
    from hilum.data.sources.medmnist import pneumoniamnist

    cohort = pneumoniamnist(data=data_folder)
    steps = (*reduction_to(28), Resize(height=64, width=64))
    for position in range(0, len(cohort), 20):
        before = np.clip(by_pillow(cohort.radiograph(position), 64, 64, "bicubic"), 0, 1)
        ours = preprocess(cohort.pixels.read(position), steps)[0]
        np.testing.assert_allclose(ours, before, rtol=0, atol=5e-7)


def test_a_large_film_is_brought_to_what_medmnist_made_of_it(data_folder: Path) -> None:
    """The 224-pixel films of the same patients, squashed, come out as PneumoniaMNIST's own."""
    import pandas as pd

    from hilum.data.pixels import FilePixels
    from hilum.data.sources.medmnist import pneumoniamnist

    folder = data_folder / "kermany_224"
    labels = pd.read_csv(folder / "labels.csv")
    matched = labels[(labels["medmnist_split"] == "test") & (labels["match_corr"] > 0.99)].head(40)
    aspect_n = matched["est_aspect_w_over_h"].to_numpy()
    cohort = pneumoniamnist(data=data_folder)
    ids = cohort.table["image_id"].tolist()
    theirs = [cohort.radiograph(ids.index(f"test-{int(i):04d}")) for i in matched["medmnist_index"]]

    def likeness(pixels: FilePixels) -> float:
        ours = [preprocess(pixels.read(i), reduction_to(28))[0] for i in range(len(matched))]
        pairs = zip(ours, theirs, strict=True)
        return float(np.median([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]))

    paths = matched["path"].tolist()
    assert likeness(FilePixels(folder, paths, aspect_n=aspect_n)) > 0.99
    assert likeness(FilePixels(folder, paths)) < 0.98  # left squashed they are not the same
