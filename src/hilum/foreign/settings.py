"""What must be known of somebody else's model and stands in no model file: a small TOML beside it.

Reading the model itself is left to `keras_file` and `onnx_file`, fitting the two to `graph`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from hilum.data.preprocessing import CentreSquare, PadSquare, Resize, Step, reduction_to
from hilum.data.resampling import Interpolation
from hilum.errors import RecipeError
from hilum.recipe import in_one_line

Output = Literal["probability", "logit", "softmax", "softmax_logits"]
Layout = Literal["nhwc", "nchw"]
Column = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Input(_Part):
    """What the model takes.

    range: what it calls black and white, before `mean` and `std`: [0, 255], [0, 1], [-1, 1]
    mean, std: taken off and divided by thereafter, one for each channel or one for all
    size: pixels a side; channels: 1 or 3, the grey film in each; layout: channels last or first.
        All three only where the model file does not say
    resampling: by which a film is brought to that size
    aspect: how a film that is not square becomes so: squashed, its centre cut out, or air added
    reduction: films are first brought to so many pixels a side as MedMNIST's were, because the
        model was trained on such
    """

    range: tuple[float, float]
    mean: tuple[float, ...] = ()
    std: tuple[Annotated[float, Field(gt=0)], ...] = ()
    size: int | None = Field(default=None, ge=16, le=4096)
    channels: Literal[1, 3] | None = None
    layout: Layout | None = None
    resampling: Interpolation = "bilinear"
    aspect: Literal["stretch", "crop", "pad"] = "stretch"
    reduction: int | None = Field(default=None, ge=16, le=4096)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.range[0] >= self.range[1]:
            raise _said(f"input.range = {list(self.range)}; set black, then white")
        for name in ("mean", "std"):
            if len(values := getattr(self, name)) not in (0, 1, 3):
                raise _said(f"input.{name} = {list(values)}; set one number, or three")
        return self

    def steps(self, size: int) -> tuple[Step, ...]:
        """From a film to the network's square of `size` pixels."""
        first: tuple[Step, ...] = () if self.reduction is None else reduction_to(self.reduction)
        if not first and self.aspect != "stretch":
            first = (CentreSquare() if self.aspect == "crop" else PadSquare(),)
        return (*first, Resize(height=size, width=size, interpolation=self.resampling))


class Settings(_Part):
    """All that is stated of a model.

    file: the model, beside the TOML; None takes the one of the same name
    findings: finding -> the output that means it is present, counted from 0; several of a softmax
        are taken together
    output: "probability", each on its own (a sigmoid); "logit", the same before the sigmoid;
        "softmax", probabilities that add up to 1; "softmax_logits", the same before the softmax
    threshold: on probability, from which the model's makers call a film positive
    trained_on: the images it was trained on, in words; licence: of the model or its data
    source: what Hilum calls the set that it is judged on when none is named; its published test
        images, or all where none are published
    """

    file: str | None = None
    findings: dict[str, Column | tuple[Column, ...]] = Field(min_length=1)
    output: Output
    input: Input
    threshold: float = Field(default=0.5, gt=0, lt=1)
    trained_on: str = ""
    licence: str = ""
    source: str | None = None

    @model_validator(mode="after")
    def _columns(self) -> Self:
        for finding, columns in self.columns().items():
            if not columns or len(set(columns)) < len(columns):
                raise _said(f"findings.{finding} = {list(columns)}; name each output once")
            if len(columns) > 1 and not self.output.startswith("softmax"):
                raise _said(
                    f"findings.{finding} = {list(columns)}; several outputs can be taken together "
                    "of a softmax alone"
                )
        return self

    def columns(self) -> dict[str, tuple[int, ...]]:
        """Finding -> outputs that mean it."""
        return {
            finding: given if isinstance(given, tuple) else (given,)
            for finding, given in self.findings.items()
        }


# The model of the program that Hilum takes the place of, which has no TOML beside it.
PRESETS: Mapping[str, Settings] = {
    "pneumonia_efficientNet_finetuned.keras": Settings(
        file="pneumonia_efficientNet_finetuned.keras",
        findings={"Pneumonia": 0},
        output="probability",
        input=Input(range=(0, 255), size=224, channels=3, layout="nhwc", reduction=28),
        threshold=0.5,
        trained_on="pneumoniamnist",
        source="pneumoniamnist",
    )
}


def read_settings(path: Path) -> Settings:
    """What a TOML states of a model.

    Raises RecipeError: not TOML, an unknown key (the nearest one is named), one that is missing, or
    a value out of range.
    """
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(path, f"cannot be read as TOML ({error})") from error
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise in_one_line(error, str(path), Settings) from None
    if settings.file is not None and Path(settings.file).name != settings.file:
        raise RecipeError(path, f"file = {settings.file!r}", remedy="name a file beside this one")
    return settings


def _said(line: str) -> PydanticCustomError:
    return PydanticCustomError("said", "{line}", {"line": line})
