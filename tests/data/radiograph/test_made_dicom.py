"""Made DICOM films: transfer syntaxes, stored formats, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from data.radiograph.made_films import (
    COLUMNS,
    ROWS,
    all_formats,
    big_endian,
    compressed,
    data_set,
    dicom,
    enclosed,
    jpeg,
    pattern,
    raster,
    stream,
)
from hilum.data.radiograph import elements, read_header, read_radiograph
from hilum.errors import RadiographError

# What pydicom says while it writes odd films is no matter here; what it says in reading is tested
# in `test_nothing_is_printed_or_logged`.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
GREY8, GREY12 = pattern(8), pattern(12)


def refused(data: bytes, words: str, **options: Any) -> str:
    with pytest.raises(RadiographError, match=words) as caught:
        read_radiograph(data, name="film.dcm", **options)
    line = str(caught.value)
    assert line.startswith("film.dcm: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEG2000, JPEGLSNearLossless]
)
@pytest.mark.parametrize("bits", [8, 12])
def test_what_pydicom_compresses_is_read_exactly(syntax: str, bits: int) -> None:
    stored = pattern(bits)
    data = enclosed_j2k(stored) if syntax == JPEG2000 else compressed(data_set(stored), syntax)
    read_hw = read_radiograph(data).image_hw
    np.testing.assert_allclose(read_hw, stored / (2**bits - 1), atol=1e-7)


def enclosed_j2k(stored: np.ndarray[Any, Any]) -> bytes:
    """Lossless, though under the syntax that allows loss."""
    lossless = compressed(data_set(stored), JPEG2000Lossless)
    return lossless.replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.91")


def test_jpeg_2000_within_a_jp2_file_is_read_exactly() -> None:
    boxed = raster(Image.fromarray(GREY8), "JPEG2000")
    assert boxed[4:6] == b"jP"
    stored_hw = read_radiograph(enclosed(boxed, JPEG2000, GREY8)).stored_hw
    np.testing.assert_array_equal(stored_hw, GREY8)


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("bits", [8, 12])
def test_lossless_jpeg_is_read_exactly(syntax: str, bits: int) -> None:
    data = enclosed(stream(f"jpeg_lossless_{bits}.jpg"), syntax, pattern(bits))
    stored = pattern(bits)
    np.testing.assert_allclose(read_radiograph(data).image_hw, stored / (2**bits - 1), atol=1e-7)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K])
def test_high_throughput_jpeg_2000_is_read_exactly(syntax: str) -> None:
    data = enclosed(stream("htj2k_lossless_8.j2c"), syntax, GREY8)
    np.testing.assert_array_equal(read_radiograph(data).stored_hw, GREY8)
    # The stream has 16 bits; the header says that 12 of them count.
    data = enclosed(stream("htj2k_lossless_16.j2c"), syntax, GREY12)
    np.testing.assert_allclose(read_radiograph(data).image_hw, GREY12 / 4095, atol=1e-7)


def test_lossy_high_throughput_jpeg_2000_is_read() -> None:
    row, column = np.indices((ROWS, COLUMNS))
    stored = (900 * row + 600 * column).astype(np.uint16)
    data = enclosed(stream("htj2k_lossy_16.j2c"), HTJ2K, stored, BitsStored=16)
    np.testing.assert_allclose(read_radiograph(data).image_hw, stored / 65535, atol=126 / 65535)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit])
def test_jpeg_of_eight_bits_is_what_pillow_decodes(syntax: str) -> None:
    image = jpeg(GREY8, quality=80)
    with Image.open(BytesIO(image)) as decoded:
        expected = np.asarray(decoded)
    stored_hw = read_radiograph(enclosed(image, syntax, GREY8)).stored_hw
    assert stored_hw.dtype == np.uint8
    np.testing.assert_array_equal(stored_hw, expected)


@pytest.mark.parametrize("bits", [8, 12])
def test_big_endian_is_read_exactly(bits: int) -> None:
    stored = pattern(bits)
    read_hw = read_radiograph(big_endian(data_set(stored))).image_hw
    np.testing.assert_allclose(read_hw, stored / (2**bits - 1), atol=1e-7)


def test_big_endian_words_of_two_pixels_are_turned() -> None:
    """8-bit pixels stored as OW stand in pairs, the second first; PS3.5 A.3."""
    swapped = data_set(GREY8.reshape(-1, 2)[:, ::-1].reshape(GREY8.shape))
    data = big_endian(swapped).replace(b"\x7f\xe0\0\x10OB", b"\x7f\xe0\0\x10OW")
    np.testing.assert_array_equal(read_radiograph(data).stored_hw, GREY8)


def test_an_odd_number_of_big_endian_words_keeps_its_last_pixel() -> None:
    grey = GREY8[:39, :47]
    padded = np.append(grey.ravel(), np.uint8(0)).reshape(-1, 2)[:, ::-1]
    swapped = data_set(grey, PixelData=padded.tobytes())
    data = big_endian(swapped).replace(b"\x7f\xe0\0\x10OB", b"\x7f\xe0\0\x10OW")
    np.testing.assert_array_equal(read_radiograph(data).stored_hw, grey)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_file_without_preamble_and_meta_is_read(syntax: str) -> None:
    data = dicom(data_set(), syntax, meta=False)
    film = read_radiograph(data)
    assert film.transfer_syntax == syntax
    np.testing.assert_allclose(film.image_hw, GREY12 / 4095, atol=1e-7)


def test_a_file_with_meta_and_no_preamble_is_read() -> None:
    data = dicom(data_set())[132:]
    np.testing.assert_allclose(read_radiograph(data).image_hw, GREY12 / 4095, atol=1e-7)


def test_a_file_that_names_the_wrong_vr_is_read() -> None:
    np.testing.assert_allclose(read_radiograph(mixed()).image_hw, GREY12 / 4095, atol=1e-7)


def mixed() -> bytes:
    """Explicit by its meta, implicit in truth."""
    meta, explicit, _ = dicom(data_set()).partition(b"1.2.840.10008.1.2.1\0")
    _, _, implicit = dicom(data_set(), ImplicitVRLittleEndian).partition(b"1.2.840.10008.1.2\0")
    return meta + explicit + implicit


def test_arbitrary_files_are_not_taken_for_dicom(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for head in (b"\x08\0\x05\0", b"\x02\0\0\0UL\x04\0", b"", b"\x08\0\x05\0CS\x0a\0"):
        data = head + rng.integers(0, 256, 4000, dtype=np.uint8).tobytes()
        refused(data, "not an image that can be read|not readable as DICOM")
    refused(b"", "not an image that can be read; expected PNG, JPEG, TIFF or DICOM")
    named = tmp_path / "film.dcm"
    named.write_bytes(raster(Image.fromarray(GREY8), "PNG"))
    assert read_radiograph(named).format == "PNG"
    named = tmp_path / "film.png"
    named.write_bytes(dicom(data_set()))
    assert read_radiograph(named).format == "DICOM"


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_signed_pixels_range_from_their_lowest(bits: int) -> None:
    half = 1 << (bits - 1)
    value = pattern(bits).astype(np.int32) - half
    stored = value.astype(np.int8 if bits == 8 else np.int16)
    data = dicom(data_set(stored, BitsStored=bits))
    film = read_radiograph(data)
    np.testing.assert_allclose(film.image_hw, (value + half) / (2 * half - 1), atol=1e-6)
    assert film.window == f"stored range {-half} to {half - 1}"


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_signed_pixels_keep_their_sign(syntax: str) -> None:
    value = pattern(12).astype(np.int16) - 2048
    data = compressed(data_set(value), syntax)
    np.testing.assert_allclose(read_radiograph(data).image_hw, (value + 2048) / 4095, atol=1e-6)


def test_bits_that_are_not_stored_are_ignored() -> None:
    stored = GREY12 | np.uint16(0xA000)  # an old overlay in the high bits
    np.testing.assert_allclose(
        read_radiograph(dicom(data_set(stored))).image_hw, GREY12 / 4095, atol=1e-7
    )
    left = GREY12 << np.uint16(4)  # the other alignment that old files have
    data = dicom(data_set(left, BitsStored=12, HighBit=15))
    np.testing.assert_allclose(read_radiograph(data).image_hw, GREY12 / 4095, atol=1e-7)


GREY_RGB = np.stack([GREY8] * 3, axis=2)
GREY_YBR = np.stack([GREY8, GREY8 * 0 + 128, GREY8 * 0 + 128], axis=2)


@pytest.mark.parametrize(
    "data",
    [
        dicom(data_set(GREY_RGB)),
        dicom(data_set(np.moveaxis(GREY_RGB, 2, 0).reshape(GREY_RGB.shape), PlanarConfiguration=1)),
        dicom(data_set(GREY_YBR, PhotometricInterpretation="YBR_FULL")),
        compressed(data_set(GREY_RGB), RLELossless),
        compressed(data_set(GREY_RGB), JPEG2000Lossless),
        compressed(data_set(GREY_RGB, PlanarConfiguration=0), JPEGLSLossless),
    ],
    ids=["rgb", "planes", "ybr", "rle", "j2k", "jpegls"],
)
def test_grey_stored_in_three_channels_is_grey(data: bytes) -> None:
    film = read_radiograph(data)
    np.testing.assert_array_equal(film.stored_hw, GREY8)
    assert film.photometric in ("RGB", "YBR_FULL", "YBR_RCT")


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "RGB"])
def test_a_grey_jpeg_in_colour_is_grey(photometric: str) -> None:
    smooth = np.add.outer(np.arange(ROWS), 3 * np.arange(COLUMNS)).astype(np.uint8)
    image = jpeg(np.stack([smooth] * 3, axis=2), quality=95)
    data = enclosed(image, JPEGBaseline8Bit, GREY_RGB, PhotometricInterpretation=photometric)
    np.testing.assert_allclose(read_radiograph(data).image_hw, smooth / 255, atol=3 / 255)


def test_a_grey_jpeg_of_untransformed_rgb_is_grey() -> None:
    """Without a marker that says so, only the header tells that the channels are no YCbCr."""
    smooth = np.add.outer(np.arange(ROWS), 3 * np.arange(COLUMNS)).astype(np.uint8)
    channels = Image.merge("YCbCr", [Image.fromarray(smooth)] * 3)
    data = raster(channels, "JPEG", quality=95, subsampling=0)
    jfif = data.index(b"JFIF")
    length = int.from_bytes(data[jfif - 2 : jfif], "big")
    bare = data[: jfif - 4] + data[jfif - 2 + length :]
    assert b"JFIF" not in bare
    film = read_radiograph(enclosed(bare, JPEGBaseline8Bit, GREY_RGB))
    np.testing.assert_allclose(film.image_hw, smooth / 255, atol=3 / 255)


def test_real_colour_is_refused() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)
    refused(dicom(data_set(colour)), "a colour image .*expected a greyscale radiograph")
    ybr = data_set(colour, PhotometricInterpretation="YBR_FULL")
    refused(dicom(ybr), "a colour image")
    refused(enclosed(jpeg(colour), JPEGBaseline8Bit, colour), "a colour image")
    tinted = GREY_RGB.copy()
    tinted[5:9, 5:9, 0] ^= 32  # a small coloured stamp
    refused(dicom(data_set(tinted)), "channels differ by up to 32 of 255")
    palette = data_set(GREY8, PhotometricInterpretation="PALETTE COLOR")
    refused(dicom(palette), "photometric interpretation 'PALETTE COLOR'")


def test_several_frames_are_refused() -> None:
    refused(dicom(data_set(NumberOfFrames=2)), "2 frames; expected one film a file")
    two = encapsulate([jpeg(GREY8), jpeg(GREY8)], has_bot=True)
    refused(dicom(data_set(GREY8, PixelData=two), JPEGBaseline8Bit), "2 frames")
    one = encapsulate([jpeg(GREY8)], fragments_per_frame=3, has_bot=False)
    assert read_radiograph(dicom(data_set(GREY8, PixelData=one), JPEGBaseline8Bit)).bits == 8


def test_a_file_without_pixels_is_refused() -> None:
    refused(dicom(data_set_without("PixelData")), "no pixel data; expected a radiograph")
    refused(dicom(data_set_without("Rows")), "no pixel data")
    floating = data_set_without("PixelData")
    floating.FloatPixelData = b"\0" * (4 * ROWS * COLUMNS)
    refused(dicom(floating), "floating-point")
    with pytest.raises(RadiographError, match="no pixel data"):
        read_header(dicom(data_set_without("PixelData")))


def data_set_without(keyword: str) -> Dataset:
    film = data_set()
    delattr(film, keyword)
    return film


def test_pixels_that_break_off_are_refused() -> None:
    whole = dicom(data_set())
    refused(whole[:-100], "3,740 of 3,840 bytes of pixels")
    for name in ("rle", "jpeg", "lossless12", "jpegls", "j2k", "htj2k", "deflated"):
        data = all_formats()[f"{name}.dcm"]
        refused(data[: len(data) * 3 // 4], "film.dcm")


def test_odd_headers_are_refused_in_words() -> None:
    refused(dicom(data_set(BitsAllocated=32)), "12 bits a pixel up to bit 11 of 32")
    refused(dicom(data_set(BitsStored=20)), "20 bits a pixel")
    refused(dicom(data_set(SamplesPerPixel=2)), "MONOCHROME2 with 2 samples a pixel")
    refused(dicom(data_set(PixelSpacing=[0.1, 9.0])), "pixels of 0.1 x 9; expected nearly square")
    unknown = dicom(data_set()).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
    refused(unknown, "transfer syntax 1.2.840.10008.1.2.9; expected one that is decoded here")
    small = data_set(GREY12[:8])
    refused(dicom(small), "48 x 8 px; expected 16 px or more on each side")


def test_too_many_pixels_are_refused_from_the_header() -> None:
    huge = dicom(data_set(Rows=60000, Columns=60000))
    refused(huge, "60000 x 60000 px; expected at most 64,000,000 pixels")
    with pytest.raises(RadiographError, match="at most 64,000,000 pixels"):
        read_header(huge)


@pytest.mark.parametrize("name", ["jpeg", "lossless8", "jpegls", "j2k", "htj2k"])
def test_a_stream_of_another_size_than_its_header_is_not_decoded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = all_formats()[f"{name}.dcm"]
    at = data.index(b"\x28\0\x10\0US\x02\0") + 8
    line = refused(data[:at] + b"\x20\0" + data[at + 2 :], "a compressed image of 48 x 40 px")
    assert "under a header of 48 x 32 px" in line


def test_a_deflated_bomb_is_not_inflated_beyond_what_a_film_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head, _, _ = all_formats()["deflated.dcm"].partition(b"1.2.840.10008.1.2.1.99")
    squeeze = zlib.compressobj(wbits=-15)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(8)) + squeeze.flush()
    monkeypatch.setattr(elements, "_INFLATED_LIMIT", 4 << 20)
    refused(head + b"1.2.840.10008.1.2.1.99" + bomb, "more than 4 MB when inflated")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"Modality": "CT"}, "modality CT, not a radiograph's"),
        ({"BodyPartExamined": "SKULL"}, "body part SKULL, not the chest"),
        ({"ViewPosition": "LL"}, "view LL, which is lateral"),
        ({"ViewPosition": "LATERAL"}, "view LATERAL, which is lateral"),
    ],
)
def test_no_frontal_chest_film_is_warned_of_or_refused(said: dict[str, str], words: str) -> None:
    data = dicom(data_set(**said))
    assert read_radiograph(data).warnings == read_header(data).warnings
    assert words in read_radiograph(data).warnings[0]
    refused(data, words, strict=True)


@pytest.mark.parametrize("part", [None, "", "CHEST", "Thorax", "CHEST_TO_ABDOMEN", "PORT CHEST"])
def test_chest_films_by_any_name_are_fit(part: str | None) -> None:
    data = dicom(data_set(BodyPartExamined=part))
    assert read_radiograph(data, strict=True).warnings == ()


@pytest.mark.parametrize(
    ("age", "years"),
    [("057Y", 57.0), ("018M", 1.5), ("026W", 0.4983), ("010D", 0.0274), ("53", 53.0), ("x", None)],
)
def test_ages_are_years(age: str, years: float | None) -> None:
    assert read_header(dicom(data_set(PatientAge=age))).age == years


def test_pixels_that_are_not_square_are_made_so() -> None:
    smooth = np.add.outer(30 * np.arange(ROWS), 20 * np.arange(COLUMNS)).astype(np.uint16)
    for said in (
        {"PixelSpacing": [0.4, 0.2]},
        {"ImagerPixelSpacing": [0.4, 0.2]},
        {"PixelAspectRatio": [2, 1]},
    ):
        film = read_radiograph(dicom(data_set(smooth, **said)))
        assert film.image_hw.shape == (2 * ROWS, COLUMNS)
        # Row 2i and 2i + 1 lie a quarter of a row above and below row i.
        expected = (smooth[10] + np.float32(30 * 0.25)) / 4095
        np.testing.assert_allclose(film.image_hw[21], expected, atol=1e-4)
        spacing = None if "PixelAspectRatio" in said else (0.2, 0.2)
        assert film.pixel_spacing_mm == spacing
    wide = read_radiograph(dicom(data_set(smooth, PixelSpacing=[0.2, 0.3])))
    assert wide.image_hw.shape == (ROWS, 72)
    plain = read_radiograph(dicom(data_set(smooth, PixelSpacing=[0.2, 0.2001])))
    assert plain.image_hw.shape == (ROWS, COLUMNS)
    both = data_set(smooth, PixelSpacing=[0.3, 0.3], ImagerPixelSpacing=[0.4, 0.2])
    assert read_radiograph(dicom(both)).pixel_spacing_mm == (0.3, 0.3)


def test_a_patient_is_not_named() -> None:
    film = read_radiograph(dicom(data_set()))
    said = repr(film) + repr(read_header(dicom(data_set())))
    for secret in ("Nobody", "Secret", "1962", "4711", "4712", "P-17"):
        assert secret not in said
    assert film.patient_id == "P-17"
    for damage in ({"Modality": "CT"}, {"BitsAllocated": 32}, {"NumberOfFrames": 3}):
        line = refused(dicom(data_set(**damage)), "film.dcm", strict=True)
        assert not any(secret in line for secret in ("Nobody", "P-17", "1962", "4711"))


def test_nothing_is_printed_or_logged(tmp_path: Path) -> None:
    """Of a file that pydicom warns of, with every warning and log line shown."""
    odd = tmp_path / "odd.dcm"
    odd.write_bytes(mixed())
    with pytest.warns(UserWarning, match="Expected explicit VR"):
        pydicom.dcmread(odd)
    program = (
        "import sys; from hilum.data.radiograph import read_radiograph\n"
        "print(read_radiograph(sys.argv[1]).image_hw.shape)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(odd)], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"({ROWS}, {COLUMNS})\n"
    assert said.stderr == ""


def test_a_film_of_one_grey_or_of_few_is_warned_of() -> None:
    narrow = read_radiograph(dicom(data_set(GREY12 // np.uint16(20))))
    assert "the file has no window" in narrow.warnings[0]
    windowed = data_set(GREY12 // np.uint16(20), WindowCenter=100, WindowWidth=200)
    assert read_radiograph(dicom(windowed)).warnings == ()
    flat = read_radiograph(dicom(data_set(GREY12 * 0)))
    assert "one grey value throughout" in flat.warnings[0]
    outside = data_set(WindowCenter=9000, WindowWidth=200)
    assert "one grey value throughout" in read_radiograph(dicom(outside)).warnings[0]
