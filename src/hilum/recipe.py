"""The typed recipe: all that decides a training run, read from TOML, checked where it enters.

What each part does with its settings is that part's own business.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hilum.errors import RecipeError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataPart(_Part):
    """Where images come from and how the published train split is divided."""

    source: str = "pneumoniamnist"
    tune_fraction: float = Field(default=0.1, gt=0, le=0.5)


class InputPart(_Part):
    """What the network is given: a square grey film of `size` pixels, made from the source's."""

    size: int = Field(default=224, ge=32, le=1024)
    interpolation: Literal["bilinear", "bicubic", "area"] = "bicubic"


class ModelPart(_Part):
    """Backbone by its timm name; `weights` is `imagenet`, `none`, or a file of weights."""

    backbone: str = "efficientnet_lite0"
    weights: str = "imagenet"
    dropout: float = Field(default=0.2, ge=0, lt=1)


class TrainPart(_Part):
    """The optimisation. AdamW; the rate rises linearly, then falls as a cosine to nought.

    head_rate: how many times faster the fresh head learns than the pretrained rest
    """

    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    head_rate: float = Field(default=10.0, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    patience: int = Field(default=3, ge=1)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class AugmentationPart(_Part):
    """Ranges that each training film is varied in; nought switches one off."""

    rotation_degrees: float = Field(default=10.0, ge=0, le=180)
    translation: float = Field(default=0.08, ge=0, le=0.5)
    scale: float = Field(default=0.1, ge=0, lt=1)
    brightness: float = Field(default=0.15, ge=0, lt=1)
    contrast: float = Field(default=0.3, ge=0, lt=1)
    gamma: float = Field(default=0.3, ge=0, lt=1)
    noise: float = Field(default=0.02, ge=0, lt=1)
    horizontal_flip: float = Field(default=0.0, ge=0, le=1)


class CalibrationPart(_Part):
    """The calibrator and the deployed operating point, both from the calibrate role."""

    operating_point: Literal["youden", "sensitivity", "specificity"] = "youden"
    target: float | None = Field(default=None, gt=0, lt=1)


class Recipe(_Part):
    """A whole run. `seed` fixes roles, weights, order and augmentation."""

    name: str = Field(default="hilum", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    data: DataPart = DataPart()
    input: InputPart = InputPart()
    model: ModelPart = ModelPart()
    train: TrainPart = TrainPart()
    augmentation: AugmentationPart = AugmentationPart()
    calibration: CalibrationPart = CalibrationPart()


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe from TOML, then apply changes such as `train.epochs=3`.

    Raises RecipeError: no such file, not TOML, an unknown key (the nearest one is named), or a
    value out of range.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            path, "no such file", expected="a recipe in TOML", remedy="see the folder recipes/"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(path, f"cannot be read as TOML ({error})") from error
    for change in changes:
        _apply(values, change)
    return make_recipe(values, where=str(path))


def make_recipe(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Check plain values and make a Recipe of them. Raises RecipeError."""
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise _in_words(error, values, where) from None
    part = recipe.calibration
    if (part.operating_point == "youden") != (part.target is None):
        raise RecipeError(
            where,
            f"calibration.target = {part.target} with operating_point = {part.operating_point!r}",
            expected="a target with 'sensitivity' or 'specificity', and none with 'youden'",
        )
    return recipe


def _apply(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError("--set", repr(change), expected="key=value, such as train.epochs=3")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {"value": text.strip()}  # a bare word: --set model.backbone=efficientnet_b0
    if len(parsed) > 1:
        raise RecipeError("--set", repr(change), expected="one key=value")
    *tables, last = key.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise RecipeError("--set", f"{table} in {key} is a value", expected="a table")
    values[last] = parsed["value"]


def _in_words(error: ValidationError, values: Mapping[str, Any], where: str) -> RecipeError:
    """The first of pydantic's complaints as one line, with the nearest key or the range."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys(Recipe)
        nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5) or [
            name for name in known if name.split(".")[-1] == str(first["loc"][-1])
        ]
        remedy = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}"
        return RecipeError(where, f"unknown key {key}", remedy=remedy)
    return RecipeError(where, f"{key} = {first['input']!r}", remedy=_range_in_words(first))


def _range_in_words(complaint: Any) -> str:
    limits = complaint.get("ctx", {})
    match complaint["type"]:
        case "greater_than_equal":
            return f"set {limits['ge']:g} or more"
        case "greater_than":
            return f"set more than {limits['gt']:g}"
        case "less_than_equal":
            return f"set {limits['le']:g} or less"
        case "less_than":
            return f"set less than {limits['lt']:g}"
        case "string_pattern_mismatch":
            return "use letters, digits, '.', '_' and '-', a letter or digit first"
        case "literal_error":
            return f"set {limits['expected']}"
        case _:
            return str(complaint["msg"]).lower()


def _keys(part: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in part.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += _keys(kind, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys
