import hashlib
import hmac
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints, fingerprints
from hilum.data.pixels import ArrayPixels
from hilum.data.seen import Overlap, Seen, pseudonym, pseudonymised
from hilum.data.sources.films import films
from hilum.errors import BundleError


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def cohort_of(patients: list[str | None], roles: list[str | None], start: int = 0) -> Cohort:
    n = len(patients)
    table = pd.DataFrame(
        {
            "image_id": [f"DOE_{start + i}" for i in range(n)],
            "patient_id": pd.Series(patients, dtype=object),
            "role": pd.Series(roles, dtype=object),
        }
    ).assign(site=None, view=None, age=np.nan, sex=None, split=None)
    table["label_x"] = 0.0
    boxes = pd.DataFrame(
        {"image_id": ["DOE_0"], "finding": "x", "x": 1, "y": 1, "width": 1, "height": 1}
    )
    excluded = pd.DataFrame({"image_id": ["DOE_99"], "reason": ["lateral view"]})
    pixels = ArrayPixels(np.zeros((0, 64, 64), np.uint8))
    return Cohort("made", ("x",), table, pixels, boxes=boxes, excluded=excluded)


def prints_of(films_n: list[int], *, altered: bool = False) -> Fingerprints:
    """Each film has a hash of its own; altered copies have other pixels and 8 bits changed."""
    hash_nk = np.stack([np.random.default_rng(f).integers(0, 256, 32, np.uint8) for f in films_n])
    hash_nk[:, 0] ^= 255 * altered
    digest_n = np.array([f"{film}{'-altered' * altered}" for film in films_n], dtype=object)
    return Fingerprints(digest_n, hash_nk, np.ones(len(films_n), dtype=bool), {})


def test_a_pseudonym_is_the_start_of_hmac_sha256() -> None:
    digest = hmac.new(b"salt", "Müller".encode(), hashlib.sha256).hexdigest()
    assert pseudonym("Müller", "salt") == digest[:16]
    assert pseudonym("Müller", "pepper") != digest[:16]


def test_ids_are_replaced_wherever_they_stand() -> None:
    cohort = pseudonymised(cohort_of(["anna", None], ["train", "test"]), "salt")
    everywhere = "".join(each.to_csv() for each in (cohort.table, cohort.boxes, cohort.excluded))
    assert "DOE" not in everywhere
    assert "anna" not in everywhere
    assert cohort.table["patient_id"].isna().tolist() == [False, True]
    # The same image is called the same in all three.
    assert cohort.boxes["image_id"][0] == cohort.table["image_id"][0] == pseudonym("DOE_0", "salt")


def test_public_ids_stay() -> None:
    from dataclasses import replace

    cohort = replace(cohort_of(["1"], ["train"]), public_ids=True)
    assert pseudonymised(cohort, "salt") is cohort


def test_what_a_bundle_has_seen_is_found_by_pixels_by_film_and_by_patient() -> None:
    seen = Seen.of(
        cohort_of(["anna", "ben", "cleo", None, "dora"], ["train", "tune", "test", "train", None]),
        prints_of([0, 1, 2, 3, 4]),
        "salt",
    )
    assert len(seen.table) == 4
    new = cohort_of(["x", None, "ben", "cleo", "dora", None], [None] * 6, start=50)
    whole, altered = prints_of([0, 0, 7, 2, 8, 9]), prints_of([0, 3, 7, 2, 8, 9], altered=True)
    exact = seen.overlap(new, whole, ("train", "tune", "calibrate"))
    assert (exact.images, exact.near) == ({0: "train", 1: "train"}, {})
    assert exact.patients == {2: "tune"}
    near = seen.overlap(new, altered, ("train", "tune", "calibrate"))
    assert (near.images, near.near) == ({}, {0: "train", 1: "train"})
    test = seen.overlap(new, altered, ("test",))
    assert (test.near, test.patients, test.rows) == ({3: "test"}, {3: "test"}, (3,))
    alone = seen.overlap(new, None, ("train", "tune"))
    assert (alone.images, alone.near, alone.patients) == ({}, {}, {2: "tune"})


def test_an_image_seen_in_two_roles_counts_for_the_graver() -> None:
    cohort = cohort_of([None] * 3, ["test", "calibrate", "train"])
    seen = Seen.of(cohort, prints_of([5, 5, 5]), "salt")
    new = cohort_of([None], [None])
    every = ("train", "tune", "calibrate", "test")
    assert seen.overlap(new, prints_of([5]), every).images == {0: "train"}
    assert seen.overlap(new, prints_of([5], altered=True), every).near == {0: "train"}
    assert seen.overlap(new, prints_of([5]), ("calibrate", "test")).images == {0: "calibrate"}


def test_unreadable_films_and_films_without_a_hash_are_like_no_other() -> None:
    nothing = Fingerprints(
        np.array(["", "a"], dtype=object),
        np.zeros((2, 32), np.uint8),
        np.zeros(2, dtype=bool),
        {0: "cut off"},
    )
    seen = Seen.of(cohort_of([None, None], [None, "train"]), nothing, "salt")
    found = seen.overlap(cohort_of([None, None], [None, None]), nothing, ("train",))
    assert (found.images, found.near) == ({1: "train"}, {})


def test_the_file_holds_no_id_no_digest_and_not_the_order_of_the_images(tmp_path: Path) -> None:
    n = 200
    patients: list[str | None] = [f"DOE_JANE_{i}" for i in range(n)]
    cohort = cohort_of(patients, ["train"] * n)
    prints = prints_of(list(range(n)))
    prints.digest_n[:] = [hashlib.sha256(bytes([i])).hexdigest() for i in range(n)]
    Seen.of(cohort, prints, "salt").write(tmp_path / "seen.parquet")
    table = pd.read_parquet(tmp_path / "seen.parquet")
    text = table.to_csv()
    assert "DOE" not in text
    assert not any(digest[:16] in text for digest in prints.digest_n)
    hashes = [hash_k.tobytes().hex() for hash_k in prints.hash_nk]
    assert set(table["hash"]) == set(hashes)
    assert table["hash"].tolist() != hashes


def test_a_written_file_is_read_as_it_was(tmp_path: Path) -> None:
    seen = Seen.of(
        cohort_of(["anna", None, None], ["train", "tune", None]), prints_of([0, 1, 2]), "salt"
    )
    seen.write(tmp_path / "seen.parquet")
    again = Seen.read(tmp_path / "seen.parquet", "salt")
    new, prints = cohort_of(["anna", None], [None, None]), prints_of([1, 7])
    assert again.overlap(new, prints, ("train", "tune")) == seen.overlap(
        new, prints, ("train", "tune")
    )
    assert again.overlap(new, prints, ("train", "tune")).rows == (0,)
    # Without the salt nothing is recognised but the film itself.
    other = Seen.read(tmp_path / "seen.parquet", "pepper").overlap(new, prints, ("train", "tune"))
    assert (other.images, other.near, other.patients) == ({}, {0: "tune"}, {})


def test_files_of_bundles_without_patients_or_without_fingerprints_are_read_too(
    tmp_path: Path,
) -> None:
    for name, patients, prints in (
        ("a", [None, None], prints_of([0, 1])),
        ("b", ["anna", "ben"], None),
        ("c", [], prints_of([0])),
    ):
        seen = Seen.of(cohort_of(patients, ["train"] * len(patients)), prints, "salt")  # type: ignore[arg-type]
        seen.write(tmp_path / f"{name}.parquet")
        again = Seen.read(tmp_path / f"{name}.parquet", "salt")
        found = again.overlap(cohort_of(["anna"], [None]), prints_of([0]), ("train",))
        assert (bool(found.images), bool(found.patients)) == (name == "a", name == "b")


def test_a_file_that_is_no_record_of_films_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "seen.parquet"
    with pytest.raises(BundleError, match=r"seen.parquet: cannot be read"):
        Seen.read(path, "salt")
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(BundleError, match=r"seen.parquet: cannot be read"):
        Seen.read(path, "salt")
    pd.DataFrame({"role": ["train"]}).to_parquet(path)
    with pytest.raises(BundleError, match=r"columns role; expected role, pixels, hash, patient"):
        Seen.read(path, "salt")


@pytest.mark.parametrize(
    ("overlap", "words"),
    [
        (Overlap({}, {}, {}, {}), "no image and no patient that the bundle has seen"),
        (Overlap({0: "train"}, {}, {}, {}), "1 image that the bundle was trained on"),
        (
            Overlap({0: "train", 1: "train"}, {2: "calibrate"}, {}, {}),
            "2 images and 1 altered copy of an image "
            "that the bundle was trained on and calibrated on",
        ),
        (
            Overlap(
                {0: "train"},
                {1: "train", 2: "train"},
                {0: "train", 3: "train", 4: "tune", 5: "train"},
                {0: "a", 3: "b", 4: "c", 5: "b"},
            ),
            "1 image, 2 altered copies of images and 3 more images of 2 patients "
            "that the bundle was trained on and tuned on",
        ),
        (
            Overlap({}, {}, {i: "train" for i in range(1200)}, {i: "a" for i in range(1200)}),
            "1,200 images of 1 patient that the bundle was trained on",
        ),
    ],
)
def test_an_overlap_is_said_in_words(overlap: Overlap, words: str) -> None:
    assert overlap.in_words() == words


def test_an_overlap_can_be_asked_for_some_rows_alone() -> None:
    overlap = Overlap({0: "train"}, {1: "train"}, {0: "train", 2: "tune"}, {0: "a", 2: "b"})
    some = overlap.among(np.array([False, True, True]))
    assert (some.images, some.near, some.patients, some.rows) == (
        {},
        {1: "train"},
        {2: "tune"},
        (1, 2),
    )


def test_a_bundle_made_from_rsna_has_seen_these_films_of_chestxray14(data_folder: Path) -> None:
    mapping = pd.read_csv(data_folder / "rsna_sample/nih_mapping.csv")
    known = {path.name for path in (data_folder / "nih_sample/images").iterdir()}
    mapping = mapping[mapping["nih_image"].isin(known)]
    rsna, nih = (
        films([data_folder / folder / name for name in names], ["x"])
        for folder, names in (
            ("rsna_sample/stage_2_train_images", mapping["rsna_patient_id"] + ".dcm"),
            ("nih_sample/images", sorted(known)[:20] + sorted(mapping["nih_image"])),
        )
    )
    seen = Seen.of(rsna.with_column("role", "train"), fingerprints(rsna), "salt")
    found = seen.overlap(nih, fingerprints(nih), ("train",))
    assert found.near == {20: "train", 21: "train", 22: "train"}
    assert found.in_words() == "3 altered copies of images that the bundle was trained on"


def test_the_films_of_a_large_set_fit_in_a_few_megabytes(tmp_path: Path) -> None:
    n = 112_120
    rng = np.random.default_rng(0)
    cohort = cohort_of([f"{p}" for p in rng.integers(0, 30_805, n)], ["train"] * n)
    prints = Fingerprints(
        np.array([f"{i:064x}" for i in range(n)], dtype=object),
        rng.integers(0, 256, (n, 32), dtype=np.uint8),
        np.ones(n, dtype=bool),
        {},
    )
    Seen.of(cohort, prints, "salt").write(tmp_path / "seen.parquet")
    assert (tmp_path / "seen.parquet").stat().st_size < 8e6
