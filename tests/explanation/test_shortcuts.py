from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import Tensor, nn

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.pixels import ArrayPixels
from hilum.data.sources.phantom import phantom_cohort
from hilum.explanation.evidence import Evidence
from hilum.explanation.shortcuts import (
    Probe,
    border_alone,
    probe,
    ridge_scores,
    without_border,
    without_corners,
)
from hilum.explanation.shortcuts_picture import write_shortcuts
from hilum.training.engine import export_engine
from hilum.training.probe import quick
from hilum.training.run import train
from hilum.units import units_of
from made import small_recipe

SIDE = 64
N = 160


class Looks(nn.Module):
    """A network whose logit is the mean grey of a part of the film, here as its only feature."""

    def __init__(self, part: tuple[slice, slice]) -> None:
        super().__init__()
        self.part = part

    def feature_map(self, image_nchw: Tensor) -> Tensor:
        return 20 * image_nchw[:, :, self.part[0], self.part[1]].mean((2, 3), keepdim=True)

    def head(self, feature_nchw: Tensor) -> Tensor:
        return feature_nchw.mean((2, 3)) - 8


EDGE, MIDDLE = (slice(0, 4), slice(0, SIDE)), (slice(20, 44), slice(20, 44))


def films_with(part: tuple[slice, slice], **table: object) -> Cohort:
    """Films of noise that are brighter in one part where the finding is."""
    rng = np.random.default_rng(0)
    label_n = (np.arange(N) % 2).astype(float)
    grey_nhw = rng.integers(60, 140, (N, SIDE, SIDE))
    grey_nhw[(slice(None), *part)] += (25 * label_n + rng.normal(0, 8, N)).astype(int)[
        :, None, None
    ]
    facts = pd.DataFrame(
        {"image_id": [f"f{n}" for n in range(N)], "label_pneumonia": label_n, "split": "test"}
    ).assign(patient_id=None, site=None, view=None, age=np.nan, sex=None, role=None)
    pixels = ArrayPixels(grey_nhw.clip(0, 255).astype(np.uint8))
    return Cohort("made", ("Pneumonia",), facts.assign(**table), pixels)


def bundle_that(looks_at: tuple[slice, slice], small_bundle: Bundle, folder: Path) -> Bundle:
    engine = export_engine(Looks(looks_at), SIDE, folder)  # type: ignore[arg-type]
    manifest = small_bundle.manifest.model_copy(update={"preprocessing": ()})
    return replace(small_bundle, engine=engine, manifest=manifest)


def probed(bundle: Bundle, cohort: Cohort, lungs: Path | None = None) -> dict[str, Probe]:
    """lungs: a mask of every film"""
    units = units_of(cohort.table["patient_id"].to_numpy(dtype=object))
    masks = dict.fromkeys(cohort.table.index.tolist(), lungs) if lungs else {}
    evidence = Evidence(cohort, lung_masks=masks)
    return {each.question: each for each in probe(bundle, cohort, "Pneumonia", evidence, units)}


def mask_of(part: tuple[slice, slice], file: Path) -> Path:
    mask_hw = np.zeros((SIDE, SIDE), np.uint8)
    mask_hw[part] = 255
    Image.fromarray(mask_hw).save(file)
    return file


SURROUNDINGS = "the surroundings from a film of the other class, not of its own"


def test_a_network_that_reads_the_border_is_found_out(small_bundle: Bundle, tmp_path: Path) -> None:
    bundle, films = bundle_that(EDGE, small_bundle, tmp_path), films_with(EDGE)
    found = probed(bundle, films, mask_of(MIDDLE, tmp_path / "lungs.png"))
    for question in (
        "the border alone", "the border blanked",
        "the border from a film of the other class, not of its own",
        SURROUNDINGS,
        "the lungs painted over, by their masks",
    ):  # fmt: skip
        assert found[question].found is True, question
    path = tmp_path / "shortcuts.png"
    write_shortcuts(path, list(found.values()), "Pneumonia", synthetic=False)
    with Image.open(path) as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_without_masks_no_rectangle_decides_where_the_lungs_are(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    found = probed(bundle_that(EDGE, small_bundle, tmp_path), films_with(EDGE))
    for question in (SURROUNDINGS, "the lungs painted over, by a rectangle, for want of masks"):
        assert found[question].found is None, question
        assert "undecided without masks" in found[question].rule
        assert found[question].estimate.value is not None


def test_what_is_lung_on_either_film_is_not_swapped(small_bundle: Bundle, tmp_path: Path) -> None:
    """Lungs reach beyond the rectangle; one that reads them there uses no shortcut."""
    low = (slice(56, 64), slice(20, 44))
    found = probed(
        bundle_that(low, small_bundle, tmp_path), films_with(low), mask_of(low, tmp_path / "l.png")
    )
    assert found[SURROUNDINGS].found is False
    assert found["the lungs painted over, by their masks"].found is False


def test_one_that_reads_the_middle_is_not(small_bundle: Bundle, tmp_path: Path) -> None:
    bundle, films = bundle_that(MIDDLE, small_bundle, tmp_path), films_with(MIDDLE)
    found = probed(bundle, films, mask_of(MIDDLE, tmp_path / "lungs.png"))
    assert not [question for question, each in found.items() if each.found]
    facts = found["facts without the film"].estimate
    assert facts.value is None
    assert "nothing is known" in str(facts.reason)


def test_a_site_that_tells_the_label_is_found_among_facts_and_features(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    site_n = np.where(np.arange(N) % 2 == 1, "A", "B")
    site_n[:20] = np.where(np.arange(20) % 2 == 0, "A", "B")
    cohort = films_with(MIDDLE, site=site_n)
    found = probed(bundle_that(MIDDLE, small_bundle, tmp_path), cohort)
    assert found["facts without the film"].found is True
    assert found["site A from the features"].found is True
    even = films_with(MIDDLE, site=np.where(np.arange(N) % 4 < 2, "A", "B"))
    found = probed(bundle_that(MIDDLE, small_bundle, tmp_path), even)
    assert found["site A from the features"].found is False


@pytest.mark.parametrize(
    ("alter", "centre", "edge", "corner"),
    [
        (border_alone, None, 0.25, 0.25),
        (without_border, 0.75, 0.0, 0.0),
        (without_corners, 0.75, 0.25, 0.0),
    ],
)
def test_what_is_taken_from_a_film(
    alter: Callable[..., np.ndarray], centre: float | None, edge: float, corner: float
) -> None:
    film_hw = np.full((50, 50), 0.25, np.float32)
    film_hw[10:40, 10:40] = 0.75
    left = alter(film_hw, ())
    assert left[25, 25] == pytest.approx(0.25 if centre is None else centre)
    assert (left[25, 1], left[1, 1]) == (edge, corner)
    assert film_hw[25, 25] == 0.75  # the film itself is left as it was


def test_ridge_scores_come_from_other_patients() -> None:
    """A fact that names the patient alone tells nothing of the patients held out."""
    rng = np.random.default_rng(0)
    patient_n = np.repeat(np.arange(20), 4)
    y_n = rng.integers(0, 2, 20)[patient_n].astype(float)
    units = units_of(np.array([f"p{p}" for p in patient_n], dtype=object))
    one_hot = (patient_n[:, None] == np.arange(20)).astype(float)
    score_n = ridge_scores(one_hot, y_n, units, rng)
    assert not np.isnan(score_n).any()
    ill, well = score_n[y_n == 1].mean(), score_n[y_n == 0].mean()
    assert ill - well < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("shortcut", ["none", "marker", "site"])
def test_the_phantoms_shortcuts_are_found_and_nothing_else(shortcut: str, tmp_path: Path) -> None:
    """Twenty classifiers, of which the probes judge nineteen right. Twenty-five minutes each.

    At 112 pixels a marker can be read; of smaller films the classifier hardly uses it.
    """
    right = 0
    for seed in range(20):

        def films(n: int, draw: int) -> Cohort:
            return phantom_cohort(
                n, size=112, seed=draw, shortcut=shortcut, prevalence=0.5, test_prevalence=0.5
            )

        recipe = quick(small_recipe().model_copy(update={"seed": seed}))
        larger = recipe.input.model_copy(update={"size": 112})
        recipe = recipe.model_copy(update={"input": larger})
        bundle = train(recipe, films(1400, seed), tmp_path / f"{seed}")
        assert bundle is not None
        others = films(3000, 1000 + seed)
        others = others.where(np.arange(len(others)) < 500)
        units = units_of(others.table["patient_id"].to_numpy(dtype=object))
        probes = probe(bundle, others, "Pneumonia", Evidence(others), units)
        right += any(each.found for each in probes) == (shortcut != "none")
    assert right >= 19
