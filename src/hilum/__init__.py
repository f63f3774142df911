"""Hilum: train a chest X-ray classifier, prove how far it can be trusted, put it to work.

What stands in `__all__` is public; it is loaded when it is first asked for, so that
`import hilum` costs nothing. Training lives in `hilum.training` and needs the extra `train`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilum.bundle import Bundle, load_bundle
    from hilum.data.cohort import Cohort
    from hilum.data.roles import assign_roles
    from hilum.data.sources import open_source
    from hilum.errors import HilumError
    from hilum.evaluation import Evaluation, Predictions
    from hilum.foreign import open_model
    from hilum.recipe import Recipe, read_recipe

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "hilum.bundle",
    "Cohort": "hilum.data.cohort",
    "Evaluation": "hilum.evaluation",
    "HilumError": "hilum.errors",
    "Predictions": "hilum.evaluation",
    "Recipe": "hilum.recipe",
    "assign_roles": "hilum.data.roles",
    "load_bundle": "hilum.bundle",
    "open_model": "hilum.foreign",
    "open_source": "hilum.data.sources",
    "read_recipe": "hilum.recipe",
}

__all__ = [
    "Bundle",
    "Cohort",
    "Evaluation",
    "HilumError",
    "Predictions",
    "Recipe",
    "__version__",
    "assign_roles",
    "load_bundle",
    "open_model",
    "open_source",
    "read_recipe",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(
        f"module 'hilum' has no attribute {name!r}; public are {', '.join(_HOMES)}"
    )
