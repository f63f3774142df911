from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import Fingerprints, fingerprints
from hilum.data.folds import Fold, draw_folds
from hilum.data.pixels import ArrayPixels
from hilum.data.roles import assign_roles
from hilum.data.sources import open_source
from hilum.errors import DataError
from hilum.recipe import DataPart


def cohort_of(
    label_n: list[float], patient_n: list[str | None], role_n: list[str | None] | None = None
) -> Cohort:
    n = len(label_n)
    table = pd.DataFrame(
        {
            "image_id": [f"image-{i:03d}" for i in range(n)],
            "patient_id": patient_n,
            "role": role_n or ["train"] * n,
            "label_pneumonia": label_n,
        }
    ).assign(site=None, view=None, age=np.nan, sex=None, split=None)
    image_nhw = np.random.default_rng(0).integers(0, 256, (n, 16, 16)).astype(np.uint8)
    return Cohort("made", ("Pneumonia",), table, ArrayPixels(image_nhw))


def sixty(images: int = 2) -> Cohort:
    """60 patients with so many images each, every third one ill."""
    patient_n = [f"patient-{p:02d}" for p in range(60) for _ in range(images)]
    label_n = [float(p % 3 == 0) for p in range(60) for _ in range(images)]
    return cohort_of(label_n, patient_n)


def folds_of(
    cohort: Cohort,
    folds: int = 3,
    seed: int = 0,
    prints: Fingerprints | None = None,
    settings: DataPart | None = None,
) -> list[Fold]:
    prints = prints or fingerprints(cohort)
    return draw_folds(cohort, settings or DataPart(), folds, seed=seed, prints=prints)


def test_every_film_is_held_out_once_and_no_patient_stands_on_two_sides() -> None:
    cohort = sixty()
    folds = folds_of(cohort)
    held_out = np.concatenate([fold.held_out for fold in folds])
    np.testing.assert_array_equal(np.sort(held_out), np.arange(120))
    patient_n = cohort.table["patient_id"].to_numpy()
    for fold in folds:
        train, tune, out = (set(patient_n[rows]) for rows in (fold.train, fold.tune, fold.held_out))
        assert not train & tune
        assert not train & out
        assert not tune & out
        assert len(train) + len(tune) + len(out) == 60


def test_folds_are_stratified_and_a_tenth_of_the_rest_is_tune() -> None:
    cohort = sixty()
    for fold in folds_of(cohort):
        assert cohort.label_nf[fold.held_out].mean() == pytest.approx(1 / 3, abs=0.05)
        assert len(fold.tune) / len(fold.train) == pytest.approx(1 / 9, abs=0.05)


def test_the_role_test_and_films_without_a_role_are_in_no_fold() -> None:
    cohort = sixty()
    role_n = cohort.table["role"].to_numpy(copy=True).astype(object)
    role_n[:20], role_n[20:40], role_n[40:60], role_n[60:64] = "test", "tune", "calibrate", None
    cohort = cohort.with_column("role", role_n)
    for fold in folds_of(cohort):
        every = np.sort(np.concatenate([fold.train, fold.tune, fold.held_out]))
        np.testing.assert_array_equal(every, [*range(20, 60), *range(64, 120)])


def test_films_of_unknown_patients_are_always_trained_on() -> None:
    cohort = sixty()
    patient_n = cohort.table["patient_id"].to_numpy(dtype=object, copy=True)
    patient_n[[0, 7, 50]] = None
    for fold in folds_of(cohort.with_column("patient_id", patient_n)):
        assert set(fold.train) >= {0, 7, 50}


def test_equal_films_of_two_patients_stand_on_one_side() -> None:
    cohort = sixty()
    image_nhw = cohort.pixels.image_nhw.copy()  # type: ignore[attr-defined]
    for i in range(0, 120, 4):  # patients 2k and 2k + 1
        image_nhw[i + 2] = image_nhw[i]
    cohort = replace(cohort, pixels=ArrayPixels(image_nhw))
    for fold in folds_of(cohort):
        side_n = np.zeros(120)
        side_n[fold.tune], side_n[fold.held_out] = 1, 2
        np.testing.assert_array_equal(side_n[0::4], side_n[2::4])


def test_without_patients_an_image_is_drawn_for_itself() -> None:
    cohort = cohort_of([float(i % 2) for i in range(60)], [None] * 60)
    held_out = np.concatenate([fold.held_out for fold in folds_of(cohort)])
    np.testing.assert_array_equal(np.sort(held_out), np.arange(60))


def test_the_order_of_the_rows_has_no_say_and_the_seed_has() -> None:
    cohort = sixty()
    turned = replace(cohort, table=cohort.table.iloc[::-1])
    ids, turned_ids = (each.table["image_id"].to_numpy() for each in (cohort, turned))

    def held_out(of: Cohort, ids: np.ndarray, seed: int) -> list[set[str]]:
        return [set(ids[fold.held_out]) for fold in folds_of(of, seed=seed)]

    assert held_out(cohort, ids, 0) == held_out(turned, turned_ids, 0)
    assert held_out(cohort, ids, 0) != held_out(cohort, ids, 1)
    assert [f.digest for f in folds_of(cohort)] == [f.digest for f in folds_of(turned)]


def test_another_label_is_another_digest() -> None:
    cohort = sixty()
    label_n = cohort.table["label_pneumonia"].to_numpy(copy=True)
    label_n[1] = np.nan  # the patient's other film still tells that they are ill
    other = cohort.with_column("label_pneumonia", label_n)
    assert {f.digest for f in folds_of(cohort)}.isdisjoint(f.digest for f in folds_of(other))


def test_too_few_patients_for_both_classes_are_told_in_one_line() -> None:
    cohort = cohort_of([1.0, *([0.0] * 39)], [f"p{i}" for i in range(40)])
    with pytest.raises(
        DataError, match=r"fold 1 of 3: .* none is with Pneumonia; .* select\.folds"
    ):
        folds_of(cohort)


def test_folds_of_pneumoniamnist_share_no_known_patient(data_folder: Path) -> None:
    settings = DataPart(
        patients=str(data_folder / "kermany_224/labels.csv"), calibrate_fraction=0.1
    )
    cohort = open_source("pneumoniamnist", settings, data=data_folder)
    prints = fingerprints(cohort)
    cohort, _ = assign_roles(cohort, settings, prints=prints)
    folds = draw_folds(cohort, settings, 3, seed=0, prints=prints)
    patient_n = cohort.table["patient_id"].to_numpy(dtype=object)
    role_n = cohort.table["role"].to_numpy(dtype=object)
    for fold in folds:
        train, tune, held_out = (
            {each for each in patient_n[rows] if isinstance(each, str)}
            for rows in (fold.train, fold.tune, fold.held_out)
        )
        assert not train & held_out
        assert not train & tune
        assert not tune & held_out
        assert pd.notna(patient_n[fold.held_out]).all()
        rows = np.concatenate([fold.train, fold.tune, fold.held_out])
        assert "test" not in set(role_n[rows])
        assert len(fold.held_out) == pytest.approx(1700, abs=150)
