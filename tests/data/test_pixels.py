"""From a file on disk to a network's input."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.preprocessing import CentreSquare, Resize, preprocess, reduction_to
from hilum.data.radiograph import read_radiograph
from hilum.data.reading import consecutive, read_batches
from hilum.data.sources.films import films
from hilum.errors import DataError, RadiographError

GREY = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_eight_and_sixteen_bits_are_read_exactly(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"8{suffix}")
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / f"16{suffix}")
    for bits in (8, 16):
        read = read_radiograph(tmp_path / f"{bits}{suffix}")
        assert read.dtype == np.float32
        np.testing.assert_allclose(read, GREY / 255, atol=1e-7)


def test_grey_stored_as_colour_is_grey(tmp_path: Path) -> None:
    Image.fromarray(np.stack([GREY] * 3, axis=2)).save(tmp_path / "rgb.png")
    np.testing.assert_allclose(read_radiograph(tmp_path / "rgb.png"), GREY / 255, atol=1e-7)


def test_real_jpegs_stored_as_rgb_are_read(data_folder: Path) -> None:
    path = next((data_folder / "kermany_224" / "images" / "NORMAL").iterdir())
    image_hw = read_radiograph(path)
    assert image_hw.shape == (224, 224)
    assert 0 <= image_hw.min() < 0.2 < 0.8 < image_hw.max() <= 1


def test_what_is_no_radiograph_is_refused_in_one_line(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    Image.fromarray(GREY[:10]).save(tmp_path / "small.png")
    Image.fromarray(GREY).save(
        tmp_path / "two.tif", save_all=True, append_images=[Image.fromarray(GREY)]
    )
    (tmp_path / "text.png").write_text("not a picture")
    whole = tmp_path / "whole.png"
    Image.fromarray(GREY).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-300])
    for name, words in {
        "colour.png": "a colour image",
        "small.png": "50 x 10 px",
        "two.tif": "2 frames",
        "text.png": "not an image that can be read",
        "cut.png": "cannot be decoded",
        "absent.png": "no such file",
    }.items():
        with pytest.raises(RadiographError, match=words) as caught:
            read_radiograph(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.new("L", (9000, 9000)).save(tmp_path / "bomb.png")
    with pytest.raises(RadiographError, match="expected at most 64,000,000 pixels"):
        read_radiograph(tmp_path / "bomb.png")


def test_the_largest_centred_square_is_cut() -> None:
    image_hw = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert CentreSquare().apply(image_hw).tolist() == image_hw[:, 0:3].tolist()
    assert CentreSquare().apply(image_hw.T).shape == (3, 3)


def test_resizing_keeps_a_flat_film_flat_and_the_range_closed() -> None:
    flat = np.full((60, 60), 0.3, dtype=np.float32)
    np.testing.assert_allclose(Resize(height=28, width=28).apply(flat), 0.3, atol=1e-6)
    edge = (np.indices((28, 28)).sum(axis=0) > 27).astype(np.float32)
    resized = Resize(height=112, width=112).apply(edge)
    assert resized.min() == 0.0
    assert resized.max() == 1.0


def test_the_reduction_leaves_a_film_of_the_source_as_it_is() -> None:
    image_hw = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    np.testing.assert_array_equal(preprocess(image_hw, reduction_to(28))[0], image_hw)


def test_a_large_film_is_brought_to_what_medmnist_made_of_it(data_folder: Path) -> None:
    """The 224-pixel films of the same patients, squashed, come out as PneumoniaMNIST's own."""
    import pandas as pd

    from hilum.data.sources.medmnist import pneumoniamnist

    labels = pd.read_csv(data_folder / "kermany_224" / "labels.csv")
    matched = labels[(labels["medmnist_split"] == "test") & (labels["match_corr"] > 0.99)]
    cohort = pneumoniamnist(data=data_folder)
    ids = cohort.table["image_id"].tolist()
    correlations = []
    for row in matched.head(40).itertuples():
        squashed = read_radiograph(data_folder / "kermany_224" / row.path)
        width = round(224 * row.est_aspect_w_over_h)
        film = Resize(height=224, width=width).apply(squashed)
        ours = preprocess(film, reduction_to(28))[0]
        theirs = cohort.radiograph(ids.index(f"test-{int(row.medmnist_index):04d}"))
        correlations.append(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])
    assert np.median(correlations) > 0.99


def test_batches_come_in_the_order_that_was_asked_for(small_cohort: Cohort) -> None:
    order = np.random.default_rng(0).permutation(len(small_cohort))
    batches = np.array_split(order, 7)
    read = np.concatenate(list(read_batches(small_cohort, small_cohort.reduction, batches)))
    expected = np.stack([small_cohort.radiograph(i) for i in order])
    np.testing.assert_array_equal(read[:, 0], expected)
    assert [len(b) for b in consecutive(10, 4)] == [4, 4, 2]
    assert consecutive(0, 4) == []


def test_an_image_that_cannot_be_read_stops_the_batches_with_its_name(tmp_path: Path) -> None:
    for i in range(6):
        Image.fromarray(GREY).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_text("broken")
    cohort = films([tmp_path], ["Pneumonia"])
    with pytest.raises(RadiographError, match=r"4\.png"):
        list(read_batches(cohort, reduction_to(28), consecutive(6, 2)))


def test_films_are_found_in_folders_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "sub/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(GREY).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no film")
    cohort = films([tmp_path, tmp_path / "b.png"], ["Pneumonia"])
    names = [Path(i).name for i in cohort.table["image_id"]]
    assert names == ["a.PNG", "b.png", "c.jpg"]
    assert np.isnan(cohort.label_nf).all()


def test_a_folder_without_films_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no film"):
        films([tmp_path], ["Pneumonia"])
    with pytest.raises(DataError, match="no such file or folder"):
        films([tmp_path / "absent.png"], ["Pneumonia"])


def test_a_film_stored_turned_or_inverted_is_read_upright_and_bone_bright(tmp_path: Path) -> None:
    turned = Image.fromarray(np.rot90(GREY, 2).copy())
    exif = turned.getexif()
    exif[0x0112] = 3  # shown after half a turn
    turned.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_allclose(read_radiograph(tmp_path / "turned.png"), GREY / 255, atol=1e-7)
    # Stored with 0 for white. Pillow turns 8 bits over itself, writing and reading, 16 bits never.
    Image.fromarray(GREY).save(tmp_path / "8.tif", tiffinfo={262: 0})
    stored = (255 - GREY).astype(np.uint16) * 257
    Image.fromarray(stored).save(tmp_path / "16.tif", tiffinfo={262: 0})
    for bits in (8, 16):
        read = read_radiograph(tmp_path / f"{bits}.tif")
        np.testing.assert_allclose(read, GREY / 255, atol=1e-7)


def test_a_picture_with_transparent_parts_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([GREY, GREY * 0])).save(tmp_path / "clear.png")
    with pytest.raises(RadiographError, match="transparent"):
        read_radiograph(tmp_path / "clear.png")
