"""Facts: what is known of a run besides its figures: the command, the versions, the model's record.

The figures are an `Evaluation`; what a report says of either is left to the modules beside this.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

LIBRARIES = ("numpy", "scipy", "pandas", "matplotlib")


@dataclass(frozen=True)
class Facts:
    """What is known of a run besides its figures.

    command: what was run, as one would type it again
    versions: of Hilum, Python and the libraries that made the figures, by name
    model: a bundle's `bundle.json` as plain values; None for somebody else's predictions
    openings: the bundle's ledger, one entry per look at its test images, oldest first
    predictions_file, predictions_sha256: where foreign predictions came from, and their digest
    seed: of the resamples
    """

    command: str
    versions: Mapping[str, str] = field(default_factory=dict)
    model: Mapping[str, Any] | None = None
    openings: tuple[Mapping[str, Any], ...] = ()
    predictions_file: str | None = None
    predictions_sha256: str | None = None
    seed: int | None = None

    @property
    def foreign(self) -> bool:
        """Whether others made the model, and its record is what is stated beside its file."""
        return self.known("recipe", "foreign") is not None

    def known(self, *path: str) -> Any:
        """What the model's record holds at `path`, None where it holds nothing.

        An empty string, list or mapping counts as nothing: `known("recipe", "train", "epochs")`.
        """
        return at(self.model, *path)


def at(value: Any, *path: str) -> Any:
    """The entry of nested mappings at `path`; None where a key is missing or its value is empty."""
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    empty = isinstance(value, (str, Mapping, Sequence)) and not value
    return None if empty else value


def installed_versions() -> dict[str, str]:
    """Versions of what computes and draws a report; a library that is not installed is left out."""
    found = {"hilum": "", "python": platform.python_version()}
    for name in ("hilum", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found.pop(name, None)
    return found
