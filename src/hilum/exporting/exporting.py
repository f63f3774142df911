"""Export: make an engine, hold it against the reference, and only then put it beside the bundle."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from hilum import __version__
from hilum.bundle import Bundle
from hilum.engines import CARRIED, Engine, Exported, carried_engine, onnx_engine, openvino_engine
from hilum.engines.exported import Record, engine_draft, seal_engine
from hilum.engines.running import Runtime, has_bf16
from hilum.errors import BundleError, MissingExtraError
from hilum.exporting.agreement import Films, agreement, refuse_disagreement
from hilum.exporting.quantising import PRESET, quantise
from hilum.exporting.speed import speed


def reference_engine(bundle: Bundle, *, fp32: bool) -> Engine:
    """What new engines are held against: torch, with the bundle's weights.

    fp32: whether one of them is to be as exact as torch; where not and torch is not installed,
    the carried engine stands in, which agreed with torch when the bundle was made.
    Raises MissingExtraError.
    """
    if any(find_spec(package) is None for package in ("torch", "timm")):
        if fp32:
            raise MissingExtraError("this export", "train", "--int8 or --bf16")
        return carried_engine(bundle)
    from hilum.rebuilding import TorchEngine, network_of

    return TorchEngine(network_of(bundle))


def refuse_impossible(name: str) -> None:
    """Raise where this machine lacks what an export needs, before anything is read."""
    if name == "openvino-bf16" and not has_bf16():
        raise BundleError(
            name,
            "this processor does not multiply in bf16",
            expected="one that does, where it is to run",
            remedy="export --int8 in its place",
        )
    needs = {
        "openvino-int8": ("nncf",),
        "onnx-f32": ("onnx", "onnxruntime"),
    }.get(name, ())
    if any(find_spec(package) is None for package in needs):
        raise MissingExtraError(name, "export", f"the engine {CARRIED}")


def refuse_shipped(bundle: Bundle) -> None:
    """Raise for a bundle that ships with Hilum, whose folder others may use, and installers own."""
    if bundle.shipped:
        raise BundleError(
            bundle.folder,
            "ships with Hilum, and no engine is put beside it",
            expected="a bundle of your own",
            remedy="copy it, and export the copy: "
            + shlex.join(["cp", "-r", str(bundle.folder), f"my-{bundle.folder.name}"]),
        )


def export(bundle: Bundle, name: str, films: Films) -> Exported:
    """Make the engine `name`, measure it, and put it beside the bundle.

    films: of the bundle's calibrate role, with the reference's answers
    Raises BundleError where it lies too far from the reference, OutputError where it cannot be
    written; what was there stays as it was.
    """
    refuse_impossible(name)
    refuse_shipped(bundle)
    make = _MAKERS[name]
    runtime: Runtime = "onnxruntime" if name == "onnx-f32" else "openvino"
    precision = name.rpartition("-")[2]
    with engine_draft(bundle, name) as draft:
        engine, made = make(bundle, films, draft)
        found = agreement(bundle, engine, films)
        refuse_disagreement(name, precision, found)
        record = Record(
            name=name,
            runtime=runtime,
            precision=precision,
            bundle=bundle.digest,
            agreement=found,
            speed=speed(engine, carried_engine(bundle), films.image_nchw),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={"hilum": __version__}
            | {package: version(package) for package in _PACKAGES if find_spec(package)},
        ).model_copy(update=made)
        return seal_engine(draft, bundle, record)


_PACKAGES = ("openvino", "nncf", "onnx", "onnxruntime", "torch")
Made = tuple[Engine, dict[str, object]]


def _carried(bundle: Bundle, films: Films, draft: Path) -> Made:
    return carried_engine(bundle), {}


def _bf16(bundle: Bundle, films: Films, draft: Path) -> Made:
    return openvino_engine(bundle.engine, precision="bf16"), {}


def _int8(bundle: Bundle, films: Films, draft: Path) -> Made:
    n = quantise(bundle.engine, films.image_nchw, draft)
    network = (draft / "model.xml").read_bytes(), (draft / "model.bin").read_bytes()
    engine = openvino_engine(network, name="openvino-int8")
    return engine, {"quantisation": {"preset": PRESET, "films": n}}


def _onnx(bundle: Bundle, films: Films, draft: Path) -> Made:
    from hilum.exporting.onnx import OPSET, write_onnx
    from hilum.rebuilding import network_of

    path = draft / "model.onnx"
    write_onnx(network_of(bundle), bundle.manifest.engine.input_size, path)
    return onnx_engine(path.read_bytes()), {"opset": OPSET}


_MAKERS: dict[str, Callable[[Bundle, Films, Path], Made]] = {
    CARRIED: _carried,
    "openvino-bf16": _bf16,
    "openvino-int8": _int8,
    "onnx-f32": _onnx,
}
