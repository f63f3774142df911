"""From a cohort to batches: order, threads, broken films, early ends, and a million rows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.oddities import KINDS, OTHER, Oddities
from hilum.data.pixels import ArrayPixels, FilePixels, Pixels, RememberedPixels
from hilum.data.preprocessing import Resize, reduction_to
from hilum.data.radiograph import Radiograph
from hilum.data.reading import Quarantine, consecutive, cores, read_batches
from hilum.errors import DataError, RadiographError
from hilum.recipe import ReadingPart

GREY = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
SIDE = 16


def cohort_of(pixels: Pixels, n: int) -> Cohort:
    table = pd.DataFrame({"image_id": [f"film {i}" for i in range(n)]}).assign(
        patient_id=None, site=None, view=None, age=np.nan, sex=None, split=None, role=None
    )
    return Cohort("films", (), table, pixels)


class MadePixels:
    """Film `i` is all of the value i / 1000; `before` is called with i first, and may raise."""

    def __init__(self, before: Callable[[int], None] = lambda index: None) -> None:
        self.before = before
        self.read_so_far: list[int] = []

    def read(self, index: int) -> NDArray[np.float32]:
        self.read_so_far.append(index)
        self.before(index)
        return np.full((SIDE, SIDE), index / 1000, dtype=np.float32)


def broken_at(*broken: int) -> Callable[[int], None]:
    def before(index: int) -> None:
        if index in broken:
            raise RadiographError(f"film {index}", "cut off", remedy="export it again")

    return before


def values(image_nchw: NDArray[np.float32]) -> list[int]:
    return np.rint(image_nchw[:, 0, 0, 0] * 1000).astype(int).tolist()


# --- order


def test_batches_come_in_the_order_that_was_asked_for(small_cohort: Cohort) -> None:
    order = np.random.default_rng(0).permutation(len(small_cohort))
    batches = np.array_split(order, 7)
    read = list(read_batches(small_cohort, small_cohort.reduction, batches))
    expected = np.stack([small_cohort.radiograph(i) for i in order])
    np.testing.assert_array_equal(np.concatenate([b.image_nchw for b in read])[:, 0], expected)
    for batch, positions in zip(read, batches, strict=True):
        np.testing.assert_array_equal(batch.positions, positions)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_films_that_take_different_times_do_not_change_places(threads: int, ahead: int) -> None:
    rng = np.random.default_rng(0)
    pixels = MadePixels(lambda index: time.sleep(float(rng.uniform(0, 0.002))))
    read = read_batches(cohort_of(pixels, 50), (), consecutive(50, 8), threads=threads, ahead=ahead)
    assert [values(batch.image_nchw) for batch in read] == [
        list(range(start, min(start + 8, 50))) for start in range(0, 50, 8)
    ]


def test_rows_that_were_selected_keep_their_own_films() -> None:
    cohort = cohort_of(MadePixels(), 20)
    odd = cohort.where(np.arange(20) % 2 == 1)
    (batch,) = read_batches(odd, (), consecutive(10, 10))
    assert values(batch.image_nchw) == list(range(1, 20, 2))
    assert batch.positions.tolist() == list(range(10))


def test_positions_are_cut_into_batches() -> None:
    assert [b.tolist() for b in consecutive(5, 2)] == [[0, 1], [2, 3], [4]]
    assert consecutive(0, 4) == []
    assert list(read_batches(cohort_of(MadePixels(), 3), (), [])) == []


def test_a_batch_of_no_position_is_an_empty_batch() -> None:
    (batch,) = read_batches(cohort_of(MadePixels(), 3), (), [np.empty(0, dtype=np.intp)])
    assert len(batch.positions) == len(batch.image_nchw) == 0


# --- threads and memory


def test_as_many_films_are_read_at_once_as_there_are_threads() -> None:
    meeting = threading.Barrier(3)
    pixels = MadePixels(lambda index: meeting.wait(timeout=10) and None)
    read = read_batches(cohort_of(pixels, 6), (), consecutive(6, 6), threads=3)
    assert len(next(read).positions) == 6
    assert cores() >= 1


def test_one_slow_film_does_not_hold_up_the_others() -> None:
    others_are_read = threading.Event()
    count = iter(range(1, 9))

    def before(index: int) -> None:
        if index == 0:
            assert others_are_read.wait(timeout=10)
        elif next(count) == 7:
            others_are_read.set()

    batches = consecutive(8, 4)
    read = read_batches(cohort_of(MadePixels(before), 8), (), batches, threads=2)
    assert [values(batch.image_nchw) for batch in read] == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_no_more_is_read_than_the_batches_ahead(ahead: int) -> None:
    pixels = MadePixels()
    read = read_batches(cohort_of(pixels, 400), (), consecutive(400, 4), ahead=ahead)
    for taken in range(1, 6):
        next(read)
        time.sleep(0.02)  # time enough to read on, were it allowed
        assert len(pixels.read_so_far) <= 4 * (taken + ahead)


def test_batches_are_asked_for_as_they_are_needed() -> None:
    def endless() -> Iterator[NDArray[np.intp]]:
        while True:
            yield np.arange(3)

    read = read_batches(cohort_of(MadePixels(), 3), (), endless())
    assert [values(next(read).image_nchw) for _ in range(5)] == [[0, 1, 2]] * 5
    read.close()


@pytest.mark.parametrize("how", ["close", "drop", "raise"])
def test_a_caller_that_stops_early_leaves_no_thread_and_no_work(how: str) -> None:
    pixels = MadePixels(lambda index: time.sleep(0.002))
    cohort = cohort_of(pixels, 1000)
    read = read_batches(cohort, (), consecutive(1000, 10), threads=2)
    next(read)
    match how:
        case "close":
            read.close()
        case "drop":
            del read
        case "raise":
            with pytest.raises(KeyboardInterrupt):
                read.throw(KeyboardInterrupt())
    assert not [t for t in threading.enumerate() if t.name.startswith("hilum-read")]
    assert len(pixels.read_so_far) < 50


# --- films that cannot be read


def test_an_image_that_cannot_be_read_stops_the_batches_with_its_name(tmp_path: Path) -> None:
    for i in range(6):
        Image.fromarray(GREY).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_text("broken")
    cohort = cohort_of(FilePixels(tmp_path, [f"{i}.png" for i in range(6)]), 6)
    read = read_batches(cohort, reduction_to(28), consecutive(6, 2))
    assert len(next(read).positions) == len(next(read).positions) == 2
    with pytest.raises(RadiographError, match=r"4\.png"):
        next(read)


def test_five_broken_of_a_thousand_are_left_out_and_counted() -> None:
    broken = [0, 31, 32, 500, 999]
    cohort = cohort_of(MadePixels(broken_at(*broken)), 1000)
    quarantine = Quarantine(1000, limit=0.01)
    batches = consecutive(1000, 32)
    read = list(read_batches(cohort, (), batches, quarantine=quarantine))
    assert len(read) == len(batches)
    seen = np.concatenate([batch.positions for batch in read]).tolist()
    assert seen == [i for i in range(1000) if i not in broken]
    assert values(np.concatenate([batch.image_nchw for batch in read])) == seen
    assert list(quarantine.broken) == broken
    assert quarantine.broken[500] == "film 500: cut off; export it again"
    assert np.flatnonzero(~quarantine.readable_n).tolist() == broken


def test_a_batch_of_broken_films_alone_is_empty_and_keeps_its_place() -> None:
    cohort = cohort_of(MadePixels(broken_at(2, 3)), 6)
    read = list(read_batches(cohort, (), consecutive(6, 2), quarantine=Quarantine(6, limit=0.5)))
    assert [batch.positions.tolist() for batch in read] == [[0, 1], [], [4, 5]]
    assert read[1].image_nchw.shape[0] == 0


def test_above_the_limit_the_reading_stops_with_one_line() -> None:
    cohort = cohort_of(MadePixels(broken_at(*range(100, 1000, 10))), 1000)
    quarantine = Quarantine(1000, limit=0.01)
    with pytest.raises(DataError) as caught:
        for _ in read_batches(cohort, (), consecutive(1000, 32), quarantine=quarantine, threads=4):
            pass
    assert str(caught.value) == (
        "film 200: 11 of 1,000 films cannot be read, the last: cut off; expected at most 0.01 of "
        "them; mend the films, or raise the limit (data.broken_limit, --broken-limit)"
    )
    assert list(quarantine.broken) == list(range(100, 210, 10))


def test_with_no_share_allowed_the_first_broken_film_tells_its_own_error() -> None:
    cohort = cohort_of(MadePixels(broken_at(3, 5)), 10)
    for quarantine in (None, Quarantine(10)):
        with pytest.raises(RadiographError, match=r"^film 3: cut off; export it again$"):
            list(read_batches(cohort, (), consecutive(10, 4), quarantine=quarantine, threads=4))


def test_a_film_that_stays_broken_in_every_epoch_counts_once() -> None:
    cohort = cohort_of(MadePixels(broken_at(7)), 10)
    quarantine = Quarantine(10, limit=0.1)
    for _ in range(5):
        list(read_batches(cohort, (), consecutive(10, 4), quarantine=quarantine))
    assert list(quarantine.broken) == [7]


@pytest.mark.parametrize("limit", [0.0, 0.5])
def test_an_error_that_no_film_explains_is_never_taken_for_a_broken_film(limit: float) -> None:
    def before(index: int) -> None:
        if index == 5:
            raise MemoryError("no room")

    cohort = cohort_of(MadePixels(before), 10)
    quarantine = Quarantine(10, limit)
    with pytest.raises(MemoryError, match="no room"):
        list(read_batches(cohort, (), consecutive(10, 2), quarantine=quarantine))
    assert quarantine.broken == {}
    assert not [t for t in threading.enumerate() if t.name.startswith("hilum-read")]


# --- where pixels come from


def test_films_in_memory_come_as_they_are_stored() -> None:
    image_nhw = np.arange(2 * 16 * 16, dtype=np.uint16).reshape(2, 16, 16).astype(np.uint8)
    cohort = cohort_of(ArrayPixels(image_nhw), 2)
    np.testing.assert_array_equal(cohort.pixels.read(1), image_nhw[1])
    np.testing.assert_allclose(cohort.radiograph(1), image_nhw[1] / 255, atol=1e-7)


def test_films_are_remembered_while_they_fit() -> None:
    pixels = MadePixels()
    remembered = RememberedPixels(pixels, limit_bytes=3 * SIDE * SIDE * 4)
    for _ in range(2):
        for index in range(5):
            np.testing.assert_array_equal(remembered.read(index), MadePixels().read(index))
    assert pixels.read_so_far == [0, 1, 2, 3, 4, 3, 4]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    Image.fromarray(GREY).save(tmp_path / "film.png")
    return tmp_path


@pytest.mark.parametrize(
    "names",
    [
        ["film.png"],
        np.array(["film.png"]),
        pd.array(["film.png"], dtype="string[pyarrow]"),
        pd.array(["film.png"], dtype="string[python]"),
    ],
    ids=["list", "numpy", "arrow", "pandas"],
)
def test_names_of_films_may_be_a_list_or_an_array(film: Path, names: list[str]) -> None:
    pixels = FilePixels(film, names)
    assert pixels.path(0) == film / "film.png"
    np.testing.assert_array_equal(pixels.read(0), GREY)


def test_a_squashed_film_is_read_in_its_true_proportions(film: Path) -> None:
    pixels = FilePixels(film, ["film.png"] * 3, aspect_n=np.array([2.0, np.nan, 0.5]))
    assert pixels.read(0).shape == (25, 50)
    np.testing.assert_array_equal(pixels.read(1), GREY)
    assert pixels.read(2).shape == (50, 25)
    assert pixels.radiograph(0).stored_hw.shape == GREY.shape


def test_how_films_are_read_is_passed_on(monkeypatch: pytest.MonkeyPatch, film: Path) -> None:
    from hilum.data import pixels as module

    asked = []

    def read(path: Path, reading: ReadingPart, *, strict: bool) -> Radiograph:
        asked.append((path.name, reading.window, strict))
        return radiograph()

    monkeypatch.setattr(module, "read_radiograph", read)
    FilePixels(film, ["film.png"]).read(0)
    FilePixels(film, ["film.png"], ReadingPart(window=2), strict=True).read(0)
    assert asked == [("film.png", 1, False), ("film.png", 2, True)]


# --- what was odd about films


def radiograph(*warnings: str) -> Radiograph:
    return Radiograph(
        format="PNG",
        bits=8,
        photometric="MONOCHROME2",
        window="stored range 0 to 255",
        stored_hw=GREY,
        warnings=warnings,
    )


def test_what_was_odd_about_films_is_told_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    from hilum.data import pixels as module

    said = {"3.png": ("view LL",), "5.png": ("view LL", "modality CT"), "7.png": ("modality CT",)}
    monkeypatch.setattr(
        module, "read_radiograph", lambda path, *_, **__: radiograph(*said.get(path.name, ()))
    )
    pixels = FilePixels(Path(), [f"{i}.png" for i in range(8)])
    cohort = cohort_of(pixels, 8)
    assert pixels.noted.by_kind == {}
    for _ in range(3):  # epochs
        for _ in read_batches(cohort, (Resize(height=16, width=16),), [np.arange(7, -1, -1)]):
            pass
    assert pixels.noted.by_kind == {"modality CT": (2, 5), "view LL": (2, 3)}


def test_oddities_are_counted_rightly_by_many_threads() -> None:
    oddities = Oddities(2000)
    start = threading.Barrier(4)

    def add() -> None:
        start.wait()
        for index in range(2000):
            oddities.add(index, ("even",) if index % 2 == 0 else ("odd", "odd", "third"))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert oddities.by_kind == {"even": (1000, 0), "odd": (1000, 1), "third": (1000, 1)}


def test_oddities_of_endless_kinds_do_not_fill_the_memory() -> None:
    oddities = Oddities(1000)
    for index in range(1000):
        oddities.add(index, (f"window centre {index}", "all alike"))
    kinds = oddities.by_kind
    assert len(kinds) <= KINDS + 2
    assert kinds["all alike"] == (1000, 0)
    assert sum(films for films, _ in kinds.values()) == 2000
    assert next(iter(kinds)) == "all alike"
    assert OTHER in kinds


# --- a million rows

_MILLION = """
import json, resource, sys, time
import numpy as np, pandas as pd
from pathlib import Path
from hilum.data.cohort import Cohort
from hilum.data.pixels import FilePixels
from hilum.data.preprocessing import PadSquare, Resize
from hilum.data.reading import read_batches

n = 1_000_000
names = pd.array([f"{i % 8}.png" for i in range(n)], dtype="string[pyarrow]")
rng = np.random.default_rng(0)
table = pd.DataFrame({
    "image_id": pd.Series([f"{i:08d}_000.png" for i in range(n)], dtype="string[pyarrow]"),
    "patient_id": pd.Series([f"{i // 4:08d}" for i in range(n)], dtype="string[pyarrow]"),
    "site": "A", "view": rng.choice(["PA", "AP"], n), "age": rng.integers(1, 95, n).astype(float),
    "sex": rng.choice(["F", "M"], n), "split": "train", "role": "train",
    "label_pneumonia": (rng.random(n) < 0.05).astype(float),
})
cohort = Cohort("million", ("Pneumonia",), table, FilePixels(Path(sys.argv[1]), names))
train = cohort.with_role("train")
start = time.perf_counter()
order = np.random.default_rng(1).permutation(n)
batches = np.split(order, range(32, n, 32))
read = read_batches(train, (PadSquare(), Resize(height=224, width=224)), batches)
shape = next(read).image_nchw.shape
first = time.perf_counter() - start
for _ in range(20):
    next(read)
read.close()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"shape": shape, "first_s": first, "bytes": memory}))
"""


@pytest.mark.slow
def test_an_epoch_over_a_million_films_starts_at_once_in_little_memory(tmp_path: Path) -> None:
    for i in range(8):
        grey = np.random.default_rng(i).integers(0, 256, (1024, 1024)).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / f"{i}.png")
    run = subprocess.run(
        [sys.executable, "-c", _MILLION, str(tmp_path)], check=True, capture_output=True, text=True
    )
    told = json.loads(run.stdout)
    assert told["shape"] == [32, 1, 224, 224]
    assert told["first_s"] <= 5
    assert told["bytes"] <= 1e9
