"""The typed recipe: all that decides a training run, read from TOML, checked where it enters.

What each part does with its settings is that part's own business.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hilum.errors import RecipeError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _listed(value: object) -> object:
    """On the command line `views=PA,AP` means the list of the two."""
    return (
        tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
    )


Uncertain = Literal["zeros", "ones", "ignore"]
Stored = Literal["float32", "float16"]


class PhantomPart(_Part):
    """Which synthetic films the phantom draws: `phantom_cohort` tells what each of these does."""

    n: int = Field(default=5856, ge=1)
    seed: int = Field(default=0, ge=0)
    sites: tuple[str, ...] = ()
    shortcut: Literal["none", "site", "marker"] = "none"
    shortcut_share: float = Field(default=0.9, ge=0.5, le=1)
    opacity: Literal["any", "small"] = "any"
    age_group: Literal["children", "adults", "all"] = "children"
    prevalence: float = Field(default=0.7422, gt=0, lt=1)
    test_prevalence: float = Field(default=0.625, gt=0, lt=1)

    @field_validator("sites", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return _listed(value)


class DataPart(_Part):
    """Where images come from, what is asked of them, and how they are shared among the roles.

    source: a name, or `kind:path`; a relative path is looked for here, then in HILUM_DATA
    findings: the targets; empty takes the source's own
    views: keep these alone, such as PA and AP; empty keeps all that the source counts as frontal
    negatives: of RSNA, without lung opacity: the normal ones alone, or all
    uncertain: what CheXpert's -1 counts as, for every finding or finding by finding
    columns: of a folder's table, our column -> its header, such as label = "finding"
    patients: a table that tells whose film each one is, where the source does not
    phantom: which films the phantom draws
    calibrate_fraction, test_fraction: share of patients; None takes the published split, and a
        tenth and a fifth where none is published
    duplicates: what may not stand in two roles: the same film ("near", by perceptual hash, too),
        the same pixels ("exact"), or not looked for ("off")
    broken_limit: share of films that may be unreadable before a run stops
    broken_shards: when a shard is damaged or cannot be fetched whole, stop, or count its films
        among the unreadable ones
    """

    source: str = "pneumoniamnist"
    findings: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    negatives: Literal["normal", "all"] = "all"
    uncertain: Uncertain | dict[str, Uncertain] = "ignore"
    columns: dict[str, str] = {}
    patients: str | None = None
    phantom: PhantomPart = PhantomPart()
    tune_fraction: float = Field(default=0.1, gt=0, le=0.5)
    calibrate_fraction: float | None = Field(default=None, gt=0, le=0.5)
    test_fraction: float | None = Field(default=None, gt=0, le=0.5)
    duplicates: Literal["near", "exact", "off"] = "near"
    broken_limit: float = Field(default=0.01, ge=0, lt=1)
    broken_shards: Literal["stop", "skip"] = "stop"

    @field_validator("findings", "views", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return _listed(value)


class ReadingPart(_Part):
    """How a film's file becomes grey values; a bundle keeps it.

    window: which of a DICOM file's VOI LUTs and windows, 1 the first; 0 takes the stored range
    bits: significant bits of a PNG or TIFF of 16; None takes what the file says, else all 16
    """

    window: int = Field(default=1, ge=0)
    bits: int | None = Field(default=None, ge=8, le=16)


class InputPart(_Part):
    """What the network is given: a square grey film of `size` pixels, made from the source's.

    detail: films are first reduced to so many pixels a side, then enlarged; finer detail, by which
        scanners and re-encoders differ, cannot be learnt then. None keeps all of it
    aspect: how a film that is not square becomes so: its centre is cut out, or air is added
    """

    size: int = Field(default=224, ge=32, le=1024)
    detail: int | None = Field(default=None, ge=16, le=1024)
    interpolation: Literal["bilinear", "bicubic", "area"] = "bicubic"
    aspect: Literal["crop", "pad"] = "crop"

    @model_validator(mode="after")
    def _coarser(self) -> Self:
        if self.detail is not None and self.detail >= self.size:
            raise _said(f"input.detail = {self.detail} is not below input.size = {self.size}")
        return self


class ModelPart(_Part):
    """Backbone by its timm name; `weights` is `imagenet`, `none`, or a file of weights.

    features: what the head sees, pooled over the film: the last feature map, or with it the ends of
        the last stages ("stages"; of an EfficientNet the last five blocks)
    views: how each film is looked at once the network is trained: as it is, or with it moved four
        ways, in two other exposures, or both, and the mean of the logits (test-time augmentation)
    stored: the type that a bundle keeps weights and engine in; "float16" halves both, and all that
        is fitted after training is fitted on the rounded network. It is computed in float32.
    """

    backbone: str = "efficientnet_lite0"
    weights: str = "imagenet"
    dropout: float = Field(default=0.2, ge=0, lt=1)
    features: Literal["last", "stages"] = "last"
    views: Literal["one", "shifts", "exposures", "both"] = "one"
    stored: Stored = "float32"


class LossPart(_Part):
    """What training minimises, finding by finding; a missing label counts for nothing.

    class_weights: of a present finding against an absent one: none; "balanced", both classes weigh
        the same in all; "effective", by effective numbers (Cui et al. 2019) with `effective_beta`
    focal_gamma: 0 is cross-entropy; above, easy films count less (Lin et al. 2017)
    focal_alpha: weight of present, and 1 - alpha of absent findings, beside class_weights
    logit_adjustment: tau of Menon et al. 2021: tau times the prior's log odds is added to the logit
        in training, so that the network answers for a prevalence of one half
    label_smoothing: labels become `label * (1 - 2s) + s`
    """

    class_weights: Literal["none", "balanced", "effective"] = "none"
    effective_beta: float = Field(default=0.999, ge=0, lt=1)
    focal_gamma: float = Field(default=0.0, ge=0)
    focal_alpha: float | None = Field(default=None, gt=0, lt=1)
    logit_adjustment: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)


class TrainPart(_Part):
    """The optimisation. AdamW; the rate rises linearly, then falls as a cosine to nought.

    epochs: of the whole network; 0 keeps the backbone as it is and fits the head alone
    batch_size: films of one optimiser step, of all processes and micro-batches together
    accumulate: micro-batches that each process cuts its part of a step into
    rate_batch: the batch size that learning_rate is meant for; a step of k times as many films
        takes sqrt(k) times that rate (Malladi et al. 2022, for Adam); None: the rate as it stands
    head_rate: how many times faster the head learns than the last stage of the backbone
    layer_decay: each stage learns so many times as fast as the one after it
    probe: fit the head on frozen features first (Kumar et al. 2022, LP-FT)
    mixup: alpha of mixup's Beta distribution (Zhang et al. 2018); 0 mixes nothing
    sampling: films as they come, or classes equally often
    average: what is kept of the path: its end, an exponential moving average with
        `average_decay`, or the plain mean of the last half ("swa")
    pretrained_share: WiSE-FT (Wortsman et al. 2022): how much of the weights before fine-tuning is
        mixed into those after it
    members, combine: networks trained alike but for their random draws, whose logits
        ("ensemble") or weights ("soup") are averaged
    grow_from: side of the input in the first epoch, as a share of input.size; it grows until two
        thirds of the run are done
    checkpoint_steps, checkpoint_minutes: state is saved so often, besides each epoch's end
    checkpoints_kept: of these, the last so many
    remember_mb: decoded films are kept in memory up to so much, for each role
    """

    epochs: int = Field(default=5, ge=0)
    batch_size: int = Field(default=32, ge=2)
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    rate_batch: int | None = Field(default=None, ge=1)
    head_rate: float = Field(default=10.0, gt=0)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    probe: bool = False
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    mixup: float = Field(default=0.0, ge=0)
    sampling: Literal["as_they_come", "balanced"] = "as_they_come"
    average: Literal["none", "ema", "swa"] = "none"
    average_decay: float = Field(default=0.99, gt=0, lt=1)
    pretrained_share: float = Field(default=0.0, ge=0, lt=1)
    members: int = Field(default=1, ge=1)
    combine: Literal["ensemble", "soup"] = "ensemble"
    grow_from: float = Field(default=1.0, gt=0, le=1)
    patience: int = Field(default=3, ge=1)
    checkpoint_steps: int | None = Field(default=None, ge=1)
    checkpoint_minutes: float | None = Field(default=10.0, gt=0)
    checkpoints_kept: int = Field(default=1, ge=1)
    remember_mb: int = Field(default=1024, ge=0)
    sync_batch_norm: bool = False
    compile: bool = False
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.epochs == 0 and not self.probe:
            raise _said("train.epochs = 0 without a probe; set train.probe = true, or 1 or more")
        return self


class AugmentationPart(_Part):
    """Ranges that each training film is varied in; nought switches one off.

    translation: share of the side; scale: share of the size, both ways
    stretch: of the logarithm of width over height, the area kept
    brightness: of full scale; contrast: share, both ways; gamma: of its logarithm
    noise: standard deviation at most, of full scale; blur: the same, as a share of the side
    horizontal_flip: probability
    """

    rotation_degrees: float = Field(default=10.0, ge=0, le=180)
    translation: float = Field(default=0.08, ge=0, le=0.5)
    scale: float = Field(default=0.1, ge=0, lt=1)
    stretch: float = Field(default=0.0, ge=0, lt=1)
    brightness: float = Field(default=0.15, ge=0, lt=1)
    contrast: float = Field(default=0.3, ge=0, lt=1)
    gamma: float = Field(default=0.3, ge=0, lt=1)
    noise: float = Field(default=0.02, ge=0, lt=1)
    blur: float = Field(default=0.0, ge=0, le=0.1)
    horizontal_flip: float = Field(default=0.0, ge=0, le=1)


Bound = Literal["point", "lower"]
RESERVED_POINTS = ("0.5", "deployed")  # an evaluation adds these


class YoudenRule(_Part):
    """The greatest sensitivity + specificity - 1."""

    rule: Literal["youden"] = "youden"


class SensitivityRule(_Part):
    """The highest threshold with this sensitivity, or with a lower 95 % limit of it (`bound`)."""

    rule: Literal["sensitivity"] = "sensitivity"
    target: float = Field(gt=0, lt=1)
    bound: Bound = "point"


class SpecificityRule(_Part):
    """The lowest threshold with this specificity, or with a lower 95 % limit of it (`bound`)."""

    rule: Literal["specificity"] = "specificity"
    target: float = Field(gt=0, lt=1)
    bound: Bound = "point"


class CostRule(_Part):
    """The least expected cost, when a missed finding costs as much as `cost_ratio` false alarms.

    prevalence: where it will be used; None takes that of the calibrate role
    """

    rule: Literal["cost"] = "cost"
    cost_ratio: float = Field(gt=0)
    prevalence: float | None = Field(default=None, gt=0, lt=1)


class FBetaRule(_Part):
    """The greatest F-beta, in which sensitivity counts `beta` times as much as PPV."""

    rule: Literal["f_beta"] = "f_beta"
    beta: float = Field(default=1.0, gt=0)


PointRule = YoudenRule | SensitivityRule | SpecificityRule | CostRule | FBetaRule
_RULES: dict[str, type[PointRule]] = {
    kind.model_fields["rule"].default: kind
    for kind in (YoudenRule, SensitivityRule, SpecificityRule, CostRule, FBetaRule)
}
_POINTS: dict[str, PointRule] = {
    "youden": YoudenRule(),
    "sensitivity_95": SensitivityRule(target=0.95),
    "specificity_95": SpecificityRule(target=0.95),
}


class CalibrationPart(_Part):
    """All that is fitted on the calibrate role, once per finding.

    calibrator: "auto" chooses by cross-validated log loss
    coverage: of the conformal prediction sets, in each class
    operating_points: named rules, in place of the three that stand here by default
    deployed: the name of the one that decides
    faults: severity, 1 to 5, of the acquisition faults that calibrate films are also looked at
        under; calibrator and points are then fitted on all of it, so that the point that decides
        does not hang on one department's exposure. 0: on the films as they are
    """

    calibrator: Literal["auto", "temperature", "platt", "isotonic", "beta"] = "auto"
    coverage: float = Field(default=0.9, gt=0, lt=1)
    deployed: str = "youden"
    faults: int = Field(default=0, ge=0, le=5)
    operating_points: dict[str, Annotated[PointRule, Field(discriminator="rule")]] = Field(
        default=_POINTS
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        key = "calibration.operating_points"
        for name in self.operating_points:
            if name in RESERVED_POINTS:
                line = f"{key}.{name}; every evaluation has a point of that name, choose another"
                raise _said(line)
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
                raise _said(f"{key}: name {name!r}; use letters, digits, '_' and '-'")
        if self.deployed not in self.operating_points:
            known = ", ".join(self.operating_points) or f"none: add one to {key}"
            raise _said(
                f"calibration.deployed = {self.deployed!r}; set the name of one of {key} ({known})"
            )
        return self


class AbstentionPart(_Part):
    """When the bundle refers in place of an answer. Limits come from the calibrate role.

    gate: whether films that are no upright frontal chest radiograph are refused
    novelty: which measure refuses films unlike those of the train role: "film" (outline and
        appearance), or one on the network's features: "mahalanobis", "knn", "energy"
    refusals: the share of calibrate films that gate and novelty may each refuse
    examples: chest films that the gate learns from, and as many images of anything else
    """

    gate: bool = True
    novelty: Literal["film", "mahalanobis", "knn", "energy", "none"] = "film"
    refusals: float = Field(default=0.02, gt=0, lt=0.5)
    examples: int = Field(default=4000, ge=100)


class SelectPart(_Part):
    """How `train --select robust` chooses among candidates, on train, tune and calibrate alone.

    folds: patient-disjoint parts, each held out once
    severity: of the acquisition faults that held-out films are given, 1 to 5
    prevalence: that held-out films are reweighted to
    candidates: name -> changes of the recipe, such as { "input.size" = 96 }; the first that is
        listed is the simplest
    """

    folds: int = Field(default=3, ge=2)
    severity: int = Field(default=3, ge=1, le=5)
    prevalence: float = Field(default=0.5, gt=0, lt=1)
    candidates: dict[str, dict[str, Any]] = {}


class SweepRange(_Part):
    """Values that `train --sweep` tries for one key: between two limits, or one of several.

    log: draw evenly in the logarithm; whole: whole numbers alone
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        between = self.low is not None and self.high is not None and self.low < self.high
        if bool(self.choices) == between:
            raise _said("sweep.ranges: a range needs low below high, or choices")
        if self.log and (self.low or 0) <= 0:
            raise _said("sweep.ranges: log needs low above 0")
        return self


class SweepPart(_Part):
    """`train --sweep`: so many trials over the ranges; key of the recipe -> range.

    objective: on tune alone
    """

    trials: int = Field(default=20, ge=1)
    objective: Literal["log_loss", "auroc"] = "log_loss"
    ranges: dict[str, SweepRange] = {}


def _said(line: str) -> PydanticCustomError:
    """A complaint that is already one line in words."""
    return PydanticCustomError("said", "{line}", {"line": line})


class Recipe(_Part):
    """A whole run. `seed` fixes roles, weights, order and augmentation."""

    name: str = Field(default="hilum", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=0, ge=0, lt=2**63)
    data: DataPart = DataPart()
    reading: ReadingPart = ReadingPart()
    input: InputPart = InputPart()
    model: ModelPart = ModelPart()
    loss: LossPart = LossPart()
    train: TrainPart = TrainPart()
    augmentation: AugmentationPart = AugmentationPart()
    calibration: CalibrationPart = CalibrationPart()
    abstention: AbstentionPart = AbstentionPart()
    select: SelectPart = SelectPart()
    sweep: SweepPart = SweepPart()


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
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise in_one_line(error, where) from None


class _SourceOptions(DataPart):
    """The keys of `--option`: those of [data] as they are, those of [reading] behind its name."""

    reading: ReadingPart = ReadingPart()


def source_options(changes: Sequence[str], flag: str = "--option") -> tuple[DataPart, ReadingPart]:
    """What `findings=Pneumonia`, `source=phantom` or `reading.window=2` mean for a source.

    Raises RecipeError as `make_recipe` does, its line beginning with the flag.
    """
    values: dict[str, Any] = {}
    for change in changes:
        _apply(values, change.strip().removeprefix("data."), flag, "views=PA")
    try:
        options = _SourceOptions.model_validate(values)
    except ValidationError as error:
        raise in_one_line(error, flag, _SourceOptions) from None
    data = DataPart(**{key: getattr(options, key) for key in DataPart.model_fields})
    return data, options.reading


def _apply(
    values: dict[str, Any], change: str, flag: str = "--set", example: str = "train.epochs=3"
) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError(flag, repr(change), expected=f"key=value, such as {example}")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {"value": text.strip()}  # a bare word: --set model.backbone=efficientnet_b0
    if len(parsed) > 1:
        raise RecipeError(flag, repr(change), expected="one key=value")
    *tables, last = key.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise RecipeError(flag, f"{table} in {key} is a value", expected="a table")
    values[last] = parsed["value"]


_MOVED = {
    "train.class_weights": "set loss.class_weights",
    "train.label_smoothing": "set loss.label_smoothing",
    "calibration.operating_point": "set calibration.deployed to the name of a point",
    "calibration.target": "set calibration.operating_points.NAME.target",
}


def in_one_line(error: ValidationError, where: str, part: type[BaseModel] = Recipe) -> RecipeError:
    """The first of pydantic's complaints as one line, with the nearest key or the range.

    part: the type that was not met
    """
    complaints = error.errors()
    # A misspelt key also leaves the right one missing: the spelling is what to tell.
    first = next((each for each in complaints if each["type"] == "extra_forbidden"), complaints[0])
    # A choice of types leaves its own name in the path, such as "literal['zeros','ones']".
    loc = [str(part) for part in first["loc"] if "[" not in str(part)]
    # Pydantic puts a point's rule into the path, between its name and its keys.
    in_point = loc[:2] == ["calibration", "operating_points"] and len(loc) > 3 and loc[3] in _RULES
    rule = loc.pop(3) if in_point else None
    key = ".".join(loc)
    match first["type"]:
        case "said":
            return RecipeError(where, first["msg"])
        case "extra_forbidden":
            return RecipeError(where, f"unknown key {key}", remedy=_nearest(key, rule, part))
        case "missing":
            needs = f"the rule {rule} needs it" if rule else "set it"
            return RecipeError(where, f"{key} is missing", remedy=needs)
        case "union_tag_not_found" | "union_tag_invalid":
            found = first["input"].get("rule") if isinstance(first["input"], Mapping) else None
            what = "is missing" if found is None else f"= {found!r}"
            rules = ", ".join(_RULES)
            return RecipeError(where, f"{key}.rule {what}", remedy=f"set one of {rules}")
        case _:
            found = first["input"]
            return RecipeError(where, f"{key} = {found!r}", remedy=_range_in_words(first))


def _nearest(key: str, rule: str | None, part: type[BaseModel]) -> str:
    """What an unknown key was meant to be, or which there are."""
    if key in _MOVED:
        return _MOVED[key]
    table, _, last = key.rpartition(".")
    if rule is None:
        known = _keys(part)
        nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        nearest = nearest or [name for name in known if name.split(".")[-1] == last]
        return f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}"
    known = [name for name in _keys(_RULES[rule]) if name != "rule"]
    if near := difflib.get_close_matches(last, known, n=1):
        return f"did you mean {table}.{near[0]}?"
    return f"the rule {rule} takes {', '.join(known) or 'no other key'}"


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
        case "dict_type" | "model_attributes_type" | "model_type":
            return "set a table"
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
