"""Reading films from shards on this disk."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.pixels import FilePixels
from hilum.data.reading import Quarantine, consecutive, read_batches
from hilum.data.shards.form import Form
from hilum.data.shards.writing import write_shards
from hilum.data.sources import open_source
from hilum.data.sources.shards import shards_cohort
from hilum.errors import DataError, RadiographError
from hilum.predict import predict
from hilum.recipe import DataPart, ReadingPart


def opened(folder: Path, **options: object) -> Cohort:
    return shards_cohort(str(folder), DataPart(**options), ReadingPart())  # type: ignore[arg-type]


def test_prediction_over_shards_is_prediction_over_the_cohort(
    tmp_path: Path, small_bundle: Bundle, small_cohort: Cohort
) -> None:
    test = small_cohort.where((small_cohort.table["split"] == "test").to_numpy())
    write_shards(test, str(tmp_path / "s"), Form(per_shard=7))
    over_shards = predict(small_bundle, open_source(f"shards:{tmp_path / 's'}"))
    over_memory = predict(small_bundle, test)
    assert over_shards.image_id_n == over_memory.image_id_n
    np.testing.assert_array_equal(over_shards.logit("Pneumonia"), over_memory.logit("Pneumonia"))
    np.testing.assert_array_equal(over_shards.label("Pneumonia"), over_memory.label("Pneumonia"))


def test_pixels_are_read_by_many_threads_and_in_another_process(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    cohort = cohort_of(30)
    write_shards(cohort, str(tmp_path / "s"), Form(per_shard=7))
    back = pickle.loads(pickle.dumps(opened(tmp_path / "s")))
    rows = np.random.default_rng(0).integers(0, 30, 400)
    with ThreadPoolExecutor(8) as pool:
        films = list(pool.map(back.pixels.read, rows.tolist()))
    for row, film in zip(rows, films, strict=True):
        np.testing.assert_array_equal(film, cohort.pixels.read(int(row)))


def test_a_shard_that_is_cut_off_is_named_with_its_bytes(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    write_shards(cohort_of(9), str(tmp_path / "s"), Form(per_shard=3))
    shard = tmp_path / "s" / "000001.tar"
    whole = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:4000])
    back = opened(tmp_path / "s")
    back.pixels.read(0)
    with pytest.raises(DataError) as caught:
        back.pixels.read(4)
    assert not isinstance(caught.value, RadiographError)
    line = str(caught.value)
    assert line.startswith(f"{shard}: the shard is cut off: 4,000 bytes; expected {whole:,};")
    assert "broken_shards" in line
    shard.unlink()
    with pytest.raises(DataError, match=r"000001\.tar: no such shard"):
        opened(tmp_path / "s").pixels.read(3)


def test_films_of_a_lost_shard_are_skipped_and_counted_where_that_is_wanted(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    cohort = cohort_of(9)
    write_shards(cohort, str(tmp_path / "s"), Form(per_shard=3))
    (tmp_path / "s" / "000001.tar").write_bytes(b"")
    back = opened(tmp_path / "s", broken_shards="skip")
    quarantine = Quarantine(9, 0.5)
    batches = list(read_batches(back, (), consecutive(9, 2), quarantine=quarantine))
    assert np.concatenate([batch.positions for batch in batches]).tolist() == [0, 1, 2, 6, 7, 8]
    assert sorted(quarantine.broken) == [3, 4, 5]
    with pytest.raises(DataError, match="of 9 films cannot be read"):
        list(read_batches(back, (), consecutive(9, 2), quarantine=Quarantine(9, 0.2)))


def test_a_film_whose_bytes_have_changed_cannot_be_read(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    write_shards(cohort_of(3), str(tmp_path / "s"), Form("jpeg"))
    back = opened(tmp_path / "s")
    shard = tmp_path / "s" / "000000.tar"
    data = bytearray(shard.read_bytes())
    data[int(back.pixels.places.offset_n[1]) + 900] ^= 4  # type: ignore[attr-defined]
    shard.write_bytes(data)
    back.pixels.read(0)
    with pytest.raises(RadiographError, match=r"000000\.tar:000000001: other bytes"):
        back.pixels.read(1)


def test_what_is_no_set_of_shards_is_refused_in_one_line(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    with pytest.raises(DataError, match="expected a finished set of shards"):
        opened(tmp_path)
    folder = tmp_path / "s"
    write_shards(cohort_of(3), str(folder))
    manifest = folder / "manifest.json"
    plain = json.loads(manifest.read_text())
    for change, words in (
        ({"schema_version": 9}, "schema version 9; expected 1"),
        ({"n": -1}, "n: input should be"),
        ({"surprise": 1}, "surprise: extra inputs"),
        ({"shards": [{**plain["shards"][0], "name": "../../etc/x"}]}, r"shards\.0\.name"),
    ):
        manifest.write_text(json.dumps({**plain, **change}))
        with pytest.raises(DataError, match=words):
            opened(folder)
    manifest.write_text('{"half')
    with pytest.raises(DataError, match="cannot be read as JSON"):
        opened(folder)
    manifest.write_text(json.dumps(plain))
    index = folder / "index.parquet"
    index.write_bytes(index.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"index\.parquet: .* bytes, of"):
        opened(folder)
    index.unlink()
    with pytest.raises(DataError, match="copy the whole set again"):
        opened(folder)


def test_films_made_grey_by_another_window_are_refused(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    dataset = pydicom.Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality = "DX"
    dataset.Rows = dataset.Columns = 32
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.WindowCenter, dataset.WindowWidth = [2048, 1000], [4096, 800]
    stored = np.random.default_rng(0).integers(0, 4096, (32, 32)).astype("<u2")
    dataset.PixelData = stored.tobytes()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(tmp_path / "a.dcm", dataset, enforce_file_format=True)
    second = ReadingPart(window=2)
    cohort = replace(cohort_of(1), pixels=FilePixels(tmp_path, ["a.dcm"], second))
    write_shards(cohort, str(tmp_path / "s"))
    with pytest.raises(DataError, match=r"reading\.window = 2; expected 1"):
        opened(tmp_path / "s")
    back = shards_cohort(str(tmp_path / "s"), DataPart(), second)
    # Sixteen bits of PNG hold what twelve bits became.
    np.testing.assert_allclose(back.radiograph(0), cohort.radiograph(0), atol=0.51 / 65535)
    # An original is read when it is asked for, so any window will do.
    write_shards(cohort, str(tmp_path / "o"), Form("original"), keep_ids=True)
    first = replace(cohort, pixels=FilePixels(tmp_path, ["a.dcm"]))
    np.testing.assert_array_equal(opened(tmp_path / "o").radiograph(0), first.radiograph(0))


def test_real_films_come_back_as_they_are(tmp_path: Path, data_folder: Path) -> None:
    folder = data_folder / "dicom" / "real_chest"
    names = sorted(path.name for path in folder.glob("*.dcm"))
    source = open_source(f"folder:{folder}")
    manifest = write_shards(source, str(tmp_path / "s"), Form(size=512))
    assert manifest.n == len(source) > 0
    assert len(names) >= len(source)
    back = opened(tmp_path / "s")
    for i in range(len(source)):
        expected = manifest.reduction[-1].apply(source.radiograph(i))
        np.testing.assert_allclose(back.radiograph(i), expected, atol=0.51 / 255)
        assert min(back.radiograph(i).shape) <= 512
