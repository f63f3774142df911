from __future__ import annotations

import numpy as np
import pytest
import torch

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.data.preprocessing import CentreSquare, PadSquare, Resize, shown
from hilum.engines import carried_engine
from hilum.explanation.gradients import attribute
from hilum.explanation.grid import Grid, grid_of_engine
from hilum.explanation.head import head_of
from hilum.explanation.network import feature_layer, members_of
from hilum.explanation.saliency import GradCam, on_film
from hilum.predict import engine_logits, predict
from hilum.rebuilding import classifier_of


def inputs_of(bundle: Bundle, cohort: Cohort) -> np.ndarray:
    taken: list[np.ndarray] = []
    engine_logits(
        carried_engine(bundle),
        bundle.manifest.preprocessing,
        cohort,
        look=lambda answer: taken.append(np.array(answer.image_nchw)),
    )
    return np.concatenate(taken)


def test_grad_cam_of_the_engine_is_captums(small_bundle: Bundle, small_cohort: Cohort) -> None:
    some = small_cohort.where(np.arange(len(small_cohort)) < 40)
    cam = GradCam(small_bundle, len(some))
    predict(small_bundle, some, look=cam)
    of_engine = cam.saliency().map_nfhw[:, 0]
    classifier = classifier_of(small_bundle)
    image_nchw = inputs_of(small_bundle, some)
    of_captum = attribute(classifier, image_nchw, 0, "grad_cam")
    assert of_engine.shape == of_captum.shape == (40, 2, 2)
    assert np.abs(of_captum).max() > 1e-3
    # Of the same feature map the two are one and the same.
    with torch.inference_mode():
        feature_nchw = classifier.feature_map(torch.from_numpy(image_nchw)).numpy()
    head = head_of(small_bundle, feature_nchw.shape[1])
    np.testing.assert_allclose(head.adds(feature_nchw)[:, 0], of_captum, atol=1e-5)
    # The engine's feature map is torch's but for the rounding of fifty layers.
    np.testing.assert_allclose(of_engine, of_captum, rtol=1e-4, atol=1e-5)


def test_what_the_places_add_and_the_bias_are_the_logit(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    cam = GradCam(small_bundle, len(small_cohort))
    logit_n = predict(small_bundle, small_cohort, look=cam).logit("Pneumonia")
    (member,) = members_of(classifier_of(small_bundle))
    bias = float(member.head_parameters()[1].detach())
    summed_n = cam.saliency().map_nfhw[:, 0].sum(axis=(1, 2)) + bias
    np.testing.assert_allclose(summed_n, logit_n, atol=1e-5)


def test_the_layer_of_the_feature_map_is_found(small_bundle: Bundle) -> None:
    (member,) = members_of(classifier_of(small_bundle))
    assert feature_layer(member, 64) == "bn2"  # timm's EfficientNet: its last activation is in it


def test_a_map_lies_on_the_part_of_the_film_that_the_network_saw() -> None:
    map_hw = np.array([[1.0, 2.0], [3.0, 4.0]])
    steps = (CentreSquare(), Resize(height=28, width=28), Resize(height=64, width=64))
    film_hw = on_film(map_hw, Grid.of_tiles(64, 2), shown(40, 100, steps), 40, 100)
    assert np.isnan(film_hw[:, :30]).all()
    assert np.isnan(film_hw[:, 70:]).all()
    seen_hw = film_hw[:, 30:70]
    assert not np.isnan(seen_hw).any()
    assert [seen_hw[0, 0], seen_hw[0, -1], seen_hw[-1, 0], seen_hw[-1, -1]] == [1, 2, 3, 4]
    # Half way between the four centres stands their mean.
    assert seen_hw[19:21, 19:21].mean() == pytest.approx(2.5)


def test_a_map_of_a_padded_film_leaves_the_air_out() -> None:
    map_hw = np.array([[1.0, 1.0], [2.0, 2.0]])
    window = shown(20, 40, (PadSquare(), Resize(height=32, width=32)))
    film_hw = on_film(map_hw, Grid.of_tiles(32, 2), window, 20, 40)
    assert film_hw.shape == (20, 40)
    # Rows 10 to 30 of a square of 40: the centres of the cells stand in its rows 10 and 30.
    np.testing.assert_allclose(film_hw[:, 0], 1 + (np.arange(20) + 0.5) / 20, atol=1e-6)


def test_cells_lie_where_they_look(small_bundle: Bundle) -> None:
    """Five convolutions of stride 2, each padded by one: the cells look at pixels 0 and 32."""
    grid = grid_of_engine(small_bundle.engine)
    assert grid == Grid(64, 32.0, 0.0)
    window = shown(64, 64, ())
    film_hw = on_film(np.array([[1.0, 0.0], [0.0, 0.0]]), grid, window, 64, 64)
    assert film_hw[0, 0] == 1
    assert film_hw[16, 0] == pytest.approx(0.5)
    assert film_hw[32:, :].max() == 0
