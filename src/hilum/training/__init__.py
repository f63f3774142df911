"""From recipe to bundle (torch): the loop, augmentation, checkpoints, the exported engine.

`train` is public, and is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilum.training.run import train

__all__ = ["train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        from hilum.training.run import train

        return train
    raise AttributeError(f"module 'hilum.training' has no attribute {name!r}; public is train")
