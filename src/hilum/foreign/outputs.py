"""What a network gives, as logits: one for each finding, whatever was stated of its outputs.

What it takes is `graph`'s business.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import BundleError
from hilum.foreign.settings import Settings
from hilum.openvino_runtime import openvino, opset

_LEAST = 1e-7  # of a probability whose logit is asked for

Value = Any  # openvino.Output, which has no types


def columns_of(wide_nk: Value, settings: Settings, where: Path) -> list[tuple[int, ...]]:
    """The outputs of each finding, held against how many there are."""
    partial = wide_nk.get_partial_shape()
    if partial[1].is_dynamic:
        raise BundleError(where, f"an output of shape {partial}", expected="[n, findings]")
    k = int(partial[1].get_length())
    softmax = settings.output.startswith("softmax")
    if softmax and k < 2:
        raise BundleError(
            where,
            f"output = {settings.output!r} is stated, but the model has {k} output",
            expected="two or more",
            remedy='set output = "probability" or "logit"',
        )
    columns = settings.columns()
    for finding, each in columns.items():
        if max(each) >= k or (softmax and len(each) == k):
            named = list(each) if len(each) > 1 else each[0]
            raise BundleError(
                where,
                f"findings.{finding} = {named} is stated, but the model has {k} "
                f"output{'s' if k > 1 else ''}",
                expected=f"0 to {k - 1}" if max(each) >= k else "fewer than all",
            )
    return list(columns.values())


def before_activation(wide_nk: Value, settings: Settings, where: Path) -> tuple[Value, bool]:
    """What goes into the last sigmoid or softmax, which is exact where the probability is nearly 1.

    Returns the value, and whether such an activation was found.
    """
    wanted = {"probability": "Sigmoid", "softmax": "Softmax"}.get(settings.output)
    last = wide_nk
    while last.get_node().get_type_name() in ("Convert", "Reshape", "Squeeze", "Unsqueeze"):
        last = last.get_node().input_value(0)
    found = last.get_node().get_type_name()
    if found in ("Sigmoid", "Softmax", "LogSoftmax") and found != wanted:
        raise BundleError(
            where,
            f"output = {settings.output!r} is stated, but the network ends in a {found.lower()}",
            remedy=f'set output = "{"probability" if found == "Sigmoid" else "softmax"}"'
            if found != "LogSoftmax"
            else 'set output = "softmax_logits" and end the network before it',
        )
    if found != wanted:
        return wide_nk, False
    before = last.get_node().input_value(0)
    return (before if before.get_partial_shape().rank == 2 else _wide(before)), True


def _wide(value: Value) -> Value:
    return opset.reshape(value, [0, -1], True).output(0)


def logits_of(
    raw_nk: Value, columns: list[tuple[int, ...]], settings: Settings, *, stripped: bool
) -> Value:
    """logit_nf of what the network gives, shape (n, f).

    stripped: raw_nk is what went into the sigmoid or softmax that is stated
    """
    k = int(raw_nk.get_partial_shape()[1].get_length())
    raw = opset.convert(raw_nk, openvino.Type.f32)
    if settings.output.startswith("softmax"):
        exact = stripped or settings.output == "softmax_logits"
        made = []
        for present in columns:
            absent = tuple(c for c in range(k) if c not in present)
            total = _log_sum_exp if exact else _log_sum
            made.append(opset.subtract(total(raw, present), total(raw, absent)))
        return (opset.concat(made, axis=1) if len(made) > 1 else made[0]).output(0)
    chosen = _gathered(raw, tuple(each[0] for each in columns))
    if stripped or settings.output == "logit":
        return chosen.output(0)
    prob = opset.clamp(chosen, _LEAST, 1 - _LEAST)
    odds = opset.divide(prob, opset.subtract(np.float32(1), prob))
    return opset.log(odds).output(0)


def _gathered(wide_nk: openvino.Node, columns: tuple[int, ...]) -> openvino.Node:
    return opset.gather(wide_nk, np.array(columns), np.array(1))


def _log_sum_exp(raw_nk: openvino.Node, columns: tuple[int, ...]) -> openvino.Node:
    """log of the sum of exp over some columns, shape (n, 1)."""
    some = _gathered(raw_nk, columns)
    if len(columns) == 1:
        return some
    most = opset.reduce_max(some, np.array([1]), keep_dims=True)
    total = opset.reduce_sum(opset.exp(opset.subtract(some, most)), np.array([1]), keep_dims=True)
    return opset.add(opset.log(total), most)


def _log_sum(prob_nk: openvino.Node, columns: tuple[int, ...]) -> openvino.Node:
    """log of the sum of some columns of probabilities, shape (n, 1)."""
    total = opset.reduce_sum(_gathered(prob_nk, columns), np.array([1]), keep_dims=True)
    return opset.log(opset.clamp(total, _LEAST, 1.0))
