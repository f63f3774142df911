"""Engines: a bundle's network made ready to run, those exported beside it, and the choice.

What goes in and what is made of the answer is left to `predict`; making one, to `exporting`.
"""

from hilum.engines.choosing import carried_engine, engines_of, fastest, open_engine
from hilum.engines.exported import CARRIED, Exported, exported_engines, read_exported
from hilum.engines.running import Engine, Output, onnx_engine, openvino_engine

__all__ = [
    "CARRIED",
    "Engine",
    "Exported",
    "Output",
    "carried_engine",
    "engines_of",
    "exported_engines",
    "fastest",
    "onnx_engine",
    "open_engine",
    "openvino_engine",
    "read_exported",
]
