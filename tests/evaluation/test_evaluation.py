import json
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import metrics

from hilum.errors import EvaluationError
from hilum.estimates import Estimate
from hilum.evaluation import Evaluation, Predictions, evaluate
from hilum.evaluation import reliability as rel
from hilum.evaluation.figures import _Sample
from hilum.evaluation.intervals import units_of

FIGURES = [
    "auroc",
    "average_precision",
    "brier",
    "log_loss",
    "log_loss_uncalibrated",
    "ece",
    "calibration_intercept",
    "calibration_slope",
]
POINT_FIGURES = [
    "accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "balanced_accuracy",
    "mcc",
]


def simulated(
    n: int = 200,
    *,
    seed: int = 0,
    y_n: NDArray[np.float64] | None = None,
    logit_n: NDArray[np.float64] | None = None,
    prob_n: NDArray[np.float64] | None = None,
    patients: int = 0,
    threshold: float = 0.4,
) -> Predictions:
    rng = np.random.default_rng(seed)
    if y_n is None:
        y_n = (rng.random(n) < 0.6).astype(float)
    if logit_n is None:
        logit_n = 3 * (np.nan_to_num(y_n) - 0.5) + rng.normal(0, 1.6, len(y_n))
    if prob_n is None:
        prob_n = 1 / (1 + np.exp(-logit_n / 1.5))
    return Predictions.from_arrays(
        ["Pneumonia"],
        [str(i) for i in range(len(y_n))],
        label_nf=y_n[:, None],
        logit_nf=logit_n[:, None],
        prob_nf=prob_n[:, None],
        threshold_f=[threshold],
        patient_id_n=list(rng.integers(patients, size=len(y_n))) if patients else None,
    )


def judged(predictions: Predictions, resamples: int = 200, seed: int = 0) -> Evaluation:
    return evaluate(
        predictions,
        {"Pneumonia": {"deployed": 0.4}},
        bundle="sha256:12ab",
        source="simulated",
        role="test",
        synthetic=False,
        rng=np.random.default_rng(seed),
        resamples=resamples,
    )


def estimates(evaluation: Evaluation) -> Iterator[tuple[str, Estimate]]:
    for finding in evaluation.findings:
        yield from evaluation.figures[finding].items()
        for point in evaluation.operating_points[finding].values():
            yield from point.figures.items()
            for figures in point.by_class.values():
                yield from figures.items()


def test_every_documented_figure_is_there_with_an_interval_and_its_method() -> None:
    evaluation = judged(simulated())
    assert list(evaluation.figures["Pneumonia"]) == FIGURES
    assert list(evaluation.operating_points["Pneumonia"]) == ["0.5", "deployed"]
    for point in evaluation.operating_points["Pneumonia"].values():
        assert list(point.figures) == POINT_FIGURES
        assert {k: list(v) for k, v in point.by_class.items()} == {
            "absent": ["precision", "recall", "f1"],
            "present": ["precision", "recall", "f1"],
        }
    for name, estimate in estimates(evaluation):
        assert estimate.value is not None, name
        assert estimate.low is not None, name
        assert estimate.high is not None, name
        assert estimate.low <= estimate.value <= estimate.high, name
        assert estimate.method not in ("", "none")


def test_values_are_scikit_learns() -> None:
    predictions = simulated()
    y_n, prob_n = predictions.label("Pneumonia"), predictions.prob("Pneumonia")
    evaluation = judged(predictions)
    figures = evaluation.figures["Pneumonia"]
    raw_n = 1 / (1 + np.exp(-predictions.logit("Pneumonia")))
    assert figures["auroc"].value == pytest.approx(metrics.roc_auc_score(y_n, prob_n))
    assert figures["average_precision"].value == pytest.approx(
        metrics.average_precision_score(y_n, prob_n)
    )
    assert figures["brier"].value == pytest.approx(metrics.brier_score_loss(y_n, prob_n))
    assert figures["log_loss"].value == pytest.approx(metrics.log_loss(y_n, prob_n))
    assert figures["log_loss_uncalibrated"].value == pytest.approx(metrics.log_loss(y_n, raw_n))
    for point in evaluation.operating_points["Pneumonia"].values():
        called_n = prob_n >= point.threshold
        report = metrics.classification_report(y_n, called_n, output_dict=True)
        for label, key in (("absent", "0.0"), ("present", "1.0")):
            found = point.by_class[label]
            assert found["precision"].value == pytest.approx(report[key]["precision"])
            assert found["recall"].value == pytest.approx(report[key]["recall"])
            assert found["f1"].value == pytest.approx(report[key]["f1-score"])
        assert point.figures["accuracy"].value == pytest.approx(report["accuracy"])
        assert point.figures["mcc"].value == pytest.approx(metrics.matthews_corrcoef(y_n, called_n))


@pytest.mark.parametrize("digits", [0, 12])
def test_a_resample_gives_what_the_repeated_images_give(digits: int) -> None:
    """The vectorised bootstrap against scikit-learn on each resample written out."""
    predictions = simulated(120)
    y_n = predictions.label("Pneumonia")
    logit_n = np.round(predictions.logit("Pneumonia"), digits)  # none: many ties
    prob_n = expit(logit_n)
    units = units_of(predictions.patient_id_n)
    sample = _Sample.of(prob_n, logit_n, y_n, units, [0.5, 0.3])
    order_n = sample.ranking.order_n
    count_bn = np.random.default_rng(5).multinomial(120, np.ones(120) / 120, size=8)
    found = sample.statistics(count_bn.astype(np.int32))
    bin_n = rel.equal_mass_bins(prob_n, rel.bins_for(120))
    for b, count_n in enumerate(count_bn):
        drawn = np.repeat(order_n, count_n)
        y, p, raw = y_n[drawn], prob_n[drawn], 1 / (1 + np.exp(-logit_n[drawn]))
        expected: Mapping[str, float] = {
            "average_precision": metrics.average_precision_score(y, p),
            "brier": metrics.brier_score_loss(y, p),
            "log_loss": rel.log_losses(p, y).mean(),
            "log_loss_uncalibrated": metrics.log_loss(y, raw),
        }
        for name, value in expected.items():
            assert found[name][b, 0] == pytest.approx(value), name
        debiased = rel.debiased_calibration_error(p, y, bin_n[drawn])
        assert max(0.0, found["square_error"][b, 0]) == pytest.approx(debiased**2, abs=1e-12)
        for k, threshold in enumerate((0.5, 0.3)):
            called = p >= threshold
            assert found["f1"][b, k] == pytest.approx(metrics.f1_score(y, called))
            assert found["f1_absent"][b, k] == pytest.approx(
                metrics.f1_score(y, called, pos_label=0)
            )
            assert found["mcc"][b, k] == pytest.approx(metrics.matthews_corrcoef(y, called))
            assert found["balanced_accuracy"][b, k] == pytest.approx(
                metrics.balanced_accuracy_score(y, called)
            )
        fpr, tpr, _ = metrics.roc_curve(y, p, drop_intermediate=False)
        at = found["sensitivity_at"][b]
        np.testing.assert_allclose(at, np.interp(np.linspace(0, 1, 101), fpr, tpr), atol=1e-9)


def test_the_same_generator_gives_the_same_evaluation_whatever_the_row_order() -> None:
    predictions = simulated()
    one = judged(predictions)
    assert judged(predictions).to_json() == one.to_json()
    assert judged(predictions, seed=1).to_json() != one.to_json()
    shuffled = Predictions(("Pneumonia",), predictions.table.sample(frac=1, random_state=3))
    other = judged(shuffled)
    for (name, a), (_, b) in zip(estimates(one), estimates(other), strict=True):
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high)), name


def test_json_is_strict_stable_and_comes_back() -> None:
    evaluation = judged(simulated(patients=60))
    text = evaluation.to_json()

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    plain = json.loads(text, parse_constant=refuse)
    assert list(plain) == [
        "schema",
        "bundle",
        "source",
        "role",
        "synthetic",
        "n",
        "n_by_label",
        "grouping",
        "warnings",
        "figures",
        "operating_points",
        "curves",
    ]
    assert plain["grouping"] == "patient"
    assert list(plain["figures"]["Pneumonia"]["auroc"]) == [
        "value",
        "low",
        "high",
        "n",
        "method",
        "reason",
    ]
    assert list(plain["operating_points"]["Pneumonia"]["deployed"]) == [
        "threshold",
        "confusion",
        *POINT_FIGURES,
        "by_class",
    ]
    again = Evaluation.from_json(text)
    assert again.to_json() == text
    assert again.curves["Pneumonia"].roc is not None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": 1}', '{"schema": 99}', "null", '{"schema": 1, "figures": 3}'],
)
def test_other_json_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        Evaluation.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_gives_what_can_be_given_and_says_why_not_the_rest(label: float) -> None:
    evaluation = judged(simulated(y_n=np.full(30, label)))
    figures = evaluation.figures["Pneumonia"]
    for name in ("auroc", "average_precision", "calibration_intercept", "calibration_slope"):
        assert figures[name].value is None
        assert "no image with" in str(figures[name].reason)
    for name in ("brier", "log_loss", "ece"):
        assert figures[name].value is not None
    point = evaluation.operating_points["Pneumonia"]["deployed"]
    there, missing = ("sensitivity", "specificity") if label else ("specificity", "sensitivity")
    assert point.figures[there].value is not None
    assert point.figures[missing].value is None
    assert point.figures["mcc"].value is None
    assert evaluation.curves["Pneumonia"].roc is None
    assert any("both classes" in warning for warning in evaluation.warnings)
    json.loads(evaluation.to_json())


def test_one_image_has_figures_without_intervals() -> None:
    evaluation = judged(simulated(y_n=np.ones(1)))
    brier = evaluation.figures["Pneumonia"]["brier"]
    assert brier.value is not None
    assert brier.low is None
    assert "two or more images" in str(brier.reason)
    Evaluation.from_json(evaluation.to_json())


def test_labels_that_are_missing_are_left_out_and_counted() -> None:
    whole = simulated(100)
    y_n = np.concatenate([whole.label("Pneumonia"), np.full(7, np.nan)])
    logit_n = np.concatenate([whole.logit("Pneumonia"), np.linspace(-3, 3, 7)])
    one, other = judged(whole), judged(simulated(y_n=y_n, logit_n=logit_n))
    assert other.n == 107
    assert other.n_by_label["Pneumonia"]["missing"] == 7
    assert one.figures == other.figures
    assert "7 of 107 images have no label" in other.warnings[0]


def test_without_any_label_every_figure_says_so() -> None:
    evaluation = judged(simulated(y_n=np.full(5, np.nan)))
    for name, estimate in estimates(evaluation):
        assert estimate.value is None, name
        assert estimate.reason
    assert "have no label" in evaluation.warnings[0]
    Evaluation.from_json(evaluation.to_json())


def test_probabilities_of_zero_and_one_and_perfect_scores_end_well() -> None:
    y_n = np.repeat([0.0, 1.0], 25)
    evaluation = judged(simulated(y_n=y_n, logit_n=60 * (y_n - 0.5), prob_n=y_n))
    figures = evaluation.figures["Pneumonia"]
    assert figures["auroc"].value == 1.0
    assert figures["auroc"].low is not None
    assert "Newcombe" in figures["auroc"].method
    assert "separate" in str(figures["calibration_slope"].reason)
    mcc = evaluation.operating_points["Pneumonia"]["deployed"].figures["mcc"]
    assert mcc.value == 1.0
    assert "every resample" in str(mcc.reason)
    Evaluation.from_json(evaluation.to_json())


def test_everything_called_positive_has_no_npv_and_no_mcc() -> None:
    y_n = np.repeat([0.0, 1.0], 20)
    point = judged(simulated(y_n=y_n, prob_n=np.linspace(0.6, 0.9, 40))).operating_points[
        "Pneumonia"
    ]["deployed"]
    assert point.figures["npv"].reason == "no image is called negative"
    assert point.figures["mcc"].reason == "every image is called positive"
    assert point.by_class["absent"]["f1"].value == 0.0


def test_one_in_ten_thousand_is_no_trouble() -> None:
    y_n = np.zeros(10_001)
    y_n[77] = 1.0
    evaluation = judged(simulated(y_n=y_n), resamples=20)
    figures = evaluation.figures["Pneumonia"]
    assert figures["auroc"].low is not None
    assert "Newcombe" in figures["auroc"].method
    assert "without the figure" in figures["average_precision"].method
    sensitivity = evaluation.operating_points["Pneumonia"]["deployed"].figures["sensitivity"]
    assert sensitivity.n == 1


def test_without_logits_only_the_uncalibrated_loss_is_missing() -> None:
    evaluation = judged(simulated(50, logit_n=np.full(50, np.nan), prob_n=np.linspace(0, 1, 50)))
    figures = evaluation.figures["Pneumonia"]
    assert figures["log_loss_uncalibrated"].reason == "the predictions hold no raw logits"
    assert figures["log_loss"].value is not None


def test_patients_are_the_unit_where_they_are_known() -> None:
    one, other = judged(simulated()), judged(simulated(patients=40))
    assert (one.grouping, other.grouping) == ("image", "patient")
    for name, estimate in estimates(other):
        assert "patient" in estimate.method, name


def test_two_findings_have_their_own_labels_and_points() -> None:
    rng = np.random.default_rng(0)
    label_nf = rng.integers(0, 2, (80, 2)).astype(float)
    label_nf[:10, 1] = np.nan
    prob_nf = rng.random((80, 2))
    predictions = Predictions.from_arrays(
        ["Edema", "Mass"],
        range(80),
        label_nf=label_nf,
        logit_nf=prob_nf,
        prob_nf=prob_nf,
        threshold_f=[0.2, 0.5],
    )
    evaluation = evaluate(
        predictions,
        {"Edema": {"deployed": 0.2, "high": 0.9}},
        bundle=None,
        source="simulated",
        role="test",
        synthetic=True,
        rng=rng,
        resamples=50,
        warnings=["told before"],
    )
    assert evaluation.figures["Edema"]["brier"].n == 80
    assert evaluation.figures["Mass"]["brier"].n == 70
    assert list(evaluation.operating_points["Edema"]) == ["0.5", "deployed", "high"]
    assert evaluation.operating_points["Mass"]["deployed"].threshold == 0.5
    assert evaluation.warnings[0] == "told before"
    assert any("no deployed operating point is given for Mass" in w for w in evaluation.warnings)


def test_decisions_of_another_threshold_are_told() -> None:
    evaluation = judged(simulated(threshold=0.9))
    assert any("decisions on Pneumonia are not those" in w for w in evaluation.warnings)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ({"Mass": {"deployed": 0.5}}, "finding 'Mass' is not among the predictions"),
        ({"Pneumonia": {"deployed": 1.5}}, "operating point 'deployed' of Pneumonia: 1.5"),
        ({"Pneumonia": {"deployed": float("nan")}}, "nan; expected a probability"),
        ({"Pneumonia": {"0.5": 0.4}}, "operating point '0.5' of Pneumonia: 0.4; expected 0.5"),
    ],
)
def test_points_that_make_no_sense_are_refused(
    points: dict[str, dict[str, float]], words: str
) -> None:
    with pytest.raises(EvaluationError, match=words):
        evaluate(
            simulated(),
            points,
            bundle=None,
            source="s",
            role="test",
            synthetic=False,
            rng=np.random.default_rng(0),
        )


def test_no_resamples_are_refused() -> None:
    with pytest.raises(EvaluationError, match="resamples: 0; expected 1 or more"):
        judged(simulated(), resamples=0)


def test_the_calibration_error_interval_holds_the_truth_most_of_the_time() -> None:
    """Recentred in squares: without it a calibrated model's interval would never reach 0."""
    rng, hits = np.random.default_rng(11), {0.0: 0, 0.1: 0}
    for shift in hits:
        for seed in range(60):
            true_n = np.clip(rng.beta(1.2, 1.2, 400) * (1 - shift), 0, 1)
            y_n = (rng.random(400) < true_n).astype(float)
            ece = judged(simulated(y_n=y_n, prob_n=true_n + shift), 100, seed).figures["Pneumonia"]
            low, high = ece["ece"].low, ece["ece"].high
            assert low is not None
            assert high is not None
            hits[shift] += low <= shift <= high
    assert all(hit / 60 > 0.85 for hit in hits.values())


def test_probabilities_that_saturate_cost_no_rank() -> None:
    """A low temperature gives many images exactly 1; their logits still differ."""
    rng = np.random.default_rng(0)
    y_n = np.repeat([0.0, 1.0], 60)
    logit_n = rng.normal(3, 2, 120) + 2 * y_n
    prob_n = expit(logit_n / 0.05)
    assert (prob_n == 1).sum() > 60
    saturated, exact = (
        evaluate(
            Predictions.from_arrays(
                ["Pneumonia"],
                [str(i) for i in range(120)],
                label_nf=y_n[:, None],
                logit_nf=logit_n[:, None],
                prob_nf=prob[:, None],
                threshold_f=[0.5],
            ),
            {"Pneumonia": {"deployed": 0.5}},
            bundle=None,
            source="made",
            role="test",
            synthetic=False,
            rng=np.random.default_rng(0),
            resamples=100,
        )
        for prob in (prob_n, expit(logit_n))
    )
    for figure in ("auroc", "average_precision"):
        assert saturated.figures["Pneumonia"][figure] == exact.figures["Pneumonia"][figure]
    assert saturated.figures["Pneumonia"]["auroc"].value == pytest.approx(
        metrics.roc_auc_score(y_n, logit_n)
    )
