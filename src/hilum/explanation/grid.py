"""Where on the input each cell of a feature map looks: read from the network's own graph.

A cell is centred on its receptive field, which is not the middle of its share of the film: a
convolution of stride 2 padded by one on either side starts at the very first pixel, so that of a
map of 7 x 7 over 224 pixels the cells look at pixels 0, 32, … 192. Drawn over equal tiles instead,
every map lies half a cell too low and too far to the right.

Where a map has few cells, each sees nearly the whole film, and what of that lies beyond the edge is
no film: what moves the cells draws together towards the film's middle (of EfficientNet-Lite0 at 128
pixels to 47, 50, 55 and 61 for cells at 0, 32, 64 and 96), and such a map hardly says where. Of two
cells along a side equal tiles come nearer than the arithmetic, which knows no edge.
Source of the arithmetic: Araujo, Norris & Sim 2019, "Computing receptive fields", Distill.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hilum.openvino_runtime import CORE

FEW = 3  # cells along a side: a map of fewer is laid over equal tiles

_SLIDING = ("Convolution", "GroupConvolution", "MaxPool", "AvgPool")


@dataclass(frozen=True)
class Grid:
    """The places of a map's cells on a square input, along rows and along columns alike.

    side: of the input, in pixels
    step: pixels from one cell to the next
    first: the pixel that the first cell is centred on; pixel 0 is the first, and its centre is at 0
    """

    side: int
    step: float = 1.0
    first: float = 0.0

    @classmethod
    def of_tiles(cls, side: int, cells: int) -> Grid:
        """Cells in the middle of equal tiles."""
        step = side / cells
        return cls(side, step, (step - 1) / 2)


def placed(traced: Grid | None, side: int, cells: int) -> Grid:
    """Where the cells of a map are drawn: as its network's graph says, or over equal tiles where it
    does not, or where there are fewer than FEW.
    """
    return Grid.of_tiles(side, cells) if traced is None or cells < FEW else traced


def grid_of_engine(engine: tuple[bytes, bytes], output: str = "feature_nchw") -> Grid | None:
    """Of an output of an engine; None where the graph does not tell (tokens, pooling to a size).

    engine: OpenVINO's network and its weights
    """
    return grid_of_model(CORE.read_model(*engine), output)


def grid_of_model(model: Any, output: str | int) -> Grid | None:
    """Of an output of OpenVINO's model, by name or by number."""
    known: dict[str, Grid | None] = {}
    for op in model.get_ordered_ops():
        known[op.get_name()] = _after(op, known)
    return known[model.output(output).get_node().input_value(0).get_node().get_name()]


def _after(op: Any, known: dict[str, Grid | None]) -> Grid | None:
    """What an operation makes of the grids of its inputs; one that makes no map has none."""
    kind = op.get_type_name()
    if kind == "Parameter":
        return Grid(op.output(0).get_partial_shape()[2].get_length())
    if not _is_map(op.output(0)):
        return None
    maps = [op.input_value(k) for k in range(op.get_input_size()) if _is_map(op.input_value(k))]
    known_maps = [each for each in maps if known.get(each.get_node().get_name()) is not None]
    found = known[known_maps[0].get_node().get_name()] if known_maps else None
    if found is None:
        return None
    if kind in _SLIDING:
        return _slid(op, found)
    if kind == "Pad":
        pads = op.input_value(1).get_node()
        if pads.get_type_name() != "Constant":
            return None
        added = int(pads.get_data()[2])
        return replace(found, first=found.first - added * found.step)
    # What works on each place alone keeps the grid; what changes it otherwise is not known here.
    same = op.output(0).get_partial_shape()[2] == known_maps[0].get_partial_shape()[2]
    return found if same else None


def _slid(op: Any, grid: Grid) -> Grid | None:
    attributes = op.get_attributes()
    padding = attributes.get("auto_pad", "explicit")
    stride, before = attributes["strides"][0], attributes["pads_begin"][0]
    if op.get_type_name().endswith("Pool"):
        kernel = attributes["kernel"][0]
    else:
        kernel = op.input_value(1).get_partial_shape()[-1].get_length()
    dilation = attributes.get("dilations", [1])[0]
    reach = dilation * (kernel - 1)
    if padding in ("same_upper", "same_lower"):
        size = op.input_value(0).get_partial_shape()[2]
        if size.is_dynamic:
            return None
        side = size.get_length()
        both = max((-(-side // stride) - 1) * stride + reach + 1 - side, 0)
        before = both // 2 if padding == "same_upper" else both - both // 2
    elif padding == "valid":
        before = 0
    elif padding != "explicit":
        return None
    return Grid(grid.side, grid.step * stride, grid.first + (reach / 2 - before) * grid.step)


def _is_map(value: Any) -> bool:
    """True for [n, c, h, w] of more than one place."""
    shape = value.get_partial_shape()
    if shape.rank.is_dynamic or shape.rank.get_length() != 4:
        return False
    if value.get_node().get_type_name() == "Constant":
        return False
    return bool(shape[2].is_dynamic) or int(shape[2].get_length()) > 1
