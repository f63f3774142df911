"""A Keras file as OpenVINO's model: Keras 3 on its OpenVINO backend, with no TensorFlow or torch.

What the model takes and gives is fitted to Hilum's by `graph`.

Loading a Keras file can run code: a Lambda's, or that of any module which its configuration names.
So the configuration is read first, and only Keras's own layers are let through; Keras itself then
loads in safe mode.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hilum.errors import BundleError, MissingExtraError
from hilum.openvino_runtime import openvino, opset

SUFFIXES = (".keras", ".h5", ".hdf5")
_MOST = 4 << 30  # bytes that a file may hold, unpacked
_CONFIG = 64 << 20  # bytes of its configuration

# Where the parts that a configuration may name have to come from.
_OWN = (
    "keras",
    "keras.activations",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.layers",
    "keras.models",
    "keras.regularizers",
)
_OWN_TREES = (
    "keras.src.activations.",
    "keras.src.engine.",
    "keras.src.initializers.",
    "keras.src.layers.",
    "keras.src.models.",
    "keras.src.ops.",
)
# Layers that run somebody's code, or read files that they name.
_UNSAFE = (
    "Lambda",
    "__lambda__",
    "TFSMLayer",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
    "StringLookup",
    "IntegerLookup",
    "IndexLookup",
    "TextVectorization",
    "function",
)
_REMEDY = "export it to ONNX where it was made"


def read_keras(path: Path) -> openvino.Model:
    """The model of a `.keras` or `.h5` file; its batch is free where the file leaves it so.

    Raises MissingExtraError without the extra `keras`; BundleError: no Keras file, damaged, too
    large, with a layer that is not Keras's own or that would run code, or with an operation that
    Keras cannot do on OpenVINO.
    """
    if find_spec("keras") is None or find_spec("h5py") is None:
        raise MissingExtraError(str(path), "keras", "the same model exported to ONNX")
    _look_inside(path)
    keras = _keras(path)
    with _quietly():
        try:
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises what its parts raise
            raise BundleError(path, f"Keras cannot load it ({_line(error)})") from error
        return _traced(path, keras, model)


def _traced(path: Path, keras: Any, model: Any) -> openvino.Model:
    """Call the model on a parameter, as Keras's own `predict` does on this backend.

    Keras's `export` is not used: it traces a batch of one, which OpenVINO then keeps.
    """
    if len(model.inputs) != 1:
        raise BundleError(path, f"{len(model.inputs)} inputs", expected="one, the film")
    given = model.inputs[0]
    shape = [-1 if side is None else int(side) for side in given.shape]
    kinds = {"float16": "f16", "float32": "f32", "float64": "f64", "uint8": "u8"}
    if given.dtype not in kinds:
        raise BundleError(path, f"an input of {given.dtype}", expected=", ".join(kinds))
    parameter = opset.parameter(shape, getattr(openvino.Type, kinds[given.dtype]))
    tensor = type(keras.ops.zeros(()))
    try:
        made = keras.tree.flatten(model(tensor(parameter.output(0)), training=False))
        results = [opset.result(each.output) for each in made]
        return openvino.Model(results, [parameter], path.stem)
    except Exception as error:  # whatever an operation that the backend lacks ends in
        raise BundleError(
            path, f"Keras cannot run it on OpenVINO ({_line(error)})", remedy=_REMEDY
        ) from error


def _look_inside(path: Path) -> None:
    """Raise BundleError unless it is a Keras file of Keras's own layers."""
    try:
        config = _zipped(path) if path.suffix == ".keras" else _in_hdf5(path)
        parsed = json.loads(config)
        if not isinstance(parsed, dict) or "class_name" not in parsed:
            raise ValueError("its configuration names no model")
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise BundleError(
            path, f"not a Keras model ({_line(error)})", expected="a whole .keras or .h5 file"
        ) from error
    # How it was trained is not built.
    for each in _named({k: v for k, v in parsed.items() if k != "compile_config"}):
        _refuse_foreign(path, each)


def _zipped(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        if sum(each.file_size for each in archive.infolist()) > _MOST:
            raise ValueError(f"more than {_MOST >> 30} GiB unpacked")
        if archive.getinfo("config.json").file_size > _CONFIG:
            raise ValueError(f"a configuration of more than {_CONFIG >> 20} MiB")
        return archive.read("config.json")


def _in_hdf5(path: Path) -> bytes | str:
    import h5py  # type: ignore[import-untyped]

    if path.stat().st_size > _MOST:
        raise ValueError(f"more than {_MOST >> 30} GiB")
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
        if config is None:
            raise ValueError("weights alone, or no model")
        _refuse_outside(file)
        if not isinstance(config, bytes | str):
            raise ValueError("its configuration is no text")
        return config


def _refuse_outside(file: Any) -> None:
    """Raise ValueError for a link to another file, or an array larger than any network's."""
    import h5py

    held = 0
    groups = [file]
    while groups:
        group = groups.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{name} is a link")
            each = group[name]
            if isinstance(each, h5py.Group):
                groups.append(each)
                continue
            if each.external or each.is_virtual:
                raise ValueError(f"{name} stands in another file")
            held += each.nbytes
            if held > _MOST:
                raise ValueError(f"more than {_MOST >> 30} GiB unpacked")


def _named(value: Any) -> Iterator[dict[str, Any]]:
    """Every part that a configuration names, at any depth."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "class_name" in each:
                yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _refuse_foreign(path: Path, part: dict[str, Any]) -> None:
    name, module = str(part["class_name"]), part.get("module")
    label = part.get("config", {}).get("name") if isinstance(part.get("config"), dict) else None
    called = f"{name} ({label})" if isinstance(label, str) else name
    if name.rpartition(">")[2] in _UNSAFE:
        raise BundleError(path, f"a layer {called}, which would run code or read files on loading",
                          expected="Keras's own layers alone", remedy=_REMEDY)  # fmt: skip
    own = module is None or module in _OWN or str(module).startswith(_OWN_TREES)
    if not own or ">" in name or ">" in str(part.get("registered_name") or ""):
        raise BundleError(
            path,
            f"a part {called} of its makers' own, from {module or 'a package of theirs'}",
            expected="Keras's own layers alone",
            remedy=_REMEDY,
        )


def _keras(path: Path) -> Any:
    """Keras on OpenVINO, whatever the user's own Keras is set to.

    Its folder of settings, `~/.keras`, is neither read nor made. Raises BundleError where this
    process runs Keras on something else already.
    """
    if "keras" not in sys.modules:
        wanted = {"KERAS_BACKEND": "openvino"}
        with (
            tempfile.TemporaryDirectory() as folder,
            _environment(wanted | {"KERAS_HOME": folder}),
            _quietly(),
        ):
            import keras  # type: ignore[import-untyped]
    else:
        keras = sys.modules["keras"]
    if keras.backend.backend() != "openvino":
        raise BundleError(
            path,
            f"Keras runs on {keras.backend.backend()} in this process",
            expected="openvino",
            remedy="set KERAS_BACKEND=openvino before keras is imported",
        )
    return keras


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what Keras says of itself; what goes wrong is raised."""
    said = logging.getLogger("absl")
    level = said.level
    said.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        said.setLevel(level)


def _line(error: BaseException) -> str:
    """The first line of what somebody else's exception says, not too long."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).strip().rstrip(".")[:200]
