"""Processor, memory, disk and limits of this machine, as far as this process may use them.

What of it OpenVINO or torch can use is found by `probing`.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hilum.data.reading import cores
from hilum.data.shards.fetching import default_cache
from hilum.doctor.problem import Problem

GIB = 1 << 30

# As Linux names them in /proc/cpuinfo -> as people do. What a network is quick by, no more.
_SETS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "VNNI",
    "avx512_vnni": "VNNI",
    "avx512_bf16": "AVX-512 bf16",
    "avx512_fp16": "AVX-512 fp16",
    "amx_bf16": "AMX bf16",
    "amx_int8": "AMX int8",
    "asimd": "NEON",
    "sve": "SVE",
    "bf16": "bf16",
    "i8mm": "int8 matrices",
}


@dataclass(frozen=True)
class Machine:
    """cores: that this process may run on; quota: cores' worth of time it is given, None: no limit
    memory_bytes: of the machine, or what the container is given if that is less; None: not known
    instructions: names of instruction sets; None where the system does not tell
    free_bytes: by place, on its disk; open_files: how many this process may hold
    """

    system: str
    python: str
    cores: int
    quota: float | None
    memory_bytes: int | None
    instructions: tuple[str, ...] | None
    free_bytes: Mapping[str, int]
    open_files: int | None


def look(root: Path = Path("/")) -> Machine:
    """root: where /proc and /sys are"""
    places = {"current folder": Path(), "cache": default_cache(), "temporary files": _temporary()}
    return Machine(
        system=_system(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cores=cores(),
        quota=_quota(root),
        memory_bytes=_memory(root),
        instructions=instruction_sets(root / "proc/cpuinfo"),
        free_bytes={name: shutil.disk_usage(_there(path)).free for name, path in places.items()},
        open_files=_open_files(),
    )


def problems(machine: Machine) -> list[Problem]:
    """What will be slow or fail for want of room."""
    told = []
    if machine.quota is not None and machine.quota < machine.cores:
        few = max(1, int(machine.quota))
        told.append(
            Problem(
                "processor",
                f"{machine.cores} cores to run on, and time for {machine.quota:g}: threads will "
                "wait for one another",
                f"pin it to as many: taskset -c 0-{few - 1} hilum …, or the container's "
                f"--cpuset-cpus 0-{few - 1}",
            )
        )
    intel = machine.instructions is not None and platform.machine() in ("x86_64", "AMD64")
    if intel and "AVX2" not in (machine.instructions or ()):
        told.append(
            Problem(
                "processor",
                "no AVX2: networks run several times slower",
                "use a machine made after 2015, or a virtual one that shows its processor's sets",
            )
        )
    if machine.memory_bytes is not None and machine.memory_bytes < 2 * GIB:
        told.append(
            Problem(
                "memory",
                f"{machine.memory_bytes / GIB:.1f} GiB",
                "give 2 GiB to judge and to serve, 4 GiB to train",
            )
        )
    told += [
        Problem(place, f"{free / GIB:.1f} GiB free on its disk", "make room, 1 GiB or more")
        for place, free in machine.free_bytes.items()
        if free < GIB
    ]
    if machine.open_files is not None and machine.open_files < 1024:
        told.append(
            Problem("open files", f"{machine.open_files} at a time", "raise it: ulimit -n 4096")
        )
    return told


def instruction_sets(cpuinfo: Path) -> tuple[str, ...] | None:
    """Of the first processor in the file; None where there is no such file."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags = set(value.split())
            return tuple(dict.fromkeys(name for flag, name in _SETS.items() if flag in flags))
    return None


def _system() -> str:
    libc = " ".join(platform.libc_ver()).strip()
    return f"{platform.system()} {platform.machine()}{f', {libc}' if libc else ''}"


def _quota(root: Path) -> float | None:
    """Cores' worth of time, of control groups version 2 or 1 as a container sees its own."""
    groups = root / "sys/fs/cgroup"
    words = _words(groups / "cpu.max")
    if not words:
        words = _words(groups / "cpu/cpu.cfs_quota_us") + _words(groups / "cpu/cpu.cfs_period_us")
    if len(words) != 2 or not all(word.isdecimal() for word in words):  # "max", -1: no limit
        return None
    return int(words[0]) / int(words[1])


def _memory(root: Path) -> int | None:
    groups = root / "sys/fs/cgroup"
    limits = _words(groups / "memory.max") + _words(groups / "memory/memory.limit_in_bytes")
    known = [int(word) for word in limits if word.isdecimal()]
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemTotal:"):
            known.append(int(line.split()[1]) * 1024)
    return min(known, default=None)


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:  # another system, or another version of it
        return []


def _open_files() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _temporary() -> Path:
    import tempfile

    return Path(tempfile.gettempdir())


def _there(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
