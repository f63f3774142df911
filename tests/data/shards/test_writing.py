"""Cohort → shards and back: nothing lost, nothing told, nothing half-written."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import webdataset
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.reading import Quarantine
from hilum.data.shards.form import Form
from hilum.data.shards.writing import write_shards
from hilum.data.sources.shards import shards_cohort
from hilum.errors import DataError, OutputError, RadiographError
from hilum.recipe import DataPart, ReadingPart


def opened(folder: Path) -> Cohort:
    return shards_cohort(str(folder), DataPart(), ReadingPart())


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_cohort_comes_back_as_it_went(tmp_path: Path, cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of(23)
    manifest = write_shards(cohort, str(tmp_path / "s"), Form(per_shard=10), keep_ids=True)
    assert [each.n for each in manifest.shards] == [10, 10, 3]
    back = opened(tmp_path / "s")
    pd.testing.assert_frame_equal(back.table, cohort.table, check_dtype=False)
    pd.testing.assert_frame_equal(back.boxes, cohort.boxes, check_dtype=False)
    pd.testing.assert_frame_equal(back.excluded, cohort.excluded, check_dtype=False)
    for name in ("name", "findings", "warnings", "licence", "reduction", "meanings", "synthetic"):
        assert getattr(back, name) == getattr(cohort, name)
    assert not back.public_ids
    for i in range(23):
        np.testing.assert_array_equal(back.pixels.read(i), cohort.pixels.read(i))


def test_rows_keep_their_films_when_some_are_chosen(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    whole = cohort_of(12)
    cohort = whole.where(np.arange(12) % 3 != 0)  # its index has gaps
    write_shards(cohort, str(tmp_path / "s"), Form(per_shard=5), keep_ids=True)
    back = opened(tmp_path / "s")
    chosen = back.where((back.table["label_pneumonia"] == 1).to_numpy())
    for position, image_id in enumerate(chosen.table["image_id"]):
        row = int(np.flatnonzero(whole.table["image_id"] == image_id)[0])
        np.testing.assert_array_equal(chosen.radiograph(position), whole.radiograph(row))


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_films_of_files_are_as_read_from_the_files(
    tmp_path: Path, file_cohort: Cohort, encoding: str
) -> None:
    write_shards(file_cohort, str(tmp_path / "s"), Form(encoding))  # type: ignore[arg-type]
    back = opened(tmp_path / "s")
    a, b, c, d = (back.pixels.read(i) for i in range(4))
    stored = [np.asarray(Image.open(tmp_path / "films" / name)) for name in ("a.png", "b.png")]
    np.testing.assert_array_equal(a, stored[0])
    assert c.dtype == np.uint8
    np.testing.assert_array_equal(c, file_cohort.pixels.read(2))
    if encoding == "png":
        assert b.dtype == np.uint16
        np.testing.assert_array_equal(b, stored[1])
    else:
        np.testing.assert_allclose(back.radiograph(1), file_cohort.radiograph(1), atol=0.51 / 255)
    # The squashed film is stored in its true proportions: half as wide as it is high.
    assert d.shape == (64, 32)
    np.testing.assert_allclose(back.radiograph(3), file_cohort.radiograph(3), atol=0.51 / 255)


def test_original_files_are_copied_to_the_byte(tmp_path: Path, file_cohort: Cohort) -> None:
    with pytest.raises(DataError, match="may name patients"):
        write_shards(file_cohort, str(tmp_path / "s"), Form("original"))
    write_shards(file_cohort, str(tmp_path / "s"), Form("original"), keep_ids=True)
    back = opened(tmp_path / "s")
    for i, name in enumerate(["a.png", "b.png", "c.jpg", "d.png"]):
        assert back.pixels.data(i) == (tmp_path / "films" / name).read_bytes()  # type: ignore[attr-defined]
        np.testing.assert_array_equal(back.pixels.read(i), file_cohort.pixels.read(i))


def test_original_is_refused_where_there_are_no_files(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    with pytest.raises(DataError, match="has no files of its own"):
        write_shards(cohort_of(3), str(tmp_path / "s"), Form("original"), keep_ids=True)


@pytest.mark.parametrize(("encoding", "tolerance"), [("png", 0.005), ("jpeg", 0.02)])
def test_a_smaller_size_keeps_aspect_and_moves_boxes(
    tmp_path: Path, cohort_of: Callable[..., Cohort], encoding: str, tolerance: float
) -> None:
    y, x = np.mgrid[:120, :180]
    smooth = (127 + 60 * np.sin(x / 25) + 60 * np.cos(y / 17)).astype(np.uint8)
    cohort = cohort_of(4)
    pixels = replace(cohort.pixels, image_nhw=np.stack([smooth] * 4))  # type: ignore[type-var]
    cohort = replace(cohort, pixels=pixels)
    write_shards(cohort, str(tmp_path / "s"), Form(encoding, size=60), keep_ids=True)  # type: ignore[arg-type]
    back = opened(tmp_path / "s")
    image_hw = back.radiograph(0)
    assert image_hw.shape == (60, 90)
    oracle = Image.fromarray(smooth).resize((90, 60), Image.Resampling.BICUBIC)
    assert np.abs(image_hw - np.asarray(oracle) / 255).max() < tolerance
    first = back.boxes.iloc[0][["x", "y", "width", "height"]].tolist()
    assert first == pytest.approx([4, 2, 10, 15])
    # What was done to the films is told, so that a bundle does it to others, too.
    assert back.reduction[-1].model_dump()["size"] == 60
    np.testing.assert_array_equal(back.reduction[-1].apply(image_hw), image_hw)


def test_a_film_smaller_than_the_size_stays_as_it_is(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    cohort = cohort_of(1)
    write_shards(cohort, str(tmp_path / "s"), Form(size=200))
    np.testing.assert_array_equal(opened(tmp_path / "s").pixels.read(0), cohort.pixels.read(0))


def test_the_same_cohort_gives_the_same_bytes(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    for name, workers in (("a", 1), ("b", 4)):
        write_shards(
            cohort_of(17), str(tmp_path / name), Form(per_shard=5), salt="s", workers=workers
        )
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    with tarfile.open(tmp_path / "a" / "000001.tar") as tar:
        owners = {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in tar.getmembers()}
    assert owners == {(0, 0, 0, "", "")}


@pytest.mark.filterwarnings("ignore::ResourceWarning:webdataset")
def test_webdataset_reads_the_shards(tmp_path: Path, cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of(7)
    write_shards(cohort, str(tmp_path / "s"), Form(per_shard=4), keep_ids=True)
    shards = [str(tmp_path / "s" / f"00000{k}.tar") for k in (0, 1)]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in samples] == [f"{i:09d}" for i in range(7)]
    for i, sample in enumerate(samples):
        np.testing.assert_array_equal(np.asarray(sample["png"].convert("L")), cohort.pixels.read(i))
        row = cohort.table.iloc[i]
        facts = sample["json"]
        assert facts["image_id"] == row["image_id"]
        assert facts["label_pneumonia"] == i % 2
        assert (facts["label_lung_opacity"] is None) == np.isnan(row["label_lung_opacity"])
        assert facts["age"] == (None if i % 4 == 0 else 20.5 + i)
        assert "role" not in facts


def test_index_and_manifest_are_true_of_the_files(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    import hashlib

    cohort = cohort_of(9)
    write_shards(cohort, str(tmp_path / "s"), Form(per_shard=4), keep_ids=True)
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text())
    for file in (*manifest["shards"], *manifest["tables"].values()):
        data = (tmp_path / "s" / file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    index = pd.read_parquet(tmp_path / "s" / "index.parquet")
    for i, row in index.iterrows():
        data = (tmp_path / "s" / f"{row['member_shard']:06d}.tar").read_bytes()
        start = row["member_offset"]
        film = Image.open(io.BytesIO(data[start : start + row["member_length"]]))
        np.testing.assert_array_equal(np.asarray(film), cohort.pixels.read(int(i)))  # type: ignore[call-overload]


def test_ids_are_hashed_and_a_table_s_own_columns_left_out(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    cohort = cohort_of(8)
    manifest = write_shards(cohort, str(tmp_path / "s"), Form(per_shard=4))
    assert manifest.salt
    for name, data in bytes_of(tmp_path / "s").items():
        assert b"Miller" not in data, name
        if name.endswith(".parquet"):
            assert "Miller" not in pd.read_parquet(io.BytesIO(data)).to_csv()
    back = opened(tmp_path / "s")
    assert "accession" not in back.table
    assert any("accession" in warning for warning in back.warnings)
    hashed = back.table["patient_id"].fillna("").tolist()
    was = cohort.table["patient_id"].fillna("").tolist()
    assert [[a == b for a in hashed] for b in hashed] == [[a == b for a in was] for b in was]
    assert hashed[0] == ""
    assert set(back.boxes["image_id"]) <= set(back.table["image_id"])


def test_public_ids_stay(tmp_path: Path, cohort_of: Callable[..., Cohort]) -> None:
    cohort = replace(cohort_of(2), public_ids=True)
    assert write_shards(cohort, str(tmp_path / "s")).salt is None
    back = opened(tmp_path / "s")
    assert back.public_ids
    assert back.table["accession"].tolist() == ["Miller-A0", "Miller-A1"]


def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path,
    cohort_of: Callable[..., Cohort],
    counted: Callable[..., object],
) -> None:
    cohort = cohort_of(20)
    form = Form(per_shard=4)
    stopping = replace(cohort, pixels=counted(cohort.pixels, at=10))
    with pytest.raises(KeyboardInterrupt):
        write_shards(stopping, str(tmp_path / "s"), form, workers=1, salt="s")
    kept = {p.name for p in (tmp_path / "s").glob("*") if p.is_file()}
    assert kept == {"000000.tar", "000001.tar"}  # no draft of the third, and no manifest
    with pytest.raises(DataError, match="unfinished"):
        opened(tmp_path / "s")
    again = replace(cohort, pixels=counted(cohort.pixels))
    told: list[tuple[int, int]] = []
    write_shards(again, str(tmp_path / "s"), form, progress=lambda *at: told.append(at))
    assert sorted(again.pixels.read_films) == list(range(8, 20))  # type: ignore[attr-defined]
    assert told == [(i, 20) for i in range(9, 21)]
    write_shards(cohort, str(tmp_path / "whole"), form, salt="s")
    assert bytes_of(tmp_path / "s") == bytes_of(tmp_path / "whole")


def test_what_a_killed_run_left_is_mended(
    tmp_path: Path, cohort_of: Callable[..., Cohort], counted: Callable[..., object]
) -> None:
    cohort = cohort_of(12)
    form = Form(per_shard=4)
    with pytest.raises(KeyboardInterrupt):
        write_shards(
            replace(cohort, pixels=counted(cohort.pixels, at=9)),
            str(tmp_path / "s"), form, workers=1, salt="s",
        )  # fmt: skip
    first = tmp_path / "s" / "000000.tar"
    first.write_bytes(first.read_bytes()[:-2000])  # power failed before the disk had it
    (tmp_path / "s" / ".000002.0123456789ab.part.tar").write_bytes(b"half")
    again = replace(cohort, pixels=counted(cohort.pixels))
    write_shards(again, str(tmp_path / "s"), form)
    assert sorted(again.pixels.read_films) == [0, 1, 2, 3, 8, 9, 10, 11]  # type: ignore[attr-defined]
    write_shards(cohort, str(tmp_path / "whole"), form, salt="s")
    assert bytes_of(tmp_path / "s") == bytes_of(tmp_path / "whole")


def test_a_finished_set_is_checked_and_not_written_again(
    tmp_path: Path, cohort_of: Callable[..., Cohort], counted: Callable[..., object]
) -> None:
    cohort = replace(cohort_of(6), pixels=counted(cohort_of(6).pixels))
    first = write_shards(cohort, str(tmp_path / "s"), Form(per_shard=3))
    cohort.pixels.read_films.clear()  # type: ignore[attr-defined]
    assert write_shards(cohort, str(tmp_path / "s"), Form(per_shard=3)) == first
    assert not cohort.pixels.read_films  # type: ignore[attr-defined]
    shard = tmp_path / "s" / "000001.tar"
    data = bytearray(shard.read_bytes())
    data[700] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"000001\.tar: other bytes .* --no-resume"):
        write_shards(cohort, str(tmp_path / "s"), Form(per_shard=3))
    second = write_shards(cohort, str(tmp_path / "s"), Form(per_shard=3), resume=False)
    assert second.salt != first.salt
    assert len(opened(tmp_path / "s")) == 6


def test_other_settings_and_other_files_are_refused(
    tmp_path: Path, cohort_of: Callable[..., Cohort], counted: Callable[..., object]
) -> None:
    cohort = cohort_of(6)
    write_shards(cohort, str(tmp_path / "s"))
    with pytest.raises(DataError, match="a finished set with other images or other settings"):
        write_shards(cohort, str(tmp_path / "s"), Form("jpeg"))
    with pytest.raises(DataError, match="a finished set with other images"):
        write_shards(cohort.where(np.arange(6) > 0), str(tmp_path / "s"))
    stopping = replace(cohort, pixels=counted(cohort.pixels, at=2))
    with pytest.raises(KeyboardInterrupt):
        write_shards(stopping, str(tmp_path / "u"), Form(per_shard=2))
    with pytest.raises(DataError, match="an unfinished run"):
        write_shards(cohort, str(tmp_path / "u"), Form(per_shard=2), keep_ids=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    for resume in (True, False):
        with pytest.raises(OutputError, match=r"letter\.txt"):
            write_shards(cohort, str(tmp_path / "other"), resume=resume)
    assert bytes_of(tmp_path / "other") == {"letter.txt": b"dear"}
    with pytest.raises(OutputError, match="cannot be written to"):
        write_shards(cohort, "http://127.0.0.1:9/shards")


def test_a_set_with_other_boxes_proportions_or_exclusions_is_another_set(
    tmp_path: Path, cohort_of: Callable[..., Cohort], file_cohort: Cohort
) -> None:
    cohort = cohort_of(6)
    write_shards(cohort, str(tmp_path / "s"))
    for other in (
        replace(cohort, boxes=cohort.boxes.assign(x=9.0)),
        replace(cohort, excluded=cohort.excluded.assign(reason="no file")),
    ):
        with pytest.raises(DataError, match="a finished set with other images"):
            write_shards(other, str(tmp_path / "s"))
    write_shards(file_cohort, str(tmp_path / "f"))
    pixels = replace(file_cohort.pixels, aspect_n=np.array([np.nan, np.nan, np.nan, 0.8]))  # type: ignore[type-var]
    with pytest.raises(DataError, match="a finished set with other images"):
        write_shards(replace(file_cohort, pixels=pixels), str(tmp_path / "f"))


def test_films_that_cannot_be_read_are_counted_and_listed(
    tmp_path: Path, file_cohort: Cohort
) -> None:
    (tmp_path / "films" / "a.png").write_bytes(b"no picture")
    with pytest.raises(RadiographError):
        write_shards(file_cohort, str(tmp_path / "s"))
    quarantine = Quarantine(4, 0.3)
    manifest = write_shards(file_cohort, str(tmp_path / "s"), quarantine=quarantine)
    assert (manifest.n, manifest.broken, list(quarantine.broken)) == (3, 1, [0])
    back = opened(tmp_path / "s")
    assert len(back) == 3
    np.testing.assert_array_equal(back.pixels.read(0), file_cohort.pixels.read(1))
    lost = back.excluded.iloc[-1]
    assert lost["reason"].startswith("cannot be read: ")
    assert str(tmp_path) not in lost["reason"]
    (tmp_path / "films" / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="2 of 4 films cannot be read"):
        write_shards(file_cohort, str(tmp_path / "t"), quarantine=Quarantine(4, 0.3))


def test_broken_films_of_an_interrupted_run_are_counted_once(
    tmp_path: Path, cohort_of: Callable[..., Cohort], counted: Callable[..., object]
) -> None:
    cohort = cohort_of(8)
    broken = counted(cohort.pixels, at=1, error=RadiographError("film", "is broken"))
    stopping = replace(cohort, pixels=counted(broken, at=6))
    with pytest.raises(KeyboardInterrupt):
        write_shards(
            stopping, str(tmp_path / "s"), Form(per_shard=4),
            workers=1, quarantine=Quarantine(8, 0.2),
        )  # fmt: skip
    quarantine = Quarantine(8, 0.2)
    manifest = write_shards(cohort, str(tmp_path / "s"), Form(per_shard=4), quarantine=quarantine)
    assert (manifest.n, manifest.broken) == (7, 1)
    assert quarantine.broken == {1: "is broken"}


def test_a_shard_holds_fewer_films_where_they_are_large(
    tmp_path: Path, cohort_of: Callable[..., Cohort], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hilum.data.shards import writing

    assert len(write_shards(cohort_of(30), str(tmp_path / "a")).shards) == 1
    monkeypatch.setattr(writing, "SHARD_BYTES", 25_000)  # a film of 40 x 56 noise has 2.3 kB
    many = write_shards(cohort_of(30), str(tmp_path / "b")).shards
    assert {each.n for each in many} == {10}


def test_settings_without_sense_are_refused_in_words(
    tmp_path: Path, cohort_of: Callable[..., Cohort]
) -> None:
    for form, words in (
        ({"size": 8}, "16 to 4,096"),
        ({"per_shard": 0}, "1 or more"),
        ({"size": 64, "encoding": "original"}, "keep their size"),
    ):
        with pytest.raises(DataError, match=words):
            Form(**form)  # type: ignore[arg-type]
    nobody = cohort_of(2).where(np.zeros(2, dtype=bool))
    with pytest.raises(DataError, match="no image"):
        write_shards(nobody, str(tmp_path / "s"))
    assert not (tmp_path / "s").exists()
