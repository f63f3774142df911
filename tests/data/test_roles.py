from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.data.cohort import ArrayPixels, Cohort
from hilum.data.roles import assign_roles
from hilum.data.sources.medmnist import pneumoniamnist
from hilum.errors import DataError
from made import write_npz


def cohort_of(rows: list[tuple[str, float, str | None]], image_nhw: np.ndarray) -> Cohort:
    """rows: split, label, patient."""
    split, label, patient = zip(*rows, strict=True)
    table = pd.DataFrame(
        {
            "image_id": [f"image-{i}" for i in range(len(rows))],
            "patient_id": list(patient),
            "split": list(split),
            "label_pneumonia": list(label),
        }
    ).assign(site=None, view=None, age=np.nan, sex=None, role=None)
    return Cohort("made", ("Pneumonia",), table, ArrayPixels(image_nhw))


def distinct(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 16, 16)).astype(np.uint8)


def test_the_films_of_pneumoniamnist_in_both_train_and_val_are_found_and_left_out_of_train(
    data_folder: Path,
) -> None:
    cohort, ledger = assign_roles(pneumoniamnist(data=data_folder))
    twins = {each.reason for each in ledger.excluded}
    assert len(twins) == 8  # distinct films in val; two of them stand twice in train
    assert len(ledger.excluded) == 10
    assert {each.split for each in ledger.excluded} == {"train"}
    sizes = {role: facts["n"] for role, facts in ledger.roles.items()}
    assert sizes == {"train": 4229, "tune": 469, "calibrate": 524, "test": 624}
    assert cohort.table["role"].isna().sum() == 10


def test_an_image_in_val_and_test_stays_in_test_alone() -> None:
    image_nhw = distinct(8)
    image_nhw[5] = image_nhw[7]
    rows = [
        (s, float(i % 2), None) for i, s in enumerate(["train"] * 4 + ["val"] * 2 + ["test"] * 2)
    ]
    cohort, ledger = assign_roles(cohort_of(rows, image_nhw))
    (left_out,) = ledger.excluded
    assert (left_out.image_id, left_out.reason) == ("image-5", "same pixels as image-7 (test)")
    assert cohort.table["role"].isna().tolist() == [False] * 5 + [True] + [False] * 2


def test_equal_images_within_train_share_a_role() -> None:
    for seed in range(20):
        image_nhw = distinct(24)
        image_nhw[10:20] = image_nhw[10]
        rows = [("train", float(i % 2), None) for i in range(20)]
        rows += [("val", float(i % 2), None) for i in range(2)]
        rows += [("test", float(i % 2), None) for i in range(2)]
        cohort, _ = assign_roles(cohort_of(rows, image_nhw), seed=seed)
        assert cohort.table["role"][10:20].nunique() == 1


def test_the_films_of_one_patient_share_a_role() -> None:
    rows = [("train", float(i % 2), f"p{i // 4}") for i in range(80)]
    rows += [("val", float(i % 2), f"v{i}") for i in range(4)]
    rows += [("test", float(i % 2), f"t{i}") for i in range(4)]
    cohort, ledger = assign_roles(cohort_of(rows, distinct(88)), tune_fraction=0.3)
    assert (cohort.table.groupby("patient_id")["role"].nunique() == 1).all()
    assert ledger.grouping == "patient"
    assert ledger.roles["tune"]["n"] == 24


def test_a_patient_in_two_published_splits_is_named_in_the_error() -> None:
    rows = [("train", 0.0, "anna"), ("train", 1.0, "ben"), ("test", 1.0, "anna")]
    with pytest.raises(DataError, match="1 patients stand in two published splits, first 'anna'"):
        assign_roles(cohort_of(rows, distinct(3)))


def test_roles_depend_on_pixels_and_seed_but_not_on_the_order_of_the_file(tmp_path: Path) -> None:
    arrays = write_npz(tmp_path / "a.npz")
    order = np.random.default_rng(1).permutation(60)
    arrays["train_images"], arrays["train_labels"] = (
        arrays["train_images"][order],
        arrays["train_labels"][order],
    )
    np.savez(tmp_path / "b.npz", **arrays)
    ledgers = [assign_roles(pneumoniamnist(data=tmp_path / n))[1] for n in ("a.npz", "b.npz")]
    assert ledgers[0].roles == ledgers[1].roles
    other = assign_roles(pneumoniamnist(data=tmp_path / "a.npz"), seed=1)[1]
    assert other.roles["tune"] != ledgers[0].roles["tune"]


def test_a_role_with_one_class_is_refused(tmp_path: Path) -> None:
    arrays = write_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **(arrays | {"val_labels": np.ones((60, 1), np.uint8)}))
    cohort, _ = assign_roles(pneumoniamnist(data=tmp_path / "a.npz"))
    with pytest.raises(DataError, match="role 'calibrate' has no image without Pneumonia among 60"):
        cohort.with_role("calibrate")


def test_a_cohort_without_splits_is_refused() -> None:
    rows = [("holdout", 0.0, None)]
    with pytest.raises(DataError, match="split 'holdout'; expected train, val or test"):
        assign_roles(cohort_of(rows, distinct(1)))
