"""Shards on a web server and in object storage, by real servers on this machine."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from hilum.data.cohort import Cohort
from hilum.data.reading import Quarantine, consecutive, read_batches
from hilum.data.shards import storage
from hilum.data.shards.fetching import ShardCache
from hilum.data.shards.form import Form
from hilum.data.shards.writing import write_shards
from hilum.data.sources import open_source
from hilum.data.sources.shards import shards_cohort
from hilum.errors import DataError, MissingExtraError, OutputError
from hilum.recipe import DataPart, ReadingPart


def opened(url: str, **options: object) -> Cohort:
    return shards_cohort(url, DataPart(**options), ReadingPart())  # type: ignore[arg-type]


def same_films(back: Cohort, cohort: Cohort) -> None:
    assert len(back) == len(cohort)
    for i in range(len(cohort)):
        np.testing.assert_array_equal(back.pixels.read(i), cohort.pixels.read(i))


def test_shards_are_read_from_a_web_server_each_fetched_once(
    web_server, cohort_of: Callable[..., Cohort]
) -> None:
    cohort = cohort_of(10)
    write_shards(cohort, str(web_server.folder), Form(per_shard=4), keep_ids=True)
    back = open_source(f"shards:{web_server.url}")
    assert back.table["image_id"].tolist() == cohort.table["image_id"].tolist()
    same_films(back, cohort)
    same_films(pickle.loads(pickle.dumps(back)), cohort)
    same_films(opened(web_server.url + "/"), cohort)
    tars = [name for name in web_server.asked if name.endswith(".tar")]
    assert tars == ["000000.tar", "000001.tar", "000002.tar"]


def test_a_transfer_that_is_cut_once_is_tried_again(
    web_server, cohort_of: Callable[..., Cohort]
) -> None:
    cohort = cohort_of(6)
    write_shards(cohort, str(web_server.folder), Form(per_shard=3), keep_ids=True)
    web_server.cut = {"000001.tar": 2, "manifest.json": 1, "index.parquet": 1}
    same_films(opened(web_server.url), cohort)
    assert web_server.asked.count("000001.tar") == 3
    assert web_server.asked.count("000000.tar") == 1


def test_a_transfer_that_is_always_cut_ends_in_one_clear_line(
    web_server, cohort_of: Callable[..., Cohort], tmp_path: Path
) -> None:
    cohort = cohort_of(6)
    manifest = write_shards(cohort, str(web_server.folder), Form(per_shard=3), keep_ids=True)
    web_server.cut = {"000001.tar": 99}
    back = opened(web_server.url)
    back.pixels.read(0)
    with pytest.raises(DataError) as caught:
        back.pixels.read(3)
    whole = manifest.shards[1].bytes
    line = str(caught.value)
    assert line.startswith(f"{web_server.url}/000001.tar: ")
    assert f"{whole // 2:,} of {whole:,} bytes, 3 times in a row" in line
    assert "broken_shards" in line
    with pytest.raises(DataError):
        back.pixels.read(4)
    assert web_server.asked.count("000001.tar") == 3  # it is not tried for each of its films
    assert not list((tmp_path / "cache").rglob("*.part"))
    skipping = opened(web_server.url, broken_shards="skip")
    quarantine = Quarantine(6, 0.5)
    list(read_batches(skipping, (), consecutive(6, 6), quarantine=quarantine))
    assert sorted(quarantine.broken) == [3, 4, 5]


def test_what_a_web_server_lacks_is_named(web_server, cohort_of: Callable[..., Cohort]) -> None:
    with pytest.raises(DataError, match=r"manifest\.json: no such file"):
        opened(web_server.url)
    write_shards(cohort_of(3), str(web_server.folder))
    (web_server.folder / "000000.tar").unlink()
    with pytest.raises(DataError, match=r"000000\.tar: no such shard"):
        opened(web_server.url).pixels.read(0)
    with pytest.raises(DataError, match=r"refused.*3 times in a row"):
        opened("http://127.0.0.1:9/shards")


def test_a_cache_stays_within_its_bound_and_drops_what_was_unused_longest(
    web_server, cohort_of: Callable[..., Cohort], tmp_path: Path
) -> None:
    cohort = cohort_of(12)
    manifest = write_shards(cohort, str(web_server.folder), Form(per_shard=3))
    one = max(each.bytes for each in manifest.shards)
    back = opened(web_server.url)
    pixels = back.pixels
    pixels._cache = ShardCache(tmp_path / "small", 2 * one)  # type: ignore[attr-defined]
    for row in (0, 3, 0, 6, 0, 9, 0, 3):  # shards 0 1 0 2 0 3 0 1
        np.testing.assert_array_equal(pixels.read(row), cohort.pixels.read(row))
        held = sum(path.stat().st_size for path in (tmp_path / "small").iterdir())
        assert held <= 2 * one
    tars = [name for name in web_server.asked if name.endswith(".tar")]
    assert tars == [f"00000{k}.tar" for k in (0, 1, 2, 3, 1)]
    tiny = opened(web_server.url)
    tiny.pixels._cache = ShardCache(tmp_path / "tiny", 1)  # type: ignore[attr-defined]
    same_films(tiny, cohort)  # the shard in use is there in any case


def test_the_cache_s_size_is_read_from_the_environment(
    web_server, cohort_of: Callable[..., Cohort], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shards(cohort_of(3), str(web_server.folder))
    monkeypatch.setenv("HILUM_CACHE_GB", "0.5")
    assert opened(web_server.url).pixels._cache.limit_bytes == 2**29  # type: ignore[attr-defined]
    for wrong in ("much", "-1", "nan"):
        monkeypatch.setenv("HILUM_CACHE_GB", wrong)
        with pytest.raises(DataError, match="HILUM_CACHE_GB"):
            opened(web_server.url)


@pytest.fixture(scope="module")
def _s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(_s3_server: str, monkeypatch: pytest.MonkeyPatch, request) -> str:
    """A new bucket, reached by nothing but the usual variables of the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", _s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = f"bucket-{abs(hash(request.node.name)) % 10**9}"
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}/set"


def test_shards_go_to_object_storage_and_come_back(
    bucket: str, cohort_of: Callable[..., Cohort], counted: Callable[..., object]
) -> None:
    cohort = cohort_of(10)
    form = Form(per_shard=4)
    stopping = replace(cohort, pixels=counted(cohort.pixels, at=5))
    with pytest.raises(KeyboardInterrupt):
        write_shards(stopping, bucket, form, workers=1, keep_ids=True)
    names = [path.split("/")[-1] for path in fsspec.filesystem("s3").find(bucket)]
    assert "000000.tar" in names
    assert "000001.tar" not in names
    again = replace(cohort, pixels=counted(cohort.pixels))
    manifest = write_shards(again, bucket, form, keep_ids=True)
    assert sorted(again.pixels.read_films) == list(range(4, 10))  # type: ignore[attr-defined]
    back = open_source(f"shards:{bucket}")
    assert back.table["accession"].tolist() == cohort.table["accession"].tolist()
    same_films(back, cohort)
    files = fsspec.filesystem("s3")
    files.invalidate_cache()
    left = sorted(path.split("/set/")[1] for path in files.find(bucket))
    tars = [each.name for each in manifest.shards]
    assert left == [*tars, "boxes.parquet", "excluded.parquet", "index.parquet", "manifest.json"]
    assert write_shards(cohort, bucket, form, keep_ids=True) == manifest
    with pytest.raises(DataError, match="a finished set with other images"):
        write_shards(cohort, bucket, Form("jpeg", per_shard=4), keep_ids=True)
    write_shards(cohort, bucket, Form("jpeg"), keep_ids=True, resume=False)
    assert len(opened(bucket).pixels.shards) == 1  # type: ignore[attr-defined]


def test_an_object_that_is_cut_off_is_named_or_skipped(
    bucket: str, cohort_of: Callable[..., Cohort]
) -> None:
    cohort = cohort_of(6)
    manifest = write_shards(cohort, bucket, Form(per_shard=3))
    files = fsspec.filesystem("s3")
    data = files.cat_file(f"{bucket}/000001.tar")
    files.pipe_file(f"{bucket}/000001.tar", data[:5000])
    back = opened(bucket)
    back.pixels.read(2)
    with pytest.raises(DataError) as caught:
        back.pixels.read(3)
    whole = manifest.shards[1].bytes
    assert f"{bucket}/000001.tar: 5,000 bytes, of {whole:,}, 3 times in a row" in str(caught.value)
    quarantine = Quarantine(6, 0.5)
    skipping = opened(bucket, broken_shards="skip")
    list(read_batches(skipping, (), consecutive(6, 4), quarantine=quarantine))
    assert sorted(quarantine.broken) == [3, 4, 5]
    files.pipe_file(f"{bucket}/000001.tar", data[:-1] + b"\x01")
    with pytest.raises(DataError, match="sha256 differs"):
        opened(bucket).pixels.read(3)
    files.pipe_file(f"{bucket}/000001.tar", data)
    same_films(opened(bucket), cohort)


def test_a_bucket_that_is_not_there_is_named(bucket: str, cohort_of: Callable[..., Cohort]) -> None:
    with pytest.raises(DataError, match=r"manifest\.json: no such file"):
        opened("s3://no-such-bucket-at-all/set")
    with pytest.raises(OutputError, match="cannot be written"):
        write_shards(cohort_of(2), "s3://no-such-bucket-at-all/set")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"hilum\[remote\]"):
        opened("s3://bucket/set")
    with pytest.raises(DataError, match="no storage is known as zz://"):
        opened("zz://bucket/set")
