"""Other people's models behind the same call: Keras and ONNX files opened as bundles in memory.

What is then done with them is `predict`'s business, and that of all who stand on it.
"""

from hilum.foreign.opening import open_model
from hilum.foreign.settings import Settings

__all__ = ["Settings", "open_model"]
