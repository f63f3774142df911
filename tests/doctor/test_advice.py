"""What is said to be fast, by what the machine has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from doctor_made import FINE
from hilum.doctor.advice import advice, engine, threads, training, unused_gpu

H200 = {"name": "NVIDIA H200", "memory_bytes": 150 << 30}


@pytest.mark.parametrize(
    ("instructions", "capabilities", "name"),
    [
        (("AVX2", "VNNI"), ("FP32", "INT8"), "openvino-int8"),
        (("AMX int8", "AMX bf16"), ("BF16",), "openvino-int8"),
        (("AVX-512", "AVX-512 bf16"), ("BF16", "FP32"), "openvino-bf16"),
        (("AVX2",), ("FP32", "INT8"), "openvino-f32"),
        (None, (), "openvino-f32"),
    ],
)
def test_the_engine_follows_the_instruction_sets(
    instructions: tuple[str, ...] | None, capabilities: tuple[str, ...], name: str
) -> None:
    assert engine(instructions, capabilities, made=True).startswith(f"engine: {name}")


def test_int8_says_what_makes_it_and_that_it_is_to_be_judged() -> None:
    line = engine(("VNNI",), (), made=False)
    assert "made where hilum[export] is installed" in line
    assert "judge it before you serve it" in line


def test_threads_are_no_more_than_the_time_there_is() -> None:
    assert threads(FINE).startswith("threads: 4,")
    assert threads(replace(FINE, quota=2.5)).startswith("threads: 2,")
    assert threads(replace(FINE, quota=0.5)).startswith("threads: 1;")
    assert threads(replace(FINE, cores=32)).endswith("hilum serve --workers 8")


def test_training_is_told_of_where_there_is_torch() -> None:
    assert training(None) == []
    assert "on the processor" in training({"gpus": [], "built_for": None})[0]
    assert "torchrun --nproc-per-node 2" in training({"gpus": [H200, H200], "built_for": "x"})[0]


def test_a_gpu_that_torch_does_not_use_is_a_problem() -> None:
    assert unused_gpu(None, driver=True) == []
    assert unused_gpu({"gpus": [], "built_for": None}, driver=False) == []
    assert unused_gpu({"gpus": [H200], "built_for": "CUDA 13.2"}, driver=True) == []
    (told,) = unused_gpu({"gpus": [], "built_for": None}, driver=True)
    assert "built for the processor alone" in told.line
    (told,) = unused_gpu({"gpus": [], "built_for": "CUDA 13.2"}, driver=True)
    assert "CUDA 13.2 cannot use it" in told.line


def test_each_part_that_is_missing_is_named_with_its_use() -> None:
    whole = {"train": True, "serve": False, "export": True, "keras": True}
    lines = advice(FINE, (), whole, None)
    assert [line for line in lines if "pip install" in line] == [
        "to serve over HTTP or beside a PACS: pip install 'hilum[serve]'"
    ]
