import json
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import NEAR, Fingerprints
from hilum.data.pixels import ArrayPixels
from hilum.data.roles import RoleLedger, assign_roles
from hilum.data.seen import pseudonym
from hilum.data.sources import open_source
from hilum.data.sources.medmnist import pneumoniamnist
from hilum.errors import DataError
from hilum.recipe import DataPart, read_recipe
from hilum.recipes import recipe_path
from made import bright_cohort, write_npz


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
    cohort, ledger = assign_roles(cohort_of(rows, distinct(88)), DataPart(tune_fraction=0.3))
    assert (cohort.table.groupby("patient_id")["role"].nunique() == 1).all()
    assert ledger.grouping == "patient"
    assert ledger.roles["tune"]["n"] == 24


def test_of_a_patient_in_two_published_splits_the_error_names_an_image_not_the_patient() -> None:
    rows = [("train", 0.0, "anna"), ("train", 1.0, "ben"), ("test", 1.0, "anna")]
    with pytest.raises(DataError, match=r"two published splits: 1, .* image 'i") as told:
        assign_roles(cohort_of(rows, distinct(3)))
    assert "anna" not in str(told.value)


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


# ---- made tables, with fingerprints at hand


def table_of(n: int, **columns: Sequence[object]) -> Cohort:
    """image_id, patient_id, split and labels as given; no pixels behind them."""
    values: dict[str, Sequence[object]] = {
        "image_id": [f"image-{i}" for i in range(n)],
        "patient_id": [None] * n,
        "split": [None] * n,
        **columns,
    }
    table = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in values.items()})
    labels = [name for name in table if name.startswith("label_")]
    if not labels:
        table["label_pneumonia"], labels = np.arange(n) % 2, ["label_pneumonia"]
    table[labels] = table[labels].astype(float)
    table = table.assign(site=None, view=None, age=np.nan, sex=None, role=None)
    findings = tuple(name.removeprefix("label_").capitalize() for name in labels)
    return Cohort("made", findings, table, ArrayPixels(np.zeros((0, 64, 64), np.uint8)))


def prints_of(
    digest: Sequence[object], film: Sequence[int] | None = None, broken: Sequence[int] = ()
) -> Fingerprints:
    """Films of one number have hashes that differ in 10 bits at most, others in far more."""
    n = len(digest)
    hash_nb = np.zeros((n, 256), dtype=bool)
    for i, number in enumerate(film if film is not None else []):
        hash_nb[i] = np.random.default_rng(number).random(256) < 0.5
        hash_nb[i, i % 256 : i % 256 + 5] ^= True
    lines = {i: f"/ward/DOE_JOHN/{i}.dcm: cut off" for i in broken}
    digest_n = np.array(["" if i in lines else f"{d}" for i, d in enumerate(digest)], dtype=object)
    hashed_n = np.array([film is not None and i not in lines for i in range(n)], dtype=bool)
    return Fingerprints(digest_n, np.packbits(hash_nb, axis=1).reshape(n, 32), hashed_n, lines)


def selected(
    cohort: Cohort, prints: Fingerprints, order: np.ndarray
) -> tuple[Cohort, Fingerprints]:
    place = {int(row): i for i, row in enumerate(order)}
    broken = {place[row]: line for row, line in prints.broken.items()}
    moved = Fingerprints(
        prints.digest_n[order], prints.hash_nk[order], prints.hashed_n[order], broken
    )
    return replace(cohort, table=cohort.table.iloc[order]), moved


@st.composite
def tables(draw: st.DrawFn) -> tuple[Cohort, Fingerprints, DataPart]:
    """Patients known, unknown or in part; films equal, altered or broken; published splits or not.
    Patients may stand in two splits."""
    n = draw(st.integers(0, 50))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    patients = draw(st.sampled_from([0, 3, 20, 200]))
    known_n = rng.random(n) < (draw(st.sampled_from([0.7, 1.0])) if patients else 0)
    patient_n = [f"p{rng.integers(patients)}" if known else None for known in known_n]
    splits = draw(st.sampled_from([(), ("train",), ("train", "val"), ("train", "val", "test")]))
    film_n = rng.integers(0, draw(st.sampled_from([5, 60, 10**6])), n)
    findings = draw(st.integers(1, 3))
    labels = rng.choice([0.0, 1.0, np.nan], (n, findings), p=[0.6, 0.3, 0.1])
    cohort = table_of(
        n,
        patient_id=patient_n,
        split=[str(rng.choice(splits)) if splits else None for _ in range(n)],
        **{f"label_f{f}": labels[:, f] for f in range(findings)},  # type: ignore[arg-type]
    )
    digest_n = [f"{film}-{rng.integers(2)}" for film in film_n]
    broken = np.flatnonzero(rng.random(n) < 0.05).tolist()
    options = DataPart(
        calibrate_fraction=draw(st.sampled_from([None, 0.2])),
        duplicates=draw(st.sampled_from(["near", "exact"])),
        broken_limit=0.9,
    )
    return cohort, prints_of(digest_n, film_n.tolist(), broken), options


def reached(tied_nn: np.ndarray) -> np.ndarray:
    """Which images hang together, by multiplying until nothing changes: slow and obvious."""
    reach_nn = tied_nn.astype(int) | np.eye(len(tied_nn), dtype=int)
    for _ in range(6):
        reach_nn = (reach_nn @ reach_nn > 0).astype(int)
    return reach_nn > 0


def assigned(
    made: tuple[Cohort, Fingerprints, DataPart], seed: int = 0
) -> tuple[Cohort, RoleLedger] | None:
    """None where a patient stands in two published splits."""
    cohort, prints, options = made
    table = cohort.table[~np.isin(np.arange(len(cohort)), list(prints.broken))]
    split = table["split"].replace({"val": "train"} if options.calibrate_fraction else {})
    if (split.groupby(table["patient_id"]).nunique() > 1).any():
        with pytest.raises(DataError, match="in two published splits"):
            assign_roles(cohort, options, seed, prints)
        return None
    return assign_roles(cohort, options, seed, prints)


@hypothesis.settings(max_examples=60, deadline=None)
@given(tables())
def test_no_patient_no_copy_and_no_altered_copy_stands_in_two_roles(
    made: tuple[Cohort, Fingerprints, DataPart],
) -> None:
    result = assigned(made)
    if result is None:
        return
    cohort, prints, options = made
    role_n = result[0].table["role"].astype(object).where(lambda each: each.notna(), None)
    patient_n = cohort.table["patient_id"].to_numpy(dtype=object)
    readable_n = np.array([row not in prints.broken for row in range(len(cohort))], dtype=bool)
    bits_nn = np.bitwise_count(prints.hash_nk[:, None] ^ prints.hash_nk).sum(axis=2)
    alike_nn = prints.digest_n[:, None] == prints.digest_n
    alike_nn |= (bits_nn <= NEAR) & (options.duplicates == "near")
    tied_nn = alike_nn & readable_n[:, None] & readable_n
    tied_nn |= (patient_n[:, None] == patient_n) & (patient_n != None)  # noqa: E711
    for row in reached(tied_nn):
        assert len({role for role in role_n[row] if role is not None}) <= 1


@hypothesis.settings(max_examples=60, deadline=None)
@given(tables())
def test_every_image_has_a_role_or_a_reason_and_published_test_is_kept_whole(
    made: tuple[Cohort, Fingerprints, DataPart],
) -> None:
    result = assigned(made)
    if result is None:
        return
    (cohort, ledger), prints = result, made[1]
    table = cohort.table
    left_out = {each.image_id for each in ledger.excluded}
    assert left_out == set(table["image_id"][table["role"].isna()])
    assert sum(facts["n"] for facts in ledger.roles.values()) + len(left_out) == len(cohort)  # type: ignore[misc]
    readable_n = ~np.isin(np.arange(len(table)), list(prints.broken))
    assert (table["role"][readable_n & (table["split"] == "test").to_numpy()] == "test").all()
    if (table["split"] == "test").any():
        assert set(table["split"][table["role"] == "test"]) <= {"test"}


@hypothesis.settings(max_examples=40, deadline=None)
@given(tables(), st.integers(0, 2**32))
def test_roles_do_not_depend_on_the_order_of_the_rows(
    made: tuple[Cohort, Fingerprints, DataPart], seed: int
) -> None:
    result = assigned(made)
    if result is None:
        return
    cohort, prints, options = made
    order = np.random.default_rng(seed).permutation(len(cohort))
    again = assigned((*selected(cohort, prints, order), options))
    assert again is not None
    roles, others = (each[0].table.set_index("image_id")["role"] for each in (result, again))
    assert roles.to_dict() == others[roles.index].to_dict()
    assert again[1].roles == result[1].roles


@hypothesis.settings(max_examples=20, deadline=None)
@given(st.integers(40, 300), st.integers(0, 9), st.sampled_from([1, 2, 5]))
def test_each_drawn_role_gets_its_share_of_patients_in_every_stratum(
    n: int, seed: int, findings: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, findings)) < 0.3).astype(float)
    cohort = table_of(
        n,
        patient_id=[f"p{i}" for i in range(n)],
        **{f"label_f{f}": labels[:, f] for f in range(findings)},  # type: ignore[arg-type]
    )
    options = DataPart(tune_fraction=0.15, calibrate_fraction=0.1, test_fraction=0.3)
    roles, _ = assign_roles(cohort, options, seed, prints_of(range(n)))
    rarity = np.argsort(labels.sum(axis=0), kind="stable")
    stratum = [next((int(f) for f in rarity if row[f]), -1) for row in labels]
    for _, role in roles.table["role"].groupby(stratum):
        for name, share in {"tune": 0.15, "calibrate": 0.1, "test": 0.3}.items():
            expected = max(1, round(share * len(role))) if len(role) > 3 else 0
            assert (role == name).sum() == expected


def test_pneumoniamnists_roles_are_those_that_its_bundles_were_trained_on(
    data_folder: Path,
) -> None:
    _, ledger = assign_roles(pneumoniamnist(data=data_folder))
    assert {role: str(facts["digest"])[:16] for role, facts in ledger.roles.items()} == {
        "train": "b6051ae45499600f",
        "tune": "42bc3c62652a9580",
        "calibrate": "1a1be72b984764054"[:16],
        "test": "8e0f52fc007aaa74",
    }
    assert (ledger.exact_groups, ledger.near_groups) == (27, 0)


# ---- published splits


def test_an_altered_copy_in_a_later_split_keeps_the_earlier_one_out() -> None:
    splits = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    film = [0, 1, 2, 3, 4, 2, 6, 0]
    cohort, ledger = assign_roles(
        table_of(8, split=splits), prints=prints_of(range(8), film), settings=DataPart()
    )
    assert [each.reason for each in ledger.excluded] == [
        "same film as image-7 (test)",
        "same film as image-5 (val)",
    ]
    assert cohort.table["role"].isna().tolist() == [True, False, True] + [False] * 5
    assert ledger.near_groups == 2
    _, exact = assign_roles(
        table_of(8, split=splits), DataPart(duplicates="exact"), 0, prints_of(range(8), film)
    )
    assert (exact.excluded, exact.near_groups, exact.duplicates) == ((), 0, "exact")


def test_a_patient_whose_film_stands_in_test_under_another_name_leaves_train() -> None:
    cohort, ledger = assign_roles(
        table_of(
            12,
            patient_id=["anna", "anna", *[f"p{i}" for i in range(8)], "ben", "ben"],
            split=["train"] * 10 + ["test"] * 2,
        ),
        prints=prints_of([*range(11), 0]),  # ben's second film has the pixels of anna's first
    )
    assert [each.reason for each in ledger.excluded] == [
        "same pixels as image-11 (test)",
        "its patient shares a film with that of image-10 (test)",
    ]
    assert cohort.table["role"].isna().sum() == 2


def test_val_that_shares_patients_with_train_needs_to_be_pooled_and_is() -> None:
    n = 60
    cohort = table_of(
        n,
        patient_id=[f"p{i // 2}" for i in range(n)],
        split=["train", "val"] * (n // 2),
        label_pneumonia=[i // 2 % 2 for i in range(n)],
    )
    with pytest.raises(DataError, match=r"two published splits: 30, .* set data.calibrate"):
        assign_roles(cohort, prints=prints_of(range(n)))
    pooled, ledger = assign_roles(
        cohort, DataPart(calibrate_fraction=0.2), prints=prints_of(range(n))
    )
    assert (pooled.table.groupby("patient_id")["role"].nunique() == 1).all()
    assert ledger.roles["calibrate"]["n"] == 2 * 0.2 * n / 2
    assert ledger.drawn["calibrate"] == "0.2 of published train and val, drawn"


def test_a_patient_in_train_and_test_is_refused_even_when_val_is_pooled() -> None:
    cohort = table_of(3, patient_id=["a", "b", "a"], split=["train", "val", "test"])
    with pytest.raises(DataError, match=r"splits: 1, .*split the data set by patient"):
        assign_roles(cohort, DataPart(calibrate_fraction=0.2), prints=prints_of(range(3)))


def test_what_is_not_published_is_drawn() -> None:
    n = 400
    cohort = table_of(n, patient_id=[f"p{i}" for i in range(n)])
    roles, ledger = assign_roles(cohort, prints=prints_of(range(n)))
    assert roles.table["role"].value_counts().to_dict() == {
        "train": 240, "test": 80, "tune": 40, "calibrate": 40,
    }  # fmt: skip
    assert ledger.drawn == {
        "train": "the rest",
        "tune": "0.1 of all, drawn",
        "calibrate": "0.1 of all, drawn",
        "test": "0.2 of all, drawn",
    }
    train_val = table_of(n, split=["train"] * 300 + ["val"] * 100)
    roles, ledger = assign_roles(train_val, prints=prints_of(range(n)))
    assert (roles.table["role"][300:] == "calibrate").all()
    assert (roles.table["role"] == "test").sum() == 60
    assert ledger.drawn["test"] == "0.2 of published train, drawn"


def test_a_test_fraction_beside_a_published_test_is_refused() -> None:
    cohort = table_of(4, split=["train", "train", "val", "test"])
    with pytest.raises(DataError, match=r"test_fraction = 0.3, and a published test split; leave"):
        assign_roles(cohort, DataPart(test_fraction=0.3), prints=prints_of(range(4)))


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    options = DataPart(tune_fraction=0.3, calibrate_fraction=0.3, test_fraction=0.4)
    with pytest.raises(DataError, match=r"tune 0.3, calibrate 0.3, test 0.4; expected a sum below"):
        assign_roles(table_of(10), options, prints=prints_of(range(10)))


def test_splits_for_some_images_alone_are_refused() -> None:
    with pytest.raises(DataError, match="some images without a split"):
        assign_roles(table_of(2, split=["train", None]), prints=prints_of(range(2)))


def test_of_images_whose_patient_is_unknown_none_is_drawn_where_others_are_known() -> None:
    n = 400
    patients = [f"p{i}" if i % 4 else None for i in range(n)]
    roles, _ = assign_roles(table_of(n, patient_id=patients), prints=prints_of(range(n)))
    table = roles.table
    assert set(table["role"][table["patient_id"].isna()]) == {"train"}
    assert (table["role"] == "test").sum() == 60  # a fifth of 300 known patients
    # A copy of a film whose patient is known is that patient's film.
    digest = [i - i % 4 + 1 if i % 4 == 0 else i for i in range(n)]
    roles, _ = assign_roles(table_of(n, patient_id=patients), prints=prints_of(digest))
    role_n = roles.table["role"].to_numpy()
    assert (role_n[::4] == role_n[1::4]).all()
    assert set(role_n[::4]) == {"train", "tune", "calibrate", "test"}


# ---- broken films


def test_broken_films_have_no_role_and_too_many_end_the_run() -> None:
    n = 200
    roles, ledger = assign_roles(table_of(n), prints=prints_of(range(n), broken=[7, 9]))
    assert roles.table["role"].isna().to_numpy().nonzero()[0].tolist() == [7, 9]
    assert [each.reason for each in ledger.excluded] == [
        "/ward/DOE_JOHN/7.dcm: cut off",
        "/ward/DOE_JOHN/9.dcm: cut off",
    ]
    with pytest.raises(DataError, match=r"3 of 200 films .*/7.dcm: cut off; expected at most 0.01"):
        assign_roles(table_of(n), prints=prints_of(range(n), broken=[7, 9, 11]))
    with pytest.raises(DataError, match=r"1 of 200 films"):
        assign_roles(table_of(n), DataPart(broken_limit=0), prints=prints_of(range(n), broken=[7]))


def test_broken_films_are_not_taken_for_copies_of_each_other() -> None:
    n = 40
    cohort = table_of(n, patient_id=[f"p{i}" for i in range(n)])
    prints = prints_of(range(n), film=range(n), broken=[3, 4, 5])
    _, ledger = assign_roles(cohort, DataPart(broken_limit=0.5), prints=prints)
    assert (ledger.exact_groups, ledger.near_groups, ledger.largest_group) == (0, 0, 1)


# ---- duplicates off, ledger, scale


def test_without_a_search_for_duplicates_no_pixel_is_read() -> None:
    cohort = table_of(40)  # nothing behind it: a read would fail
    roles, ledger = assign_roles(cohort, DataPart(duplicates="off"))
    assert roles.table["role"].notna().all()
    assert (ledger.duplicates, ledger.digest_of) == ("off", "image ids")
    ids = sorted(roles.table["image_id"][roles.table["role"] == "tune"])
    assert ledger.roles["tune"]["digest"] == sha256("".join(ids).encode()).hexdigest()


def test_a_pseudonymised_ledger_tells_no_id_and_no_path() -> None:
    cohort = table_of(6, split=["train"] * 4 + ["val", "test"])
    prints = prints_of([0, 1, 2, 3, 4, 0], broken=[2])
    _, ledger = assign_roles(cohort, DataPart(broken_limit=0.5), prints=prints)
    written = json.dumps(ledger.pseudonymised(cohort, "salt").to_dict())
    assert "image-" not in written
    assert "DOE" not in written
    expected = f"same pixels as {pseudonym('image-5', 'salt')} (test)"
    assert expected in written
    assert "cannot be read" in written
    public = replace(cohort, public_ids=True)
    assert ledger.pseudonymised(public, "salt") == ledger


def test_pneumoniamnists_val_shares_patients_with_train_and_its_recipe_mends_that(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILUM_DATA", str(data_folder))
    labels = pd.read_csv(data_folder / "kermany_224/labels.csv")
    in_train = set(labels["patient_id"][labels["medmnist_split"] == "train"])
    val = labels["patient_id"][labels["medmnist_split"] == "val"]
    assert (val.isin(in_train).sum(), len(val)) == (340, 523)

    recipe = read_recipe(recipe_path("pneumoniamnist-patients"))
    cohort = open_source(recipe.data.source, recipe.data)
    with pytest.raises(DataError, match=r"splits: 288, .* set data.calibrate_fraction"):
        assign_roles(cohort)
    roles, ledger = assign_roles(cohort, recipe.data, recipe.seed)
    table = roles.table
    known = table.dropna(subset=["patient_id"])
    assert (known.groupby("patient_id")["role"].nunique() == 1).all()
    assert {role: facts["n"] for role, facts in ledger.roles.items()} == {
        "train": 4239, "tune": 493, "calibrate": 500, "test": 624,
    }  # fmt: skip
    unknown = table[table["patient_id"].isna()]
    assert unknown.groupby("split")["role"].unique().map(list).to_dict() == {
        "train": ["train"], "val": ["train"], "test": ["test"],
    }  # fmt: skip


def test_a_hundred_thousand_rows_take_seconds() -> None:
    n = 112_120
    rng = np.random.default_rng(0)
    cohort = table_of(
        n,
        patient_id=[f"{p}" for p in rng.integers(0, 30_805, n)],
        **{f"label_f{f}": (rng.random(n) < 0.05).astype(float) for f in range(14)},  # type: ignore[arg-type]
    )
    prints = prints_of(range(n))
    start = time.process_time()
    roles, _ = assign_roles(cohort, prints=prints)
    assert time.process_time() - start < 10
    assert (roles.table.groupby("patient_id")["role"].nunique() == 1).all()


def test_a_role_tells_the_ages_of_its_films_where_they_are_known() -> None:
    cohort = bright_cohort()
    _, ledger = assign_roles(cohort)
    assert "ages" not in ledger.roles["train"]
    age_n = np.where(np.arange(len(cohort)) % 2, 31.0, 95.0)
    age_n[0] = np.nan
    _, ledger = assign_roles(replace(cohort, table=cohort.table.assign(age=age_n)))
    ages = ledger.roles["train"]["ages"]
    assert isinstance(ages, dict)
    assert (ages["low"], ages["high"]) == (31.0, 90.0)
    assert ages["n"] < ledger.roles["train"]["n"]  # type: ignore[operator]


def test_a_role_tells_sex_views_and_how_many_sites_where_they_are_known() -> None:
    cohort = bright_cohort()
    _, ledger = assign_roles(cohort)
    assert not {"sexes", "views", "sites"} & set(ledger.roles["train"])
    n = np.arange(len(cohort))
    known = {
        "sex": np.where(n % 4 == 0, "F", np.where(n % 4 == 1, "M", None)),
        "view": "PA",
        "site": np.where(n % 4 < 2, "St. Elsewhere", "General"),
    }
    roles, ledger = assign_roles(replace(cohort, table=cohort.table.assign(**known)))
    train = roles.table[roles.table["role"] == "train"]
    told = ledger.roles["train"]
    assert told["sexes"] == {sex: int((train["sex"] == sex).sum()) for sex in ("F", "M")}
    assert told["views"] == {"PA": len(train)}
    assert told["sites"] == 2
    assert "Elsewhere" not in str(ledger.to_dict())  # names are the source's to tell
