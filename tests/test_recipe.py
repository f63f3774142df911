from pathlib import Path

import pytest

from hilum.errors import RecipeError
from hilum.recipe import Recipe, make_recipe, read_recipe
from hilum.recipes import recipe_path


@pytest.mark.parametrize("name", ["pneumoniamnist", "pneumoniamnist-224"])
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


def test_a_target_needs_a_rule_that_takes_one() -> None:
    with pytest.raises(RecipeError, match="target"):
        make_recipe({"calibration": {"operating_point": "sensitivity"}})
    recipe = make_recipe({"calibration": {"operating_point": "sensitivity", "target": 0.95}})
    assert recipe.calibration.target == 0.95


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
    recipe = make_recipe({"seed": 7})
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
