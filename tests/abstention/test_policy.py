"""In which order a bundle is asked before it answers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hilum.abstention.fitting import fit_policy
from hilum.abstention.outline import SIDE
from hilum.abstention.policy import REASONS, Policy, refer
from hilum.bundle import ABSTENTION, Bundle, load_bundle
from hilum.calibration import ConformalLimits
from hilum.data.cohort import Cohort
from hilum.data.sources.phantom import phantom_cohort
from hilum.errors import BundleError
from hilum.predict import predict


def limits(present_from: float, absent_to: float) -> ConformalLimits:
    return ConformalLimits(0.9, present_from, absent_to, 50, 50)


def test_an_answer_is_given_where_the_set_holds_the_decision_alone() -> None:
    prob_n = np.array([0.05, 0.3, 0.45, 0.55, 0.9])
    nothing_n = np.full(5, "", dtype="<U9")
    # Neither class between .2 and .6: referred. Both between .4 and .8: referred.
    assert refer(nothing_n, prob_n, 0.5, limits(0.6, 0.2)).tolist() == ["", *["conformal"] * 3, ""]
    assert refer(nothing_n, prob_n, 0.5, limits(0.4, 0.8)).tolist() == [
        "",
        "",
        *["conformal"] * 2,
        "",
    ]
    # A set that holds the other class than the decision is no answer.
    assert refer(nothing_n, prob_n, 0.5, limits(0.99, 0.95)).tolist() == [
        "",
        "",
        "",
        *["conformal"] * 2,
    ]
    assert refer(nothing_n, prob_n, 0.5, None).tolist() == [""] * 5


def test_what_gate_and_novelty_said_comes_first() -> None:
    said_n = np.array(["gate", "novelty", ""], dtype="<U9")
    assert refer(said_n, np.full(3, 0.5), 0.5, limits(0.9, 0.1)).tolist() == [*REASONS]


@pytest.fixture(scope="module")
def policy() -> Policy:
    """Of phantoms, whose features are drawn by lot."""
    rng = np.random.default_rng(0)

    def role(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chests = phantom_cohort(n, size=SIDE, seed=seed, age_group="all")
        film_nhw = np.stack([chests.radiograph(k) for k in range(n)])
        return film_nhw, rng.normal(size=(n, 20)), rng.normal(size=(n, 1))

    train = role(300, 1)
    return fit_policy(
        train, np.arange(300) % 2.0, role(300, 2), train[0],
        gate=True, novelty="film", refusals=0.02, examples=600, rng=rng,
    )  # fmt: skip


def test_chests_pass_strange_ones_are_novel_and_what_is_none_stays_at_the_gate(
    policy: Policy,
) -> None:
    rng = np.random.default_rng(1)
    chests = phantom_cohort(60, size=SIDE, seed=3, age_group="all")
    film_nhw = np.stack([chests.radiograph(k) for k in range(60)])
    feature_nd, logit_nf = rng.normal(size=(60, 20)), rng.normal(size=(60, 1))

    def share(image_nhw: np.ndarray, reason: str) -> float:
        return float((policy.look(image_nhw, feature_nd, logit_nf).reason_n == reason).mean())

    assert share(film_nhw, "") > 0.9
    grainy = np.clip(film_nhw + 0.1 * rng.normal(size=film_nhw.shape), 0, 1)
    assert share(grainy, "novelty") > 0.5
    assert share(grainy, "") < 0.1
    assert share(film_nhw[:, ::-1], "gate") > 0.7
    assert share(1 - film_nhw, "gate") > 0.9


def test_what_decides_is_the_recipes_to_say(policy: Policy) -> None:
    rng = np.random.default_rng(2)
    films = rng.uniform(size=(9, SIDE, SIDE)), rng.normal(size=(9, 20)), rng.normal(size=(9, 1))
    open_ = replace(policy, gate=None)
    assert (open_.look(*films).reason_n == "novelty").all()
    assert np.isnan(open_.look(*films).gate_n).all()
    assert (replace(open_, deciding="none").look(*films).reason_n == "").all()
    far = films[0], films[1] + 50, films[2]
    assert (replace(open_, deciding="knn").look(*far).reason_n == "novelty").all()
    assert (replace(open_, deciding="knn").look(*films).reason_n == "").mean() > 0.5


def test_a_bundle_says_which_films_it_refers(
    small_bundle: Bundle, small_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = small_bundle.policy()
    assert own is not None
    assert own.gate is not None
    closed = replace(own, gate=replace(own.gate, limit=np.inf))
    monkeypatch.setattr(Bundle, "policy", lambda bundle: closed)
    shut = predict(small_bundle, small_cohort).referrals("Pneumonia")
    assert shut is not None
    assert (shut == "gate").all()
    opened = replace(closed, gate=None, deciding="none")
    monkeypatch.setattr(Bundle, "policy", lambda bundle: opened)
    found = predict(small_bundle, small_cohort)
    limits = small_bundle.conformal_limits("Pneumonia")
    threshold = small_bundle.thresholds()["Pneumonia"]["deployed"]
    said = refer(np.full(len(found), "", "<U9"), found.prob("Pneumonia"), threshold, limits)
    said_n = found.referrals("Pneumonia")
    assert said_n is not None
    assert said_n.tolist() == said.tolist()


def test_a_policy_comes_back_from_its_arrays(policy: Policy) -> None:
    again = Policy.of(policy.arrays(), json.loads(json.dumps(policy.to_dict())))
    assert again.to_dict() == policy.to_dict()
    assert all(np.array_equal(again.arrays()[k], each) for k, each in policy.arrays().items())


def test_a_policy_without_its_weights_is_named_as_damaged(policy: Policy) -> None:
    with pytest.raises(BundleError, match="policy of abstention: damaged"):
        Policy.of({}, policy.to_dict())
    lacking = {"deciding": "film", "limits": {"knn": 1.0}}
    with pytest.raises(BundleError, match="not a limit for every measure"):
        Policy.of(policy.arrays(), policy.to_dict() | {"novelty": lacking})
    with pytest.raises(BundleError, match="no measure of novelty 'moon'"):
        Policy.of(policy.arrays(), policy.to_dict() | {"novelty": {"deciding": "moon"}})


def test_a_bundle_whose_policy_was_changed_is_refused(small_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(small_bundle.folder, folder)
    with (folder / ABSTENTION).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match=r"abstention\.safetensors: damaged"):
        load_bundle(folder)


def test_a_bundle_of_an_earlier_schema_answers_every_film(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    earlier = replace(
        small_bundle, manifest=small_bundle.manifest.model_copy(update={"abstention": None})
    )
    assert earlier.policy() is None
    assert predict(earlier, small_cohort).referrals("Pneumonia") is None


def test_what_is_asked_is_told_in_words(policy: Policy) -> None:
    said = policy.in_words()
    assert said.startswith("gate (at most 2 % of films like the 300 of calibrate), then novelty by")
    assert said.endswith("then prediction set")
    unlimited = dict.fromkeys(policy.novelty.limits, np.inf)
    few = replace(policy, novelty=replace(policy.novelty, limits=unlimited))
    assert "novelty by film (no limit: too few calibrate films)" in few.in_words()
    assert replace(policy, gate=None, deciding="none").in_words() == "prediction set"


def test_a_score_that_is_no_number_is_referred(policy: Policy) -> None:
    films = np.zeros((2, SIDE, SIDE)), np.full((2, 20), np.nan), np.zeros((2, 1))
    by_features = replace(policy, gate=None, deciding="mahalanobis")
    assert (by_features.look(*films).reason_n == "novelty").all()
