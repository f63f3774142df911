"""Stored values → grey values, against pydicom's functions and the formulas by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from data.radiograph.made_films import COLUMNS, ROWS, data_set, dicom, lut, pattern
from hilum.data.radiograph import Radiograph, read_radiograph
from hilum.errors import RadiographError
from hilum.recipe import ReadingPart

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
STORED = pattern(12)


def read(film: Dataset, window: int = 1) -> Radiograph:
    return read_radiograph(dicom(film), ReadingPart(window=window), name="film.dcm")


def by_pydicom(film: Dataset, stored: np.ndarray[Any, Any], top: float, index: int = 0) -> Any:
    """Grey values as pydicom makes them; `top` is the highest output of its last step."""
    real = apply_modality_lut(stored, film)
    return apply_voi_lut(real, film, index) / top


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(2048, 4096), (1000.5, 333), (4000, 9000), (-5, 20)])
def test_windows_are_pydicoms(function: str | None, centre: float, width: float) -> None:
    said = {"WindowCenter": centre, "WindowWidth": width}
    if function:
        said["VOILUTFunction"] = function
    film = data_set(**said)
    expected = by_pydicom(film, STORED, 4095)
    radiograph = read(film)
    np.testing.assert_allclose(radiograph.image_hw, expected, atol=2e-7)
    assert radiograph.window == (
        f"window 1 of 1: centre {centre:g}, width {width:g}, {function or 'LINEAR'}"
    )


@pytest.mark.parametrize(
    ("function", "formula"),
    [
        ("LINEAR", lambda x: min(max((x - 999.5) / 399 + 0.5, 0), 1)),
        ("LINEAR_EXACT", lambda x: min(max((x - 1000) / 400 + 0.5, 0), 1)),
        ("SIGMOID", lambda x: 1 / (1 + math.exp(-4 * (x - 1000) / 400))),
    ],
)
def test_windows_are_the_standards_formulas(function: str, formula: Any) -> None:
    film = data_set(WindowCenter=1000, WindowWidth=400, VOILUTFunction=function)
    by_hand = [[formula(float(x)) for x in row] for row in STORED]
    np.testing.assert_allclose(read(film).image_hw, by_hand, atol=1e-6)


def test_a_window_of_width_one_is_a_threshold() -> None:
    film = data_set(WindowCenter=2000, WindowWidth=1)
    np.testing.assert_array_equal(read(film).image_hw, STORED >= 2000)


def test_the_window_asked_for_is_taken() -> None:
    film = data_set(WindowCenter=[2048, 1000, 300], WindowWidth=[4096, 400, 200])
    for window in (1, 2, 3):
        radiograph = read(film, window)
        expected = by_pydicom(film, STORED, 4095, window - 1)
        np.testing.assert_allclose(radiograph.image_hw, expected, atol=2e-7)
        assert radiograph.window.startswith(f"window {window} of 3: ")
    radiograph = read(film, 0)
    np.testing.assert_allclose(radiograph.image_hw, STORED / 4095, atol=2e-7)
    assert radiograph.window == "stored range 0 to 4095"
    with pytest.raises(RadiographError, match=r"3 VOI LUTs and windows, and reading.window = 4"):
        read(film, 4)


def test_voi_luts_come_before_windows() -> None:
    bend = (np.sqrt(np.arange(4096) / 4095) * 65535).astype(np.uint16)
    step = np.where(np.arange(1000) < 500, 10, 900).astype(np.uint16)
    film = data_set(
        VOILUTSequence=[lut(bend), lut(step, first=1200, bits=10)],
        WindowCenter=1000,
        WindowWidth=400,
    )
    first, second, third = (read(film, window) for window in (1, 2, 3))
    np.testing.assert_allclose(first.image_hw, by_pydicom(film, STORED, 65535, 0), atol=1e-6)
    np.testing.assert_allclose(second.image_hw, by_pydicom(film, STORED, 1023, 1), atol=1e-6)
    by_hand = np.where(STORED < 1700, 10 / 1023, 900 / 1023)
    np.testing.assert_allclose(second.image_hw, by_hand, atol=1e-6)
    assert [each.window[:16] for each in (first, second)] == ["VOI LUT 1 of 2"] * 1 + [
        "VOI LUT 2 of 2"
    ]
    assert third.window == "window 1 of 1: centre 1000, width 400, LINEAR"


def test_a_lut_of_all_values_and_one_of_bytes_are_read() -> None:
    whole = np.arange(65536)[::-1].astype(np.uint16)  # a descriptor says 0 for 65,536 entries
    stored = pattern(16)
    film = data_set(stored, BitsStored=16, VOILUTSequence=[lut(whole)])
    np.testing.assert_allclose(read(film).image_hw, (65535 - stored) / 65535, atol=1e-6)
    packed = lut(np.arange(256), bits=8)
    packed["LUTData"].value = bytes(range(255, -1, -1))
    film = data_set(pattern(8), VOILUTSequence=[packed])
    np.testing.assert_array_equal(read(film).stored_hw, 255 - pattern(8))
    short = lut(np.arange(100), bits=8)
    short.LUTDescriptor = [256, 0, 8]
    with pytest.raises(RadiographError, match="a lookup table that breaks off"):
        read(data_set(VOILUTSequence=[short]))


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2.5, 100), (0.25, 0), (-1, 4095)])
def test_rescale_comes_before_the_window(slope: float, intercept: float) -> None:
    said = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    real = STORED.astype(np.float64) * slope + intercept
    film = data_set(**said, WindowCenter=500, WindowWidth=1001)
    by_hand = np.clip((real - 499.5) / 1000 + 0.5, 0, 1)
    np.testing.assert_allclose(read(film).image_hw, by_hand, atol=1e-6)
    # Without a window the whole range that could be stored is the range of greys.
    ends = sorted((intercept, 4095 * slope + intercept))
    plain = read(data_set(**said))
    np.testing.assert_allclose(plain.image_hw, (real - ends[0]) / (ends[1] - ends[0]), atol=1e-6)
    assert plain.window == f"stored range {ends[0]:.6g} to {ends[1]:.6g}"


def test_a_modality_lut_comes_before_the_window() -> None:
    bend = (np.arange(4096) ** 2 // 4096).astype(np.uint16)
    film = data_set(ModalityLUTSequence=[lut(bend, bits=12)])
    np.testing.assert_allclose(read(film).image_hw, bend[STORED] / 4095, atol=1e-6)
    film = data_set(ModalityLUTSequence=[lut(bend, bits=12)], WindowCenter=1000, WindowWidth=400)
    by_hand = np.clip((bend[STORED] - 999.5) / 399 + 0.5, 0, 1)
    np.testing.assert_allclose(read(film).image_hw, by_hand, atol=1e-6)


def test_a_window_of_signed_values_may_be_negative() -> None:
    value = STORED.astype(np.int16) - 2048
    film = data_set(value, WindowCenter=-600, WindowWidth=1500)
    by_hand = np.clip((value + 600.5) / 1499 + 0.5, 0, 1)
    np.testing.assert_allclose(read(film).image_hw, by_hand, atol=1e-6)
    ramp = lut(np.arange(4096) * 16, first=-2048)
    film = data_set(value, VOILUTSequence=[ramp])
    np.testing.assert_allclose(read(film).image_hw, STORED * 16 / 65535, atol=1e-6)


@pytest.mark.parametrize(
    ("photometric", "shape", "turned"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),  # said twice, turned once
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_inversion_comes_after_the_window(
    photometric: str, shape: str | None, turned: bool
) -> None:
    said = {"PhotometricInterpretation": photometric, "WindowCenter": 900, "WindowWidth": 401}
    if shape:
        said["PresentationLUTShape"] = shape
    windowed = np.clip((STORED - 899.5) / 400 + 0.5, 0, 1)
    expected = 1 - windowed if turned else windowed
    np.testing.assert_allclose(read(data_set(**said)).image_hw, expected, atol=1e-6)


def test_films_of_eight_bits_stay_of_eight_bits_where_that_is_exact() -> None:
    stored = pattern(8)
    plain = read(data_set(stored)).stored_hw
    turned = read(data_set(stored, PhotometricInterpretation="MONOCHROME1")).stored_hw
    whole = read(data_set(stored, WindowCenter=128, WindowWidth=256)).stored_hw
    assert plain.dtype == turned.dtype == whole.dtype == np.uint8
    np.testing.assert_array_equal(plain, stored)
    np.testing.assert_array_equal(turned, 255 - stored)
    np.testing.assert_array_equal(whole, stored)
    half = read(data_set(stored, WindowCenter=64, WindowWidth=101)).stored_hw
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, np.clip((stored - 63.5) / 100 + 0.5, 0, 1), atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_as_dark_as_air(photometric: str) -> None:
    stored = STORED.copy()
    stored[:5] = 4095
    stored[5:9] = 4094
    one = data_set(stored, PhotometricInterpretation=photometric, PixelPaddingValue=4095)
    several = data_set(
        stored,
        PhotometricInterpretation=photometric,
        PixelPaddingValue=4095,
        PixelPaddingRangeLimit=4090,
    )
    plain = 1 - stored / 4095 if photometric == "MONOCHROME1" else stored / 4095
    for film, padding in ((one, stored == 4095), (several, stored >= 4090)):
        expected = np.where(padding, 0, plain)
        np.testing.assert_allclose(read(film).image_hw, expected, atol=1e-6)


def test_padding_of_signed_films_is_signed() -> None:
    value = STORED.astype(np.int16) - 2048
    value[:5] = -2048
    film = data_set(value, PhotometricInterpretation="MONOCHROME1")
    film.add_new("PixelPaddingValue", "SS", -2048)
    expected = np.where(value == -2048, 0, 1 - (value + 2048) / 4095)
    np.testing.assert_allclose(read(film).image_hw, expected, atol=1e-6)


def test_padding_does_not_widen_what_a_film_is_said_to_use() -> None:
    stored = STORED // np.uint16(20)
    stored[:5] = 4095
    film = data_set(stored, PixelPaddingValue=4095)
    assert "the file has no window" in read(film).warnings[0]


@pytest.mark.parametrize("width", [0, -100])
def test_a_window_that_makes_no_sense_is_left_with_a_warning(width: float) -> None:
    film = data_set(WindowCenter=100, WindowWidth=width)
    radiograph = read(film)
    np.testing.assert_allclose(radiograph.image_hw, STORED / 4095, atol=1e-6)
    assert "makes no sense" in radiograph.warnings[0]
    assert radiograph.image_hw.shape == (ROWS, COLUMNS)
