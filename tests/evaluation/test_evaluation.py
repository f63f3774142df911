import json
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn import metrics

from hilum.errors import EvaluationError
from hilum.estimates import Estimate
from hilum.evaluation import Deployment, Evaluation, Predictions, evaluate
from hilum.evaluation import reliability as rel
from hilum.evaluation.sample import Sample
from hilum.units import units_of
from made import evaluated

FIGURES = [
    "auroc",
    "partial_auroc",
    "average_precision",
    "sensitivity_at_specificity_90",
    "sensitivity_at_specificity_95",
    "specificity_at_sensitivity_90",
    "specificity_at_sensitivity_95",
    "brier",
    "brier_reliability",
    "brier_resolution",
    "brier_uncertainty",
    "brier_uncalibrated",
    "log_loss",
    "log_loss_uncalibrated",
    "ece",
    "ece_equal_width",
    "ece_uncalibrated",
    "ici",
    "calibration_intercept",
    "calibration_slope",
    "augrc",
]
POINT_FIGURES = [
    "accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "lr_positive",
    "lr_negative",
    "f1",
    "balanced_accuracy",
    "mcc",
    "net_benefit",
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
        {"Pneumonia": Deployment({"deployed": 0.4})},
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
    prob_n = expit(logit_n / 1.3)
    units = units_of(predictions.patient_id_n)
    sample = Sample.of(prob_n, logit_n, y_n, units, [0.5, 0.3], 0.3)
    order_n = sample.ranking.order_n
    count_bn = np.random.default_rng(5).multinomial(120, np.ones(120) / 120, size=8)
    found = sample.statistics(count_bn.astype(np.int32))
    bins = rel.bins_for(120)
    for b, count_n in enumerate(count_bn):
        drawn = np.repeat(order_n, count_n)
        y, p, raw = y_n[drawn], prob_n[drawn], expit(logit_n[drawn])
        fpr, tpr, _ = metrics.roc_curve(y, p, drop_intermediate=False)
        precision, recall, _ = metrics.precision_recall_curve(y, p)
        expected: Mapping[str, float] = {
            "auroc": metrics.roc_auc_score(y, p),
            "partial_auroc": metrics.roc_auc_score(y, p, max_fpr=0.1),
            "average_precision": metrics.average_precision_score(y, p),
            "brier": metrics.brier_score_loss(y, p),
            "log_loss": rel.log_losses(p, y).mean(),
            "log_loss_uncalibrated": metrics.log_loss(y, raw),
            "brier_uncalibrated": metrics.brier_score_loss(y, raw),
            "ece_equal_width": rel.calibration_error(p, y, rel.equal_width_bins(p)),
            "augrc": slow_augrc((p >= 0.3) != (y == 1), np.abs(logit(p) - logit(0.3))),
        }
        for name, value in expected.items():
            assert found[name][b, 0] == pytest.approx(value), name
        for name, score_n in (
            ("brier_reliability", prob_n),
            ("square_uncalibrated", expit(logit_n)),
        ):
            bin_n = rel.equal_mass_bins(score_n, bins)
            debiased = rel.debiased_calibration_error(score_n[drawn], y, bin_n[drawn])
            assert max(0.0, found[name][b, 0]) == pytest.approx(debiased**2, abs=1e-12)
        for k, target in enumerate((0.9, 0.95)):
            assert found["sensitivity_at_specificity"][b, k] == pytest.approx(
                tpr[1 - fpr >= target - 1e-12].max()
            )
            assert found["specificity_at_sensitivity"][b, k] == pytest.approx(
                (1 - fpr)[tpr >= target - 1e-12].max()
            )
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
            hits, false = (called & (y == 1)).sum(), (called & (y == 0)).sum()
            benefit = hits / len(y) - false / len(y) * threshold / (1 - threshold)
            assert found["net_benefit"][b, k] == pytest.approx(benefit)
            acting = found["decision_band"][b, round(100 * threshold) - 1]
            assert acting == pytest.approx(benefit)
        band = found["roc_band"][b]
        np.testing.assert_allclose(band, np.interp(np.linspace(0, 1, 101), fpr, tpr), atol=1e-9)
        for k in (1, 30, 77, 100):
            reached = recall >= k / 100 - 1e-12
            first = int(np.flatnonzero(reached)[-1])  # scikit-learn's recall falls with the index
            assert found["precision_band"][b, k] == pytest.approx(precision[first])


def slow_augrc(wrong_n: NDArray[np.bool_], confidence_n: NDArray[np.float64]) -> float:
    """Over all pairs: the first is wrong and answered no later than the second; ties count half."""
    before = confidence_n[:, None] > confidence_n[None]
    tied = confidence_n[:, None] == confidence_n[None]
    return float((wrong_n[:, None] * (before + tied / 2)).mean())


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
        "units",
        "resamples",
        "warnings",
        "figures",
        "macro",
        "operating_points",
        "prediction_sets",
        "subgroups",
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
        "rule",
        "confusion",
        *POINT_FIGURES,
        "by_class",
        "at_prevalence",
    ]
    again = Evaluation.from_json(text)
    assert again.to_json() == text
    assert again.curves["Pneumonia"].roc is not None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": 2}', '{"schema": 99}', "null", '{"schema": 2, "figures": 3}'],
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
    for name, figure in one.figures["Pneumonia"].items():
        assert other.figures["Pneumonia"][name].value == figure.value, name
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


def test_without_logits_only_what_is_uncalibrated_is_missing() -> None:
    evaluation = judged(simulated(50, logit_n=np.full(50, np.nan), prob_n=np.linspace(0, 1, 50)))
    figures = evaluation.figures["Pneumonia"]
    for name, figure in figures.items():
        if name.endswith("_uncalibrated"):
            assert figure.reason == "the predictions hold no raw logits"
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
        {"Edema": Deployment({"deployed": 0.2, "high": 0.9}, {"high": "by hand"})},
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
        evaluated(
            simulated(),
            {finding: Deployment(thresholds) for finding, thresholds in points.items()},
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
        evaluated(
            Predictions.from_arrays(
                ["Pneumonia"],
                [str(i) for i in range(120)],
                label_nf=y_n[:, None],
                logit_nf=logit_n[:, None],
                prob_nf=prob[:, None],
                threshold_f=[0.5],
            ),
            {"Pneumonia": Deployment({"deployed": 0.5})},
            resamples=100,
        )
        for prob in (prob_n, expit(logit_n))
    )
    for figure in ("auroc", "average_precision"):
        assert saturated.figures["Pneumonia"][figure] == exact.figures["Pneumonia"][figure]
    assert saturated.figures["Pneumonia"]["auroc"].value == pytest.approx(
        metrics.roc_auc_score(y_n, logit_n)
    )


DEGENERATE: dict[str, tuple[list[float], list[float]]] = {
    "one image": ([1.0], [0.7]),
    "two images": ([1.0, 0.0], [0.7, 0.2]),
    "one class": ([0.0] * 30, np.linspace(0, 1, 30).tolist()),
    "constant scores": ([0.0, 1.0] * 20, [0.3] * 40),
    "certainties": ([0.0, 1.0, 0.0, 1.0] * 10, [0.0, 1.0, 1.0, 0.0] * 10),
    "all certain and right": ([0.0, 1.0] * 20, [0.0, 1.0] * 20),
    "all wrong": ([0.0, 1.0] * 20, [0.9, 0.1] * 20),
    "ties": ([0.0, 1.0, 1.0, 0.0, 1.0] * 12, [0.2, 0.2, 0.6, 0.6, 0.6] * 12),
    "one in ten thousand": ([1.0] + [0.0] * 10_000, [0.2, *np.linspace(0, 0.9, 10_000).tolist()]),
    "no label": ([float("nan")] * 4, [0.1, 0.2, 0.3, 0.4]),
}


@pytest.mark.parametrize("patients", [0, 3], ids=["images", "patients"])
@pytest.mark.parametrize("name", DEGENERATE)
def test_every_figure_of_degenerate_data_is_given_or_says_why(name: str, patients: int) -> None:
    y, prob = DEGENERATE[name]
    predictions = Predictions.from_arrays(
        ["Pneumonia"],
        range(len(y)),
        label_nf=np.array(y)[:, None],
        logit_nf=np.full((len(y), 1), np.nan),
        prob_nf=np.array(prob)[:, None],
        threshold_f=[0.4],
        patient_id_n=[i % patients for i in range(len(y))] if patients else None,
    )
    evaluation = evaluated(
        predictions,
        {"Pneumonia": Deployment({"deployed": 0.4, "all": 0.0, "none": 1.0})},
        resamples=40,
        prevalences=[0.01],
    )
    for figure, estimate in estimates(evaluation):
        if estimate.value is None:
            assert estimate.reason, figure
        elif estimate.low is not None and estimate.high is not None:
            assert estimate.low <= estimate.value + 1e-12, figure
            assert estimate.value <= estimate.high + 1e-12, figure
        else:
            assert estimate.reason, figure
    assert Evaluation.from_json(evaluation.to_json()).to_json() == evaluation.to_json()


def test_the_mean_over_findings_is_resampled_with_the_same_patients() -> None:
    """Two copies of one finding: their mean knows no more than one of them does."""
    one = simulated(300, patients=100)
    y_n, logit_n = one.label("Pneumonia"), one.logit("Pneumonia")

    def macro(*columns: NDArray[np.float64]) -> Mapping[str, Estimate]:
        logit_nf = np.column_stack(columns)
        predictions = Predictions.from_arrays(
            [f"Finding {f}" for f in range(len(columns))],
            one.image_id_n,
            label_nf=np.repeat(y_n[:, None], len(columns), axis=1),
            logit_nf=logit_nf,
            prob_nf=expit(logit_nf),
            threshold_f=[0.5] * len(columns),
            patient_id_n=one.patient_id_n.tolist(),
        )
        return evaluated(
            predictions,
            {},
            resamples=300,
        ).macro

    assert macro(logit_n) == {}
    copies = macro(logit_n, logit_n)
    worse = macro(logit_n, np.random.default_rng(1).permutation(logit_n))
    alone = judged(one, resamples=300).figures["Pneumonia"]
    assert "calibration_slope" not in copies
    for name in ("average_precision", "log_loss_uncalibrated", "ece_uncalibrated"):
        found = copies[name]
        assert found.value == pytest.approx(alone[name].value)
        assert (found.low, found.high) == pytest.approx(
            (alone[name].low, alone[name].high), abs=0.02
        )
        assert "mean of 2 findings" in found.method
    assert worse["auroc"].value == pytest.approx(
        (
            metrics.roc_auc_score(y_n, logit_n)
            + metrics.roc_auc_score(y_n, np.random.default_rng(1).permutation(logit_n))
        )
        / 2
    )


def test_stated_prevalences_give_each_point_its_ppv_and_npv() -> None:
    predictions = simulated()
    evaluation = evaluated(
        predictions,
        {"Pneumonia": Deployment({"deployed": 0.4}, {"deployed": "by hand"})},
        resamples=50,
        prevalences=[0.01, 0.2],
    )
    point = evaluation.operating_points["Pneumonia"]["deployed"]
    assert point.rule == "by hand"
    assert [each.prevalence for each in point.at_prevalence] == [0.01, 0.2]
    sens, spec = (point.figures[name].value for name in ("sensitivity", "specificity"))
    assert sens is not None
    assert spec is not None
    for each in point.at_prevalence:
        p = each.prevalence
        assert each.ppv.value == pytest.approx(sens * p / (sens * p + (1 - spec) * (1 - p)))


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 5.0])
def test_a_prevalence_that_is_no_share_is_refused(prevalence: float) -> None:
    with pytest.raises(EvaluationError, match="expected a share between 0 and 1"):
        evaluated(
            simulated(),
            {},
            prevalences=[prevalence],
        )


def test_the_counts_at_each_threshold_are_those_counted_by_hand() -> None:
    predictions = simulated(300)
    y_n, prob_n = predictions.label("Pneumonia"), predictions.prob("Pneumonia")
    counts = judged(predictions, resamples=2).curves["Pneumonia"].counts
    assert {0.0, 0.4, 0.5, 1.0} <= set(counts.threshold)
    assert list(counts.threshold) == sorted(counts.threshold)
    for threshold, tp, fp in zip(counts.threshold, counts.tp, counts.fp, strict=True):
        assert tp == ((prob_n >= threshold) & (y_n == 1)).sum()
        assert fp == ((prob_n >= threshold) & (y_n == 0)).sum()


def test_every_curve_passes_through_the_deployed_point() -> None:
    evaluation = judged(simulated(400))
    curves = evaluation.curves["Pneumonia"]
    point = evaluation.operating_points["Pneumonia"]["deployed"]
    assert curves.roc is not None
    assert curves.precision_recall is not None
    assert curves.decision is not None
    assert curves.risk_coverage is not None
    acting = curves.decision.threshold.index(0.4)
    assert curves.decision.model[acting] == pytest.approx(point.figures["net_benefit"].value)
    accuracy = point.figures["accuracy"].value
    assert accuracy is not None
    assert curves.risk_coverage.selective_risk[-1] == pytest.approx(1 - accuracy)
    assert len(curves.roc.threshold) <= 1000
    for curve in (curves.roc, curves.precision_recall):
        assert curve.tp[-1] == curve.present
        assert curve.band is not None


@pytest.mark.parametrize(("temperature", "told"), [(0.2, True), (1.5, False)])
def test_calibration_that_does_harm_is_told(temperature: float, told: bool) -> None:
    rng = np.random.default_rng(0)
    logit_n = rng.normal(0, 2, 600)
    y_n = (rng.random(600) < expit(logit_n / 1.5)).astype(float)
    evaluation = judged(simulated(y_n=y_n, logit_n=logit_n, prob_n=expit(logit_n / temperature)))
    assert any("calibration makes" in warning for warning in evaluation.warnings) is told


def test_one_missing_logit_parts_no_tie() -> None:
    """Where one logit is unknown, ranking by the others would rank by who has one."""
    y_n = np.repeat([1.0, 0.0], 30)
    evaluation = judged(
        simulated(y_n=y_n, prob_n=np.full(60, 0.9), logit_n=np.where(y_n == 1, np.nan, 2.2))
    )
    assert evaluation.figures["Pneumonia"]["auroc"].value == 0.5


def test_ties_across_groups_leave_no_trace_of_the_row_order() -> None:
    predictions = simulated(900, patients=300)
    table = predictions.table.assign(prob_pneumonia=predictions.prob("Pneumonia").round(2))
    one = judged(Predictions(("Pneumonia",), table))
    shuffled = table.sample(frac=1, random_state=5)
    assert judged(Predictions(("Pneumonia",), shuffled)).to_json() == one.to_json()


def test_few_images_of_a_class_are_told() -> None:
    y_n = np.repeat([1.0, 0.0], [3, 200])
    evaluation = judged(simulated(y_n=y_n))
    assert any("only 3 images with Pneumonia" in warning for warning in evaluation.warnings)


def test_a_point_that_misses_its_target_beyond_chance_is_told_and_no_other() -> None:
    points = {"deployed": 0.4, "low": 0.02, "high": 0.98}
    targets = {"low": ("sensitivity", 0.95), "high": ("sensitivity", 0.95)}
    evaluation = evaluated(
        simulated(400),
        {"Pneumonia": Deployment(points, targets=targets)},
        resamples=20,
    )
    told = [warning for warning in evaluation.warnings if "was set to reach" in warning]
    assert len(told) == 1
    assert "the point high of Pneumonia was set to reach a sensitivity of 0.95" in told[0]
