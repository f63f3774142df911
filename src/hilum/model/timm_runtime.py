"""timm without torch's compiler: the one place in `model` that imports it.

timm imports torchvision, and that the compiler, to ask one question when a detection operator is
compiled. The compiler takes as long to import as all of torch. A stand-in answers while timm is
imported, and goes: whoever compiles imports the real one.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

_NAME = "torch._dynamo"


def _imported() -> ModuleType:
    """timm, with the compiler only where that is imported already."""
    if _NAME not in sys.modules:
        compiler, utils = ModuleType(_NAME), ModuleType(f"{_NAME}.utils")
        answers: dict[str, Any] = {"utils": utils, "config": SimpleNamespace(), "disable": _as_is}
        vars(compiler).update(answers)
        vars(utils).update(is_compile_supported=lambda device: False)
        stand_in = {_NAME: compiler, utils.__name__: utils}
        sys.modules.update(stand_in)
        try:
            import timm
        finally:
            for name in stand_in:
                del sys.modules[name]
    import timm

    return timm  # type: ignore[no-any-return]


def _as_is(function: Any = None, *given: object, **named: object) -> Any:
    """What marks a function as not to be compiled; in timm only NaFlexViT has such."""
    return (lambda each: each) if function is None else function


timm: Any = _imported()
