"""Front matter: what a card says of itself to machines, in YAML, as the Hugging Face Hub reads it.

Keys are those of https://huggingface.co/docs/hub/model-cards; what people read is the sections'.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hilum.bundle import Manifest
from hilum.card.results import Results
from hilum.estimates import Estimate
from hilum.evaluation import Evaluation
from hilum.evaluation.report.words import words

# Figure -> the Hub's name of it, where it has one.
FIGURES = {"auroc": "roc_auc", "average_precision": "average_precision", "brier": "brier_score"}
AT_POINT = {
    "accuracy": "accuracy",
    "sensitivity": "recall",
    "specificity": "specificity",
    "ppv": "precision",
    "f1": "f1",
}
# What a source says of its licence begins with -> the Hub's name of it.
LICENCES = {"CC BY 4.0": "cc-by-4.0", "CC0": "cc0-1.0", "Apache-2.0": "apache-2.0", "MIT": "mit"}
TAGS = ("chest-x-ray", "radiology", "medical-imaging", "openvino", "research-use-only")

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}  # which YAML reads otherwise


def front_matter(manifest: Manifest, results: Results) -> str:
    """The block between two rules that a card begins with."""
    return "\n".join(["---", *_block(metadata(manifest, results), 0), "---", ""])


def without_front_matter(card: str) -> str:
    """What people read of a card."""
    return re.sub(r"\A---\n.*?\n---\n+", "", card, flags=re.DOTALL)


def metadata(manifest: Manifest, results: Results) -> dict[str, Any]:
    """The card's metadata as plain values. `model-index` stands there where figures do."""
    found = [
        *(each.evaluation for each in results.evaluated),
        *(evaluation for _, evaluation in results.sites if evaluation is not None),
    ]
    told: dict[str, Any] = {
        **_licence(manifest.licence),
        "library_name": "hilum",
        "pipeline_tag": "image-classification",
        "tags": [
            *TAGS,
            *map(_slug, manifest.findings),
            *(["synthetic"] if manifest.synthetic else []),
        ],
        "datasets": [name for name in [_slug(manifest.source)] if name == manifest.source],
        "metrics": [*dict.fromkeys([*FIGURES.values(), *AT_POINT.values()])] if found else [],
    }
    index = [_result(each, finding) for each in found for finding in each.findings]
    index = [each for each in index if each["metrics"]]
    if index:
        told["model-index"] = [{"name": manifest.name, "results": index}]
    return {key: value for key, value in told.items() if value}


def _licence(words_of_source: str) -> dict[str, str]:
    """Of the images: whoever publishes the weights answers for theirs."""
    for beginning, name in LICENCES.items():
        if words_of_source.startswith(beginning):
            return {"license": name}
    if not words_of_source:
        return {"license": "unknown"}
    return {"license": "other", "license_name": _slug(words_of_source)}


def _result(evaluation: Evaluation, finding: str) -> dict[str, Any]:
    figures = evaluation.figures[finding]
    point = evaluation.operating_points[finding]["deployed"].figures
    metrics = [
        *_metrics(figures, FIGURES, finding, ""),
        *_metrics(point, AT_POINT, finding, " at the deployed point"),
    ]
    return {
        "task": {"type": "image-classification", "name": f"{finding} on chest radiographs"},
        "dataset": {
            "type": _slug(evaluation.source),
            "name": evaluation.source + (" (SYNTHETIC)" if evaluation.synthetic else ""),
            "split": evaluation.role,
        },
        "metrics": metrics,
    }


def _metrics(
    figures: Mapping[str, Estimate], names: Mapping[str, str], finding: str, where: str
) -> Iterator[dict[str, Any]]:
    for name, of_hub in names.items():
        found = figures.get(name)
        if found is None or found.value is None:
            continue
        limits = (
            "no interval"
            if found.low is None or found.high is None
            else f"95 % interval {found.low:.3f} to {found.high:.3f}"
        )
        yield {
            "type": of_hub,
            "value": round(found.value, 4),
            "name": f"{words(name)} of {finding}{where} ({limits})",
        }


def _slug(name: str) -> str:
    """A name as the Hub takes it: letters, digits, dots and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:80] or "unnamed"


def _block(value: Mapping[str, Any] | Sequence[Any], depth: int) -> Iterator[str]:
    """YAML in block style."""
    pad = "  " * depth
    entries = (
        ((f"{pad}{key}:", each) for key, each in value.items())
        if isinstance(value, Mapping)
        else ((f"{pad}-", each) for each in value)
    )
    for head, each in entries:
        if isinstance(each, Mapping) and head.endswith("-"):
            first, *rest = _block(each, depth + 1)
            yield f"{head} {first.strip()}"
            yield from rest
        elif isinstance(each, Mapping | list | tuple):
            yield head
            yield from _block(each, depth + 1)
        else:
            yield f"{head} {_scalar(each)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # JSON's strings and numbers are YAML's, but for letters that YAML wants written as numbers.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
