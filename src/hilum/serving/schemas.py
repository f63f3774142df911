"""The forms of answers, as OpenAPI tells them. What fills them is `answering` and `describing`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hilum.serving.rejection import Kind
from hilum.serving.uploads import FORM, RAW


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """A refusal, RFC 9457."""

    type: str = Field(examples=["urn:hilum:unreadable-film"])
    title: str
    status: int
    detail: str


class Refusal(_Form):
    """Why a person must read the film."""

    reason: Literal["gate", "novelty", "conformal"]
    meaning: str


class FindingSaid(_Form):
    """What is said of one finding. A decision stands beside a referral, and counts for nothing."""

    finding: str = Field(examples=["Pneumonia"])
    probability: float = Field(ge=0, le=1, description="calibrated")
    decision: Literal["present", "absent"]
    threshold: float = Field(ge=0, le=1)
    operating_point: str = Field(examples=["sensitivity_95"])
    refer: Refusal | None
    wording: str


class FilmFacts(_Form):
    """What the file tells of the film, without anything that names a patient."""

    format: str
    rows: int
    columns: int
    bits: int
    photometric: str
    window: str
    pixel_spacing_mm: tuple[float, float] | None
    modality: str | None
    body_part: str | None
    view: str | None
    laterality: str | None
    age: float | None = Field(description="years; 90 for all above 89")
    sex: str | None


class FilmSaid(_Form):
    """A film that was answered or referred."""

    name: str = Field(examples=["film-1"], description="by position in the request")
    input: str = Field(description="SHA-256 of the film's bytes, in hex")
    status: Literal["answered", "referred"]
    findings: list[FindingSaid]
    facts: FilmFacts
    warnings: list[str]


class FilmError(_Form):
    type: str
    status: int
    detail: str


class FilmRejected(_Form):
    """A film that got no answer, among others that did."""

    name: str
    status: Literal["rejected"]
    error: FilmError


class BundleName(_Form):
    name: str
    digest: str


class Said(_Form):
    """What is said of the films of one request, in their order."""

    bundle: BundleName
    engine: str = Field(examples=["openvino-f32"])
    synthetic: bool
    films: list[FilmSaid | FilmRejected]
    notice: str


class Health(_Form):
    status: Literal["ok"]


class Described(BaseModel):
    """What a bundle is: the bundle's own record has more, under the same names."""

    name: str
    digest: str
    created: str
    schema_version: int
    engine: dict[str, Any]
    findings: list[dict[str, Any]]
    deployed: str
    policy: str | None
    ages: dict[str, float] | None
    ages_in_words: str
    figures: dict[str, Any]
    training: dict[str, Any]
    synthetic: bool
    warnings: list[str]
    limits: dict[str, int]
    card: bool
    report: bool
    notice: str


_EXAMPLE = {
    "bundle": {"name": "pneumoniamnist", "digest": "ab" * 32},
    "engine": "openvino-f32",
    "synthetic": False,
    "films": [
        {
            "name": "film-1",
            "input": "cd" * 32,
            "status": "answered",
            "findings": [
                {
                    "finding": "Pneumonia",
                    "probability": 0.912345,
                    "decision": "present",
                    "threshold": 0.4902561564,
                    "operating_point": "youden",
                    "refer": None,
                    "wording": "Pneumonia called present: calibrated probability 0.91, at or above "
                    "the operating point 0.49. Of 135 calibrate films without it, 97.8 % (93.7 to "
                    "99.2) were called absent.",
                }
            ],
            "facts": {
                "format": "DICOM",
                "rows": 2022,
                "columns": 2022,
                "bits": 12,
                "photometric": "MONOCHROME2",
                "window": "window 1 of 1: centre 2048, width 4096, LINEAR",
                "pixel_spacing_mm": [0.168, 0.168],
                "modality": "DX",
                "body_part": "CHEST",
                "view": "PA",
                "laterality": None,
                "age": 54.0,
                "sex": "F",
            },
            "warnings": [],
        },
        {
            "name": "film-2",
            "status": "rejected",
            "error": {
                "type": "unreadable-film",
                "status": 422,
                "detail": "film: not an image that can be read; expected PNG, JPEG, TIFF or DICOM",
            },
        },
    ],
    "notice": "Research use only. Hilum and its bundles are not a medical device.",
}

_BINARY = {"type": "string", "format": "binary"}
_MEANINGS = {
    Kind.MALFORMED: "The request is not of the form that is told here.",
    Kind.UNAUTHORISED: "The token is missing or wrong.",
    Kind.FORBIDDEN: "Asked by a page of another site.",
    Kind.SLOW: "The body did not come in time.",
    Kind.TOO_LARGE: "A film, the body, or the number of films is above the limit.",
    Kind.UNSUPPORTED: "A content type that is not taken.",
    Kind.NO_MAP: "The classifier makes its answer in a way that has no map.",
    Kind.UNREADABLE: "The film cannot be read as a radiograph.",
    Kind.BUSY: "Too many films are waiting, or the service is ending. Come again.",
    Kind.TIMED_OUT: "No answer in time.",
}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ANYWHERE = (Kind.MALFORMED, Kind.UNAUTHORISED, Kind.FORBIDDEN)
_Responses = dict[int | str, dict[str, Any]]


def refusals(*kinds: Kind) -> _Responses:
    """The refusals of a route, as OpenAPI has them."""
    told: _Responses = {}
    for kind in dict.fromkeys((*_ANYWHERE, *kinds)):
        answer: dict[str, Any] = {"description": _MEANINGS[kind], "content": _PROBLEM}
        if kind is Kind.BUSY:
            answer["headers"] = {
                "Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}
            }
        told[kind.status] = answer
    told[500] = {"description": "The service failed; its log has the id.", "content": _PROBLEM}
    return told


OF_FILMS = refusals(*(kind for kind in Kind if kind not in (Kind.FAILED, Kind.NO_MAP)))
PREDICTED: _Responses = {
    200: {
        "model": Said,
        "description": "Every film's answer, referral or refusal.",
    },
    **OF_FILMS,
}
PNG: _Responses = {
    200: {"description": "A PNG.", "content": {"image/png": {"schema": _BINARY}}},
    **OF_FILMS,
}
EXPLAINED: _Responses = {**PNG, 404: refusals(Kind.NO_MAP)[404]}


def completed(schema: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI with what routes cannot say of themselves, for a library leaves nulls out of it."""
    schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    answered = schema["paths"]["/v1/predict"]["post"]["responses"]["200"]
    answered["content"]["application/json"]["example"] = _EXAMPLE
    return schema


def body(*, several: bool, finding: bool = False) -> dict[str, Any]:
    """The body of a route that takes films."""
    film: dict[str, Any] = (
        {"type": "array", "items": _BINARY, "minItems": 1} if several else dict(_BINARY)
    )
    properties = {"film": film}
    if finding:
        properties["finding"] = {"type": "string", "description": "the first where none is given"}
    form = {"type": "object", "properties": properties, "required": ["film"]}
    content = {FORM: {"schema": form}, **{kind: {"schema": _BINARY} for kind in RAW}}
    return {"requestBody": {"required": True, "content": content}}
