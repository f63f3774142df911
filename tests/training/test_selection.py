"""Selection: which recipe to take, measured on folds under acquisition faults."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

import hilum.training.selection as module
from hilum.calibration import Platt
from hilum.data.cohort import Cohort
from hilum.data.faults import FAULTS
from hilum.data.fingerprints import fingerprints
from hilum.data.grey import Grey
from hilum.data.pixels import Pixels
from hilum.errors import OutputError, RecipeError, StoppedError, TrainingError
from hilum.recipe import Recipe, make_recipe
from hilum.training.choice import Candidate, FoldResult, MeanFigure, Selection
from hilum.training.selection import AS_IT_STANDS, RECORD, candidates, chosen_recipe, select
from hilum.training.stress import CLEAN, StressFigures, fit_level, stress_figures
from hilum.training.watching import EpochReport, StepReport
from made import bright_cohort


def recipe_with(tried: dict[str, dict[str, Any]], **select: Any) -> Recipe:
    return make_recipe(
        {
            "name": "tiny",
            "input": {"size": 32},
            "model": {"weights": "none", "backbone": "test_efficientnet"},
            "train": {"epochs": 4, "batch_size": 16, "head_rate": 1.0, "learning_rate": 3e-3},
            "augmentation": {"brightness": 0, "contrast": 0, "gamma": 0},
            "select": {"folds": 2, "candidates": tried, **select},
        }
    )


# What is measured


def test_log_loss_is_that_of_films_weighted_to_the_prevalence() -> None:
    rng = np.random.default_rng(0)
    y_n = (rng.random(200) < 0.8).astype(float)
    logit_n = rng.normal(0, 1, 200) + 2 * y_n
    level = Platt(0.7, -0.4)
    found = stress_figures(logit_n[:, None], y_n[:, None], [level], 0.3)
    weight_n = np.where(y_n == 1, 0.3 / y_n.mean(), 0.7 / (1 - y_n.mean()))
    prob_n = 1 / (1 + np.exp(-(0.7 * logit_n - 0.4)))
    assert found.log_loss == pytest.approx(
        sklearn_log_loss(y_n, prob_n, sample_weight=weight_n), abs=1e-12
    )
    pairs = logit_n[y_n == 1][:, None] - logit_n[y_n == 0][None]
    assert found.auroc == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    right_n = (prob_n >= 0.5) == (y_n == 1)
    by_hand = (right_n[y_n == 1].mean() + right_n[y_n == 0].mean()) / 2
    assert found.balanced_accuracy == pytest.approx(by_hand)


def test_unknown_labels_count_for_nothing_and_findings_are_averaged() -> None:
    y_n = np.array([0.0, 1.0, 0.0, 1.0])
    logit_n = np.array([-1.0, 2.0, 0.5, 1.0])
    plain = Platt(1.0, 0.0)
    alone = stress_figures(logit_n[:, None], y_n[:, None], [plain], 0.5)
    label_nf = np.column_stack([np.append(y_n, np.nan), np.append(y_n, 0.0)])
    logit_nf = np.column_stack([np.append(logit_n, 99.0), np.append(logit_n, 99.0)])
    both = stress_figures(logit_nf, label_nf, [plain, plain], 0.5)
    other = stress_figures(logit_nf[:, 1:], label_nf[:, 1:], [plain], 0.5)
    assert both.log_loss == pytest.approx((alone.log_loss + other.log_loss) / 2)
    assert both.auroc == pytest.approx((alone.auroc + other.auroc) / 2)


def test_an_offset_and_a_scale_of_the_logits_do_not_decide() -> None:
    rng = np.random.default_rng(1)
    y_n = (rng.random(500) < 0.7).astype(float)
    logit_n = rng.normal(0, 1, 500) + 2 * y_n
    first, second = (
        stress_figures(each[:, None], y_n[:, None], [fit_level(each, y_n, 0.5)], 0.5)
        for each in (logit_n, 3 * logit_n + 4)
    )
    assert first.log_loss == pytest.approx(second.log_loss, abs=1e-6)


def test_the_level_is_moved_from_the_prevalence_of_tune_to_that_asked_for() -> None:
    """Logits that hold for 80 %, met at 80 %: for 50 % each is lower by log(4)."""
    rng = np.random.default_rng(2)
    y_n = (rng.random(200_000) < 0.8).astype(float)
    x_n = rng.normal(0, 1, len(y_n)) + y_n  # log odds of the densities: x - 1/2
    level = fit_level(x_n - 0.5 + np.log(4), y_n, 0.5)
    assert level.slope == pytest.approx(1.0, abs=0.02)
    assert level.intercept == pytest.approx(-np.log(4), abs=0.03)


# What is chosen


def candidate(name: str, *losses: float) -> Candidate:
    def figures(loss: float) -> StressFigures:
        return StressFigures(log_loss=loss, auroc=1 - loss, balanced_accuracy=0.9 - loss)

    folds = tuple(
        FoldResult(10.0, {CLEAN: figures(loss / 2), "blur": figures(loss), "zoom": figures(0.01)})
        for loss in losses
    )
    return Candidate(name, {"train.epochs": 3}, folds)


def selection(*tried: Candidate) -> Selection:
    return Selection("made", 300, "patient", 3, 0.5, (), tried)


def test_mean_and_standard_error_are_those_of_the_folds() -> None:
    found = MeanFigure.of(np.array([1.0, 2.0, 6.0]))
    assert found.value == 3.0
    assert found.standard_error == pytest.approx(np.sqrt((4 + 1 + 9) / 2 / 3))


def test_the_lowest_worst_case_loss_is_chosen_when_it_is_clearly_lowest() -> None:
    found = selection(candidate("a", 0.5, 0.6, 0.7), candidate("b", 0.3, 0.41, 0.5))
    assert found.chosen.name == "b"
    assert "every simpler candidate lies more than one standard error above" in found.reason()


def test_a_simpler_candidate_wins_within_one_standard_error_of_the_paired_differences() -> None:
    # Differences 0.03, 0.02, -0.02: mean 0.01, standard error 0.0153.
    found = selection(candidate("a", 0.33, 0.42, 0.48), candidate("b", 0.3, 0.4, 0.5))
    assert found.above_lowest(found.candidates[0]).value == pytest.approx(0.01)
    assert found.above_lowest(found.candidates[0]).standard_error == pytest.approx(
        0.015275, rel=1e-3
    )
    assert found.chosen.name == "a"
    assert "'a' is simpler than 'b'" in found.reason()


def test_folds_that_differ_much_from_each_other_do_not_hide_a_steady_difference() -> None:
    # Unpaired, each mean has a standard error of 0.12, and 0.02 between them would be nothing.
    found = selection(candidate("a", 0.22, 0.42, 0.621), candidate("b", 0.2, 0.4, 0.6))
    assert found.chosen.name == "b"


def test_a_candidate_listed_after_the_lowest_never_wins() -> None:
    found = selection(candidate("a", 0.3, 0.4, 0.5), candidate("b", 0.3, 0.4, 0.5))
    assert found.chosen.name == "a"
    assert "no candidate is simpler" in found.reason()


def test_the_worst_is_over_all_conditions_of_a_fold() -> None:
    one = candidate("a", 0.5, 0.7)
    assert one.worst_fault == "blur"
    assert one.worst_log_loss.value == pytest.approx(0.6)
    assert one.worst_auroc.value == pytest.approx(0.4)
    assert one.worst_balanced_accuracy.value == pytest.approx(0.3)
    assert one.seconds == 20.0


def test_the_table_names_every_candidate_and_marks_the_chosen_one() -> None:
    found = selection(candidate("a", 0.5, 0.6), candidate("b", 0.3, 0.41))
    lines = found.table().splitlines()
    assert len({len(line) for line in lines}) == 1  # in line on a terminal
    assert lines[2].startswith("| a ")
    assert lines[3].startswith("| **b** ")
    assert "0.3550 ± 0.0550" in lines[3]
    assert json.loads(json.dumps(found.to_dict()))["chosen"] == "b"


# Candidates


def test_the_recipe_as_it_stands_is_the_first_candidate() -> None:
    recipe = recipe_with({"shorter": {"train.epochs": 2}, "nested": {"train": {"epochs": 3}}})
    tried = candidates(recipe)
    assert list(tried) == [AS_IT_STANDS, "shorter", "nested"]
    assert [own.train.epochs for _, own in tried.values()] == [4, 2, 3]
    assert tried["nested"][0] == {"train.epochs": 3}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"train.epoch": 2}, r"select.candidates.odd: unknown key train.epoch; did you mean"),
        ({"train.epochs": -1}, r"select.candidates.odd: train.epochs = -1; set 0 or more"),
        ({"data.tune_fraction": 0.2}, r"select.candidates.odd: data.tune_fraction is changed; .*"),
        ({"seed": 2}, r"select.candidates.odd: seed is changed; expected a setting of input, "),
    ],
)
def test_a_candidate_that_does_not_fit_is_one_line_before_any_training(
    changes: dict[str, Any], line: str, tmp_path: Path
) -> None:
    recipe = recipe_with({"odd": changes})
    with pytest.raises(RecipeError, match=line):
        select(recipe, bright_cohort(), tmp_path / "select")
    assert not (tmp_path / "select").exists()


def test_without_candidates_there_is_nothing_to_select() -> None:
    with pytest.raises(RecipeError, match=r"select\.candidates: is empty"):
        candidates(recipe_with({}))


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="--select: 2 processes; expected one"):
        select(recipe_with({"shorter": {"train.epochs": 2}}), bright_cohort(), tmp_path)


# The whole of it, on small films


class Watched:
    """Pixels that remember which films were read."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.read_of: set[int] = set()

    def read(self, index: int) -> Grey:
        self.read_of.add(index)
        return self.pixels.read(index)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return bright_cohort()


@dataclass
class Selected:
    found: Selection
    recipe: Recipe
    folder: Path
    lines: list[str]
    read_of: set[int]


@pytest.fixture(scope="module")
def selected(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Selected:
    folder, lines = tmp_path_factory.mktemp("select"), []
    recipe = recipe_with({"larger": {"input.size": 40}})
    pixels = Watched(cohort.pixels)
    found = select(
        recipe,
        replace(cohort, pixels=pixels),
        folder,
        prints=fingerprints(cohort),  # these look at every film for copies, and at no label
        tell=lines.append,
    )
    return Selected(found, recipe, folder, lines, pixels.read_of)


def test_every_candidate_meets_every_fault_on_every_fold(selected: Selected) -> None:
    found = selected.found
    assert [each.name for each in found.candidates] == [AS_IT_STANDS, "larger"]
    for each in found.candidates:
        assert len(each.folds) == 2
        for fold in each.folds:
            assert set(fold.met) == {CLEAN, *FAULTS}
            assert len({figures.log_loss for figures in fold.met.values()}) > 5
            assert fold.met[CLEAN].auroc > 0.7
    assert found.grouping == "patient"
    assert found.warnings == ()
    assert len(selected.lines) == 4
    assert [path.name for path in selected.folder.iterdir()] == [RECORD]  # no work is left
    expected = 40 if found.chosen.name == "larger" else 32
    assert chosen_recipe(selected.recipe, found).input.size == expected


def test_test_is_never_read_and_all_else_is(selected: Selected, cohort: Cohort) -> None:
    in_test = cohort.table["split"] == "test"
    assert in_test.any()
    assert selected.read_of == set(cohort.table.index[~in_test])


def test_finished_folds_are_not_trained_again(
    selected: Selected,
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, recipe = selected.found, selected.recipe
    lines = (selected.folder / RECORD).read_text().splitlines(keepends=True)
    (tmp_path / RECORD).write_text("".join(lines[:3]))
    trained = []

    def counted(own: Recipe, *rest: Any, **more: Any) -> Any:
        trained.append(own.input.size)
        return make(own, *rest, **more)

    make = module.make_classifier
    monkeypatch.setattr(module, "make_classifier", counted)
    again = select(recipe, cohort, tmp_path)
    assert trained == [40]
    assert again.to_dict()["reason"] == found.to_dict()["reason"]
    for one, other in zip(found.candidates, again.candidates, strict=True):
        np.testing.assert_allclose(one.worst_log_loss_k, other.worst_log_loss_k, rtol=1e-9)


def test_what_decides_a_result_makes_its_line_another(
    selected: Selected,
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another severity is measured anew; a finished line of another recipe is never taken."""
    (tmp_path / RECORD).write_text((selected.folder / RECORD).read_text())

    def reached(*_: Any, **__: Any) -> Any:
        raise TrainingError("training", "was reached")

    monkeypatch.setattr(module, "make_classifier", reached)
    for recipe in (
        recipe_with({"larger": {"input.size": 40}}, severity=4),
        recipe_with({"larger": {"input.size": 40}}, prevalence=0.4),
        recipe_with({"larger": {"input.size": 48}}),
    ):
        with pytest.raises(TrainingError, match="was reached"):
            select(recipe, cohort, tmp_path)


def test_a_stopped_fold_keeps_what_is_finished(cohort: Cohort, tmp_path: Path) -> None:
    class Stop:
        epochs = 0

        def on_step(self, report: StepReport) -> None: ...

        def on_epoch(self, report: EpochReport) -> None:
            self.epochs += 1
            if self.epochs == 5:
                raise StoppedError("training", "interrupted")

    recipe = recipe_with({"larger": {"input.size": 40}})
    with pytest.raises(StoppedError, match="interrupted"):
        select(recipe, cohort, tmp_path, watcher=Stop())
    assert len((tmp_path / RECORD).read_text().splitlines()) == 1


def test_a_record_that_no_selection_wrote_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text('{"epoch": 1}\n')
    with pytest.raises(OutputError, match="line 1 was not written by a selection"):
        select(recipe_with({"larger": {"input.size": 40}}), cohort, tmp_path)


def test_a_cohort_without_patients_is_told_of(cohort: Cohort) -> None:
    anonymous = cohort.with_column("patient_id", None)
    found = module._warnings(anonymous, [], "image")
    assert "patients are not known, so folds are by image" in found[0]
