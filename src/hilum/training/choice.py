"""Choice: what was measured of each candidate recipe, and which of them it speaks for.

How it was measured is `selection`'s business; nothing here trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.training.stress import CLEAN, StressFigures

SCHEMA = 1


@dataclass(frozen=True)
class MeanFigure:
    """Mean over folds, and its standard error as if folds were independent."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, value_k: NDArray[np.float64]) -> MeanFigure:
        """value_k: of each fold, two or more."""
        spread = float(value_k.std(ddof=1)) / len(value_k) ** 0.5
        return cls(float(value_k.mean()), spread)

    def in_words(self) -> str:
        return f"{self.value:.4f} ± {self.standard_error:.4f}"


@dataclass(frozen=True)
class FoldResult:
    """One candidate on one fold. met: "clean" and each fault -> figures on the held-out films."""

    seconds: float
    met: Mapping[str, StressFigures]

    @property
    def worst_log_loss(self) -> float:
        return max(each.log_loss for each in self.met.values())

    @property
    def worst_auroc(self) -> float:
        return min(each.auroc for each in self.met.values())

    @property
    def worst_balanced_accuracy(self) -> float:
        return min(each.balanced_accuracy for each in self.met.values())


@dataclass(frozen=True)
class Candidate:
    """One candidate. changes: of the recipe; folds: in their order."""

    name: str
    changes: Mapping[str, Any]
    folds: tuple[FoldResult, ...]

    @property
    def worst_log_loss(self) -> MeanFigure:
        return MeanFigure.of(self.worst_log_loss_k)

    @property
    def worst_log_loss_k(self) -> NDArray[np.float64]:
        return np.array([fold.worst_log_loss for fold in self.folds])

    @property
    def worst_auroc(self) -> MeanFigure:
        return MeanFigure.of(np.array([fold.worst_auroc for fold in self.folds]))

    @property
    def worst_balanced_accuracy(self) -> MeanFigure:
        return MeanFigure.of(np.array([fold.worst_balanced_accuracy for fold in self.folds]))

    @property
    def worst_fault(self) -> str:
        """The condition with the highest log loss, mean over folds."""
        return max(self.folds[0].met, key=lambda name: self.under(name).log_loss)

    @property
    def seconds(self) -> float:
        """Of training, all folds together."""
        return sum(fold.seconds for fold in self.folds)

    def under(self, condition: str) -> StressFigures:
        """Means over folds under one condition."""
        rows = [list(asdict(fold.met[condition]).values()) for fold in self.folds]
        return StressFigures(*np.mean(rows, axis=0).tolist())

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "changes": dict(self.changes),
            "worst_log_loss": asdict(self.worst_log_loss),
            "worst_auroc": asdict(self.worst_auroc),
            "worst_balanced_accuracy": asdict(self.worst_balanced_accuracy),
            "worst_fault": self.worst_fault,
            "seconds": round(self.seconds, 1),
            "conditions": {name: asdict(self.under(name)) for name in self.folds[0].met},
            "folds": [
                {
                    "seconds": round(fold.seconds, 1),
                    "worst_log_loss": fold.worst_log_loss,
                    "conditions": {name: asdict(each) for name, each in fold.met.items()},
                }
                for fold in self.folds
            ],
        }


@dataclass(frozen=True)
class Selection:
    """Candidates in the order of simplicity, and the one to take.

    n: films held out in all; grouping: what was kept together in a fold, "patient" or "image"
    severity, prevalence: of the faults, and that films were reweighted to
    """

    source: str
    n: int
    grouping: str
    severity: int
    prevalence: float
    warnings: tuple[str, ...]
    candidates: tuple[Candidate, ...]

    @property
    def lowest(self) -> Candidate:
        """That with the lowest worst-case log loss."""
        return min(self.candidates, key=lambda each: each.worst_log_loss.value)

    @property
    def chosen(self) -> Candidate:
        """The simplest whose loss is within one standard error of the lowest.

        Both met the same films, so the error is that of the difference, fold by fold.
        Source: Breiman et al. 1984, section 3.4.3, the rule of one standard error.
        """
        return next(each for each in self.candidates if self._as_good(self.above_lowest(each)))

    def above_lowest(self, candidate: Candidate) -> MeanFigure:
        """By how much its worst-case log loss lies above the lowest, paired by fold."""
        return MeanFigure.of(candidate.worst_log_loss_k - self.lowest.worst_log_loss_k)

    @staticmethod
    def _as_good(above: MeanFigure) -> bool:
        return above.value <= above.standard_error

    def reason(self) -> str:
        """Why the chosen one, in a sentence."""
        chosen, lowest = self.chosen, self.lowest
        if chosen is lowest:
            before = self.candidates[: self.candidates.index(chosen)]
            rest = (
                "every simpler candidate lies more than one standard error above it"
                if before
                else "no candidate is simpler"
            )
            return (
                f"{chosen.name!r} has the lowest worst-case log loss "
                f"({chosen.worst_log_loss.in_words()}), and {rest}"
            )
        return (
            f"{chosen.name!r} is simpler than {lowest.name!r}, which has the lowest worst-case log "
            f"loss ({lowest.worst_log_loss.in_words()}), and lies above it by no more than one "
            f"standard error ({self.above_lowest(chosen).in_words()})"
        )

    def to_dict(self) -> dict[str, Any]:
        """`selection.json` of a bundle."""
        return {
            "schema": SCHEMA,
            "source": self.source,
            "n": self.n,
            "grouping": self.grouping,
            "folds": len(self.candidates[0].folds),
            "severity": self.severity,
            "prevalence": self.prevalence,
            "warnings": list(self.warnings),
            "chosen": self.chosen.name,
            "reason": self.reason(),
            "candidates": [
                {**each.to_dict(), "above_lowest": asdict(self.above_lowest(each))}
                for each in self.candidates
            ],
        }

    def table(self) -> str:
        """Markdown, its columns in line so that a terminal shows it as well."""
        head = (
            "candidate",
            "worst log loss",
            "above lowest",
            "worst AUROC",
            "worst balanced accuracy",
            "worst under",
            "clean log loss",
            "clean AUROC",
            "clean balanced accuracy",
            "training s",
        )
        rows = [head]
        for each in self.candidates:
            clean = each.under(CLEAN)
            rows.append(
                (
                    f"**{each.name}**" if each is self.chosen else each.name,
                    each.worst_log_loss.in_words(),
                    self.above_lowest(each).in_words(),
                    f"{each.worst_auroc.value:.4f}",
                    f"{each.worst_balanced_accuracy.value:.4f}",
                    each.worst_fault,
                    f"{clean.log_loss:.4f}",
                    f"{clean.auroc:.4f}",
                    f"{clean.balanced_accuracy:.4f}",
                    f"{each.seconds:.0f}",
                )
            )
        return markdown_table(rows)


def markdown_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of equal length, the first of them the head."""
    width = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(map(str.ljust, row, width)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in width) + "|", *lines[1:]])
