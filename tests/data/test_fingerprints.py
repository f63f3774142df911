import io
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hilum.data import print_cache
from hilum.data.cohort import Cohort
from hilum.data.fingerprints import (
    NEAR,
    Fingerprints,
    fingerprints,
    fingerprints_for,
    near_pairs,
    perceptual_hash,
    pixel_digest,
)
from hilum.data.grey import as_float
from hilum.data.hamming import MOST_BITS, pairs_within
from hilum.data.pixels import ArrayPixels, FilePixels
from hilum.data.radiograph import read_radiograph
from hilum.data.sources.films import films
from hilum.recipe import DataPart, ReadingPart


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hilum"


def film(seed: int, height: int = 96, width: int = 112) -> np.ndarray:
    """Smooth, as a radiograph is, uint8."""
    coarse = np.random.default_rng(seed).random((24, 24)).astype(np.float32)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.rint(np.clip(np.asarray(image), 0, 1) * 255).astype(np.uint8)


def files(folder: Path, images: list[np.ndarray]) -> Cohort:
    folder.mkdir(exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
    return films([folder], ["Pneumonia"])


def bits(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.unpackbits(a ^ b).sum())


def prints_of(hash_nk: np.ndarray) -> Fingerprints:
    n = len(hash_nk)
    digest_n = np.array([str(i) for i in range(n)], dtype=object)
    return Fingerprints(digest_n, hash_nk, np.ones(n, dtype=bool), {})


def every_pair_within(a_nk: np.ndarray, b_nk: np.ndarray, limit: int) -> list[list[int]]:
    """Slow and obvious."""
    pairs = ((i, j) for i in range(len(a_nk)) for j in range(len(b_nk)))
    return [
        [i, j] for i, j in pairs if (a_nk is not b_nk or i < j) and bits(a_nk[i], b_nk[j]) <= limit
    ]


@st.composite
def clustered(draw: st.DrawFn) -> np.ndarray:
    """Hashes around few centres, so that many pairs lie near the limit, and some are equal."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centre_kb = rng.random((draw(st.integers(1, 4)), 256)) < draw(st.sampled_from([0.02, 0.5]))
    n = draw(st.integers(0, 40))
    hash_nb = centre_kb[rng.integers(0, len(centre_kb), n)].copy()
    for row in hash_nb:
        row[rng.choice(256, rng.integers(0, 20), replace=False)] ^= True
    return np.packbits(hash_nb, axis=1).reshape(n, 32)


# ---- search


@settings(max_examples=60, deadline=None)
@given(clustered(), st.integers(0, MOST_BITS))
def test_the_search_finds_the_pairs_that_comparing_each_with_each_finds(
    hash_nk: np.ndarray, limit: int
) -> None:
    found = pairs_within(hash_nk, hash_nk, limit)
    assert found.tolist() == every_pair_within(hash_nk, hash_nk, limit)


@settings(max_examples=40, deadline=None)
@given(clustered(), clustered(), st.integers(0, MOST_BITS))
def test_the_search_across_two_sets_finds_all_pairs(
    a_nk: np.ndarray, b_nk: np.ndarray, limit: int
) -> None:
    assert pairs_within(a_nk, b_nk, limit).tolist() == every_pair_within(a_nk, b_nk, limit)


@pytest.mark.parametrize("place", range(19))
def test_a_pair_is_found_by_any_bit_of_any_chunk(place: int) -> None:
    # The worst case for an index of 13 interleaved chunks: two of them differ in one bit each, in
    # the same place, and all others in two. 24 bits in all; only these two chunks can find it.
    rng = np.random.default_rng(place)
    one = rng.random(256) < 0.5
    others = []
    for first, second in combinations(range(13), 2):
        other = one.copy()
        for chunk in range(13):
            bit_k = np.arange(chunk, 256, 13)
            alone = chunk in (first, second)
            other[bit_k[-1 - place] if alone else rng.choice(bit_k, 2, replace=False)] ^= True
        others.append(other)
    one_nk, other_nk = np.packbits([one], axis=1), np.packbits(others, axis=1)
    assert pairs_within(one_nk, other_nk, MOST_BITS)[:, 1].tolist() == list(range(len(others)))
    assert pairs_within(other_nk, one_nk, MOST_BITS)[:, 0].tolist() == list(range(len(others)))
    assert pairs_within(one_nk, other_nk, MOST_BITS - 1).tolist() == []
    both_nk = np.concatenate([one_nk, other_nk])
    assert {j for i, j in pairs_within(both_nk, both_nk, MOST_BITS).tolist() if i == 0} == set(
        range(1, len(both_nk))
    )


def test_more_bits_than_the_index_promises_are_refused() -> None:
    hash_nk = np.zeros((2, 32), dtype=np.uint8)
    with pytest.raises(ValueError, match="limit = 25; set 0 to 24"):
        pairs_within(hash_nk, hash_nk, 25)


@settings(max_examples=40, deadline=None)
@given(clustered())
def test_near_pairs_join_what_all_pairs_would_join_and_equal_hashes_meet_the_first_alone(
    hash_nk: np.ndarray,
) -> None:
    found = near_pairs(prints_of(hash_nk))
    every = every_pair_within(hash_nk, hash_nk, NEAR)
    assert {tuple(pair) for pair in found.tolist()} <= {tuple(pair) for pair in every}
    n = len(hash_nk)
    joined, expected = np.eye(n, dtype=np.uint8), np.eye(n, dtype=np.uint8)
    for reach, pairs in ((joined, found.tolist()), (expected, every)):
        for i, j in pairs:
            reach[i, j] = reach[j, i] = 1
        for _ in range(6):  # as far as 2 ** 6 steps
            reach[:] = reach.astype(int) @ reach > 0
    assert (joined == expected).all()


@settings(max_examples=40, deadline=None)
@given(clustered(), clustered())
def test_near_pairs_across_sets_name_every_row_that_has_a_fellow_in_the_other(
    a_nk: np.ndarray, b_nk: np.ndarray
) -> None:
    found = near_pairs(prints_of(a_nk), prints_of(b_nk)).tolist()
    every = every_pair_within(a_nk, b_nk, NEAR)
    assert all(pair in every for pair in found)
    for side in (0, 1):
        assert {pair[side] for pair in found} == {pair[side] for pair in every}


def test_a_thousand_copies_of_one_film_do_not_make_half_a_million_pairs() -> None:
    hash_nk = np.tile(np.arange(32, dtype=np.uint8), (1000, 1))
    assert near_pairs(prints_of(hash_nk)).tolist() == [[0, j] for j in range(1, 1000)]


# ---- what a fingerprint is


def test_a_digest_is_of_shape_and_16_bit_grey_values() -> None:
    image_hw = np.random.default_rng(0).random((301, 207), dtype=np.float32)
    grey = np.rint(image_hw * 65535).astype("<u2")
    expected = sha256(b"(301, 207)" + grey.tobytes()).hexdigest()
    assert pixel_digest(image_hw) == pixel_digest(np.asfortranarray(image_hw)) == expected
    assert pixel_digest(image_hw.reshape(207, 301)) != expected


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_stored_integers_have_the_digest_of_the_shares_they_stand_for(kind: type) -> None:
    every = np.arange(np.iinfo(kind).max + 1, dtype=kind).reshape(16, -1)
    assert pixel_digest(every) == pixel_digest(as_float(every))


def test_a_film_of_8_bits_has_the_digest_of_its_copy_in_16(tmp_path: Path) -> None:
    image = film(0)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image.astype(np.uint16) * 257).save(tmp_path / "b.png")
    prints = fingerprints(films([tmp_path], ["x"]))
    assert prints.digest_n[0] == prints.digest_n[1]
    assert (prints.hash_nk[0] == prints.hash_nk[1]).all()


def test_the_hash_is_that_of_imagehash_but_for_its_rounding(data_folder: Path) -> None:
    paths = sorted((data_folder / "kermany_224/images").rglob("*.jpeg"))[::80]
    paths += sorted((data_folder / "nih_sample/images").glob("*.png"))[::20]
    differing = []
    for path in paths:
        image_hw = read_radiograph(path).image_hw
        grey = Image.fromarray(np.rint(image_hw * 255).astype(np.uint8))
        theirs = np.packbits(imagehash.phash(grey, hash_size=16).hash)
        ours = perceptual_hash(image_hw)
        assert ours is not None
        differing.append(bits(ours, theirs))
    assert max(differing) <= 6
    assert np.mean(differing) <= 1


def test_a_film_that_uses_few_of_its_grey_values_keeps_its_hash() -> None:
    whole = film(3).astype(np.float32) / 255
    ours, narrow = perceptual_hash(whole), perceptual_hash(whole / 16 + np.float32(0.3))
    assert ours is not None
    assert narrow is not None
    assert bits(ours, narrow) == 0


@pytest.mark.parametrize(
    "image_hw",
    [
        np.full((80, 80), 0.5, dtype=np.float32),
        np.zeros((512, 512), dtype=np.float32),
        film(0, height=63).astype(np.float32) / 255,
    ],
)
def test_a_film_that_is_flat_or_under_64_px_has_no_hash(image_hw: np.ndarray) -> None:
    assert perceptual_hash(image_hw) is None


def test_flat_and_small_films_are_near_no_other() -> None:
    image_nhw = np.zeros((6, 80, 80), dtype=np.uint8)
    prints = fingerprints(cohort_of_array(image_nhw))
    assert not prints.hashed_n.any()
    assert near_pairs(prints).tolist() == []


def cohort_of_array(image_nhw: np.ndarray) -> Cohort:
    table = pd.DataFrame({"image_id": [f"i{i}" for i in range(len(image_nhw))]}).assign(
        patient_id=None, site=None, view=None, age=np.nan, sex=None, split=None, role=None
    )
    table["label_x"] = 0.0
    return Cohort("made", ("x",), table, ArrayPixels(image_nhw))


# ---- real films


def jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def encode(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return encode


def resized(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def resize(image: np.ndarray) -> np.ndarray:
        size = tuple(round(share * side) for side in reversed(image.shape))
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))

    return resize


def window(image: np.ndarray) -> np.ndarray:
    return np.rint((np.clip(image / 255, 0.05, 0.95) - 0.05) / 0.9 * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "change",
    [jpeg(95), jpeg(50), resized(0.5), resized(2.0), window],
    ids=["JPEG 95", "JPEG 50", "halved", "doubled", "windowed"],
)
def test_an_altered_copy_of_a_real_film_is_the_same_film(
    change: Callable[[np.ndarray], np.ndarray], data_folder: Path
) -> None:
    paths = sorted((data_folder / "kermany_224/images").rglob("*.jpeg"))[::150]
    for path in paths:
        image = np.rint(read_radiograph(path).image_hw * 255).astype(np.uint8)
        ours = perceptual_hash(image.astype(np.float32) / 255)
        theirs = perceptual_hash(change(image).astype(np.float32) / 255)
        assert ours is not None
        assert theirs is not None
        assert bits(ours, theirs) <= NEAR


def test_no_two_films_of_chestxray14_are_near_though_many_are_of_one_patient(
    data_folder: Path,
) -> None:
    cohort = films([data_folder / "nih_sample/images"], ["x"])
    prints = fingerprints(cohort)
    assert prints.hashed_n.all()
    assert len(set(prints.digest_n)) == 1000
    assert near_pairs(prints).tolist() == []


def test_the_films_of_rsna_are_found_in_chestxray14_at_a_sixteenth_of_their_size(
    data_folder: Path,
) -> None:
    mapping = pd.read_csv(data_folder / "rsna_sample/nih_mapping.csv")
    small = films([data_folder / "nih_sample/images"], ["x"])
    nih = {Path(each).name: i for i, each in enumerate(small.table["image_id"])}
    mapping = mapping[mapping["nih_image"].isin(nih)]
    others = sorted((data_folder / "rsna_sample/stage_2_train_images").glob("*.dcm"))[:20]
    named = [
        data_folder / "rsna_sample/stage_2_train_images" / f"{each}.dcm"
        for each in mapping["rsna_patient_id"]
    ]
    large = films([*named, *(path for path in others if path not in named)], ["x"])
    pairs = near_pairs(fingerprints(large), fingerprints(small))
    expected = sorted([i, nih[name]] for i, name in enumerate(mapping["nih_image"]))
    assert len(expected) == 3
    assert pairs.tolist() == expected


def test_one_radiograph_in_all_its_encodings_is_one_film(data_folder: Path) -> None:
    folder = data_folder / "dicom"
    paths = [
        *sorted((folder / "derived_chest").glob("rg1s_*.dcm")),
        *sorted((folder / "real_chest").glob("*.dcm")),
    ]
    prints = fingerprints(films(paths, ["x"]))
    one_n = np.array(["rg1" in path.name for path in paths])
    assert one_n.sum() == 12
    pairs = near_pairs(prints)
    assert one_n[pairs].all()
    assert set(pairs.ravel()) == set(np.flatnonzero(one_n))
    lossless = {d for d, p in zip(prints.digest_n, paths, strict=True) if "rg1s" in p.name} - {
        prints.digest_n[[p.stem for p in paths].index("rg1s_jpegbaseline_mono2_8bit")]
    }
    assert len(lossless) == 1


# ---- broken films


def test_a_film_that_cannot_be_read_is_noted_and_the_others_are_read(tmp_path: Path) -> None:
    cohort = files(tmp_path / "films", [film(i) for i in range(4)])
    (tmp_path / "films/001.png").write_bytes(b"\x89PNG cut off")
    (tmp_path / "films/002.png").unlink()
    prints = fingerprints(cohort)
    assert list(prints.broken) == [1, 2]
    assert "001.png: " in prints.broken[1]
    assert "no such file" in prints.broken[2]
    assert [bool(each) for each in prints.digest_n] == [True, False, False, True]
    assert prints.hashed_n.tolist() == [True, False, False, True]


def test_progress_ends_with_all_films_and_an_empty_cohort_has_none(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fingerprints(
        files(tmp_path / "films", [film(0), film(1)]),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (2, 2)
    nothing = cohort_of_array(np.zeros((0, 80, 80), dtype=np.uint8))
    assert fingerprints(nothing).hash_nk.shape == (0, 32)
    assert near_pairs(fingerprints(nothing)).shape == (0, 2)


def test_rows_may_be_a_selection_in_any_order(tmp_path: Path) -> None:
    cohort = files(tmp_path / "films", [film(i) for i in range(5)])
    whole = fingerprints(cohort)
    order = [3, 0, 4]
    chosen = Cohort("some", ("Pneumonia",), cohort.table.iloc[order], cohort.pixels)
    assert fingerprints(chosen).digest_n.tolist() == whole.digest_n[order].tolist()


def test_settings_decide_whether_films_are_looked_at(tmp_path: Path) -> None:
    cohort = files(tmp_path / "films", [film(0)])
    assert fingerprints_for(cohort, DataPart(duplicates="off")) is None
    exact = fingerprints_for(cohort, DataPart(duplicates="exact"))
    near = fingerprints_for(cohort, DataPart(duplicates="near"))
    assert exact is not None
    assert near is not None
    assert (exact.hashed_n.any(), near.hashed_n.all()) == (False, True)
    assert exact.digest_n.tolist() == near.digest_n.tolist()


# ---- cache


class Reads:
    """Counts how often a file is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n = 0
        read = FilePixels.read

        def counted(pixels: FilePixels, index: int) -> object:
            self.n += 1
            return read(pixels, index)

        monkeypatch.setattr(FilePixels, "read", counted)

    def of(self, cohort: Cohort, **options: bool) -> tuple[int, Fingerprints]:
        self.n = 0
        prints = fingerprints(cohort, **options)
        return self.n, prints


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def test_an_unchanged_film_is_read_once_and_a_changed_one_anew(
    tmp_path: Path, reads: Reads
) -> None:
    cohort = files(tmp_path / "films", [film(i) for i in range(6)])
    first_n, first = reads.of(cohort)
    again_n, again = reads.of(cohort)
    assert (first_n, again_n) == (6, 0)
    assert again.digest_n.tolist() == first.digest_n.tolist()
    assert (again.hash_nk == first.hash_nk).all()
    Image.fromarray(film(99)).save(tmp_path / "films/002.png")
    changed_n, changed = reads.of(cohort)
    assert changed_n == 1
    assert np.flatnonzero(changed.digest_n != first.digest_n).tolist() == [2]
    os.utime(tmp_path / "films/004.png", (0, 0))  # of the same size, but of another time
    assert reads.of(cohort)[0] == 1


def test_a_film_that_is_read_in_another_way_is_read_anew(tmp_path: Path, reads: Reads) -> None:
    cohort = files(tmp_path / "films", [film(0)])
    reads.of(cohort)
    pixels = cohort.pixels
    assert isinstance(pixels, FilePixels)
    for other in (
        FilePixels(pixels.root, pixels.name_n, ReadingPart(window=0)),
        FilePixels(pixels.root, pixels.name_n, aspect_n=np.array([2.0])),
        FilePixels(pixels.root, pixels.name_n, strict=True),
    ):
        assert reads.of(Cohort("x", ("Pneumonia",), cohort.table, other))[0] == 1


def test_a_hash_that_was_not_made_before_is_made_when_it_is_wanted(
    tmp_path: Path, reads: Reads
) -> None:
    cohort = files(tmp_path / "films", [film(0), np.zeros((40, 40), np.uint8)])
    assert reads.of(cohort, perceptual=False)[0] == 2
    assert reads.of(cohort, perceptual=False)[0] == 0
    n, prints = reads.of(cohort)
    assert (n, prints.hashed_n.tolist()) == (2, [True, False])
    n, prints = reads.of(cohort)
    assert (n, prints.hashed_n.tolist()) == (0, [True, False])  # too small is known, too


def test_the_cache_holds_no_name(tmp_path: Path, cache: Path) -> None:
    cohort = files(tmp_path / "DOE_JOHN", [film(0)])
    fingerprints(cohort)
    stored = b"".join(path.read_bytes() for path in cache.iterdir())
    assert len(stored) > 1000
    assert b"DOE" not in stored
    assert b"000.png" not in stored


@pytest.mark.parametrize(
    "trouble", ["a file in place of the folder", "a folder in place of the file", "not a database"]
)
def test_a_cache_that_cannot_be_used_is_no_error(
    trouble: str, tmp_path: Path, cache: Path, reads: Reads
) -> None:
    cohort = files(tmp_path / "films", [film(0)])
    match trouble:
        case "a file in place of the folder":
            cache.parent.write_text("no folder")
        case "a folder in place of the file":
            (cache / "fingerprints.sqlite").mkdir(parents=True)
        case "not a database":
            cache.mkdir(parents=True)
            (cache / "fingerprints.sqlite").write_bytes(b"gibberish" * 1000)
    assert reads.of(cohort)[0] == 1
    n, prints = reads.of(cohort)
    assert (n, prints.hashed_n.tolist()) == (1, [True])


def test_a_cache_that_another_process_holds_is_waited_for(
    tmp_path: Path, cache: Path, reads: Reads
) -> None:
    cohort = files(tmp_path / "films", [film(0)])
    reads.of(cohort)
    Image.fromarray(film(1)).save(tmp_path / "films/000.png")
    base = sqlite3.connect(cache / "fingerprints.sqlite", check_same_thread=False)
    base.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, base.rollback)
    release.start()
    assert reads.of(cohort)[0] == 1
    release.join()
    base.close()
    assert reads.of(cohort)[0] == 0


_PRINT_FOLDER = """
import sys
from pathlib import Path
from hilum.data.fingerprints import fingerprints
from hilum.data.sources.films import films
paths, start = sorted(Path(sys.argv[1]).glob("*.png")), int(sys.argv[2])
fingerprints(films([*paths[start:], *paths[:start]], ["x"]))
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path, reads: Reads) -> None:
    cohort = files(tmp_path / "films", [film(i) for i in range(40)])
    command = [sys.executable, "-c", _PRINT_FOLDER, str(tmp_path / "films")]
    workers = [subprocess.Popen([*command, start]) for start in ("0", "13", "26")]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    n, prints = reads.of(cohort)
    assert n == 0
    expected = [pixel_digest(cohort.radiograph(i)) for i in range(40)]
    assert prints.digest_n.tolist() == expected


def test_prints_made_by_another_reader_are_not_taken(
    tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = files(tmp_path / "films", [film(0)])
    reads.of(cohort)
    monkeypatch.setattr(print_cache, "_reader", lambda: "a later one")
    assert reads.of(cohort)[0] == 1


def test_the_pairs_of_the_slow_twin_are_counted_by_hand() -> None:
    """The twin that the search is held against."""
    hash_nk = np.zeros((3, 32), dtype=np.uint8)
    hash_nk[1, 0], hash_nk[2] = 0b111, 255
    counted = [(i, j) for i, j in combinations(range(3), 2) if bits(hash_nk[i], hash_nk[j]) <= 3]
    assert counted == [(0, 1)]
    assert every_pair_within(hash_nk, hash_nk, 3) == [[0, 1]]
    assert every_pair_within(hash_nk, hash_nk, 2) == []
