"""One film seen several times."""

import numpy as np
import pytest
import torch

from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble
from hilum.model.views import Kind, with_views


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(make_backbone("efficientnet_lite0", 1, weights="none", dropout=0.0)).eval()


@pytest.mark.parametrize(("kind", "count"), [("shifts", 5), ("exposures", 3), ("both", 7)])
def test_the_logit_is_the_mean_over_views_made_one_by_one(
    classifier: Classifier, kind: Kind, count: int
) -> None:
    film = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    grey = film[:, 0].numpy()
    views = [grey]
    if kind != "exposures":
        for axis in (1, 2):
            for by in (4, -4):
                moved = np.roll(grey, by, axis=axis)
                edge = [slice(None)] * 3
                edge[axis] = slice(0, 4) if by > 0 else slice(-4, None)
                kept = [slice(None)] * 3
                kept[axis] = slice(0, 1) if by > 0 else slice(-1, None)
                moved[tuple(edge)] = grey[tuple(kept)]
                views.append(moved)
    if kind != "shifts":
        views += [grey**0.8, grey**1.25]
    assert len(views) == count
    with torch.inference_mode():
        slow = torch.stack([classifier(torch.from_numpy(v)[:, None]) for v in views]).mean(0)
        torch.testing.assert_close(with_views(classifier, kind)(film), slow, atol=1e-4, rtol=1e-4)


def test_one_view_is_the_classifier_itself(classifier: Classifier) -> None:
    assert with_views(classifier, "one") is classifier


def test_an_ensemble_may_look_several_times_too(classifier: Classifier) -> None:
    film = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        twice = with_views(Ensemble([classifier, classifier]).eval(), "exposures")(film)
        torch.testing.assert_close(twice, with_views(classifier, "exposures")(film))


def test_weights_are_the_classifiers_own(classifier: Classifier) -> None:
    assert with_views(classifier, "both").weights().keys() == classifier.weights().keys()
