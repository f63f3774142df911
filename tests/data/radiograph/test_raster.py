"""PNG, JPEG and TIFF films."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.radiograph.made_films import jpeg, pattern, raster
from hilum.data.radiograph import read_header, read_radiograph
from hilum.errors import RadiographError
from hilum.recipe import ReadingPart

GREY = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
IMAGE = Image.fromarray(GREY)
GREY12 = pattern(12)


def png(stored: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with these chunks set right after its header."""
    data = raster(Image.fromarray(stored), "PNG")
    more = b"".join(
        struct.pack(">I", len(value)) + kind + value + struct.pack(">I", zlib.crc32(kind + value))
        for kind, value in chunks
    )
    return data[:33] + more + data[33:]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_eight_and_sixteen_bits_are_read_exactly(kind: str) -> None:
    wide = Image.fromarray(GREY.astype(np.uint16) * 257)
    for bits, image in ((8, IMAGE), (16, wide)):
        film = read_radiograph(raster(image, kind))
        assert film.image_hw.dtype == np.float32
        np.testing.assert_allclose(film.image_hw, GREY / 255, atol=1e-7)
        assert film.stored_hw.dtype == np.dtype(f"u{bits // 8}")
        assert (film.format, film.bits, film.photometric) == (kind, bits, "MONOCHROME2")
        assert film.window == f"stored range 0 to {2**bits - 1}"


def test_a_jpeg_is_what_pillow_decodes(tmp_path: Path) -> None:
    path = tmp_path / "film.png"  # told by content
    path.write_bytes(jpeg(GREY, quality=80))
    with Image.open(path) as image:
        expected = np.asarray(image)
    film = read_radiograph(path)
    assert film.format == "JPEG"
    np.testing.assert_array_equal(film.stored_hw, expected)


def test_twelve_bits_in_sixteen_are_read_as_the_recipe_says() -> None:
    film = read_radiograph(png(GREY12), ReadingPart(bits=12))
    np.testing.assert_allclose(film.image_hw, GREY12 / 4095, atol=1e-7)
    assert (film.bits, film.window, film.warnings) == (12, "stored range 0 to 4095", ())
    with pytest.raises(
        RadiographError, match=r"a stored value of 40\d\d; expected at most 1023.*reading.bits = 10"
    ):
        read_radiograph(png(GREY12), ReadingPart(bits=10))


def test_twelve_bits_in_sixteen_are_not_guessed() -> None:
    film = read_radiograph(png(GREY12))
    np.testing.assert_allclose(film.image_hw, GREY12 / 65535, atol=1e-7)
    assert film.bits == 16
    assert "looks like 12 bits in 16; set reading.bits" in film.warnings[0]
    dark = read_radiograph(png(GREY12), ReadingPart(bits=16))
    assert dark.warnings == ()  # it was said


def test_significant_bits_that_the_file_states_are_kept() -> None:
    """PNG 11.3.2.7 wants the bits on top; many writers leave them at the bottom."""
    for stored in (GREY12, GREY12 << np.uint16(4), GREY12 << np.uint16(4) | GREY12 >> np.uint16(8)):
        film = read_radiograph(png(stored, (b"sBIT", b"\x0c")))
        np.testing.assert_allclose(film.image_hw, GREY12 / 4095, atol=1e-7)
        assert (film.bits, film.warnings) == (12, ())
    assert read_header(png(GREY12, (b"sBIT", b"\x0c"))).bits == 12
    told = read_radiograph(png(GREY12, (b"sBIT", b"\x10")), ReadingPart(bits=12))
    np.testing.assert_allclose(told.image_hw, GREY12 / 4095, atol=1e-7)


def test_the_recipes_bits_leave_films_of_eight_alone() -> None:
    film = read_radiograph(raster(IMAGE, "PNG"), ReadingPart(bits=12))
    np.testing.assert_array_equal(film.stored_hw, GREY)


def test_grey_stored_as_colour_is_grey() -> None:
    for image in (
        Image.merge("RGB", [IMAGE] * 3),
        Image.merge("RGBA", [IMAGE] * 3 + [Image.new("L", IMAGE.size, 255)]),
        Image.merge("LA", [IMAGE, Image.new("L", IMAGE.size, 255)]),
        IMAGE.convert("P"),
    ):
        film = read_radiograph(raster(image, "PNG"))
        np.testing.assert_array_equal(film.stored_hw, GREY)
    noise = np.random.default_rng(1).integers(-4, 5, (40, 50, 3))
    nearly = np.clip(np.stack([GREY] * 3, axis=2) + noise, 0, 255).astype(np.uint8)
    film = read_radiograph(raster(Image.fromarray(nearly), "PNG"))
    np.testing.assert_array_equal(film.stored_hw, nearly[:, :, 1])


def test_real_jpegs_stored_as_rgb_are_read(data_folder: Path) -> None:
    path = next((data_folder / "kermany_224" / "images" / "NORMAL").iterdir())
    image_hw = read_radiograph(path).image_hw
    assert image_hw.shape == (224, 224)
    assert 0 <= image_hw.min() < 0.2 < 0.8 < image_hw.max() <= 1


def test_what_is_no_radiograph_is_refused_in_one_line(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    negative = Image.fromarray(255 - GREY)
    whole = raster(IMAGE, "PNG")
    for name, (data, words) in {
        "colour.png": (raster(Image.fromarray(colour), "PNG"), "a colour image"),
        "small.png": (raster(Image.fromarray(GREY[:10]), "PNG"), "50 x 10 px; expected 16 px"),
        "two.tif": (raster(IMAGE, "TIFF", save_all=True, append_images=[IMAGE]), "2 frames"),
        "two.png": (raster(IMAGE, "PNG", save_all=True, append_images=[negative]), "2 frames"),
        "float.tif": (raster(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "pixel type F"),
        "text.png": (b"not a picture", "not an image that can be read; expected PNG, JPEG, TIFF"),
        "film.gif": (raster(IMAGE, "GIF"), "not an image that can be read"),
        "empty.png": (b"", "not an image that can be read"),
        "cut.png": (whole[:-300], "cannot be decoded"),
        "clear.png": (raster(Image.fromarray(np.dstack([GREY, GREY])), "PNG"), "transparent"),
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(RadiographError, match=words) as caught:
            read_radiograph(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    for name, words in {"absent.png": "no such file", ".": "cannot be opened"}.items():
        with pytest.raises(RadiographError, match=words):
            read_radiograph(tmp_path / name)
    with pytest.raises(RadiographError, match="cannot be opened"):
        read_radiograph("nul\0.png")


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    for width in (9000, 20000):
        head = b"IHDR" + struct.pack(">IIBBBBB", width, width, 8, 0, 0, 0, 0)
        whole = raster(IMAGE, "PNG")
        data = whole[:12] + head + struct.pack(">I", zlib.crc32(head)) + whole[33:]
        for read in (read_radiograph, read_header):
            with pytest.raises(RadiographError, match="expected at most 64,000,000 pixels"):
                read(data)


def test_a_film_stored_turned_or_inverted_is_read_upright_and_bone_bright() -> None:
    turned = Image.fromarray(np.rot90(GREY, 2).copy())
    exif = turned.getexif()
    exif[0x0112] = 3  # shown after half a turn
    read_hw = read_radiograph(raster(turned, "PNG", exif=exif)).image_hw
    np.testing.assert_allclose(read_hw, GREY / 255, atol=1e-7)
    # Stored with 0 for white. Pillow turns 8 bits over itself, writing and reading, 16 bits never.
    stored = Image.fromarray((255 - GREY).astype(np.uint16) * 257)
    for image in (IMAGE, stored):
        film = read_radiograph(raster(image, "TIFF", tiffinfo={262: 0}))
        np.testing.assert_allclose(film.image_hw, GREY / 255, atol=1e-7)
        assert film.photometric == "MONOCHROME1"
    low = Image.fromarray(4095 - GREY12)
    film = read_radiograph(raster(low, "TIFF", tiffinfo={262: 0}), ReadingPart(bits=12))
    np.testing.assert_allclose(film.image_hw, GREY12 / 4095, atol=1e-7)


def test_a_header_says_what_the_film_has() -> None:
    for data in (raster(IMAGE, "PNG"), jpeg(GREY), raster(IMAGE, "TIFF"), png(GREY12)):
        header, film = read_header(data), read_radiograph(data)
        assert (header.rows, header.columns) == film.image_hw.shape
        assert (header.format, header.bits) == (film.format, film.bits)
        assert header.photometric == film.photometric == "MONOCHROME2"
