"""Somebody else's network, made to take and give what Hilum's own do.

image_nchw [n, 1, h, w], grey in [0, 1] → logit_nf and feature_nchw, all within the graph, so that
whoever runs it need not know. What the file holds is read elsewhere; where its last map is, is
found by `ending`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilum.errors import BundleError
from hilum.foreign.ending import Ending, ending_of, is_two_classes
from hilum.foreign.outputs import before_activation, columns_of, logits_of
from hilum.foreign.settings import Layout, Settings
from hilum.openvino_runtime import CORE, openvino, opset, passes

_CLOSE = 1e-3  # in logits: the same film alone and among others

Value = Any  # openvino.Output, which has no types


class _Shape(NamedTuple):
    """What goes into a network: its layout, channels, and pixels a side."""

    layout: Layout
    channels: int
    size: int


@dataclass(frozen=True)
class Fitted:
    """A network as an engine takes it, and what was found out about it.

    network: OpenVINO's xml and weights
    head: weight_fc and bias_f of the linear layer on the pooled map; None where there is none
    """

    network: tuple[bytes, bytes]
    size: int
    channels: int
    head: tuple[NDArray[np.float32], NDArray[np.float32]] | None


def fitted(model: openvino.Model, settings: Settings, where: Path) -> Fitted:
    """Build what is stated of a model into it; the model is used up.

    where: the file, for errors
    Raises BundleError: more than one input or output, an input of another kind, a batch that is
    fixed, an output that is not what is stated, or a network that does not run.
    """
    try:
        shape = _shaped(model, settings, where)
        wide_nk = _output(model, where)
        columns = columns_of(wide_nk, settings, where)
        raw_nk, ends = before_activation(wide_nk, settings, where)
        image = _connect_input(model, settings, shape)
        passes_ = passes.Manager()
        passes_.register_pass(passes.ConstantFolding())
        passes_.run_passes(openvino.Model([opset.result(raw_nk)], [image]))
        logit_nf = logits_of(raw_nk, columns, settings, stripped=ends)
        ending = ending_of(raw_nk)
        head = _head(ending, columns, settings, stripped=ends)
        feature = _feature(ending, raw_nk, has_head=head is not None)
        network = _written(image, logit_nf, feature)
    except RuntimeError as error:
        line = next(iter(str(error).strip().splitlines()[::-1]), "")
        raise BundleError(where, f"does not fit its settings ({line[:200]})") from error
    return Fitted(network, shape.size, shape.channels, _tried(network, shape.size, head, where))


def _shaped(model: openvino.Model, settings: Settings, where: Path) -> _Shape:
    """Settle the input's shape: the batch free, all else fixed."""
    if len(model.inputs) != 1:
        raise BundleError(where, f"{len(model.inputs)} inputs", expected="one, the film")
    partial = model.input(0).get_partial_shape()
    if partial.rank.is_dynamic or partial.rank.get_length() != 4:
        raise BundleError(where, f"an input of shape {partial}", expected="[n, h, w, c] or so")
    sides = [None if side.is_dynamic else int(side.get_length()) for side in partial]
    stated = settings.input
    layout = stated.layout or _layout(sides, partial, where)
    channel, height, width = (1, 2, 3) if layout == "nchw" else (3, 1, 2)
    channels = _agreed("input.channels", stated.channels, sides[channel], where)
    if channels not in (1, 3):
        raise BundleError(where, f"{channels} channels as {layout}", expected="1 or 3")
    if sides[height] != sides[width]:
        raise BundleError(where, f"an input of {sides[height]} × {sides[width]} pixels",
                          expected="a square")  # fmt: skip
    size = _agreed("input.size", stated.size, sides[height], where)
    if not 16 <= size <= 4096:
        raise BundleError(where, f"an input of {size} pixels a side", expected="16 to 4096")
    full = [-1, channels, size, size] if layout == "nchw" else [-1, size, size, channels]
    model.reshape({model.input(0): openvino.PartialShape(full)})
    return _Shape(layout, channels, size)


def _layout(sides: list[int | None], partial: object, where: Path) -> Layout:
    first, last = sides[1] in (1, 3), sides[3] in (1, 3)
    if first == last:
        raise BundleError(
            where,
            f"an input of shape {partial}, which tells no layout",
            remedy='state input.layout = "nhwc" or "nchw"',
        )
    return "nchw" if first else "nhwc"


def _agreed(key: str, stated: int | None, found: int | None, where: Path) -> int:
    """The number that is stated, the model's, or both."""
    if stated is None and found is None:
        raise BundleError(where, "the model takes any", remedy=f"state {key}")
    if stated is not None and found is not None and stated != found:
        raise BundleError(where, f"{key} = {stated} is stated, but the model takes {found}")
    return int(stated if found is None else found)  # type: ignore[arg-type]


def _output(model: openvino.Model, where: Path) -> Value:
    """The one output as [n, k]."""
    if len(model.outputs) != 1:
        raise BundleError(where, f"{len(model.outputs)} outputs", expected="one for all findings")
    source = model.output(0).get_node().input_value(0)
    partial = source.get_partial_shape()
    if partial.rank.is_static and partial.rank.get_length() > 0 and partial[0].is_static:
        raise BundleError(
            where,
            f"takes {partial[0]} film at a time",
            expected="a batch of any size",
            remedy="export it with a dynamic batch",
        )
    if partial.rank.is_static and partial.rank.get_length() == 2:
        return source
    return opset.reshape(source, [-1, 1] if partial.rank == 1 else [0, -1], True).output(0)


def _connect_input(model: openvino.Model, settings: Settings, shape: _Shape) -> openvino.Node:
    """Put what turns a grey film into the network's input before it."""
    stated = settings.input
    image = opset.parameter([-1, 1, shape.size, shape.size], openvino.Type.f32, "image_nchw")
    black, white = stated.range
    x = opset.add(opset.multiply(image, np.float32(white - black)), np.float32(black))
    if shape.channels == 3:
        x = opset.concat([x, x, x], axis=1)
    if stated.mean:
        x = opset.subtract(x, _by_channel(stated.mean))
    if stated.std:
        x = opset.divide(x, _by_channel(stated.std))
    if shape.layout == "nhwc":
        x = opset.transpose(x, np.array([0, 2, 3, 1]))
    old = model.input(0).get_node()
    kind = old.output(0).get_element_type()
    if kind != openvino.Type.f32:
        x = opset.convert(x if kind.is_real() else opset.round(x, "half_to_even"), kind)
    old.output(0).replace(x.output(0))
    return image


def _by_channel(values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32).reshape(1, -1, 1, 1)


def _head(
    ending: Ending | None, columns: list[tuple[int, ...]], settings: Settings, *, stripped: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The linear layer from a pooled map to the logits; None where these are not linear in one."""
    if ending is None or ending.map_nchw is None or ending.bias_k is None:
        return None
    weight_kc, bias_k = ending.weight_kc, ending.bias_k
    first = [each[0] for each in columns]
    if settings.output == "logit" or (settings.output == "probability" and stripped):
        return weight_kc[first], bias_k[first]
    softmax = stripped or settings.output == "softmax_logits"
    if softmax and is_two_classes(weight_kc):
        other = [1 - each for each in first]
        return weight_kc[first] - weight_kc[other], bias_k[first] - bias_k[other]
    return None


def _feature(ending: Ending | None, raw_nk: Value, *, has_head: bool) -> Value:
    """The map that the head pools; else what goes into the last layer, or the outputs themselves,
    as a map of one place."""
    if ending is None:
        flat = raw_nk
    elif has_head and ending.map_nchw is not None:
        return opset.convert(ending.map_nchw, openvino.Type.f32).output(0)
    else:
        flat = ending.feature_nc
    width = int(flat.get_partial_shape()[1].get_length())
    return opset.convert(opset.reshape(flat, [-1, width, 1, 1], False), openvino.Type.f32).output(0)


def _written(image: openvino.Node, logit_nf: Value, feature: Value) -> tuple[bytes, bytes]:
    """The network's xml and weights, in f32 throughout."""
    image.output(0).get_tensor().set_names({"image_nchw"})
    # Own nodes for both, since one value cannot go by two names.
    outputs = [opset.multiply(each, np.float32(1)) for each in (logit_nf, feature)]
    for each, name in zip(outputs, ("logit_nf", "feature_nchw"), strict=True):
        each.output(0).get_tensor().set_names({name})
    model = openvino.Model([opset.result(each) for each in outputs], [image], "foreign")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        openvino.save_model(model, file, compress_to_fp16=False)
        return file.read_bytes(), file.with_suffix(".bin").read_bytes()


def _tried(
    network: tuple[bytes, bytes],
    size: int,
    head: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    where: Path,
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Run it on noise, alone and several at once; the head, if it does make the logits.

    Raises BundleError when it does not run, or an answer hangs on the films beside it.
    """
    image_nchw = np.random.default_rng(0).random((3, 1, size, size), dtype=np.float32)
    try:
        hints = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = CORE.compile_model(CORE.read_model(*network), "CPU", hints)
        alone_nf = np.concatenate(
            [np.array(compiled(each[None])["logit_nf"]) for each in image_nchw]
        )
        found = compiled(image_nchw)
    except (RuntimeError, ValueError) as error:
        line = next(iter(str(error).strip().splitlines()[::-1]), "")
        raise BundleError(
            where,
            f"does not run on several films at once ({line[:200]})",
            remedy="export it with a dynamic batch",
        ) from error
    logit_nf, feature_nchw = found["logit_nf"], found["feature_nchw"]
    if not np.isfinite(logit_nf).all():
        raise BundleError(where, "gives no finite number for a film of noise")
    if not np.allclose(alone_nf, logit_nf, rtol=_CLOSE, atol=_CLOSE):
        raise BundleError(
            where,
            "answers differently when films stand beside one another",
            remedy="export it for inference, with a dynamic batch",
        )
    if head is None:
        return None
    made_nf = feature_nchw.mean(axis=(2, 3)) @ head[0].T + head[1]
    return head if np.allclose(made_nf, logit_nf, rtol=_CLOSE, atol=_CLOSE) else None
