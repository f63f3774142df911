"""Results: what the verbs that judge a bundle have left in folders, read for its card.

Each folder is known by its files, and each of these by the digest of the bundle that it is about.
What is said of them is left to the sections.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hilum.errors import EvaluationError
from hilum.estimates import Estimate
from hilum.evaluation import Evaluation

EVALUATION = "evaluation.json"
STRESS = "stress.json"
NOVELTY = "novelty.json"
EXPLANATION = "explanation.json"
VALIDATION = "validation.json"
KNOWN = (EVALUATION, STRESS, NOVELTY, EXPLANATION, VALIDATION)


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Changed(_Read):
    """A figure under a condition (b), and how far it lies from the same without (difference)."""

    b: Estimate
    difference: Estimate


class Condition(_Read):
    """One corruption at one severity; figures: finding -> name -> figure."""

    corruption: str
    severity: int
    figures: dict[str, dict[str, Changed]]


class Stress(_Read):
    """What `hilum stress` found."""

    version: Literal[1] = Field(alias="schema")
    bundle: str
    source: str
    family: str
    n: int
    clean: dict[str, dict[str, Estimate]]
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)]
    mean: dict[str, Estimate] = Field(alias="balanced_accuracy_over_conditions")


class Outliers(_Read):
    """One kind of image that is no film to answer."""

    name: str
    n: int
    refused: Estimate


class Novelty(_Read):
    """What `hilum novelty` found."""

    version: Literal[1] = Field(alias="schema")
    bundle: str
    source: str
    n: int
    false_refusals: dict[str, Estimate]
    kinds: tuple[Outliers, ...]


class Probe(_Read):
    """One question about a shortcut. found: None where it could not be decided."""

    question: str
    figure: str
    estimate: Estimate
    rule: str
    found: bool | None


class Check(_Read):
    """One question to a method of explanation. passed: None where it could not be decided."""

    question: str
    rule: str
    figure: Estimate
    passed: bool | None


class _Explanation(_Read):
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


class Drop(_Read):
    """One figure inside, outside, and outside less inside."""

    inside: Estimate
    outside: Estimate
    difference: Estimate


class Need(_Read):
    """How many labels a site needs, in words. enough: None where that cannot be told."""

    better_from: int | None
    enough: int | None
    in_words: str


class Remedies(_Read):
    """What labels bring to probabilities and to decisions."""

    probabilities: Need
    decisions: Need


class Site(_Read):
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


class _Validation(_Read):
    version: Literal[1] = Field(alias="schema")
    bundle: str
    sites: Annotated[tuple[Site, ...], Field(min_length=1)]
    notes: tuple[str, ...]


class Part(_Read):
    """Figures of those images that are answered, or of all."""

    n: int
    figures: dict[str, Estimate]


class Referral(_Read):
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

    def of_test(self, source: str) -> Evaluated | None:
        """The evaluation on the test role of the bundle's own source."""
        for each in self.evaluated:
            if (each.evaluation.source, each.evaluation.role) == (source, "test"):
                return each
        return None


Model = TypeVar("Model", bound=BaseModel)


def read_results(folders: Iterable[Path], digest: str) -> Results:
    """What lies in the folders, all of it about the bundle of this digest.

    Raises EvaluationError: a folder with nothing of the kind, a file of another bundle or another
    shape, or the same thing twice.
    """
    evaluated: dict[tuple[str, str], Evaluated] = {}
    stress: dict[tuple[str, str], Stress] = {}
    novelty: dict[str, Novelty] = {}
    explained: dict[tuple[str, str], Explained] = {}
    sites: dict[str, tuple[Site, Evaluation | None]] = {}
    notes: list[str] = []
    readers: dict[str, Callable[[Path], None]] = {
        EVALUATION: lambda file: _add(
            evaluated, file, _evaluated(file, digest), lambda e: _of_images(e.evaluation)
        ),
        STRESS: lambda file: _add(
            stress, file, _own(file, Stress, digest), lambda e: (e.family, e.source)
        ),
        NOVELTY: lambda file: _add(
            novelty, file, _own(file, Novelty, digest), lambda e: e.source
        ),
        EXPLANATION: lambda file: _add(
            explained, file, _explained(file, digest), lambda e: (e.method, e.source)
        ),
        VALIDATION: lambda file: notes.extend(_sites(file, digest, sites)),
    }
    for folder in folders:
        found = [name for name in KNOWN if (folder / name).is_file()]
        if not found:
            raise EvaluationError(
                folder,
                "holds no result" if folder.is_dir() else "no such folder",
                expected="a folder that hilum evaluate, stress, novelty, explain or validate wrote",
            )
        for name in found:
            readers[name](folder / name)
    return Results(
        tuple(evaluated.values()),
        tuple(stress.values()),
        tuple(novelty.values()),
        tuple(explained.values()),
        tuple(sites.values()),
        tuple(dict.fromkeys(notes)),
    )


Key = TypeVar("Key")
Value = TypeVar("Value")


def _add(
    known: dict[Key, Value], file: Path, value: Value, key_of: Callable[[Value], Key]
) -> None:
    key = key_of(value)
    if key in known:
        told = key if isinstance(key, str) else ", ".join(map(str, key))  # type: ignore[call-overload]
        raise EvaluationError(
            file, f"a second result for {told}", expected="one", remedy="leave one of them out"
        )
    known[key] = value


def _of_images(evaluation: Evaluation) -> tuple[str, str]:
    return evaluation.source, evaluation.role


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(file, f"cannot be read ({error})") from error


def _json(file: Path) -> Any:
    try:
        return json.loads(_text(file))
    except (ValueError, RecursionError) as error:
        raise _strange(file, error) from error


def _parsed(file: Path, model: type[Model], plain: Any) -> Model:
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _strange(file, f"{where}: {first['msg']}") from error


def _strange(file: Path, why: object) -> EvaluationError:
    return EvaluationError(
        file, f"not as Hilum writes it ({why})", remedy="run the verb that made it again"
    )


def _refuse_other(file: Path, found: str | None, digest: str) -> None:
    """Raise EvaluationError unless a result is about this very bundle."""
    if found != digest:
        whose = "no bundle" if found is None else f"the bundle {found[:12]}…"
        raise EvaluationError(
            file,
            f"is of {whose}",
            expected=f"{digest[:12]}…, whose card this is",
            remedy="run the verb on this bundle, or leave the folder out",
        )


Owned = TypeVar("Owned", Stress, Novelty, _Explanation, _Validation)


def _own(file: Path, model: type[Owned], digest: str) -> Owned:
    found = _parsed(file, model, _json(file))
    _refuse_other(file, found.bundle, digest)
    return found


def _evaluation(file: Path, digest: str) -> Evaluation:
    found = Evaluation.from_json(_text(file), str(file))
    _refuse_other(file, found.bundle, digest)
    return found


def _evaluated(file: Path, digest: str) -> Evaluated:
    evaluation = _evaluation(file, digest)
    beside = file.with_name("referral.json")
    referrals = _of_findings(beside, Referral) if beside.is_file() else {}
    return Evaluated(evaluation, referrals, _label_review(file, evaluation.findings))


def _of_findings(file: Path, model: type[Model]) -> dict[str, Model]:
    plain = _json(file)
    if not isinstance(plain, Mapping):
        raise _strange(file, "no findings")
    return {str(finding): _parsed(file, model, each) for finding, each in plain.items()}


def _label_review(file: Path, findings: Sequence[str]) -> dict[str, int] | None:
    beside = file.with_name("label_review.csv")
    if not beside.is_file():
        return None
    rows = [row.get("finding") for row in csv.DictReader(_text(beside).splitlines())]
    return {finding: rows.count(finding) for finding in findings}


class _Probes(_Read):
    probes: tuple[Probe, ...]


class _Sanity(_Read):
    checks: tuple[Check, ...]


def _explained(file: Path, digest: str) -> Explained:
    told = _own(file, _Explanation, digest)
    probes, checks = file.with_name("shortcuts.json"), file.with_name("sanity.json")
    return Explained(
        told.source,
        told.method,
        told.caution,
        _probes(probes) if probes.is_file() else None,
        _parsed(checks, _Sanity, _json(checks)).checks if checks.is_file() else None,
    )


def _probes(file: Path) -> dict[str, tuple[Probe, ...]]:
    plain = _json(file)
    if not isinstance(plain, Mapping):
        raise _strange(file, "no findings")
    return {
        str(finding): _parsed(file, _Probes, {"probes": each}).probes
        for finding, each in plain.items()
    }


def _sites(
    file: Path, digest: str, sites: dict[str, tuple[Site, Evaluation | None]]
) -> tuple[str, ...]:
    """Add the sites of a validation; returns what holds for all of them."""
    told = _own(file, _Validation, digest)
    for site in told.sites:
        own = file.parent / Path(site.folder).name / EVALUATION
        evaluation = _evaluation(own, digest) if own.is_file() else None
        _add(sites, file, (site, evaluation), lambda each: each[0].name)
    return told.notes
