"""What a check tells of a made hospital folder, whose every fault is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data.checking.made_site import BIRTH, NAME, RECORD, film, noise
from hilum.data.checking.against import against
from hilum.data.checking.checking import Checked, Looked, check
from hilum.data.checking.files import write_check
from hilum.data.checking.naming import Naming
from hilum.data.checking.survey import survey
from hilum.data.checking.words import summary
from hilum.data.fingerprints import fingerprints
from hilum.data.pixels import ArrayPixels
from hilum.data.sources import open_source
from hilum.data.sources.phantom import phantom_cohort
from hilum.recipe import DataPart

KEPT = Naming("as in the source", None)


@pytest.fixture(scope="module")
def checked(site: Looked) -> Checked:
    return check(site, DataPart(), KEPT)


def test_labels_groups_and_ages_are_counted_as_the_table_has_them(
    checked: Checked, site_table: Path
) -> None:
    table = pd.read_csv(site_table).query("path != 'films/gone.png'")
    found = checked.result
    (label,) = found.labels
    assert (label.present, label.absent, label.unknown) == (13, 16, 0)
    assert label.present == int((table["label"] == 1).sum())
    assert label.meaning
    assert found.split == table["split"].value_counts().to_dict()
    assert found.view == table["view"].value_counts().to_dict()
    assert found.sex == table["sex"].value_counts().to_dict()
    assert found.site == {"unknown": 29}
    assert found.age.bands == {"40 to 59": 24, "60 to 79": 4, "80 or more": 1}
    assert (found.age.lowest, found.age.median, found.age.highest) == (
        table["age"].min(), table["age"].median(), 95,
    )  # fmt: skip
    assert found.patients.n == table["patient_id"].nunique() == 16
    # again.jpg is a third film of patient 1; copy.png and the three odd ones have their own.
    assert found.patients.with_films == {"1": 4, "2": 11, "3": 1}
    assert found.patients.most_films == 3


def test_films_are_told_by_their_headers(checked: Checked) -> None:
    films = checked.result.films
    assert films.n == 28  # text.png has no header
    assert films.sizes == {"96 x 120": 27, "130 x 140": 1}
    assert films.shorter_side == (96, 96.0, 130)
    assert films.formats == {"PNG": 26, "JPEG": 1, "DICOM": 1}
    assert films.bits == {"8": 28}
    assert films.body_part == {"HAND": 1}
    assert films.transfer_syntax == {"Explicit VR Little Endian": 1}
    (odd,) = films.oddities
    assert "HAND" in odd.what
    assert (odd.n, odd.examples) == (1, ("films/hand.dcm",))


def test_films_that_cannot_be_read_are_named_with_their_reasons(checked: Checked) -> None:
    broken = {kind.examples: kind.what for kind in checked.result.broken}
    assert set(broken) == {("films/cut.png",), ("films/text.png",)}
    assert all("films/" not in why for why in broken.values())


def test_a_row_without_a_file_is_told_as_left_out(checked: Checked) -> None:
    (kind,) = checked.result.excluded
    assert (kind.what, kind.n, kind.examples) == ("no file", 1, ("films/gone.png",))
    row = checked.excluded.iloc[0]
    assert (row["image_id"], row["left_out_by"]) == ("films/gone.png", "source")


def test_duplicates_leaks_and_conflicts_are_those_that_were_made(checked: Checked) -> None:
    found = checked.result
    assert found.duplicates.same_pixels_sets == 1
    assert found.duplicates.same_pixels_films == 2
    assert found.duplicates.same_film_sets == 2
    assert found.duplicates.same_film_films == 4
    assert found.duplicates.of_two_patients == 1
    first = f"films/{NAME}-00.png"
    (leak,) = found.leaks  # that of the same film would tell the same again
    assert (leak.bond, leak.splits, leak.n, leak.images) == (
        "same pixels", ("train", "test"), 1, (1, 1),
    )  # fmt: skip
    assert set(leak.examples) == {first, "films/copy.png"}
    (conflict,) = found.conflicts
    assert conflict.examples == (("films/copy.png", first),)
    sets = checked.duplicates.groupby("set")["image_id"].agg(set).tolist()
    assert sets == [{first, "films/copy.png"}, {f"films/{NAME}-02.png", "films/again.jpg"}]
    assert checked.duplicates["same_pixels"].tolist() == [True, True, False, False]


def test_roles_are_planned_in_spite_of_broken_films_and_the_limit_is_told(
    checked: Checked,
) -> None:
    roles = checked.result.roles
    assert roles is not None
    assert sum(facts["n"] for facts in roles.roles.values()) == 29 - sum(
        kind.n for kind in roles.excluded
    )
    assert any("training stops above 1 %" in problem for problem in checked.result.problems)
    assert {"same pixels as an image of test", "cannot be read"} <= {
        kind.what for kind in roles.excluded
    }


def test_a_patient_in_two_splits_is_a_leak_and_no_roles_are_given_without_naming_anyone(
    site: Looked,
) -> None:
    split_n = site.cohort.table["split"].to_numpy(dtype=object).copy()
    split_n[0] = "val"  # the other film of this patient stays in train
    moved = replace(site, cohort=site.cohort.with_column("split", split_n))
    found = check(moved, DataPart(), KEPT).result
    leak = next(each for each in found.leaks if each.bond == "same patient")
    assert (leak.splits, leak.n, leak.images) == (("train", "val"), 1, (1, 1))
    assert found.roles is None
    assert found.problems[0].startswith("no roles can be given: ")
    assert RECORD not in json.dumps(found.problems)


def test_no_name_no_id_and_no_birth_date_is_in_anything_that_is_written(
    site: Looked, tmp_path: Path
) -> None:
    naming = Naming.of(site.cohort, "salt", keep_ids=False)
    found = check(site, DataPart(), naming)
    files = write_check(tmp_path, found, site, naming)
    assert {"check.json", "duplicates.csv", "excluded.csv", "contact_sheet.png"} == set(files)
    written = [(tmp_path / name).read_bytes().decode("latin-1") for name in files]
    for text in (*written, *summary(found.result)):
        for secret in (NAME, NAME.split("^")[0], RECORD, BIRTH, "films/"):
            assert secret not in text
    assert found.result.ids == "pseudonyms"
    assert found.result.age.highest == 90  # the oldest is 95


def test_pseudonyms_are_the_same_throughout_one_run_and_others_in_the_next(site: Looked) -> None:
    first, again, next_run = (
        check(site, DataPart(), Naming("pseudonyms", salt)) for salt in ("a", "a", "b")
    )
    assert first.result == again.result
    examples = set(first.result.leaks[0].examples)
    assert examples <= set(first.duplicates["image_id"])
    assert not examples & set(next_run.result.leaks[0].examples)


def test_public_ids_stay_and_keep_ids_keeps_others(site: Looked) -> None:
    assert Naming.of(phantom_cohort(8), "salt", keep_ids=False)("phantom-1") == "phantom-1"
    assert Naming.of(site.cohort, "salt", keep_ids=True)("films/a.png") == "films/a.png"


def test_the_json_has_a_schema_and_is_all_plain_values(checked: Checked, tmp_path: Path) -> None:
    plain = checked.result.to_dict()
    assert next(iter(plain)) == "schema"
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_without_pixels_headers_are_told_and_nothing_is_said_of_duplicates(
    site: Looked, tmp_path: Path
) -> None:
    looked = Looked(site.cohort, site.survey, None)
    found = check(looked, DataPart(), KEPT)
    assert not found.result.pixels_read
    assert not found.result.duplicates.looked_for
    assert found.result.films == check(site, DataPart(), KEPT).result.films
    assert [kind.examples for kind in found.result.broken] == [("films/text.png",)]
    assert found.result.roles is not None
    assert found.result.roles.duplicates == "off"
    (tmp_path / "contact_sheet.png").write_bytes(b"of an earlier check")
    assert "contact_sheet.png" not in write_check(tmp_path, found, looked, KEPT)
    assert not (tmp_path / "contact_sheet.png").exists()
    assert any("not looked for" in line for line in summary(found.result))


def test_a_source_compared_with_itself_shares_every_film_and_patient(site: Looked) -> None:
    found = against(site, site, KEPT)
    # Two films cannot be read, so they are the same as none.
    assert (found.same_pixels, found.same_film, found.same_patient) == (27, 27, 29)


def test_a_hospital_beside_a_published_source_is_named_by_pseudonyms(site: Looked) -> None:
    public = replace(site, cohort=replace(site.cohort, public_ids=True))
    ids = set(site.cohort.table["image_id"])
    for keep_ids, shown in ((False, False), (True, True)):
        naming = Naming.of(public.cohort, "salt", keep_ids=keep_ids)
        examples = against(public, site, naming).examples
        assert {mine for mine, _, _ in examples} <= ids
        assert all((theirs in ids) == shown for _, theirs, _ in examples)


def test_sources_with_nothing_in_common_share_nothing(site: Looked) -> None:
    cohort = phantom_cohort(12, size=64)
    other = Looked(cohort, survey(cohort), fingerprints(cohort))
    found = against(site, other, KEPT)
    assert (found.same_pixels, found.same_film, found.same_patient) == (0, 0, 0)
    assert (found.pixels_compared, found.patients_comparable) == (True, True)
    assert not against(replace(site, prints=None), other, KEPT).pixels_compared


def test_a_clean_data_set_has_no_problem_and_says_that_it_is_synthetic() -> None:
    cohort = noise(400, 16)
    looked = Looked(cohort, survey(cohort), fingerprints(cohort))
    found = check(looked, DataPart(), Naming.of(cohort, "salt", keep_ids=False)).result
    assert found.problems == ()
    assert found.roles is not None
    lines = list(summary(found))
    assert any("SYNTHETIC" in line for line in lines)
    assert lines[-1] == "nothing found that needs a look"


def test_findings_no_image_is_labelled_for_are_told(site: Looked) -> None:
    cohort = site.cohort.with_column("label_pneumonia", np.nan)
    found = check(replace(site, cohort=cohort), DataPart(), KEPT).result
    assert "no image has a label for Pneumonia" in found.problems
    assert found.conflicts == ()


def test_shapes_of_an_array_are_known_without_reading(small_npz: Path) -> None:
    cohort = open_source("pneumoniamnist", data=small_npz)
    assert isinstance(cohort.pixels, ArrayPixels)
    found = survey(cohort)
    assert found.size_n2.tolist() == [[28, 28]] * len(cohort)
    assert found.counts("bits") == {"8": len(cohort)}


def test_a_view_that_the_file_contradicts_is_told(site: Looked) -> None:
    view_n = site.cohort.table["view"].to_numpy(dtype=object).copy()
    row = site.cohort.table["image_id"].tolist().index("films/hand.dcm")
    assert survey(site.cohort).differing == {}
    view_n[row] = "AP"  # the file says PA
    assert survey(site.cohort.with_column("view", view_n)).differing == {"view": [row]}


def test_rsna_films_that_nih_holds_are_found(data_folder: Path) -> None:
    mapping = str(data_folder / "rsna_sample" / "nih_mapping.csv")
    options = DataPart(patients=mapping)
    cohorts = (
        open_source(f"rsna:{data_folder / 'rsna_sample'}", options),
        open_source(f"nih:{data_folder / 'nih_sample'}"),
    )
    rsna, nih = (Looked(each, survey(each), fingerprints(each)) for each in cohorts)
    found = against(rsna, nih, KEPT)
    # The mapping tells which images these are.
    truth = pd.read_csv(mapping)
    held = set(nih.cohort.table["image_id"])
    assert found.same_film == int(truth["nih_image"].isin(held).sum()) == 3
    pairs = {(a, b) for a, b, bond in found.examples if bond == "same film"}
    named = truth.set_index("rsna_patient_id")["nih_image"]
    assert all(named[a.removesuffix(".dcm")] == b for a, b in pairs)
    assert found.patients_comparable


@pytest.mark.slow
def test_kermany_val_shares_patients_with_train_as_is_known(data_folder: Path) -> None:
    table = data_folder / "kermany_224" / "labels.csv"
    options = DataPart(columns={"split": "medmnist_split"})
    cohort = open_source(f"folder:{table}", options)
    looked = Looked(cohort, survey(cohort), fingerprints(cohort))
    found = check(looked, options, KEPT).result
    leak = next(each for each in found.leaks if each.bond == "same patient")
    assert leak.splits == ("train", "val")
    assert leak.images[1] == 340  # of 523 matched val images
    exact = next(each for each in found.leaks if each.bond == "same pixels")
    assert exact.n == 8  # in train and val of PneumoniaMNIST
    assert found.films.sizes == {"224 x 224": 5856}


def test_what_only_a_decoder_finds_odd_is_told_in_every_run(tmp_path: Path) -> None:
    for name in ("NORMAL/a", "NORMAL/b", "PNEUMONIA/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        # 12 bits in a file of 16
        Image.fromarray(film(len(name)).astype(np.uint16) * 16).save(tmp_path / f"{name}.png")
    for _ in range(2):
        cohort = open_source(f"folder:{tmp_path}")
        looked = Looked(cohort, survey(cohort), fingerprints(cohort, read_anew=True))
        (odd,) = check(looked, DataPart(), KEPT).result.films.oddities
        assert "12 bits" in odd.what
        assert odd.n == 3
