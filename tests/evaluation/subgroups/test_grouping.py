from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hilum.errors import EvaluationError
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.subgroups.grouping import (
    AGES,
    GroupBy,
    default_groups,
    left_out_in_words,
    split,
)


def with_columns(**columns: object) -> Predictions:
    table = pd.DataFrame(columns)
    n = len(table)
    zero_nf = np.zeros((n, 1))
    return Predictions.from_arrays(
        ["Pneumonia"],
        list(range(n)),
        label_nf=zero_nf,
        logit_nf=zero_nf,
        prob_nf=zero_nf,
        threshold_f=[0.5],
        subgroups=table,
    )


def members(predictions: Predictions, by: GroupBy) -> dict[str, list[int]]:
    found = split(predictions, by)
    assert len(found.group_n) == len(predictions)
    return {
        name: np.flatnonzero(found.group_n == g).tolist() for g, name in enumerate(found.name_g)
    }


def test_a_column_of_words_has_a_group_a_word_in_alphabetical_order() -> None:
    predictions = with_columns(view=["PA", "AP", None, "PA", " ", "AP "])
    assert members(predictions, GroupBy("view")) == {"AP": [1, 5], "PA": [0, 3]}


def test_words_may_be_categories_or_true_and_false() -> None:
    predictions = with_columns(
        ward=pd.Categorical(["b", "a", None], categories=["b", "a", "never"]),
        portable=[True, False, True],
        mixed=[True, "x", None],
    )
    assert members(predictions, GroupBy("ward")) == {"a": [1], "b": [0]}
    assert members(predictions, GroupBy("portable")) == {"False": [1], "True": [0, 2]}
    assert members(predictions, GroupBy("mixed")) == {"True": [0], "x": [1]}


def test_the_less_frequent_of_many_words_are_pooled() -> None:
    site = [f"s{k:02d}" for k in range(25) for _ in range(k + 1)] + [None]
    found = members(with_columns(site=site), GroupBy("site"))
    assert list(found) == [*(f"s{k:02d}" for k in range(5, 25)), "5 less frequent values"]
    assert len(found["s24"]) == 25
    assert len(found["5 less frequent values"]) == 1 + 2 + 3 + 4 + 5


@pytest.mark.parametrize("dtype", ["float64", "object", "Int64"])
def test_edges_cut_numbers_into_bins_closed_on_the_left(dtype: str) -> None:
    age = pd.Series([39, 40, 59, 60, None, 100], dtype=dtype)
    assert members(with_columns(age=age), GroupBy("age", (40, 60))) == {
        "< 40": [0],
        "[40, 60)": [1, 2],
        ">= 60": [3, 5],
    }


def test_edges_cut_numbers_that_a_file_holds_as_text() -> None:
    found = members(with_columns(age=["39", "61", None]), GroupBy("age", (40, 60)))
    assert found == {"< 40": [0], ">= 60": [1]}


def test_bins_without_an_image_are_no_groups() -> None:
    assert list(members(with_columns(age=[1.0, 99.0]), GroupBy("age", AGES))) == ["< 18", ">= 75"]


def test_few_different_numbers_make_a_group_each() -> None:
    found = members(with_columns(year=[2019, 2020, 2019, np.nan]), GroupBy("year"))
    assert found == {"2019": [0, 2], "2020": [1]}


def test_many_different_numbers_are_cut_at_quartiles_and_the_names_say_so() -> None:
    dose = np.append(np.arange(100) / 7, [np.nan, np.inf])
    found = members(with_columns(dose=dose), GroupBy("dose"))
    assert list(found) == [
        "< 3.536, by quartiles",
        "[3.536, 7.071), by quartiles",
        "[7.071, 10.61), by quartiles",
        ">= 10.61, by quartiles",
    ]
    assert [len(group) for group in found.values()] == [25, 25, 25, 25]
    for name, group in found.items():
        assert all(eval_name(name, dose[k]) for k in group)


def eval_name(name: str, value: float) -> bool:
    text = name.removesuffix(", by quartiles")
    if text.startswith("["):
        low, high = (float(part) for part in text[1:-1].split(","))
        return low <= value < high
    sign, edge = text.split()
    return value < float(edge) if sign == "<" else value >= float(edge)


def test_an_unknown_column_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EvaluationError, match=r"groups by ward.*no such.*site, view"):
        split(with_columns(site=["A"], view=["PA"]), GroupBy("ward"))
    with pytest.raises(EvaluationError, match="no such"):
        split(with_columns(site=["A"]), GroupBy("label_pneumonia"))


@pytest.mark.parametrize("edges", [(60, 40), (40, 40), (40, float("nan")), (40, float("inf"))])
def test_edges_that_do_not_ascend_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(EvaluationError, match="ascending"):
        GroupBy("age", edges)


def test_edges_for_a_column_of_words_are_refused_with_the_word() -> None:
    with pytest.raises(EvaluationError, match=r"'old' stands in a column to be cut at 40"):
        split(with_columns(age=[39, "old"]), GroupBy("age", (40, 60)))


def test_every_column_that_makes_two_groups_is_looked_at_by_default() -> None:
    n = 60
    predictions = with_columns(
        site=["A"] * n,
        view=["PA", "AP"] * (n // 2),
        age=np.linspace(5, 90, n),
        sex=[None] * n,
        ward=["w1", "w2", None] * (n // 3),
        study=[f"study {k}" for k in range(n)],
        dose=np.arange(n) / 3,
    )
    assert default_groups(predictions) == (
        GroupBy("view"),
        GroupBy("age", AGES),
        GroupBy("ward"),
        GroupBy("dose"),
    )


def test_the_ages_of_children_are_cut_at_their_quartiles() -> None:
    assert default_groups(with_columns(age=np.linspace(1, 5, 40))) == (GroupBy("age"),)


def test_ages_in_words_are_words() -> None:
    assert default_groups(with_columns(age=["old", "young"])) == (GroupBy("age"),)


def test_without_subgroup_columns_there_are_no_groups() -> None:
    predictions = with_columns(site=[None, None], age=[np.nan, np.nan])
    assert default_groups(predictions) == ()
    assert split(predictions, GroupBy("site")).name_g == ()
    assert split(predictions, GroupBy("age", (40,))).name_g == ()


def test_a_column_that_gives_no_groups_is_told_with_its_reason() -> None:
    predictions = with_columns(
        site=[f"site {i}" for i in range(60)],
        sex=["F"] * 60,
        view=[None] * 60,
        age=[5.0, 70.0] * 30,
    )
    assert [by.column for by in default_groups(predictions)] == ["age"]
    told = left_out_in_words(predictions)
    assert len(told) == 1
    assert "no subgroups by site: 60 values" in told[0]
