"""An ONNX file as OpenVINO's model.

What the model takes and gives is fitted to Hilum's by `graph`.
"""

from __future__ import annotations

from pathlib import Path

from hilum.errors import BundleError
from hilum.openvino_runtime import FrontEndManager, openvino

SUFFIXES = (".onnx",)


def read_onnx(path: Path) -> openvino.Model:
    """The model of an ONNX file, with weights in files beside it where it names such.

    OpenVINO's own reader refuses weights outside the folder, also behind a link.
    Raises BundleError: no ONNX file, damaged, weights that are not there or lie outside, or an
    operation that OpenVINO does not know.
    """
    # Asked for by name, or OpenVINO would try its readers of other formats on it, too.
    reader = FrontEndManager().load_by_framework("onnx")
    try:
        return reader.convert(reader.load(str(path)))
    except Exception as error:  # its reader has five kinds, and RuntimeError
        raise BundleError(
            path,
            f"not a model that OpenVINO reads ({_reason(error)})",
            expected="a whole ONNX file",
        ) from error


def weights_beside(path: Path) -> tuple[Path, ...]:
    """Files of its folder that an ONNX file may take weights from: those that it names.

    Raises OSError.
    """
    content = path.read_bytes()
    if b"location" not in content:  # the key under which ONNX names another file
        return ()
    files = (each for each in path.parent.rglob("*") if each.is_file() and each != path)
    return tuple(sorted(each for each in files if each.name.encode() in content))


def _reason(error: Exception) -> str:
    """Of OpenVINO's long account the last line, which says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".")[:200] if lines else type(error).__name__
