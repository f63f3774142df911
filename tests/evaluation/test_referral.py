"""What is answered, and what that is worth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.evaluation.predictions import Predictions
from hilum.evaluation.referral import KINDS, referral
from hilum.evaluation.report import referral_supplement
from hilum.evaluation.report.blocks import Bullets, Text


def predictions(n: int = 400, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    y_n = rng.integers(0, 2, n).astype(float)
    prob_n = np.clip(0.5 + 0.25 * (2 * y_n - 1) + 0.25 * rng.normal(size=n), 0.001, 0.999)
    found = Predictions.from_arrays(
        ["Pneumonia"],
        [f"film-{i}" for i in range(n)],
        label_nf=y_n[:, None],
        logit_nf=np.log(prob_n / (1 - prob_n))[:, None],
        prob_nf=prob_n[:, None],
        threshold_f=[0.5],
        subgroups=pd.DataFrame({"site": np.where(np.arange(n) < n // 2, "north", "south")}),
    )
    reason_n = np.where(np.abs(prob_n - 0.5) < 0.15, "conformal", "").astype("<U9")
    reason_n[:20] = "gate"
    return found.with_referrals({"Pneumonia": reason_n})


def test_figures_are_those_of_the_answered_films_alone() -> None:
    found = predictions()
    y_n, prob_n = found.label("Pneumonia"), found.prob("Pneumonia")
    answered_n = found.table["refer"].to_numpy() == ""
    result = referral(found, "Pneumonia", 0.5, np.random.default_rng(0))
    assert result is not None
    part = result.answered.figures
    assert part["coverage"].value == pytest.approx(answered_n.mean())
    assert part["sensitivity"].value == pytest.approx(
        (prob_n >= 0.5)[answered_n & (y_n == 1)].mean()
    )
    assert part["specificity"].value == pytest.approx(
        (prob_n < 0.5)[answered_n & (y_n == 0)].mean()
    )
    wrong_n = (prob_n >= 0.5) != (y_n == 1)
    assert part["error"].value == pytest.approx(wrong_n[answered_n].mean())
    assert result.whole.figures["error"].value == pytest.approx(wrong_n.mean())
    assert result.reasons["gate"].value == pytest.approx(20 / 400)


def test_rivals_answer_as_many_films() -> None:
    found = predictions()
    y_n, prob_n = found.label("Pneumonia"), found.prob("Pneumonia")
    answered_n = found.table["refer"].to_numpy() == ""
    wrong_n = (prob_n >= 0.5) != (y_n == 1)
    result = referral(found, "Pneumonia", 0.5, np.random.default_rng(0))
    assert result is not None
    random = result.against["random"]
    assert random.value == pytest.approx(wrong_n.mean() - wrong_n[answered_n].mean())
    assert random.low is not None
    assert random.low > 0
    surest = np.argsort(-np.abs(np.log(prob_n / (1 - prob_n))))[: answered_n.sum()]
    difference = wrong_n[surest].mean() - wrong_n[answered_n].mean()
    assert result.against["confidence"].value == pytest.approx(difference)


def test_each_kind_of_answer_is_counted_by_reason() -> None:
    found = predictions()
    result = referral(found, "Pneumonia", 0.5, np.random.default_rng(0))
    assert result is not None
    assert tuple(result.kinds) == KINDS
    assert sum(sum(held.values()) for held in result.kinds.values()) == len(found)
    gated = sum(held.get("gate", 0) for held in result.kinds.values())
    assert gated == 20


def test_sites_are_told_apart_and_one_alone_is_not() -> None:
    found = predictions()
    result = referral(found, "Pneumonia", 0.5, np.random.default_rng(0))
    assert result is not None
    answered_n = found.table["refer"].to_numpy() == ""
    assert [*result.sites] == ["north", "south"]
    assert result.sites["south"].figures["coverage"].value == pytest.approx(answered_n[200:].mean())
    alone = Predictions(found.findings, found.table.iloc[:200])
    single = referral(alone, "Pneumonia", 0.5, np.random.default_rng(0))
    assert single is not None
    assert single.sites == {}


def test_nothing_answered_and_everything_answered_say_so() -> None:
    found = predictions()
    for reason, why in (("gate", "no image is answered"), ("", "every image is answered")):
        same = Predictions(found.findings, found.table.assign(refer=reason))
        result = referral(same, "Pneumonia", 0.5, np.random.default_rng(0))
        assert result is not None
        assert result.against["random"].reason == why


def test_predictions_that_say_nothing_of_referring_have_no_such_figures() -> None:
    found = predictions()
    silent = Predictions(found.findings, found.table.drop(columns="refer"))
    assert silent.referrals("Pneumonia") is None
    assert referral(silent, "Pneumonia", 0.5, np.random.default_rng(0)) is None
    assert "refer" not in found.group_columns


def test_coverage_needs_no_labels() -> None:
    found = predictions()
    some = found.table.assign(label_pneumonia=np.nan)
    result = referral(Predictions(found.findings, some), "Pneumonia", 0.5, np.random.default_rng(0))
    assert result is not None
    assert (result.whole.n, result.whole.labelled) == (400, 0)
    assert result.reasons["gate"].value == pytest.approx(20 / 400)
    coverage = (found.table["refer"] == "").mean()
    assert result.answered.figures["coverage"].value == pytest.approx(coverage)
    assert result.answered.figures["error"].reason == "no answered image has a label"
    assert result.against["random"].reason == "no image has a label"


def test_a_reason_of_somebody_elses_is_told_in_its_own_words() -> None:
    found = predictions()
    theirs = Predictions(found.findings, found.table.assign(refer=["lateral"] * 40 + [""] * 360))
    added = referral_supplement(theirs, {"Pneumonia": 0.5}, {"gate": "no chest"})
    text, told = added.sections["Pneumonia"][0].blocks[:2]
    assert isinstance(text, Text)
    assert text.sentence.endswith("hands the rest on, as a share of all:")
    assert isinstance(told, Bullets)
    assert told.entries[0].startswith("lateral: 0.100")


def test_referrals_come_back_from_csv(tmp_path: Path) -> None:
    found = predictions()
    for refer in (found.table["refer"], ""):
        written = Predictions(found.findings, found.table.assign(refer=refer))
        written.write(tmp_path / "p.csv")
        again = Predictions.read(tmp_path / "p.csv").referrals("Pneumonia")
        assert again is not None
        assert again.tolist() == written.table["refer"].tolist()
