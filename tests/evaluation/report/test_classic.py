import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn import metrics

from hilum.errors import EvaluationError, OutputError
from hilum.evaluation import Deployment, Evaluation, Predictions, evaluate
from hilum.evaluation.report.classic import write_classic_report
from hilum.evaluation.report.gallery import MOST, _grid, errors_of

FILES = {
    "loss_acc_auc.txt",
    "roc_curve.png",
    "confusion_matrix.png",
    "misclassified_examples.png",
    "evaluation.json",
    "predictions.parquet",
}


def phantom(row: int) -> NDArray[np.float32]:
    y, x = np.mgrid[0:28, 0:28] / 27 - 0.5
    return (0.2 + 0.6 * np.exp(-((x - row % 7 / 20) ** 2 + y**2) * 8)).astype(np.float32)


def predicted(logit_n: NDArray[np.float64], y_n: NDArray[np.float64]) -> Predictions:
    return Predictions.from_arrays(
        ["Pneumonia"],
        [f"image_{i:04d}" for i in range(len(y_n))],
        label_nf=y_n[:, None],
        logit_nf=logit_n[:, None],
        prob_nf=1 / (1 + np.exp(-logit_n[:, None] / 2)),
        threshold_f=[0.4],
    )


def typical(n: int = 300) -> Predictions:
    rng = np.random.default_rng(0)
    y_n = (rng.random(n) < 0.6).astype(float)
    return predicted(3 * (y_n - 0.5) + rng.normal(0, 1.5, n), y_n)


def judged(predictions: Predictions, *, synthetic: bool = False, role: str = "test") -> Evaluation:
    return evaluate(
        predictions,
        {"Pneumonia": Deployment({"deployed": 0.4})},
        bundle="sha256:12ab",
        source="simulated",
        role=role,
        synthetic=synthetic,
        rng=np.random.default_rng(0),
        resamples=100,
        warnings=[
            "the files differ from the official ones, in more words than fit on one line " * 3
        ],
    )


def ink(path: Path) -> float:
    """Share of the picture that is not paper."""
    with Image.open(path) as image:
        return float((np.asarray(image.convert("L")) < 250).mean())


def test_the_report_has_its_files_and_nothing_else(tmp_path: Path) -> None:
    predictions = typical()
    paths = write_classic_report(
        tmp_path / "new" / "out", predictions, judged(predictions), phantom
    )
    assert {path.name for path in paths} == FILES
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == FILES
    for path in paths:
        assert 500 < path.stat().st_size < 1_000_000
    again = Predictions.read(tmp_path / "new" / "out" / "predictions.parquet")
    np.testing.assert_array_equal(again.prob("Pneumonia"), predictions.prob("Pneumonia"))
    for path in paths:
        if path.suffix == ".png":
            assert ink(path) > 0.02, path


def test_without_pixels_there_is_no_gallery(tmp_path: Path) -> None:
    predictions = typical()
    paths = write_classic_report(tmp_path, predictions, judged(predictions), None)
    assert {path.name for path in paths} == FILES - {"misclassified_examples.png"}
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"misclassified_examples.png"}


def test_the_first_three_lines_are_exactly_the_classic_ones(tmp_path: Path) -> None:
    predictions = typical()
    write_classic_report(tmp_path, predictions, judged(predictions), phantom)
    y_n, logit_n = predictions.label("Pneumonia"), predictions.logit("Pneumonia")
    raw_n = 1 / (1 + np.exp(-logit_n))
    lines = (tmp_path / "loss_acc_auc.txt").read_text().splitlines()
    assert lines[:4] == [
        f"Test Loss: {metrics.log_loss(y_n, raw_n):.4f}",
        f"Test Accuracy: {metrics.accuracy_score(y_n, raw_n >= 0.5):.4f}",
        f"Test AUC: {metrics.roc_auc_score(y_n, raw_n):.4f}",
        "",
    ]
    assert all(re.fullmatch(r"Test (Loss|Accuracy|AUC): \d\.\d{4}", line) for line in lines[:3])


def test_without_logits_the_first_lines_are_of_the_probabilities_and_say_so(tmp_path: Path) -> None:
    whole = typical()
    predictions = Predictions(
        whole.findings, whole.table.assign(logit_pneumonia=np.full(len(whole), np.nan))
    )
    write_classic_report(tmp_path, predictions, judged(predictions), phantom)
    lines = (tmp_path / "loss_acc_auc.txt").read_text().splitlines()
    y_n, prob_n = predictions.label("Pneumonia"), predictions.prob("Pneumonia")
    assert lines[0] == f"Test Loss: {metrics.log_loss(y_n, prob_n):.4f}"
    assert "Above       Pneumonia, probabilities as given, decided at 0.5" in lines


def test_the_text_gives_intervals_counts_classes_and_warnings(tmp_path: Path) -> None:
    predictions = typical()
    evaluation = judged(predictions)
    write_classic_report(tmp_path, predictions, evaluation, phantom)
    text = (tmp_path / "loss_acc_auc.txt").read_text()
    figures = evaluation.figures["Pneumonia"]
    assert f"AUROC                     {figures['auroc'].in_words(4)}" in text
    assert "DeLong, logit scale" in text
    assert "Wilson" in text
    assert "bootstrap by image" in text
    assert "\n  LR+ " in text
    assert f"Log loss, calibrated      {figures['log_loss'].in_words(4)}" in text
    assert "Operating point P ≥ 0.5" in text
    assert "Operating point deployed: P ≥ 0.4" in text
    counts = evaluation.operating_points["Pneumonia"]["deployed"].confusion
    assert re.search(rf"truly present +{counts.fn} +{counts.tp}\n", text)
    assert len(re.findall(r"\n  (?:absent|present) +\d\.\d{4} +\d\.\d{4} +\d\.\d{4}", text)) == 4
    assert "Warning     the files differ" in text
    assert "not a medical device" in text
    assert "SYNTHETIC" not in text


def test_synthetic_is_said_in_text_json_and_on_every_picture(tmp_path: Path) -> None:
    predictions = typical()
    for synthetic in (False, True):
        evaluation = judged(predictions, synthetic=synthetic)
        write_classic_report(tmp_path / str(synthetic), predictions, evaluation, phantom)
    lines = (tmp_path / "True" / "loss_acc_auc.txt").read_text().splitlines()
    assert lines[3] == ""
    assert lines[4].startswith("SYNTHETIC")
    assert json.loads((tmp_path / "True" / "evaluation.json").read_text())["synthetic"] is True
    for name in ("roc_curve.png", "confusion_matrix.png", "misclassified_examples.png"):
        with (
            Image.open(tmp_path / "False" / name) as plain,
            Image.open(tmp_path / "True" / name) as stamped,
        ):
            assert plain.size == stamped.size
            differ = np.asarray(plain.convert("RGB")) != np.asarray(stamped.convert("RGB"))
        assert differ.any(axis=2).mean() > 0.03


def test_other_roles_name_themselves(tmp_path: Path) -> None:
    predictions = typical()
    write_classic_report(tmp_path, predictions, judged(predictions, role="calibrate"), phantom)
    assert (tmp_path / "loss_acc_auc.txt").read_text().startswith("Calibrate Loss: ")


def test_without_errors_the_gallery_is_small_and_says_none(tmp_path: Path) -> None:
    y_n = np.repeat([0.0, 1.0], 30)
    predictions = predicted(8 * (y_n - 0.5), y_n)
    evaluation = judged(predictions)
    write_classic_report(tmp_path, predictions, evaluation, phantom)
    errors = errors_of(predictions, "Pneumonia", 0.4)
    assert errors.false_positive == errors.false_negative == ()
    with Image.open(tmp_path / "misclassified_examples.png") as image:
        assert image.height < image.width / 2
    assert "Test AUC: 1.0000" in (tmp_path / "loss_acc_auc.txt").read_text()


def test_errors_come_the_most_confident_first() -> None:
    predictions = typical()
    errors = errors_of(predictions, "Pneumonia", 0.4)
    y_n, prob_n = predictions.label("Pneumonia"), predictions.prob("Pneumonia")
    counts = judged(predictions).operating_points["Pneumonia"]["deployed"].confusion
    assert len(errors.false_positive) == counts.fp > 0
    assert len(errors.false_negative) == counts.fn > 0
    fp, fn = list(errors.false_positive), list(errors.false_negative)
    assert (y_n[fp] == 0).all()
    assert (prob_n[fp] >= 0.4).all()
    assert (y_n[fn] == 1).all()
    assert (prob_n[fn] < 0.4).all()
    assert (np.diff(prob_n[fp]) <= 0).all()
    assert (np.diff(prob_n[fn]) >= 0).all()


@pytest.mark.parametrize("counts", [[12, 2], [12, 12], [1, 0], [0, 1], [5, 7], [12, 0], [3, 11]])
def test_the_gallery_leaves_few_places_empty(counts: list[int]) -> None:
    rows, columns = _grid(counts)
    for count, many in zip(counts, columns, strict=True):
        assert rows * many >= count
    empty = rows * sum(columns) - sum(counts)
    assert empty <= max(2, max(counts) // 4 if min(counts) == 0 else 2)
    assert sum(columns) <= 8
    assert max(counts) <= MOST


def test_eighty_four_and_two_errors_fill_the_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    y_n = np.repeat([0.0, 1.0], [234, 390])
    logit_n = np.where(y_n == 1, 4.0, -4.0) + rng.normal(0, 0.3, 624)
    logit_n[:84] = rng.uniform(0.5, 5, 84)
    logit_n[300:302] = -3.0
    predictions = predicted(logit_n, y_n)
    write_classic_report(tmp_path, predictions, judged(predictions), phantom)
    assert ink(tmp_path / "misclassified_examples.png") > 0.45


def test_one_class_is_reported_without_a_curve(tmp_path: Path) -> None:
    predictions = predicted(np.linspace(-2, 2, 20), np.ones(20))
    write_classic_report(tmp_path, predictions, judged(predictions), phantom)
    lines = (tmp_path / "loss_acc_auc.txt").read_text().splitlines()
    assert lines[2] == "Test AUC: not given (no image without the finding among 20)"
    assert (tmp_path / "roc_curve.png").stat().st_size > 500


def test_an_evaluation_of_other_predictions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="an evaluation of 300 images and predictions for 20"):
        write_classic_report(tmp_path, typical(20), judged(typical(300)), phantom)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    predictions = typical(50)
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write_classic_report(tmp_path / "file" / "out", predictions, judged(predictions), phantom)
    assert "\n" not in str(caught.value)


def test_real_images_make_a_full_gallery(tmp_path: Path) -> None:
    folder = os.environ.get("HILUM_DATA")
    archive = Path(folder or ".") / "pneumoniamnist.npz"
    if folder is None or not archive.is_file():
        pytest.skip("HILUM_DATA names no folder with pneumoniamnist.npz")
    with np.load(archive) as data:
        image_nhw = data["test_images"].astype(np.float32) / 255
        y_n = data["test_labels"][:, 0].astype(float)
    rng = np.random.default_rng(0)
    predictions = predicted(3.5 * (y_n - 0.5) + rng.normal(0, 2, len(y_n)), y_n)
    write_classic_report(tmp_path, predictions, judged(predictions), lambda row: image_nhw[row])
    assert ink(tmp_path / "misclassified_examples.png") > 0.5
