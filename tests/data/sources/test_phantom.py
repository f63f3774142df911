"""The phantom cohort: what it promises of its table, its pixels, its masks and its shortcuts."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from hilum.data.cohort import Cohort
from hilum.data.phantom.fields import splat
from hilum.data.sources import open_source
from hilum.data.sources.phantom import (
    DEFAULT_SITES,
    PATTERNS,
    PUBLISHED_N,
    PUBLISHED_SPLIT,
    SHORTCUT_MARKER,
    PhantomPixels,
    Site,
    phantom_cohort,
)
from hilum.errors import DataError, RecipeError
from hilum.recipe import source_options


def pixels_of(cohort: Cohort) -> PhantomPixels:
    assert isinstance(cohort.pixels, PhantomPixels)
    return cohort.pixels


def positives(cohort: Cohort) -> list[int]:
    return [int(i) for i in np.flatnonzero(cohort.table["label_pneumonia"] == 1)]


@pytest.fixture(scope="module")
def small() -> Cohort:
    """40 images of 64 px, enough of each pattern."""
    return phantom_cohort(40, size=64, seed=5)


@pytest.fixture(scope="module")
def large() -> Cohort:
    """The default cohort, of the published size."""
    return phantom_cohort()


def test_default_cohort_has_the_published_split_and_prevalence(large: Cohort) -> None:
    table = large.table
    assert len(large) == PUBLISHED_N == 5856
    assert table["split"].value_counts().to_dict() == PUBLISHED_SPLIT
    normal = table[table["label_pneumonia"] == 0]["split"].value_counts().to_dict()
    assert normal == {"train": 1214, "val": 135, "test": 234}


def test_no_patient_stands_in_two_splits(large: Cohort) -> None:
    assert (large.table.groupby("patient_id")["split"].nunique() == 1).all()


def test_some_patients_have_several_images(large: Cohort) -> None:
    films = large.table["patient_id"].value_counts()
    assert films.max() == 3
    assert 0.1 < (films > 1).mean() < 0.5


def test_what_belongs_to_a_patient_is_the_same_in_all_their_images(large: Cohort) -> None:
    for column in ("site", "age", "sex", "label_pneumonia"):
        assert (large.table.groupby("patient_id")[column].nunique() == 1).all(), column


def test_cohort_says_that_it_is_synthetic(small: Cohort) -> None:
    assert small.synthetic
    assert "no patient" in small.warnings[0]
    assert small.findings == ("Pneumonia",)
    assert small.table["role"].isna().all()


def test_the_same_seed_gives_the_same_cohort_and_another_seed_another() -> None:
    first, again, other = (phantom_cohort(30, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first.table, again.table)
    pd.testing.assert_frame_equal(first.boxes, again.boxes)
    np.testing.assert_array_equal(first.radiograph(3), again.radiograph(3))
    assert not np.array_equal(first.radiograph(3), other.radiograph(3))


def test_an_image_does_not_depend_on_the_order_of_reading(small: Cohort) -> None:
    forward = [small.radiograph(i) for i in range(8)]
    backward = [small.radiograph(i) for i in reversed(range(8))][::-1]
    np.testing.assert_array_equal(forward, backward)


def test_another_process_draws_the_same_image(small: Cohort) -> None:
    code = (
        "from hilum.data.sources.phantom import phantom_cohort;"
        "image = phantom_cohort(40, size=64, seed=5).radiograph(7);"
        "print(image.sum().item(), image.std().item())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    image = small.radiograph(7)
    assert [float(word) for word in ran.stdout.split()] == pytest.approx(
        [image.sum().item(), image.std().item()], rel=1e-6
    )


def test_pixels_survive_pickling_for_worker_processes(small: Cohort) -> None:
    copy = pickle.loads(pickle.dumps(small.pixels))
    np.testing.assert_array_equal(copy.read(2), small.pixels.read(2))


def test_rows_keep_their_image_when_rows_are_selected(small: Cohort) -> None:
    chosen = small.where((small.table["label_pneumonia"] == 1).to_numpy())
    first = positives(small)[0]
    np.testing.assert_array_equal(chosen.radiograph(0), small.radiograph(first))


@pytest.mark.parametrize("size", [16, 17, 28, 100, 224, 600])
def test_an_image_of_any_size_is_float32_between_0_and_1(size: int) -> None:
    image = phantom_cohort(2, size=size).radiograph(0)
    assert image.shape == (size, size)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    assert image.std() > 0.1


def test_the_same_patient_is_drawn_at_every_size() -> None:
    fine, coarse = (phantom_cohort(6, size=s).radiograph(4) for s in (224, 28))
    reduced = fine.reshape(28, 8, 28, 8).mean((1, 3))
    assert np.corrcoef(reduced.ravel(), coarse.ravel())[0, 1] > 0.97


def test_images_of_one_patient_differ_in_stance_and_noise(large: Cohort) -> None:
    patient = large.table["patient_id"].value_counts().index[0]
    first, second = np.flatnonzero(large.table["patient_id"] == patient)[:2]
    assert np.abs(large.radiograph(int(first)) - large.radiograph(int(second))).mean() > 0.005


@pytest.mark.parametrize("age_group", ["children", "adults"])
def test_lungs_are_darker_than_the_rest_of_the_body(age_group: Any) -> None:
    cohort = phantom_cohort(20, size=112, age_group=age_group)
    for i in range(20):
        image = pixels_of(cohort).read_without_opacity(i)
        lung = pixels_of(cohort).lung_mask(i)
        centre = image[56:, 50:62]  # heart and spine
        assert 0.12 < lung.mean() < 0.5
        assert image[lung].mean() < 0.75 * centre.mean()


def test_ages_follow_the_age_group() -> None:
    child = phantom_cohort(200).table["age"]
    adult = phantom_cohort(200, age_group="adults").table["age"]
    both = phantom_cohort(200, age_group="all").table["age"]
    assert child.between(1, 5).all()
    assert adult.between(18, 90).all()
    assert 0.3 < (both < 6).mean() < 0.7


def test_pattern_severity_mask_and_boxes_agree_with_the_label(small: Cohort) -> None:
    boxed = set(small.boxes["image_id"])
    for i, row in enumerate(small.table.itertuples()):
        ill = row.label_pneumonia == 1
        assert (row.pattern in PATTERNS) == ill
        assert (row.severity > 0) == ill
        assert (row.image_id in boxed) == ill
        assert pixels_of(small).opacity_mask(i).any() == ill
    assert set(small.table["pattern"].dropna()) == set(PATTERNS)


@pytest.mark.parametrize("opacity", ["any", "small"])
@pytest.mark.parametrize("size", [28, 64, 224])
def test_boxes_enclose_their_masks_and_fit_them(opacity: Any, size: int) -> None:
    cohort = phantom_cohort(30, size=size, seed=2, opacity=opacity)
    ys, xs = np.mgrid[:size, :size] + 0.5
    for i in positives(cohort):
        mask = pixels_of(cohort).opacity_mask(i)
        inside = np.zeros_like(mask)
        rows = cohort.boxes[cohort.boxes["image_id"] == cohort.table["image_id"].iloc[i]]
        for box in rows.itertuples():
            here = (xs > box.x) & (xs < box.x + box.width)
            here &= (ys > box.y) & (ys < box.y + box.height)
            inside |= here
            assert 0 <= box.x < box.x + box.width <= size
            assert 0 <= box.y < box.y + box.height <= size
        assert not (mask & ~inside).any()
        if size == 224:
            assert mask.sum() > 0.2 * inside.sum()


def test_opacities_lie_inside_the_lungs(small: Cohort) -> None:
    pixels = pixels_of(small)
    for i in positives(small):
        mask = pixels.opacity_mask(i)
        assert (mask & pixels.lung_mask(i)).sum() >= 0.95 * mask.sum()


@pytest.mark.parametrize("opacity", ["any", "small"])
def test_pneumonia_brightens_the_image_inside_its_mask_and_nowhere_far_from_it(
    opacity: Any,
) -> None:
    cohort = phantom_cohort(40, size=112, opacity=opacity)
    pixels = pixels_of(cohort)
    for i in positives(cohort):
        gain = pixels.read(i) - pixels.read_without_opacity(i)
        mask, lung = pixels.opacity_mask(i), pixels.lung_mask(i)
        assert gain[mask].mean() > 0.008
        assert gain[mask].mean() > 4 * abs(gain[~lung].mean())


def test_a_normal_image_is_the_same_with_and_without_opacity(small: Cohort) -> None:
    normal = int(np.flatnonzero(small.table["label_pneumonia"] == 0)[0])
    pixels = pixels_of(small)
    np.testing.assert_array_equal(pixels.read(normal), pixels.read_without_opacity(normal))


def test_more_severe_pneumonia_changes_more_of_the_image() -> None:
    cohort = phantom_cohort(120, size=28)
    pixels = pixels_of(cohort)
    ill = positives(cohort)
    change = [np.abs(pixels.read(i) - pixels.read_without_opacity(i)).mean() for i in ill]
    severity = cohort.table["severity"].iloc[ill]
    assert pd.Series(change).corr(pd.Series(severity.to_numpy()), method="spearman") > 0.3


def test_small_opacities_are_small_single_and_segmental() -> None:
    cohort = phantom_cohort(30, size=112, opacity="small")
    ill = positives(cohort)
    assert set(cohort.table["pattern"].iloc[ill]) == {"segmental"}
    assert len(cohort.boxes) == len(ill)
    for i in ill:
        assert 0 < pixels_of(cohort).opacity_mask(i).mean() < 0.05


def dependence(a: pd.Series[Any], b: pd.Series[Any]) -> float:
    """p of the chi-squared test that two columns are independent."""
    return float(chi2_contingency(pd.crosstab(a, b)).pvalue)


def test_without_a_shortcut_site_marker_view_and_sex_do_not_depend_on_the_label(
    large: Cohort,
) -> None:
    first_film = large.table.drop_duplicates("patient_id")
    for column in ("site", "marker", "view", "sex"):
        assert dependence(first_film[column], first_film["label_pneumonia"]) > 0.001, column


def test_site_shortcut_ties_the_site_to_the_label() -> None:
    table = phantom_cohort(600, shortcut="site").table
    first_half = table["site"].isin([site.name for site in DEFAULT_SITES[:2]])
    assert 0.85 < (first_half == (table["label_pneumonia"] == 1)).mean() < 0.95


def test_marker_shortcut_ties_the_marker_to_the_label_and_leaves_the_site_alone() -> None:
    table = phantom_cohort(600, shortcut="marker").table
    marked = table["marker"].str.contains(SHORTCUT_MARKER)
    assert 0.85 < (marked == (table["label_pneumonia"] == 1)).mean() < 0.95
    assert dependence(table["site"], table["label_pneumonia"]) > 0.001


def test_marker_shortcut_changes_nothing_but_the_letters() -> None:
    plain, tied = (phantom_cohort(20, size=64, shortcut=s) for s in ("none", "marker"))
    pd.testing.assert_series_equal(plain.table["patient_id"], tied.table["patient_id"])
    marked = int(np.flatnonzero(tied.table["marker"].str.contains(SHORTCUT_MARKER))[0])
    changed = plain.radiograph(marked) != tied.radiograph(marked)
    assert 0 < changed.mean() < 0.15


def test_sites_differ_in_the_films_they_take() -> None:
    dark = Site("dark", exposure=0.3, exposure_sd=0.0)
    bright = Site("bright", exposure=-0.3, exposure_sd=0.0)
    cohort = phantom_cohort(30, sites=[dark, bright])
    level = pd.Series([cohort.radiograph(i).mean() for i in range(30)])
    by_site = level.groupby(cohort.table["site"]).mean()
    assert by_site["dark"] < by_site["bright"] - 0.1


@pytest.mark.parametrize("n", [1, 2, 7])
def test_tiny_cohorts_are_drawn_too(n: int) -> None:
    cohort = phantom_cohort(n)
    assert len(cohort) == n
    assert cohort.radiograph(n - 1).shape == (28, 28)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"n": 0}, "phantom n: 0"),
        ({"size": 15}, "phantom size: 15 pixels"),
        ({"size": 5000}, "phantom size: 5000 pixels"),
        ({"seed": -1}, "phantom seed: -1"),
        ({"prevalence": 0.0}, "phantom prevalence: 0"),
        ({"test_prevalence": 1.0}, "phantom test_prevalence: 1"),
        ({"shortcut": "age"}, "phantom shortcut: 'age'; expected none or site or marker"),
        ({"shortcut_share": 0.2}, "phantom shortcut_share: 0.2"),
        ({"opacity": "large"}, "phantom opacity: 'large'"),
        ({"age_group": "dogs"}, "phantom age_group: 'dogs'"),
        ({"sites": []}, "phantom sites: names"),
        ({"sites": [Site("A"), Site("A")]}, "phantom sites: names"),
        ({"sites": [Site("A")], "shortcut": "site"}, "phantom shortcut: 'site' with one site"),
    ],
)
def test_an_argument_out_of_range_is_refused_in_one_line(
    arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(DataError) as caught:
        phantom_cohort(**{"n": 10, **arguments})
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"share": 0.0}, {"ap_share": 1.2}, {"noise": -0.1}, {"contrast": 0.0}]
)
def test_a_site_with_a_value_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(DataError, match=f"site 'X': {next(iter(wrong))}"):
        Site("X", **wrong)


def test_a_point_on_the_last_row_is_drawn_there() -> None:
    """Rounding may put it there; what is spread beyond the film has no weight."""
    point = splat(np.float32([3.0, 1.0]), np.float32([3.0, 2.5]), np.float32([1.0, 2.0]), (4, 4))
    assert point.shape == (4, 4)
    assert point[3, 3] == 1
    assert point[2, 1] == point[3, 1] == 1
    assert point.sum() == 3


def test_a_recipe_says_what_is_drawn() -> None:
    options, _ = source_options(["phantom.n=40", "phantom.opacity=small", "phantom.seed=3"])
    cohort = open_source("phantom@32", options)
    assert len(cohort) == 40
    assert set(cohort.table["pattern"].dropna()) == {"segmental"}
    same = phantom_cohort(40, size=32, seed=3, opacity="small")
    assert (cohort.radiograph(5) == same.radiograph(5)).all()


def test_another_seed_draws_other_patients() -> None:
    """The same ids would make a bundle refuse them as seen."""
    one, other = phantom_cohort(20), phantom_cohort(20, seed=1)
    assert not set(one.table["image_id"]) & set(other.table["image_id"])
    assert not set(one.table["patient_id"]) & set(other.table["patient_id"])


def test_options_of_the_phantom_are_refused_elsewhere_and_out_of_range() -> None:
    with pytest.raises(RecipeError, match=r"phantom\.opacity.*'any' or 'small'"):
        source_options(["phantom.opacity=large"])
    options, _ = source_options(["phantom.n=40"])
    with pytest.raises(DataError, match=r"data\.phantom: the source pneumoniamnist has no use"):
        open_source("pneumoniamnist", options)


def test_a_rib_that_begins_a_hair_above_a_row_is_drawn() -> None:
    """Where it stands between two ribs rounds to one whole rib; found among 1,900 films."""
    cohort = phantom_cohort(
        3000, size=64, seed=1000, shortcut="site", prevalence=0.5, test_prevalence=0.5
    )
    film_hw = cohort.radiograph(259)
    assert 0.1 < film_hw.mean() < 0.9
