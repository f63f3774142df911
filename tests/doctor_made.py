"""A machine that lacks nothing."""

from __future__ import annotations

from hilum.doctor.machine import GIB, Machine

FINE = Machine(
    system="Linux x86_64",
    python="CPython 3.11.7",
    cores=4,
    quota=None,
    memory_bytes=16 * GIB,
    instructions=("AVX2", "AVX-512", "VNNI"),
    free_bytes={"current folder": 50 * GIB},
    open_files=4096,
)
