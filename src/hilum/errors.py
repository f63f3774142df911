"""The exception tree: each error names where, what was found, what was expected and what to do.

Only `hilum.cli` turns one of these into an exit code; nothing else catches them to carry on.
"""

from __future__ import annotations

from pathlib import Path


class HilumError(Exception):
    """One line for the user: `where: found; expected ...; remedy`.

    where: the file, recipe key or argument at fault
    found: what was found there
    expected: what should have been there
    remedy: what to do about it
    """

    def __init__(
        self,
        where: str | Path,
        found: str,
        *,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.where, self.found, self.expected, self.remedy = str(where), found, expected, remedy
        parts = [found]
        if expected:
            parts.append(f"expected {expected}")
        if remedy:
            parts.append(remedy)
        line = f"{where}: " + "; ".join(parts)
        super().__init__(" ".join(line.split()))


class RecipeError(HilumError):
    """A recipe has an unknown key or a value out of range."""


class DataError(HilumError):
    """A data set is missing, incomplete, or not what it says it is."""


class DataMissingError(DataError):
    """A data set can be neither found nor fetched."""


class RadiographError(DataError):
    """One image file cannot be read as a radiograph."""


class WeightsError(HilumError):
    """Pretrained weights are not at hand or do not fit the backbone."""


class TrainingError(HilumError):
    """Training cannot go on; the message says what was kept."""


class StoppedError(TrainingError):
    """A run was asked to stop, and can be resumed."""


class BundleError(HilumError):
    """A bundle is damaged, of another schema, or cannot be written."""


class EvaluationError(HilumError):
    """Predictions do not allow what was asked of them."""


class OutputError(HilumError):
    """A file or folder cannot be written."""


class MissingExtraError(HilumError):
    """An optional part of Hilum is needed and not installed."""

    def __init__(self, where: str, extra: str, instead: str) -> None:
        super().__init__(
            where,
            f"needs the optional part '{extra}', which is not installed",
            remedy=f"pip install 'hilum[{extra}]', or use {instead}",
        )
