"""Which of a bundle's engines runs: the one it carries, the fastest, or one by name.

What judges a bundle asks the carried one; what answers in use, the fastest.
"""

from __future__ import annotations

from collections.abc import Mapping

from hilum.bundle import Bundle
from hilum.engines.exported import CARRIED, FOLDER, NAMES, Exported, exported_engines, read_exported
from hilum.engines.running import (
    Engine,
    has_bf16,
    has_onnx_runtime,
    onnx_engine,
    openvino_engine,
    processor,
)
from hilum.errors import BundleError


def carried_engine(bundle: Bundle, *, threads: int | None = None) -> Engine:
    """The fp32 engine that is part of the bundle, on which it was calibrated and is judged.

    Raises BundleError when it cannot be run.
    """
    return openvino_engine(bundle.engine, threads=threads)


def open_engine(bundle: Bundle, name: str | None = None, *, threads: int | None = None) -> Engine:
    """An engine of the bundle by its name, or the fastest that runs here.

    Raises BundleError when it cannot be run, is not as it was written, or there is none of that
    name; MissingExtraError where its runtime is not installed.
    """
    if name is None:
        name = fastest(bundle)
    elif name not in (present := engines_of(bundle)):
        raise BundleError(
            f"engine {name}",
            "not among the bundle's engines" if name in NAMES else "no engine of that name",
            expected=", ".join(present),
            remedy="make others by 'hilum export'",
        )
    if name == CARRIED:
        return carried_engine(bundle, threads=threads)
    exported = read_exported(bundle, name)
    if not runs_here(name) and name == "openvino-bf16":
        raise BundleError(
            f"engine {name}",
            "this processor does not multiply in bf16",
            remedy=f"take {CARRIED}",
        )
    if exported.record.runtime == "onnxruntime":
        return onnx_engine(exported.content[0], threads=threads)
    network = (exported.content[0], exported.content[1]) if exported.content else bundle.engine
    precision = "bf16" if exported.record.precision == "bf16" else "f32"
    return openvino_engine(network, precision=precision, threads=threads, name=name)


def engines_of(bundle: Bundle) -> tuple[str, ...]:
    """Names of the engines that are there, the carried one first; none is looked into."""
    there = [name for name in NAMES if (bundle.folder / FOLDER / name).is_dir()]
    return (CARRIED, *(name for name in there if name != CARRIED))


def fastest(bundle: Bundle) -> str:
    """The fastest of the bundle's engines that runs on this machine.

    By the images a second that were measured when it was exported, as a multiple of the carried
    engine's in the same run, where that was on a processor of this name; where any was not, by the
    order of NAMES. Raises BundleError when an engine is not as it was written.
    """
    found = {n: each for n, each in exported_engines(bundle).items() if runs_here(n)}
    measured = {
        name: each.record.speed.gain
        for name, each in found.items()
        if each.record.speed.processor == processor()
    }
    others: Mapping[str, Exported] = {n: each for n, each in found.items() if n != CARRIED}
    if all(name in measured for name in others):
        gains = {CARRIED: 1.0} | {name: measured[name] for name in others}
        return max(gains, key=lambda name: gains[name])
    return next(name for name in NAMES if name in others or name == CARRIED)


def runs_here(name: str) -> bool:
    """Whether this processor, and what is installed, can run an engine of that name."""
    match name:
        case "onnx-f32":
            return has_onnx_runtime()
        case "openvino-bf16":
            return has_bf16()
        case _:
            return True
