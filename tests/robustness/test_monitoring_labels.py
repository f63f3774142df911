from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.bundle import Bundle, sha256_of
from hilum.errors import DataError
from hilum.estimates import Estimate, wilson
from hilum.robustness.monitoring.days import Stream, stream_of
from hilum.robustness.monitoring.labels import read_labels
from hilum.robustness.monitoring.sequential import evidence, judged_claims, sequential_test
from served import made_lines

FINDINGS = ["Pneumonia"]


@pytest.fixture
def stream() -> Stream:
    return stream_of(made_lines(np.random.default_rng(0), [40] * 10, referred=0.1), FINDINGS)


def test_evidence_is_the_mean_of_fifty_products() -> None:
    right_m = np.random.default_rng(0).random(30) < 0.7
    bets = [0.9 * (k + 0.5) / 50 for k in range(50)]
    for m, found in enumerate(evidence(right_m, 0.9), 1):
        wealth = 0.0
        for q in bets:
            product = 1.0
            for right in right_m[:m]:
                product *= q / 0.9 if right else (1 - q) / (1 - 0.9)
            wealth += product / 50
        assert np.exp(found) == pytest.approx(wealth)


@pytest.mark.parametrize("truth", [0.9, 0.95])
def test_a_true_claim_is_rejected_in_at_most_one_of_twenty_services(truth: float) -> None:
    rng = np.random.default_rng(1)
    wealth = [evidence(rng.random(400) < truth, 0.9) for _ in range(1000)]
    assert np.mean([log.max() >= np.log(20) for log in wealth]) <= 0.05
    # And on average nobody wins: after 20 films the mean wealth is 1 at most, but for chance.
    assert np.mean([np.exp(log[19]) for log in wealth]) < 1.3


def test_a_false_claim_is_rejected_with_the_day_on_which_it_was() -> None:
    rng = np.random.default_rng(2)
    date_m = np.datetime64("2026-01-01") + (np.arange(300) // 10).astype("timedelta64[D]")
    right_m = rng.random(300) < 0.75
    claim = wilson(95, 100)
    found = sequential_test("Pneumonia", "sensitivity", claim, right_m, date_m, limit=40)
    assert claim.low is not None
    log_m = evidence(right_m, claim.low)
    assert found.rejected == date_m[np.argmax(log_m >= np.log(40))]
    assert found.rejected < np.datetime64("2026-01-25")
    np.testing.assert_allclose(found.evidence_t, np.exp(log_m[9::10]))
    assert found.found.value == right_m.mean()
    right_m = rng.random(300) < 0.95
    true = sequential_test("Pneumonia", "sensitivity", claim, right_m, date_m, limit=40)
    assert true.rejected is None


def test_without_a_claim_or_a_label_the_test_says_why() -> None:
    nothing = np.array([], dtype="datetime64[D]")
    none = np.array([], dtype=bool)
    found = sequential_test("A", "sensitivity", wilson(9, 10), none, nothing, limit=20)
    assert found.reason == "no labelled film with it"
    missing = Estimate.missing("no positives in 12 images", 12)
    found = sequential_test("A", "sensitivity", missing, none, nothing, limit=20)
    assert found.reason == "the bundle claims no sensitivity: no positives in 12 images"
    assert found.rejected is None


def test_labels_find_their_films_and_referred_ones_are_left_out(
    small_bundle: Bundle, stream: Stream, tmp_path: Path
) -> None:
    table = pd.DataFrame(
        {
            "input": [*stream.digest_n[:200][::-1], "ff" * 32],
            "label_pneumonia": [1, 0] * 100 + [1],
            "date": "2026-04-01",
        }
    )
    table.loc[0, "label_pneumonia"] = None
    table.to_csv(tmp_path / "labels.csv", index=False)
    late = read_labels(tmp_path / "labels.csv", stream)
    assert late.unknown == 1
    expected_n = np.full(400, np.nan)
    expected_n[:200] = [0, 1] * 100
    expected_n[199] = np.nan
    np.testing.assert_array_equal(late.label_nf[:, 0], expected_n)
    sensitivity, specificity = judged_claims(small_bundle, stream, late.label_nf)
    answered_n = ~stream.referred_n
    for test, side in ((sensitivity, 1), (specificity, 0)):
        of_side_n = answered_n & (expected_n == side)
        assert test.found.n == of_side_n.sum() < 100
        right = (stream.called_nf[of_side_n, 0] == (side == 1)).mean()
        assert test.found.value == pytest.approx(right)
        assert test.limit == 40


def test_a_label_may_name_its_film_by_file(stream: Stream, tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(b"film")
    stream.digest_n[7] = sha256_of(tmp_path / "film.png")
    (tmp_path / "labels.csv").write_text(f"image_id,label\n{tmp_path / 'film.png'},1\n")
    late = read_labels(tmp_path / "labels.csv", stream)
    assert np.flatnonzero(late.label_nf[:, 0] == 1).tolist() == [7]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("film,label\na,1\n", "columns film, label; expected input"),
        ("input,truth\nDIGEST,1\n", "no column of labels; expected label_pneumonia"),
        ("input,label\nDIGEST,2\n", "label = '2'; expected 1, 0 or empty"),
        ("input,label\nDIGEST,1\nDIGEST,0\n", "stands more than once"),
        ("input,label\nabc,1\n", "none of its 1 films is in the record"),
        ("image_id,label\nnowhere.png,1\n", "image_id 'nowhere.png' is no file here"),
        ("", "cannot be read"),
    ],
)
def test_a_table_that_will_not_do_is_refused(
    text: str, said: str, stream: Stream, tmp_path: Path
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text.replace("DIGEST", str(stream.digest_n[0])))
    with pytest.raises(DataError) as error:
        read_labels(path, stream)
    assert said in str(error.value)
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path / "none.csv", stream)
