"""Films as they lie on a disk, for prediction."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.data.sources.films import films
from hilum.errors import DataError, RadiographError
from hilum.recipe import ReadingPart


def write_film(path: Path, grey: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 20), grey, np.uint8)).save(path)


def test_films_of_a_folder_come_in_order_and_the_rest_is_named(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpeg", "a.tiff"):
        write_film(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "b" / "no_suffix").write_text("x")
    (tmp_path / "b" / ".hidden.png").write_text("x")
    cohort = films([tmp_path], ["Pneumonia"])
    assert cohort.table["image_id"].tolist() == [
        str(tmp_path / name) for name in ("a.tiff", "b/1.jpeg", "b/2.PNG")
    ]
    assert dict(cohort.excluded.to_numpy()) == {
        str(tmp_path / "notes.txt"): "not a film (.txt)",
        str(tmp_path / "b" / "no_suffix"): "not a film (no suffix, not DICOM)",
        str(tmp_path / "b" / ".hidden.png"): "hidden file",
    }
    assert cohort.radiograph(2).shape == (20, 20)
    assert not cohort.public_ids
    assert np.isnan(cohort.label_nf).all()


def test_a_file_named_itself_is_taken_whatever_its_name(tmp_path: Path) -> None:
    write_film(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "film.export")
    cohort = films([tmp_path / "film.export"], ["Pneumonia"])
    assert cohort.radiograph(0).shape == (20, 20)
    both = films([tmp_path, tmp_path / "film.export"], ["Pneumonia"])
    assert len(both) == 1
    assert len(both.excluded) == 0


def test_dicom_without_a_suffix_is_known_by_its_content(tmp_path: Path, data_folder: Path) -> None:
    real = data_folder / "dicom" / "real_chest" / "siim_jpegbaseline_mono2.dcm"
    for name in ("IM000001", "1.2.840.113619.2"):
        (tmp_path / name).write_bytes(real.read_bytes())
    (tmp_path / "IM000002").write_bytes(b"\0" * 128 + b"JPEG")
    (tmp_path / "short").write_bytes(b"DICM")
    cohort = films([tmp_path], ["Pneumonia"])
    assert [Path(name).name for name in cohort.table["image_id"]] == [
        "1.2.840.113619.2",
        "IM000001",
    ]
    np.testing.assert_array_equal(cohort.radiograph(0), cohort.radiograph(1))
    assert len(cohort.excluded) == 2


def test_how_films_are_read_is_the_bundles_business(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 4095, np.uint16)).save(tmp_path / "twelve_bits.png")
    assert films([tmp_path], ["Pneumonia"]).radiograph(0).max() == pytest.approx(4095 / 65535)
    twelve = films([tmp_path], ["Pneumonia"], ReadingPart(bits=12))
    assert twelve.radiograph(0).max() == 1


def test_what_is_no_chest_film_is_refused_when_strict(data_folder: Path) -> None:
    hip = data_folder / "dicom" / "real_cr_nonchest" / "rg2_jlsn.dcm"
    assert films([hip], ["Pneumonia"]).radiograph(0).size > 0
    with pytest.raises(RadiographError, match="HIP"):
        films([hip], ["Pneumonia"], strict=True).radiograph(0)


def test_nothing_found_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"no film among 1 files; expected files ending in \.dcm"):
        films([tmp_path], ["Pneumonia"])
    with pytest.raises(DataError, match=r"absent\.png: no such file or folder"):
        films([tmp_path / "absent.png"], ["Pneumonia"])


@pytest.mark.skipif(os.uname().sysname == "Darwin", reason="file names are text there")
def test_a_file_name_that_is_not_text_is_refused_or_named(tmp_path: Path) -> None:
    write_film(tmp_path / "a.png")
    odd = tmp_path / os.fsdecode(b"b\xff.png")
    (tmp_path / "a.png").rename(odd)
    with pytest.raises(DataError, match="a file name that is not text; rename it"):
        films([odd], ["Pneumonia"])
    write_film(tmp_path / "a.png")
    cohort = films([tmp_path], ["Pneumonia"])
    assert len(cohort) == 1
    assert cohort.excluded["reason"].tolist() == ["a file name that is not text"]
