"""One process that tries each part in turn, and says what it found: `python -m` this, by `probing`.

A part that ends the process is told by its silence, so nothing is caught here but exceptions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from hilum.doctor.streams import DECODER, SIDE, STREAMS, picture

# What a package is imported as, where that is not its name.
IMPORTED_AS = {
    "pillow": "PIL",
    "pylibjpeg-openjpeg": "openjpeg",
    "pylibjpeg-rle": "rle",
    "python-gdcm": "gdcm",
}


def main() -> None:
    """Each name on the command line becomes a line before it is tried, and one after."""
    for name in sys.argv[1:]:
        tell({"begun": name})
        try:
            found = _probe(name)()
        except Exception as error:
            tell({"name": name, "error": f"{type(error).__name__}: {error}"})
        else:
            tell({"name": name, **found})


def tell(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _probe(name: str) -> Callable[[], dict[str, Any]]:
    if name.startswith(DECODER):
        return lambda: _decoder(name.removeprefix(DECODER))
    match name:
        case "openvino":
            return _openvino
        case "torch":
            return _torch
        case _:
            return lambda: _imported(name)


def _imported(name: str) -> dict[str, Any]:
    import_module(IMPORTED_AS.get(name, name.replace("-", "_")))
    return {}


def _openvino() -> dict[str, Any]:
    from hilum.openvino_runtime import CORE

    return {
        "devices": {
            device: {
                "name": str(CORE.get_property(device, "FULL_DEVICE_NAME")),
                "capabilities": sorted(CORE.get_property(device, "OPTIMIZATION_CAPABILITIES")),
            }
            for device in CORE.available_devices
        }
    }


def _torch() -> dict[str, Any]:
    import torch

    cards = range(torch.cuda.device_count())
    return {
        "built_for": torch.version.cuda and f"CUDA {torch.version.cuda}",
        "gpus": [
            {
                "name": torch.cuda.get_device_name(card),
                "memory_bytes": torch.cuda.get_device_properties(card).total_memory,
            }
            for card in cards
        ],
    }


def _decoder(what: str) -> dict[str, Any]:
    import numpy as np

    from hilum.data.radiograph.decoders import Layout, decode
    from hilum.data.radiograph.elements import PixelData

    stream = next(each for each in STREAMS if each.what == what)
    layout = Layout(SIDE, SIDE, 1, 8, "MONOCHROME2", False)
    read = decode(stream.syntax, PixelData(stream.content, encapsulated=True), layout)
    off = int(np.abs(read.astype(int) - picture()).max())
    if off > stream.tolerance:
        raise ValueError(f"a pixel is off by {off}")
    return {}


if __name__ == "__main__":
    main()
