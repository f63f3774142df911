"""Results: what the verbs that judge a bundle write, as far as its card tells of it.

How it is found and held against the bundle is `reading`'s; what is said of it, the sections'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hilum.estimates import Estimate
from hilum.evaluation import Evaluation


class Read(BaseModel):
    """Of a file's JSON, what the card needs; the rest is let be."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Changed(Read):
    """A figure under a condition (b), and how far it lies from the same without (difference)."""

    b: Estimate
    difference: Estimate


class Condition(Read):
    """One corruption at one severity; figures: finding -> name -> figure."""

    corruption: str
    severity: int
    figures: dict[str, dict[str, Changed]]


class Stress(Read):
    """What `hilum stress` found."""

    version: Literal[1] = Field(alias="schema")
    bundle: str
    source: str
    family: str
    n: int
    clean: dict[str, dict[str, Estimate]]
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)]
    mean: dict[str, Estimate] = Field(alias="balanced_accuracy_over_conditions")


class Outliers(Read):
    """One kind of image that is no film to answer. group: "corrupted" are such films, spoilt."""

    name: str
    group: str
    n: int
    refused: Estimate


class Novelty(Read):
    """What `hilum novelty` found."""

    version: Literal[1] = Field(alias="schema")
    bundle: str
    source: str
    n: int
    false_refusals: dict[str, Estimate]
    kinds: tuple[Outliers, ...]


class Probe(Read):
    """One question about a shortcut. found: None where it could not be decided."""

    question: str
    figure: str
    estimate: Estimate
    rule: str
    found: bool | None


class Check(Read):
    """One question to a method of explanation. passed: None where it could not be decided."""

    question: str
    rule: str
    figure: Estimate
    passed: bool | None


class Explanation(Read):
    """What `hilum explain` says of its maps."""

    version: Literal[1] = Field(alias="schema")
    bundle: str
    source: str
    method: str
    caution: str


@dataclass(frozen=True)
class Explained:
    """What `hilum explain` found, of one folder.

    probes: finding -> probes; None where shortcuts were not looked for
    checks: of the method; None where its sanity was not asked
    """

    source: str
    method: str
    caution: str
    probes: Mapping[str, tuple[Probe, ...]] | None
    checks: tuple[Check, ...] | None


class Drop(Read):
    """One figure inside, outside, and outside less inside."""

    inside: Estimate
    outside: Estimate
    difference: Estimate


class Need(Read):
    """How many labels a site needs, in words. enough: None where that cannot be told."""

    better_from: int | None
    enough: int | None
    in_words: str


class Remedies(Read):
    """What labels bring to probabilities and to decisions."""

    probabilities: Need
    decisions: Need


class Site(Read):
    """One external source of a validation. folder: of its own evaluation."""

    name: str
    source: str
    role: str
    n: int
    folder: str
    seen: tuple[str, ...]
    warnings: tuple[str, ...]
    drop: dict[str, dict[str, Drop]]
    remedies: dict[str, Remedies]


class Validation(Read):
    """What `hilum validate` found."""

    version: Literal[1] = Field(alias="schema")
    bundle: str
    sites: Annotated[tuple[Site, ...], Field(min_length=1)]
    notes: tuple[str, ...]


class Part(Read):
    """Figures of those images that are answered, or of all."""

    n: int
    figures: dict[str, Estimate]


class Referral(Read):
    """What referring did to a finding's figures."""

    answered: Part
    reasons: dict[str, Estimate]


@dataclass(frozen=True)
class Evaluated:
    """What `hilum evaluate` found, of one folder.

    referrals: by finding; empty where it never refers
    label_review: finding -> labels that may be wrong; None where nobody looked
    """

    evaluation: Evaluation
    referrals: Mapping[str, Referral] = field(default_factory=dict)
    label_review: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Results:
    """All that was given, in the order in which it was.

    sites: of validations, with each one's own evaluation where it is there; notes: of these
    """

    evaluated: tuple[Evaluated, ...] = ()
    stress: tuple[Stress, ...] = ()
    novelty: tuple[Novelty, ...] = ()
    explained: tuple[Explained, ...] = ()
    sites: tuple[tuple[Site, Evaluation | None], ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, own: str | None) -> Evaluated | None:
        """The evaluation that stands first: on the test role of the bundle's own source.

        own: that source; None, and the first that was given, where nobody names it
        """
        for each in self.evaluated:
            if own is None or (each.evaluation.source, each.evaluation.role) == (own, "test"):
                return each
        return None
