from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.recipe import TrainPart
from hilum.training.averaging import PathAverage, copied, mixed, soup


def model_at(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(value)
    return model


def of(state: dict[str, torch.Tensor] | None) -> float:
    """The one value that every weight and running statistic has."""
    assert state is not None
    values = {float(t.mean()) for name, t in state.items() if t.is_floating_point()}
    (value,) = {round(value, 6) for value in values}
    return value


def test_swa_is_the_plain_mean_of_every_state_in_the_last_half() -> None:
    average = PathAverage(TrainPart(average="swa"), 6)
    for step in range(1, 7):
        average.update(model_at(float(step)), step)
        if step <= 3:
            assert average.state is None
    assert of(average.state) == pytest.approx((4 + 5 + 6) / 3)


def test_ema_forgets_its_first_states_while_it_is_young_and_keeps_its_decay_when_it_is_not() -> (
    None
):
    average = PathAverage(TrainPart(average="ema", average_decay=0.9), 1000)
    expected = 0.0
    for step in range(1, 201):
        average.update(model_at(float(step)), step)
        seen = step - 1
        decay = 0.0 if step == 1 else min(0.9, (1 + seen) / (10 + seen))
        expected = decay * expected + (1 - decay) * step
    assert of(average.state) == pytest.approx(expected, rel=1e-4)
    # Of a ramp the mean lags by decay / (1 - decay) steps.
    assert of(average.state) == pytest.approx(200 - 9, abs=0.1)


def test_an_average_of_a_run_that_does_not_move_is_where_it_stands() -> None:
    for kind in ("ema", "swa"):
        average = PathAverage(TrainPart(average=kind), 10)  # type: ignore[arg-type]
        for step in range(1, 11):
            average.update(model_at(2.5), step)
        assert of(average.state) == 2.5
    nothing = PathAverage(TrainPart(), 10)
    nothing.update(model_at(1.0), 9)
    assert nothing.state is None


def test_mixing_towards_other_weights_takes_the_share_and_leaves_both_as_they_were() -> None:
    tuned, before = model_at(4.0).state_dict(), model_at(0.0).state_dict()
    assert of(mixed(tuned, before, 0.25)) == 3.0
    assert of(tuned) == 4.0
    assert of(before) == 0.0


def test_a_soup_is_the_mean_of_its_runs_and_a_copy_is_not_changed_by_training() -> None:
    assert of(soup([model_at(v).state_dict() for v in (1.0, 2.0, 6.0)])) == pytest.approx(3.0)
    model = model_at(1.0)
    kept = copied(model.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(5)
    assert of(kept) == 1.0
