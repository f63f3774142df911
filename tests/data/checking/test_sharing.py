"""Sets, leaks and conflicts against plain loops over every pair of rows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from hilum.data.checking.naming import Naming
from hilum.data.checking.sharing import (
    Sets,
    conflicts,
    duplicate_table,
    leaks,
    of_two_patients,
    set_count,
    sets_of,
)
from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints
from hilum.data.pixels import ArrayPixels

KEPT = Naming("as in the source", None)


def made_cohort(rng: np.random.Generator, n: int = 30) -> Cohort:
    patient_n = rng.integers(0, 12, n).astype(str).astype(object)
    patient_n[rng.random(n) < 0.2] = None
    table = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "patient_id": patient_n,
            "site": None,
            "view": None,
            "age": np.nan,
            "sex": None,
            "split": rng.choice(np.array(["train", "val", "test", None], dtype=object), n),
            "role": None,
            "label_mass": rng.choice([0.0, 1.0, np.nan], n),
        }
    )
    return Cohort("made", ("Mass",), table, ArrayPixels(np.zeros((n, 16, 16), dtype=np.uint8)))


def made_prints(rng: np.random.Generator, n: int = 30) -> Fingerprints:
    """Digests of a few letters, and hashes of which some are a bit apart from each other."""
    digest_n = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), n).astype(object)
    digest_n[rng.random(n) < 0.1] = ""
    far = rng.integers(0, 256, (10, 32)).astype(np.uint8)
    hash_nk = far[rng.integers(0, 10, n)].copy()
    hash_nk[:, 0] ^= rng.integers(0, 4, n).astype(np.uint8)
    return Fingerprints(digest_n, hash_nk, rng.random(n) < 0.5, {})


def joined(n: int, pairs: list[tuple[int, int]]) -> list[set[int]]:
    """Sets of two or more rows that hang together by pairs."""
    sets = [{row} for row in range(n)]
    for a, b in pairs:
        one, other = (next(each for each in sets if row in each) for row in (a, b))
        if one is not other:
            sets.remove(other)
            one |= other
    return [each for each in sets if len(each) > 1]


def as_sets(set_n: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(set_n == k).tolist()) for k in set(set_n.tolist()) - {-1}}


@pytest.mark.parametrize("seed", range(20))
def test_sets_leaks_and_conflicts_equal_those_of_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cohort, prints = made_cohort(rng), made_prints(rng)
    n, table = len(cohort), cohort.table
    pairs = list(combinations(range(n), 2))
    equal = [(a, b) for a, b in pairs if prints.digest_n[a] == prints.digest_n[b] != ""]
    near = [
        (a, b)
        for a, b in pairs
        if prints.hashed_n[a]
        and prints.hashed_n[b]
        and int(np.unpackbits(prints.hash_nk[a] ^ prints.hash_nk[b]).sum()) <= 8
    ]
    patient = [None if pd.isna(each) else each for each in table["patient_id"]]
    same = [(a, b) for a, b in pairs if patient[a] is not None and patient[a] == patient[b]]
    oracle = {
        "same pixels": joined(n, equal),
        "same film": joined(n, equal + near),
        "same patient": joined(n, same),
    }
    sets = sets_of(cohort, prints)
    for bond, set_n in (
        ("same pixels", sets.pixels_n),
        ("same film", sets.film_n),
        ("same patient", sets.patient_n),
    ):
        assert as_sets(set_n) == {frozenset(each) for each in oracle[bond]}, bond
        assert set_count(set_n) == (len(oracle[bond]), sum(map(len, oracle[bond])))

    split = table["split"].tolist()
    expected = {}
    for bond, groups in oracle.items():
        for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
            both = [g for g in groups if {first, second} <= {split[row] for row in g}]
            if both:
                images = tuple(
                    sum(split[row] == name for g in both for row in g) for name in (first, second)
                )
                expected[bond, (first, second)] = (len(both), images)
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        film, pixels = (
            expected.get((bond, (first, second))) for bond in ("same film", "same pixels")
        )
        if film == pixels:  # one line tells both
            expected.pop(("same film", (first, second)), None)
    found = {(each.bond, each.splits): (each.n, each.images) for each in leaks(cohort, sets, KEPT)}
    assert found == expected

    label = table["label_mass"].tolist()
    differing = [g for g in oracle["same film"] if {0.0, 1.0} <= {label[row] for row in g}]
    told = conflicts(cohort, sets, KEPT)
    assert sum(each.sets for each in told) == len(differing)
    for each in told:
        for with_, without in each.examples:
            assert (label[int(with_[1:])], label[int(without[1:])]) == (1.0, 0.0)
    of_two = [g for g in oracle["same film"] if len({patient[row] for row in g} - {None}) > 1]
    assert of_two_patients(cohort, sets) == len(of_two)
    rows = duplicate_table(cohort, sets, KEPT)
    assert {frozenset(each) for each in rows.groupby("set")["image_id"].agg(set)} == {
        frozenset(f"i{row}" for row in g) for g in oracle["same film"]
    }


def test_without_fingerprints_patients_alone_are_told_apart() -> None:
    sets = sets_of(made_cohort(np.random.default_rng(0)), None)
    assert set_count(sets.film_n) == set_count(sets.pixels_n) == (0, 0)
    assert set_count(sets.patient_n)[0] > 0


def test_images_that_all_stand_alone_make_no_table() -> None:
    cohort = made_cohort(np.random.default_rng(0))
    alone = np.full(len(cohort), -1, dtype=np.intp)
    assert duplicate_table(cohort, Sets(alone, alone, alone), KEPT).empty
    assert leaks(cohort, Sets(alone, alone, alone), KEPT) == ()
    assert conflicts(cohort, Sets(alone, alone, alone), KEPT) == ()
