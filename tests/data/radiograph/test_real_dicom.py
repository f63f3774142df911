"""DICOM films as modalities wrote them."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from hilum.data.radiograph import read_header, read_radiograph
from hilum.errors import RadiographError

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
LOSSLESS = ("deflated", "explicitbe", "explicitle", "implicitle", "j2k_lossless", "rle")
LOSSLESS += ("jpeg_lossless_p14", "jpeg_lossless_sv1", "jpegls_lossless")


@pytest.mark.parametrize("name", GOLDEN)
def test_a_real_chest_film_reads_as_pydicom_has_it_step_by_step(
    data_folder: Path, name: str
) -> None:
    golden = GOLDEN[name]
    film = read_radiograph(data_folder / "dicom" / name)
    image_hw = film.image_hw
    assert image_hw.dtype == np.float32
    assert list(image_hw.shape) == golden["shape"]
    # Decoders of lossy JPEG may differ by a grey value of 255.
    close, mean_close = (1.01 / 255, 1e-3) if "jpegbaseline" in name else (1e-5, 1e-5)
    rows, columns = (np.linspace(0, side - 1, 5).astype(int) for side in image_hw.shape)
    np.testing.assert_allclose(image_hw[np.ix_(rows, columns)], golden["grid"], atol=close)
    assert image_hw.mean(dtype=np.float64) == pytest.approx(golden["mean"], abs=mean_close)
    assert image_hw.std(dtype=np.float64) == pytest.approx(golden["std"], abs=mean_close)
    assert film.warnings == ()


def test_nine_lossless_encodings_are_one_film(data_folder: Path) -> None:
    digests = set()
    for kind in LOSSLESS:
        film = read_radiograph(data_folder / "dicom" / "derived_chest" / f"rg1s_{kind}.dcm")
        digests.add(hashlib.sha256(film.image_hw.tobytes()).hexdigest())
    assert len(LOSSLESS) == 9
    assert len(digests) == 1


def test_the_lossless_film_is_its_bytes_by_hand(data_folder: Path) -> None:
    """Pixels are the last element of the file: 16-bit words, window 15000/30000, MONOCHROME1."""
    path = data_folder / "dicom" / "derived_chest" / "rg1s_explicitle.dcm"
    data = path.read_bytes()
    words = struct.unpack(f"<{488 * 460}H", data[-2 * 488 * 460 :])
    by_hand = [1 - min(max((word - 14999.5) / 29999 + 0.5, 0), 1) for word in words]
    np.testing.assert_allclose(read_radiograph(path).image_hw.ravel(), by_hand, atol=2e-7)


def test_air_is_dark_and_bone_bright_in_every_real_chest_film(data_folder: Path) -> None:
    """The mediastinum is brighter than both lungs, but for the film whose tag was turned round."""
    for path in sorted((data_folder / "dicom" / "real_chest").glob("*.dcm")):
        image_hw = read_radiograph(path).image_hw
        height, width = image_hw.shape
        middle = image_hw[int(0.35 * height) : int(0.6 * height)]
        spine = middle[:, int(0.45 * width) : int(0.52 * width)].mean()
        right = middle[:, int(0.2 * width) : int(0.35 * width)].mean()
        left = middle[:, int(0.65 * width) : int(0.8 * width)].mean()
        upright = path.stem != "siim_jpegbaseline_mono1_tag"
        assert (spine > max(right, left)) == upright, path.name


def test_what_the_files_say_is_read(data_folder: Path) -> None:
    folder = data_folder / "dicom" / "real_chest"
    film = read_radiograph(folder / "siim_jpegbaseline_mono2.dcm")
    assert (film.format, film.bits, film.photometric) == ("DICOM", 8, "MONOCHROME2")
    assert (film.modality, film.body_part, film.view) == ("CR", "CHEST", "PA")
    assert (film.age, film.sex) == (62.0, "M")
    assert film.pixel_spacing_mm == (0.168, 0.168)
    assert film.transfer_syntax == "1.2.840.10008.1.2.4.50"
    assert film.patient_id == "16d7f894-55d7-4d95-8957-d18987f0e981"
    assert film.window == "stored range 0 to 255"
    old = read_radiograph(folder / "barre_cr_mono1_10bit_nometa.dcm")
    assert (old.bits, old.photometric) == (10, "MONOCHROME1")
    assert old.transfer_syntax == "1.2.840.10008.1.2"
    assert old.window == "window 1 of 1: centre 550, width 1024, LINEAR"


def test_a_header_says_the_same_without_a_pixel(data_folder: Path) -> None:
    for path in sorted((data_folder / "dicom").glob("*_chest/*.dcm")):
        header, film = read_header(path), read_radiograph(path)
        assert (header.rows, header.columns) == film.image_hw.shape
        for name in ("bits", "photometric", "view", "modality", "patient_id", "age", "sex"):
            assert getattr(header, name) == getattr(film, name)


@pytest.mark.parametrize("name", ["rg2_jply", "rg3_jply"])
def test_jpeg_of_twelve_bits_is_refused_with_what_to_do(data_folder: Path, name: str) -> None:
    path = data_folder / "dicom" / "real_cr_nonchest" / f"{name}.dcm"
    with pytest.raises(RadiographError, match=r"JPEG Extended of 12 bits.*dcmdjpeg") as caught:
        read_radiograph(path)
    assert path.name in str(caught.value)
    assert read_header(path).bits == 10


def test_encodings_of_one_limb_are_near_its_plain_file(data_folder: Path) -> None:
    folder = data_folder / "dicom" / "real_cr_nonchest"
    plain_hw = read_radiograph(folder / "rg3_ref.dcm").image_hw
    for name, tolerance in {"j2kr": 0, "jlsl": 0, "jlsn": 0.02, "j2ki": 0.05}.items():
        other_hw = read_radiograph(folder / f"rg3_{name}.dcm").image_hw
        assert np.abs(other_hw - plain_hw).max() <= tolerance, name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rg2_j2ki", "body part HIP, not the chest"),
        ("rg3_ref", "body part EXTREMITY, not the chest"),
        ("dicomlibrary_ot_implicitle", "modality OT, not a radiograph's"),
    ],
)
def test_what_is_no_chest_film_is_warned_of_or_refused(
    data_folder: Path, name: str, words: str
) -> None:
    path = data_folder / "dicom" / "real_cr_nonchest" / f"{name}.dcm"
    assert words in read_radiograph(path).warnings[0]
    assert words in read_header(path).warnings[0]
    with pytest.raises(RadiographError, match=words):
        read_radiograph(path, strict=True)
