"""The machine, as /proc and /sys of several kinds tell of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from doctor_made import FINE
from hilum.doctor.machine import GIB, Machine, instruction_sets, look, problems


def sysfs(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_the_time_that_a_container_is_given_is_read(
    files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    assert look(sysfs(tmp_path, files)).quota == quota


def test_memory_is_what_the_container_is_given_where_that_is_less(tmp_path: Path) -> None:
    root = sysfs(tmp_path, {"proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\n"})
    assert look(root).memory_bytes == 16 * GIB
    sysfs(root, {"sys/fs/cgroup/memory.max": "max\n"})
    assert look(root).memory_bytes == 16 * GIB
    sysfs(root, {"sys/fs/cgroup/memory.max": f"{2 * GIB}\n"})
    assert look(root).memory_bytes == 2 * GIB


def test_instruction_sets_have_the_names_that_people_know(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    assert instruction_sets(file) is None
    file.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni avx_vnni amx_int8\n")
    assert instruction_sets(file) == ("AVX2", "AVX-512", "VNNI", "AMX int8")
    file.write_text("processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n")
    assert instruction_sets(file) == ("NEON", "bf16", "int8 matrices")
    file.write_text("processor\t: 0\nflags\t\t: fpu sse2\n")
    assert instruction_sets(file) == ()


def test_this_machine_can_be_looked_at() -> None:
    here = look()
    assert here.cores >= 1
    assert set(here.free_bytes) == {"current folder", "cache", "temporary files"}


def test_a_machine_with_all_it_needs_has_no_problem() -> None:
    assert problems(FINE) == []
    assert problems(replace(FINE, quota=4.0, open_files=None, memory_bytes=None)) == []


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        (replace(FINE, quota=1.5), "processor: 4 cores to run on, and time for 1.5"),
        (replace(FINE, memory_bytes=GIB), "memory: 1.0 GiB"),
        (replace(FINE, free_bytes={"cache": GIB // 2}), "cache: 0.5 GiB free on its disk"),
        (replace(FINE, open_files=256), "open files: 256 at a time"),
    ],
)
def test_want_of_room_is_told_with_a_remedy_and_breaks_nothing(machine: Machine, line: str) -> None:
    (told,) = problems(machine)
    assert told.line.startswith(f"{line}")
    assert told.remedy
    assert not told.broken


def test_a_processor_without_avx2_is_told_where_it_could_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (told,) = problems(replace(FINE, instructions=()))
    assert "no AVX2" in told.line
    assert problems(replace(FINE, instructions=None)) == []
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert problems(replace(FINE, instructions=("NEON",))) == []
