"""Whether a bundle knows what it should not answer."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.card import read_results
from hilum.cli import run
from hilum.data.cohort import Cohort
from hilum.data.pixels import ArrayPixels
from hilum.errors import BundleError
from hilum.robustness.corruptions import CORRUPTIONS
from hilum.robustness.novelty import _told, check_novelty
from hilum.robustness.outliers import OUTLIERS, OutlierPixels
from hilum.units import units_of


def test_figures_equal_those_of_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    film_n, other_n = np.round(rng.normal(size=60), 1), np.round(rng.normal(1, 1, 40), 1)
    units = units_of(np.array([None] * 100, dtype=object))
    found = _told(film_n, other_n, units, rng)
    pairs = [(o > f) + 0.5 * (o == f) for o in other_n for f in film_n]
    assert found.auroc.value == pytest.approx(np.mean(pairs))
    limit = next(t for t in np.sort(film_n) if (film_n <= t).mean() >= 0.95)
    assert found.fpr.value == pytest.approx((other_n <= limit).mean())


def test_every_kind_is_asked_about_and_given_images_too(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    films = small_cohort.where((small_cohort.table["split"] == "test").to_numpy())
    n = len(films)
    white = ArrayPixels(np.full((len(small_cohort), 28, 28), 255, dtype=np.uint8))
    calls = []
    found = check_novelty(
        small_bundle, films, {"white": replace(films, pixels=white)},
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    names = [*OUTLIERS, *CORRUPTIONS, "white"]
    assert [each.name for each in found.kinds] == names
    assert found.n == n
    assert all(each.n == n for each in found.kinds)
    assert calls[-1] == (len(names), len(names))
    for kind in found.kinds:
        assert {*kind.measures} == {"gate", "film", "mahalanobis", "knn", "energy"}
        assert kind.gate.value is not None
        assert kind.refused.value is not None
        assert kind.refused.value >= kind.gate.value


def test_outliers_hang_on_seed_and_film_alone(small_cohort: Cohort) -> None:
    for kind in OUTLIERS:
        first, again = (OutlierPixels(small_cohort.pixels, kind).read(3) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert first.dtype == np.float32
        assert first.min() >= 0
        assert first.max() <= 1
    other = OutlierPixels(small_cohort.pixels, "grain", seed=1).read(3)
    assert np.abs(other - OutlierPixels(small_cohort.pixels, "grain").read(3)).max() > 0


def test_a_bundle_without_a_policy_is_named(small_bundle: Bundle, small_cohort: Cohort) -> None:
    earlier = replace(
        small_bundle, manifest=small_bundle.manifest.model_copy(update={"abstention": None})
    )
    with pytest.raises(BundleError, match="no gate and no measure of novelty"):
        check_novelty(earlier, small_cohort, {})


def test_the_verb_writes_a_picture_and_every_figure(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, white = tmp_path / "novelty", tmp_path / "white.png"
    Image.new("L", (40, 40), 255).save(white)
    words = ["novelty", str(small_bundle.folder), "--data", str(small_npz), "--out", str(out)]
    assert run([*words, "--against", f"white={white}", "--json"], debug=False) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "novelty.json").read_text()) | {
        "out": str(out), "warnings": told["warnings"],
    }  # fmt: skip
    assert told["kinds"][-1]["name"] == "white"
    (of_card,) = read_results([out], small_bundle.digest).novelty
    assert of_card.kinds[-1].group == "given"
    assert told["false_refusals"].keys() == {
        "gate",
        "novelty",
        "either",
    }
    assert (out / "novelty.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("against", "said"),
    [
        (["hips"], "expected NAME=FOLDER or NAME=SOURCE"),
        (["hips=nowhere"], "no such file, folder or source"),
        (["a=phantom", "a=phantom"], "two of the name 'a'"),
    ],
)
def test_what_it_cannot_find_is_one_line(
    small_bundle: Bundle, small_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    against: list[str], said: str,
) -> None:  # fmt: skip
    flags = [word for each in against for word in ("--against", each)]
    words = ["novelty", str(small_bundle.folder), "--data", str(small_npz), "--out"]
    assert run([*words, str(tmp_path / "x"), *flags], debug=False) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
