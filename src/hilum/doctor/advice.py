"""What would be fast on this machine, and what is missing for it.

Rules of thumb, from the figures in benchmarks/README.md; `measuring` measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilum.doctor.machine import Machine
from hilum.doctor.problem import Problem

_INT8 = {"VNNI", "AMX int8", "int8 matrices"}
_FOR = {
    "train": "to train",
    "serve": "to serve over HTTP or beside a PACS",
    "export": "to make int8 and ONNX engines",
    "keras": "to read Keras models",
}


def advice(
    machine: Machine,
    capabilities: tuple[str, ...],
    whole: Mapping[str, bool],
    torch: Mapping[str, Any] | None,
) -> list[str]:
    """Lines, the most useful first.

    capabilities: of the processor, as OpenVINO names them
    whole: by extra, whether it is installed
    torch: what was found of torch; None where it is not installed or does not work
    """
    return [
        engine(machine.instructions, capabilities, made=whole.get("export", False)),
        threads(machine),
        *training(torch),
        *(
            f"{use}: pip install 'hilum[{extra}]'"
            for extra, use in _FOR.items()
            if not whole.get(extra, False)
        ),
    ]


def engine(
    instructions: tuple[str, ...] | None, capabilities: tuple[str, ...], *, made: bool
) -> str:
    """The engine that is likely the fastest.

    made: whether int8 engines can be made here
    """
    if _INT8 & set(instructions or ()):
        made_by = "" if made else ", made where hilum[export] is installed"
        return (
            f"engine: openvino-int8{made_by} (hilum export BUNDLE --to openvino --int8; "
            "probabilities move, so judge it before you serve it)"
        )
    if "BF16" in capabilities:
        return "engine: openvino-bf16 (hilum export BUNDLE --to openvino --bf16)"
    return "engine: openvino-f32, which every bundle carries"


def threads(machine: Machine) -> str:
    """How many threads are worth having."""
    few = machine.cores
    if machine.quota is not None:
        few = max(1, min(few, int(machine.quota)))
    if few == 1:
        return "threads: 1; a second core would nearly double it"
    workers = f", and beyond 8 cores hilum serve --workers {few // 4}" if few > 8 else ""
    return f"threads: {few}, which is what Hilum takes by itself{workers}"


def training(torch: Mapping[str, Any] | None) -> list[str]:
    """What training would run on."""
    if torch is None:
        return []
    if torch["gpus"]:
        count = len(torch["gpus"])
        told = "training: on the GPU, by itself"
        many = f"; torchrun --nproc-per-node {count} takes all {count}" if count > 1 else ""
        return [told + many]
    return ["training: on the processor; pneumoniamnist takes minutes, a GPU pays from 224 px on"]


def unused_gpu(torch: Mapping[str, Any] | None, *, driver: bool) -> list[Problem]:
    """A GPU that torch does not see.

    driver: whether NVIDIA's driver is loaded
    """
    if torch is None or torch["gpus"] or not driver:
        return []
    if torch["built_for"] is None:
        found = "there, and torch is built for the processor alone"
        return [Problem("GPU", found, "install torch with CUDA, from PyTorch's own index")]
    found = f"there, and torch for {torch['built_for']} cannot use it"
    remedy = "update the driver, or give the container the GPU (--gpus all)"
    return [Problem("GPU", found, remedy)]
