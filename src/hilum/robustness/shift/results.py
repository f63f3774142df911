"""Results of `why`: what moved between two places, and how much of a drop each part explains.

How they are computed is left to `two_sample`, `label_shift` and `attributes`; words, to `words`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hilum.estimates import Estimate

FIGURES = ("auroc", "sensitivity", "specificity")
LEVEL = 0.05


@dataclass(frozen=True)
class TwoSample:
    """Whether the features of two places can be told apart.

    auroc: of a classifier that tells the places apart, on films held out; 0.5 where it cannot
    auroc_p, mmd2_p: permutation p, whole patients exchanged between the places
    mmd2: unbiased, may be below 0
    n_internal, n_external: films used
    note: why not all of them were, or None
    """

    auroc: Estimate
    auroc_p: float | None
    mmd2: float | None
    mmd2_p: float | None
    permutations: int
    n_internal: int
    n_external: int
    note: str | None = None


@dataclass(frozen=True)
class LabelShift:
    """How often the finding is present outside, if its films look outside as they do inside.

    called_internal, called_external: share of films that the deployed point calls
    distance, p: Kolmogorov-Smirnov distance of the probabilities, and its permutation p
    prevalence_internal: share of labelled films with the finding
    prevalence_estimated: outside, without its labels (black-box shift estimation)
    prevalence_external: outside, by its labels where it has any
    """

    called_internal: Estimate
    called_external: Estimate
    distance: float
    p: float
    prevalence_internal: Estimate
    prevalence_estimated: Estimate
    prevalence_external: Estimate


@dataclass(frozen=True)
class Drop:
    """A figure inside and outside; difference: outside less inside."""

    internal: Estimate
    external: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Distribution:
    """Shares of films, inside and outside.

    edges: of the bins of a column of numbers; empty for a column of words
    names: the words; empty for numbers
    """

    internal: tuple[float, ...]
    external: tuple[float, ...]
    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explained:
    """What one attribute explains: the inside figures less themselves when inside films are
    weighted so that the attribute is distributed as outside.

    figures: of FIGURES; above 0: it takes that much off the figure
    within: "class" where films with and without the finding are weighted apart; "all films" where
        the labels outside do not allow that
    effective_n: as many unweighted films as the weighted ones are worth
    uncovered: share of outside films whose like there is none of inside
    """

    figures: Mapping[str, Estimate]
    within: Literal["class", "all films"]
    effective_n: float
    uncovered: float


@dataclass(frozen=True)
class AttributeShift:
    """One attribute inside and outside.

    n_internal, n_external: films of which it is known
    difference: standardised mean difference, outside less inside; of two words, of the share of
        the second
    distance: Kolmogorov-Smirnov; of words, total variation
    p, p_holm: permutation p by patient, and adjusted for all attributes (Holm)
    auroc: the chance that an outside film has more of it than an inside film
    """

    name: str
    kind: Literal["number", "word"]
    n_internal: int
    n_external: int
    difference: Estimate
    distance: float
    p: float
    p_holm: float
    auroc: Estimate
    distribution: Distribution
    explained: Explained

    @property
    def moved(self) -> bool:
        return self.p_holm < LEVEL


@dataclass(frozen=True)
class Shift:
    """Why a figure differs between two places.

    internal, external: what the places are called
    drop: of FIGURES
    explains: of FIGURES -> the moved attribute that takes most off it, its interval above nought;
        None where none does, or where the figure did not drop beyond chance
    moved_most: the moved attribute of the greatest distance; None where none moved
    left_out: attributes that are not compared, and why
    """

    internal: str
    external: str
    n_internal: int
    n_external: int
    grouping: str
    drop: Mapping[str, Drop]
    two_sample: TwoSample
    labels: LabelShift
    attributes: tuple[AttributeShift, ...]
    explains: Mapping[str, str | None]
    moved_most: str | None
    left_out: Mapping[str, str]

    @property
    def dropped(self) -> tuple[str, ...]:
        """Of FIGURES, those whose difference has its interval below nought."""
        highs = {name: each.difference.high for name, each in self.drop.items()}
        return tuple(name for name, high in highs.items() if high is not None and high < 0)

    @property
    def explained_figure(self) -> str:
        """What a drop is told by: the first of FIGURES that an attribute explains, else the first
        that dropped, else the AUROC."""
        told = [name for name, attribute in self.explains.items() if attribute is not None]
        return (*told, *self.dropped, "auroc")[0]

    @property
    def explains_most(self) -> str | None:
        """The attribute that takes most off `explained_figure`; None where none does."""
        return self.explains[self.explained_figure]

    @property
    def named(self) -> str | None:
        """The attribute to look at first: that which explains most, else that which moved most."""
        return self.explains_most or self.moved_most

    def in_words(self) -> list[str]:
        """A sentence each: whether the places differ, by how much, and by what."""
        from hilum.robustness.shift.words import sentences

        return sentences(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON."""
        told = asdict(self)
        told["named"], told["explains_most"] = self.named, self.explains_most
        told["in_words"] = self.in_words()
        return told
