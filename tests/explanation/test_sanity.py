from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from hilum.explanation import sanity
from hilum.explanation.grid import Grid
from hilum.explanation.sanity import (
    Check,
    cascade,
    checks,
    curves,
    failures,
    label_check,
    over_draws,
    rank_correlation,
    stability,
)
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.units import units_of

SIDE = 64


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    made = Classifier(make_backbone("resnet18", 1, weights="none", dropout=0.0))
    nn.init.normal_(made.head_parameters()[0], std=0.5)
    return made.eval()


def films(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).random((n, 1, SIDE, SIDE), dtype=np.float32)


class Corner(nn.Module):
    """Its logit is ten times the mean of the upper left quarter."""

    def forward(self, image_nchw: Tensor) -> Tensor:
        return 10 * image_nchw[:, :, : SIDE // 2, : SIDE // 2].mean((2, 3))


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 7, 7))
    a[1] = a[1].round()  # ties
    expected = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), expected)
    assert np.isnan(rank_correlation(np.ones((1, 3, 3)), b[:1, :3, :3])).all()


def test_a_cascade_ends_in_a_random_network_and_leaves_the_trained_one_alone(
    classifier: Classifier,
) -> None:
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    found = cascade(classifier, films(), 0, "grad_cam", layer="layer3")
    assert found.alike_sn.shape == (len(found.stages), 6)
    assert found.stages[0] == "head"
    assert len(found.stages) == len(classifier.stages()) + 1
    assert found.alike_sn.min() >= 0  # a map upside down is alike
    assert found.alike_sn[-1].mean() < 0.8
    ends = cascade(classifier, films(), 0, "grad_cam", layer="layer3", ends=True)
    assert len(ends.stages) == 2
    np.testing.assert_allclose(ends.alike_sn, found.alike_sn[[0, -1]], atol=1e-5)
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_map_that_hangs_on_the_film_alone_fails_with_random_weights(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brightness in the place of a method: it is quiet under noise, and knows nothing."""
    monkeypatch.setattr(sanity, "attribute", lambda _, image, *__, **___: image[:, 0, ::8, ::8])
    monkeypatch.setattr(sanity, "CASCADES", 2)
    monkeypatch.setattr(sanity, "ENDS", 3)
    units = units_of(np.array([None] * 6, dtype=object))
    found, _, _ = checks(
        classifier, films(), Grid.of_tiles(SIDE, 8), 0, "grad_cam", units, np.random.default_rng(0)
    )
    verdict = {check.question: check.passed for check in found}
    assert verdict["weights: head random"] is verdict["weights: all random"] is False
    assert verdict["noise on the film"] is True


def test_a_map_that_points_at_the_place_that_counts_stands_deletion_and_insertion() -> None:
    corner = Corner().eval()
    image_nchw = films(12)
    # Bright where it counts: what is blurred is darker.
    image_nchw[:, :, 8:24, 8:24] = 1.0
    right = np.zeros((12, 8, 8))
    right[:, :4, :4] = 1.0
    for map_nhw, points in ((right, True), (1 - right, False)):
        found = curves(corner, image_nchw, map_nhw, Grid.of_tiles(SIDE, 8), 0, cells=8)  # type: ignore[arg-type]
        fall_n, rise_n = found.gains()
        assert (fall_n.mean() > 0) == points
        assert (rise_n.mean() > 0) == points
        # Nothing taken away is the film itself, everything put back too.
        np.testing.assert_allclose(found.deletion_ns[:, 0], found.insertion_ns[:, -1])


def test_a_steady_method_is_alike_under_noise(classifier: Classifier) -> None:
    alike_n = stability(classifier, films(), 0, "grad_cam", layer="layer3")
    assert alike_n.shape == (6,)
    assert alike_n.min() > 0.5


def test_the_interval_over_draws_is_wider_than_over_films_alone() -> None:
    rng = np.random.default_rng(0)
    units = units_of(np.array([None] * 40, dtype=object))
    # Each draw of weights is alike on every film, and draws differ.
    alike_dn = rng.random((15, 1)) + rng.normal(0, 0.01, (15, 40))
    found = over_draws(alike_dn, units, rng, 2000)
    assert found.low is not None
    assert found.high is not None
    assert found.value == pytest.approx(alike_dn.mean())
    assert (found.high - found.low) / 3.92 == pytest.approx(alike_dn.std() / 15**0.5, rel=0.2)


def test_one_patient_decides_nothing() -> None:
    units = units_of(np.array(["one"] * 12, dtype=object))
    maps = np.random.default_rng(0).random((12, 4, 4))
    found = label_check(maps, np.roll(maps, 1, axis=0), units, np.random.default_rng(0))
    assert found.figure.value is not None
    assert found.passed is None


@pytest.mark.parametrize("side", [64, 100, 128])
def test_squares_cover_the_film_and_lie_where_the_map_says(side: int) -> None:
    """14 squares do not divide these sides; what is taken first is the map's place all the same."""
    image_nchw = np.ones((1, 1, side, side), dtype=np.float32)
    image_nchw[:, :, -side // 8 :] = 0.0  # blurring changes the lower edge alone

    class Edge(nn.Module):
        def forward(self, film_nchw: Tensor) -> Tensor:
            return film_nchw[:, :, -side // 16 :].mean((1, 2, 3))[:, None]

    map_nhw = np.zeros((1, side, side))
    map_nhw[:, -side // 7 :] = 1.0
    found = curves(Edge().eval(), image_nchw, map_nhw, Grid(side), 0)  # type: ignore[arg-type]
    whole = found.deletion_ns[0, -1] - found.deletion_ns[0, 0]
    # An eighth of the film is more than the squares of the lower edge.
    assert found.deletion_ns[0, 2] - found.deletion_ns[0, 0] == pytest.approx(whole, rel=1e-3)


def test_the_verdict_hangs_on_the_whole_interval() -> None:
    rng = np.random.default_rng(1)
    units = units_of(np.array([None] * 30, dtype=object))
    trained = rng.normal(size=(30, 8, 8))

    def asked(mixed: float) -> Check:
        other = mixed * trained + (1 - mixed) * rng.normal(size=trained.shape)
        return label_check(trained, other, units, rng)

    unlike, alike = asked(0.05), asked(0.9)
    assert (unlike.passed, alike.passed) == (True, False)
    assert failures([unlike, alike]) == ["labels shuffled"]
