"""Reading: folders that `hilum evaluate`, `stress`, `novelty`, `explain` and `validate` wrote.

A folder is known by its files, and each of these by the digest of the bundle that it is about.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hilum.card.results import (
    Check,
    Evaluated,
    Explained,
    Explanation,
    Novelty,
    Probe,
    Read,
    Referral,
    Results,
    Site,
    Stress,
    Validation,
)
from hilum.errors import EvaluationError
from hilum.evaluation import Evaluation

EVALUATION = "evaluation.json"
STRESS = "stress.json"
NOVELTY = "novelty.json"
EXPLANATION = "explanation.json"
VALIDATION = "validation.json"
KNOWN = (EVALUATION, STRESS, NOVELTY, EXPLANATION, VALIDATION)

Model = TypeVar("Model", bound=BaseModel)
Key = TypeVar("Key")
Value = TypeVar("Value")
Owned = TypeVar("Owned", Stress, Novelty, Explanation, Validation)


class _Probes(Read):
    probes: tuple[Probe, ...]


class _Sanity(Read):
    checks: tuple[Check, ...]


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
        NOVELTY: lambda file: _add(novelty, file, _own(file, Novelty, digest), lambda e: e.source),
        EXPLANATION: lambda file: _add_parts(explained, file, _explained(file, digest)),
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


def read_evaluation(folder: Path, digest: str) -> Results:
    """What `hilum evaluate` has just left in a folder, whatever else lies there.

    Raises EvaluationError as `read_results` does.
    """
    return Results((_evaluated(folder / EVALUATION, digest),))


def _add(known: dict[Key, Value], file: Path, value: Value, key_of: Callable[[Value], Key]) -> None:
    key = key_of(value)
    if key in known:
        told = key if isinstance(key, str) else ", ".join(map(str, key))  # type: ignore[call-overload]
        raise EvaluationError(
            file, f"a second result for {told}", expected="one", remedy="leave one of them out"
        )
    known[key] = value


def _add_parts(known: dict[tuple[str, str], Explained], file: Path, found: Explained) -> None:
    """Add probes and checks one by one: they may come from a folder each."""
    if found.probes is None and found.checks is None:
        raise EvaluationError(
            file,
            "maps alone: nothing of them stands on a card",
            remedy="explain with --shortcuts or --sanity, or leave the folder out",
        )
    if found.probes is not None:
        part = replace(found, checks=None)
        _add(known, file, part, lambda each: ("shortcuts", each.source))
    if found.checks is not None:
        part = replace(found, probes=None)
        _add(known, file, part, lambda each: (f"sanity of {each.method}", each.source))


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


def _explained(file: Path, digest: str) -> Explained:
    told = _own(file, Explanation, digest)
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
    told = _own(file, Validation, digest)
    for site in told.sites:
        own = file.parent / Path(site.folder).name / EVALUATION
        evaluation = _evaluation(own, digest) if own.is_file() else None
        _add(sites, file, (site, evaluation), lambda each: each[0].name)
    return told.notes
