"""The limits of the service, in one place; who keeps which is said beside each."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

MIB = 1 << 20


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Limits:
    """What one worker of the service takes on. Times in seconds, sizes in bytes.

    film: of one film's file; body: of one request
    films: in one request
    queue: films that are taken on at a time, in all stages; what comes beyond is refused as busy
    held: bytes of requests that are taken on at a time
    children: processes that decode; child_memory: address space of each, of which a film of 64
        million pixels takes 1.1 GiB
    decode_time: for one film; body_time: for a request's body to come in, which it does at `rate`
        bytes a second or more but for slow_time in all; head_time: for its headers;
        deadline: from body to answer; drain: from SIGTERM to the end
    batch: films that the engine takes at a time; wait: for more of them
    """

    film: int = 64 * MIB
    body: int = 256 * MIB
    films: int = 64
    queue: int = 128
    held: int = 1024 * MIB
    children: int = field(default_factory=_cores)
    child_memory: int = 2048 * MIB
    decode_time: float = 20.0
    body_time: float = 60.0
    slow_time: float = 10.0
    rate: int = 32 << 10
    head_time: float = 10.0
    deadline: float = 30.0
    drain: float = 30.0
    batch: int = 32
    wait: float = 0.002
