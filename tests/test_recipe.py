from pathlib import Path

import pytest

from hilum.errors import RecipeError
from hilum.recipe import (
    CalibrationPart,
    CostRule,
    FBetaRule,
    Recipe,
    SensitivityRule,
    SpecificityRule,
    YoudenRule,
    make_recipe,
    read_recipe,
)
from hilum.recipes import recipe_path

RECIPES = sorted(path.stem for path in recipe_path("pneumoniamnist").parent.glob("*.toml"))


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_that_come_with_hilum_are_valid_and_carry_their_own_name(name: str) -> None:
    assert read_recipe(recipe_path(name)).name == name


def test_the_two_recipes_differ_in_name_input_size_and_epochs_alone() -> None:
    default, at_224 = (
        read_recipe(recipe_path(name)) for name in ("pneumoniamnist", "pneumoniamnist-224")
    )
    changed = {
        "name": "pneumoniamnist-224",
        "input": default.input.model_copy(update={"size": 224}),
        "train": default.train.model_copy(update={"epochs": 3}),
    }
    assert at_224 == default.model_copy(update=changed)


def test_an_unknown_key_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        RecipeError, match=r"unknown key train\.epoch; did you mean train\.epochs\?"
    ):
        make_recipe({"train": {"epoch": 3}})


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(RecipeError, match="unknown key training"):
        make_recipe({"training": {"epochs": 3}})


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"train": {"batch_size": 0}}, r"train\.batch_size = 0; set 2 or more"),
        ({"train": {"learning_rate": 0}}, r"train\.learning_rate = 0; set more than 0"),
        ({"name": "../escaped"}, r"name = '\.\./escaped'; use letters"),
        ({"seed": 2**70}, r"seed = \d+; set less than"),
        ({"data": {"tune_fraction": 0.9}}, r"data\.tune_fraction = 0\.9; set 0\.5 or less"),
        ({"model": {"dropout": 1}}, r"model\.dropout = 1; set less than 1"),
        ({"train": {"epochs": "many"}}, r"train\.epochs = 'many'"),
        ({"train": {"precision": "64"}}, r"train\.precision = '64'; set '32-true'"),
        ({"train": {"learning_rate": float("nan")}}, r"train\.learning_rate = nan"),
    ],
)
def test_a_value_out_of_range_is_refused_in_words(values: dict[str, object], line: str) -> None:
    with pytest.raises(RecipeError, match=line):
        make_recipe(values)


def points(**keys: object) -> dict[str, object]:
    return {"calibration": {"deployed": "mine", "operating_points": {"mine": keys}}}


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_write_down_the_default_points_and_a_calibrator_of_their_own(name: str) -> None:
    # docs/decisions/calibrators.md and points-under-faults.md
    calibrator = "auto" if name == "kermany-224" else "temperature"
    expected = CalibrationPart(calibrator=calibrator, faults=3)
    assert read_recipe(recipe_path(name)).calibration == expected
    assert list(CalibrationPart().operating_points) == [
        "youden",
        "sensitivity_95",
        "specificity_95",
    ]


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"rule": "youden"}, YoudenRule()),
        ({"rule": "sensitivity", "target": 0.95}, SensitivityRule(target=0.95, bound="point")),
        (
            {"rule": "specificity", "target": 0.9, "bound": "lower"},
            SpecificityRule(target=0.9, bound="lower"),
        ),
        (
            {"rule": "cost", "cost_ratio": 10, "prevalence": 0.02},
            CostRule(cost_ratio=10, prevalence=0.02),
        ),
        ({"rule": "f_beta", "beta": 2}, FBetaRule(beta=2)),
    ],
)
def test_a_point_is_read_by_its_rule(keys: dict[str, object], rule: object) -> None:
    calibration = make_recipe(points(**keys)).calibration
    assert calibration.operating_points == {"mine": rule}
    assert calibration.deployed == "mine"


MINE = r"calibration\.operating_points\.mine"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"rule": "sensitivity"}, rf"{MINE}\.target is missing; the rule sensitivity needs it"),
        ({"rule": "cost"}, rf"{MINE}\.cost_ratio is missing; the rule cost needs it"),
        (
            {"rule": "youden", "target": 0.9},
            rf"unknown key {MINE}\.target; the rule youden takes no other key",
        ),
        (
            {"rule": "specificity", "targt": 0.9},
            rf"unknown key {MINE}\.targt; did you mean {MINE}\.target\?",
        ),
        (
            {"rule": "f_beta", "target": 0.9},
            rf"unknown key {MINE}\.target; the rule f_beta takes beta",
        ),
        ({"rule": "sensitivity", "target": 1}, rf"{MINE}\.target = 1; set less than 1"),
        ({"rule": "sensitivity", "target": 0}, rf"{MINE}\.target = 0; set more than 0"),
        (
            {"rule": "sensitivity", "target": 0.9, "bound": "upper"},
            rf"{MINE}\.bound = 'upper'; set 'point' or 'lower'",
        ),
        ({"rule": "cost", "cost_ratio": 0}, rf"{MINE}\.cost_ratio = 0; set more than 0"),
        (
            {"rule": "cost", "cost_ratio": 2, "prevalence": 1.0},
            rf"{MINE}\.prevalence = 1\.0; set less than 1",
        ),
        ({"rule": "f_beta", "beta": -1}, rf"{MINE}\.beta = -1; set more than 0"),
        ({"rule": "yuden"}, rf"{MINE}\.rule = 'yuden'; set one of youden, sensitivity, .*, f_beta"),
        ({"target": 0.9}, rf"{MINE}\.rule is missing; set one of youden"),
    ],
)
def test_a_point_that_its_rule_does_not_allow_is_refused_in_words(
    keys: dict[str, object], line: str
) -> None:
    with pytest.raises(RecipeError, match=line):
        make_recipe(points(**keys))


@pytest.mark.parametrize(
    ("calibration", "line"),
    [
        (
            {"deployed": "rule-out"},
            r"calibration\.deployed = 'rule-out'; set the name of one of "
            r"calibration\.operating_points \(youden, sensitivity_95, specificity_95\)",
        ),
        ({"operating_points": {}}, r"calibration\.deployed = 'youden'; .*none: add one"),
        (
            {"operating_points": {"screen": {"rule": "youden"}}},
            r"calibration\.deployed = 'youden'; .*\(screen\)",
        ),
        (
            {"operating_points": {"0.5": {"rule": "youden"}}},
            r"calibration\.operating_points\.0\.5; every evaluation has a point of that name",
        ),
        (
            {"operating_points": {"deployed": {"rule": "youden"}}},
            r"calibration\.operating_points\.deployed; every evaluation",
        ),
        ({"operating_points": {"rule out": {"rule": "youden"}}}, "name 'rule out'; use letters"),
        ({"operating_points": {"mine": 3}}, r"operating_points\.mine = 3; set a table"),
        ({"operating_points": 3}, r"operating_points = 3; set a table"),
        ({"calibrator": "plat"}, r"calibration\.calibrator = 'plat'; set 'auto', 'temperature'"),
        ({"coverage": 1.0}, r"calibration\.coverage = 1\.0; set less than 1"),
        ({"depoyed": "x"}, r"did you mean calibration\.deployed\?"),
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused_in_words(
    calibration: dict[str, object], line: str
) -> None:
    with pytest.raises(RecipeError, match=line):
        make_recipe({"calibration": calibration})


def test_keys_of_old_say_what_stands_in_their_place() -> None:
    with pytest.raises(RecipeError, match=r"operating_point; set calibration\.deployed"):
        make_recipe({"calibration": {"operating_point": "youden"}})
    with pytest.raises(
        RecipeError, match=r"target; set calibration\.operating_points\.NAME\.target"
    ):
        make_recipe({"calibration": {"target": 0.9}})


def test_points_can_be_changed_from_the_command_line() -> None:
    calibration = read_recipe(
        recipe_path("pneumoniamnist"),
        [
            "calibration.deployed=sensitivity_95",
            "calibration.calibrator=platt",
            "calibration.operating_points.sensitivity_95.target=0.99",
            'calibration.operating_points.screen={rule = "cost", cost_ratio = 20}',
        ],
    ).calibration
    assert (calibration.deployed, calibration.calibrator) == ("sensitivity_95", "platt")
    assert calibration.operating_points["sensitivity_95"] == SensitivityRule(target=0.99)
    assert calibration.operating_points["screen"] == CostRule(cost_ratio=20)
    assert list(calibration.operating_points) == [
        "youden",
        "sensitivity_95",
        "specificity_95",
        "screen",
    ]


def test_changes_are_applied_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('name = "mine"\n[train]\nepochs = 9\n')
    recipe = read_recipe(path, ["train.epochs=2", "model.backbone=efficientnet_b0", "seed=4"])
    assert (recipe.train.epochs, recipe.model.backbone, recipe.seed) == (2, "efficientnet_b0", 4)


@pytest.mark.parametrize("change", ["train.epochs", "=3", "name.first=3", "seed=1\nname=2"])
def test_a_change_that_is_no_change_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('name = "mine"\n')
    with pytest.raises(RecipeError, match="--set"):
        read_recipe(path, [change])


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        read_recipe(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(RecipeError, match="cannot be read as TOML"):
        read_recipe(broken)


def test_a_recipe_survives_json() -> None:
    for recipe in (make_recipe({"seed": 7}), make_recipe(points(rule="f_beta", beta=2))):
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
        assert make_recipe(recipe.model_dump(mode="json")) == recipe
