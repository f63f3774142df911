"""Means of weights: along the path of one run, towards where it began, and over several runs.

Running statistics of batch norm are averaged with the weights that they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hilum.recipe import TrainPart

State = dict[str, Tensor]


class PathAverage:
    """The mean of the states that a run has passed through.

    "ema" forgets: each step keeps `average_decay` of the mean, less while it is young. "swa" is the
    plain mean of every state in the last half of the run (Izmailov et al. 2018, each step).
    """

    def __init__(self, settings: TrainPart, steps: int) -> None:
        self._settings = settings
        self._first = steps // 2 if settings.average == "swa" else 0
        self.state: State | None = None

    def update(self, model: nn.Module, step: int) -> None:
        """Take in the state after `step` steps, 1 or more."""
        kind = self._settings.average
        if kind == "none" or step <= self._first:
            return
        now = model.state_dict()
        if self.state is None:
            self.state = copied(now)
            return
        seen = step - self._first - 1  # states that the mean holds so far
        if kind == "swa":
            share = 1 / (seen + 1)
        else:  # a young mean must not hang on its first, untrained state
            share = 1 - min(self._settings.average_decay, (1 + seen) / (10 + seen))
        _towards(self.state, now, share)


def copied(state: State) -> State:
    """The same tensors, apart from those that training goes on to change."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def mixed(state: State, other: State, share: float) -> State:
    """`share` of `other`, the rest of `state`; whole numbers are those of `state`.

    WiSE-FT: Wortsman et al. 2022, Robust fine-tuning of zero-shot models, eq. 1.
    """
    result = copied(state)
    _towards(result, other, share)
    return result


def soup(states: Sequence[State]) -> State:
    """The plain mean of several runs that began alike (Wortsman et al. 2022, Model soups)."""
    result = copied(states[0])
    for k, state in enumerate(states[1:], start=1):
        _towards(result, state, 1 / (k + 1))
    return result


def _towards(state: State, other: State, share: float) -> None:
    """Move floating tensors by `share` of the way, in place; copy whole numbers."""
    moving = [name for name, tensor in state.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([state[name] for name in moving], [other[name] for name in moving], share)
    # Counts of batches, which no mean is taken of, stay as they are.
