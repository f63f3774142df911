"""What a launcher such as torchrun says of this process in its environment; without torch.

Joining the other processes is `world`'s.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

from hilum.errors import TrainingError


@dataclass(frozen=True)
class Place:
    """Where this process stands: `rank` of `world`, of which `on_host` run on this machine."""

    rank: int = 0
    world: int = 1
    on_host: int = 1

    @property
    def hosts(self) -> int:
        return self.world // self.on_host

    @classmethod
    def here(cls) -> Self:
        """One process alone, or what torchrun has set.

        Raises TrainingError when half of it is set, or a restart could not work.
        """
        if _number("WORLD_SIZE", 1) == 1:
            return cls()
        # torchrun then keeps the addresses of processes that died, and a restart waits for them
        # (PyTorch issue 135712).
        stale = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        if stale and _number("TORCHELASTIC_MAX_RESTARTS", 0):
            raise TrainingError(
                "torchrun --max-restarts",
                "processes that are started again would not find each other",
                remedy="set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 where torchrun is started",
            )
        for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
            if name not in os.environ:
                raise TrainingError(
                    "the environment",
                    f"WORLD_SIZE = {os.environ['WORLD_SIZE']} without {name}",
                    expected="all that torchrun sets",
                    remedy="start every process by torchrun, or unset WORLD_SIZE",
                )
        place = cls(_number("RANK", 0), _number("WORLD_SIZE", 1), _number("LOCAL_WORLD_SIZE", 1))
        if place.world % place.on_host:
            raise TrainingError(
                "the environment",
                f"{place.world} processes, of which {place.on_host} run on this host",
                expected="as many on every host",
                remedy="start torchrun with the same --nproc-per-node everywhere",
            )
        return place


def main_process() -> bool:
    """True for the process that speaks and writes: the only one, or the first of the world."""
    return _number("WORLD_SIZE", 1) == 1 or _number("RANK", 0) == 0


def is_restart() -> bool:
    """True where torchrun has started this process again after one had died."""
    return _number("TORCHELASTIC_RESTART_COUNT", 0) > 0


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise TrainingError(
            "the environment", f"{name} = {text!r}", expected="a number", remedy="use torchrun"
        )
    return int(text)
