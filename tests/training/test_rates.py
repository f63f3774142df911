from __future__ import annotations

from itertools import pairwise

import pytest

from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.recipe import TrainPart
from hilum.training.rates import learning_rate, parameter_groups


def test_the_rate_warms_up_then_falls_to_nought() -> None:
    settings = TrainPart(learning_rate=1.0, warmup_fraction=0.1)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[-1] < 0.001


def test_a_batch_four_times_what_the_rate_is_meant_for_takes_twice_the_rate() -> None:
    settings = TrainPart(learning_rate=1.0, warmup_fraction=0.1, batch_size=64, rate_batch=16)
    assert max(learning_rate(step, 100, settings) for step in range(100)) == 2.0


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    backbone = make_backbone("test_efficientnet", 1, weights="none", dropout=0.0)
    return Classifier(backbone)


def test_every_parameter_learns_once_and_only_matrices_decay(classifier: Classifier) -> None:
    groups = parameter_groups(classifier, TrainPart(head_rate=10, weight_decay=0.05))
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in classifier.parameters())
    for group in groups:
        for parameter in group["params"]:
            assert (group["weight_decay"] > 0) == (parameter.ndim > 1)
    assert {group["rate"] for group in groups} == {1.0, 10}


def test_each_stage_learns_by_the_decay_slower_than_the_one_after_it(
    classifier: Classifier,
) -> None:
    groups = parameter_groups(classifier, TrainPart(layer_decay=0.5, head_rate=3))
    rate = {id(p): group["rate"] for group in groups for p in group["params"]}
    stages = classifier.stages()
    for later, stage in enumerate(reversed(stages)):
        assert {rate[id(p)] for p in stage} == {0.5**later}
    assert {rate[id(p)] for p in classifier.head_parameters()} == {3}
