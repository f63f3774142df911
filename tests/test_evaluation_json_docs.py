"""docs/evaluation-json.md names every key that an evaluation writes, and none that it does not."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import pytest

from hilum.estimates import Estimate
from hilum.evaluation import Evaluation, Predictions, evaluate
from hilum.evaluation.evaluating import Deployment
from hilum.evaluation.report.words import FIGURE_WORDS, GROUP_WORDS, POINT_WORDS, SET_WORDS
from hilum.evaluation.results import Band, SetLimits

PAGE = Path(__file__).parent.parent / "docs" / "evaluation-json.md"
WHOLE = {Estimate: "Estimate", Band: "Band"}  # described once, in a section of their own


@dataclass(frozen=True)
class Row:
    """A documented key: its path with `*` for what varies, its type and its range."""

    path: str
    type: str
    range: str


def documented() -> list[Row]:
    rows = re.findall(
        r"(?m)^\| `([^`]+)` \| ([^|]+?) \| *([^|]*?) *\| [^|]+ \|$", before("## Estimate")
    )
    # The tables of figures' names have a range where the others have a type.
    return [
        Row(re.sub(r"\{\w+\}", "*", path), kind, span) for path, kind, span in rows if kind in TYPES
    ]


TYPES = {
    "integer", "integers", "number", "number or null", "numbers", "text", "text or null", "texts",
    "true or false", "objects", "object or null", "Estimate", "Band or null",
}  # fmt: skip


def before(heading: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    assert heading in text
    return text.split(heading)[0]


def names_after(sentence: str) -> list[str]:
    """First column of the table that follows `sentence`."""
    after = PAGE.read_text(encoding="utf-8").split(sentence)
    assert len(after) == 2, sentence
    table = after[1].split("\n|---")[1].split("\n\n")[0]
    return re.findall(r"(?m)^\| `(\w+)` \|", table)


def optional(hint: Any) -> Any | None:
    """What `hint` holds beside None, or None when it is not optional."""
    if get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
        (inner,) = (each for each in get_args(hint) if each is not type(None))
        return inner
    return None


def filled(hint: Any) -> Any:
    """A value of the type with every optional part there and one entry in every collection."""
    if (inner := optional(hint)) is not None:
        return filled(inner)
    if hint is Estimate:
        return Estimate(0.5, 0.25, 0.75, 3, "by hand", None)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{f.name: filled(hints[f.name]) for f in fields(hint)})
    match get_origin(hint):
        case origin if origin is Literal:
            return get_args(hint)[0]
        case origin if origin is tuple:
            return (filled(get_args(hint)[0]),)
        case origin if origin is Mapping:
            return {"*": filled(get_args(hint)[1])}
        case _:
            return {int: 2, float: 0.5, str: "words", bool: False}[hint]


def typed(hint: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every key of the type, as the page should name it, with its type in the page's words."""
    inner = optional(hint)
    kind, null = (hint, "") if inner is None else (inner, " or null")
    if kind in WHOLE:
        yield path, WHOLE[kind] + null
    elif is_dataclass(kind):
        if null:
            yield path, "object or null"
        hints = get_type_hints(kind)
        for field in fields(kind):
            at = f"{path}.{field.name}" if path else field.name
            # A point's figures stand beside its threshold: see Evaluation.to_json.
            if kind.__name__ == "PointFigures" and field.name == "figures":
                at = path
            yield from typed(hints[field.name], at)
    elif get_origin(kind) is tuple and is_dataclass(get_args(kind)[0]):
        yield path, "objects"
        yield from typed(get_args(kind)[0], f"{path}[]")
    elif get_origin(kind) is tuple:
        yield path, {int: "integers", float: "numbers", str: "texts"}[get_args(kind)[0]]
    elif get_origin(kind) is Mapping:
        yield from typed(get_args(kind)[1], f"{path}.*")
    else:
        kind = str if get_origin(kind) is Literal else kind
        named = {int: "integer", float: "number", str: "text", bool: "true or false"}
        yield path, named[kind] + null


def keys(value: Any, path: str = "") -> Iterator[str]:
    """Every key of plain JSON in its order, lists by their first entry."""
    if isinstance(value, dict):
        if value.keys() in ({f.name for f in fields(Estimate)}, {f.name for f in fields(Band)}):
            yield path
            return
        if path in NULLABLE:
            yield path
        for key, inner in value.items():
            yield from keys(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield path
        yield from keys(value[0], f"{path}[]")
    else:
        yield path


NULLABLE = {path for path, kind in typed(Evaluation) if kind == "object or null"}


def test_the_page_names_every_key_in_the_order_of_the_file() -> None:
    plain = json.loads(filled(Evaluation).to_json())
    assert [row.path for row in documented()] == list(keys(plain))


def test_the_page_gives_every_key_its_type() -> None:
    assert {row.path: row.type for row in documented()} == dict(typed(Evaluation))


def test_a_filled_evaluation_survives_its_own_json() -> None:
    # Else the first test would be of something that no reader reads.
    made = filled(Evaluation)
    assert Evaluation.from_json(made.to_json()) == made


@pytest.mark.parametrize(("heading", "whole"), [("## Estimate", Estimate), ("## Band", Band)])
def test_the_page_describes_estimate_and_band_field_by_field(heading: str, whole: type) -> None:
    section = PAGE.read_text(encoding="utf-8").split(heading)[1].split("\n## ")[0]
    rows = re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", section)
    assert rows == list(typed_fields(whole))


def typed_fields(whole: type) -> Iterator[tuple[str, str]]:
    hints = get_type_hints(whole)
    for field in fields(whole):
        yield from typed(hints[field.name], field.name)


@pytest.fixture(scope="module")
def evaluated() -> dict[str, Any]:
    """A real evaluation with everything that can be in one, as plain JSON."""
    rng = np.random.default_rng(0)
    n, findings = 400, ("Pneumonia", "Effusion")
    y_nf = (rng.random((n, 2)) < 0.4).astype(float)
    logit_nf = 2 * (y_nf - 0.5) + rng.normal(0, 1, (n, 2))
    predictions = Predictions.from_arrays(
        findings,
        list(range(n)),
        label_nf=y_nf,
        logit_nf=logit_nf,
        prob_nf=1 / (1 + np.exp(-logit_nf)),
        threshold_f=[0.4, 0.4],
        subgroups=pd.DataFrame({"sex": np.where(rng.random(n) < 0.5, "f", "m")}),
    )
    deployment = Deployment({"deployed": 0.4}, {"deployed": "by hand"}, SetLimits(0.9, 0.3, 0.6))
    evaluation = evaluate(
        predictions,
        dict.fromkeys(findings, deployment),
        bundle="ab" * 32,
        source="simulated",
        role="test",
        synthetic=True,
        rng=rng,
        resamples=40,
        prevalences=(0.05,),
    )
    plain: dict[str, Any] = json.loads(evaluation.to_json())
    return plain


def test_the_names_on_the_page_are_those_that_evaluate_gives(evaluated: dict[str, Any]) -> None:
    figures = names_after("Names of `{figure}` here, in this order.")
    assert figures == list(evaluated["figures"]["Pneumonia"]) == list(FIGURE_WORDS)
    signed = ("calibration_intercept", "calibration_slope")
    paragraph = PAGE.read_text(encoding="utf-8").split("`macro` has them")[1].split("\n\n")[0]
    at_point = re.findall(r"`(\w+)`", paragraph.split("deployed point:")[1])
    means = [name for name in figures if name not in signed]
    assert list(evaluated["macro"]) == [*means, *at_point]

    point = evaluated["operating_points"]["Pneumonia"]["deployed"]
    names = names_after("Names of `{figure}` at a point, in this order:")
    frame = ("threshold", "rule", "confusion", "by_class", "at_prevalence")
    assert names == [key for key in point if key not in frame] == list(POINT_WORDS)
    assert list(evaluated["operating_points"]["Pneumonia"])[:2] == ["0.5", "deployed"]

    sets = evaluated["prediction_sets"]["Pneumonia"]
    assert names_after("one figure of the sets") == list(sets["figures"]) == list(SET_WORDS)
    group = evaluated["subgroups"]["Pneumonia"][0]["groups"][0]
    assert names_after("`{figure}` of a group:") == list(GROUP_WORDS)
    sentence = PAGE.read_text(encoding="utf-8").split("`{figure}` of a group:")[1].split("\n")[0]
    named = {*re.findall(r"`(\w+)`", sentence), *GROUP_WORDS}
    assert named == set(group["figures"])


def test_the_labels_classes_and_sets_on_the_page_are_those_of_the_file(
    evaluated: dict[str, Any],
) -> None:
    page = {row.path: row for row in documented()}
    text = PAGE.read_text(encoding="utf-8")

    def said(path: str) -> set[str]:
        line = next(line for line in text.splitlines() if line.startswith(f"| `{path}`"))
        return set(re.findall(r"`(\w+)`", line.removeprefix(f"| `{path}`")))

    point = "operating_points.{finding}.{point}.by_class.{class}.{figure}"
    classes = evaluated["operating_points"]["Pneumonia"]["0.5"]["by_class"]
    assert said("n_by_label.{finding}.{label}") == set(evaluated["n_by_label"]["Pneumonia"])
    assert said(point) == {*classes, *classes["absent"]}
    counts = evaluated["prediction_sets"]["Pneumonia"]["counts"]
    assert said("prediction_sets.{finding}.counts.{class}.{set}") == {*counts, *counts["absent"]}
    gaps = evaluated["subgroups"]["Pneumonia"][0]["groups"][0]["gaps"]
    assert said("subgroups.{finding}[].groups[].gaps.{figure}.difference") == set(gaps)
    assert page["grouping"].range == "`patient`, `image`"
    assert page["schema"].range == str(evaluated["schema"])


def test_numbers_of_a_real_evaluation_lie_in_the_ranges_on_the_page(
    evaluated: dict[str, Any],
) -> None:
    ranges = {row.path: row.range for row in documented()}
    seen = 0
    for path, value in leaves(evaluated):
        low, high = limits(ranges[re.sub(r"band\.(low|high)$", "band", path)])
        numbers = value if isinstance(value, list) else [value]
        for number in numbers:
            if isinstance(number, int | float) and not isinstance(number, bool):
                assert low <= number <= high, (path, number)
                seen += 1
    assert seen > 1000

    text = PAGE.read_text(encoding="utf-8")
    spans = dict(re.findall(r"(?m)^\| `(\w+)` \| ([^|]*?) \|[^|]*\| [^|]+ \|$", text))
    everything = {**evaluated["figures"]["Pneumonia"], **evaluated["macro"]}
    for point in evaluated["operating_points"]["Effusion"].values():
        everything |= {name: point[name] for name in POINT_WORDS}
    everything |= evaluated["prediction_sets"]["Effusion"]["figures"]
    for name, estimate in everything.items():
        low, high = limits(spans[name])
        for number in (estimate[key] for key in ("value", "low", "high")):
            assert number is None or low <= number <= high, (name, number)


def limits(span: str) -> tuple[float, float]:
    """`0 … 1`, `≥ 0`, `≤ 1` as numbers; unlimited where the end is a word."""
    if match := re.fullmatch(r"([≥≤]) (-?[\d.]+)", span):
        number = float(match[2])
        return (number, np.inf) if match[1] == "≥" else (-np.inf, number)
    if match := re.fullmatch(r"(-?[\d.]+) … (\S+)", span):
        end = match[2]
        return float(match[1]), float(end) if re.fullmatch(r"[\d.]+", end) else np.inf
    return -np.inf, np.inf


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value with its path as the page writes it; Estimates are left out."""
    names = {"figures", "n_by_label", "operating_points", "prediction_sets", "subgroups", "curves"}
    if isinstance(value, dict):
        if value.keys() == {f.name for f in fields(Estimate)}:
            return
        for key, inner in value.items():
            star = path in names or path in ("operating_points.*", "n_by_label.*")
            star |= path.endswith((".counts", ".counts.*", ".gaps")) and "curves" not in path
            at = "*" if star else key
            yield from leaves(inner, f"{path}.{at}" if path else at)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for entry in value:
            yield from leaves(entry, f"{path}[]")
    else:
        yield path, value
