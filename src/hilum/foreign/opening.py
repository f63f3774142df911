"""Opening: a bundle's folder as it is, and anybody's model as a bundle in memory.

The model's file is read by `keras_file` or `onnx_file`, what is stated of it by `settings`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from hilum.bundle import (
    FOREIGN,
    MANIFEST,
    WEIGHTS,
    Backbone,
    Bundle,
    EngineFacts,
    Manifest,
    load_bundle,
    sha256_of,
)
from hilum.calibration import ChosenCalibrator, OperatingPoint, Temperature
from hilum.errors import BundleError
from hilum.estimates import Estimate
from hilum.foreign import keras_file, onnx_file
from hilum.foreign.graph import Fitted, fitted
from hilum.foreign.settings import PRESETS, Settings, read_settings
from hilum.recipe import DataPart

SUFFIXES = (*keras_file.SUFFIXES, *onnx_file.SUFFIXES)
ANY_NAME = "model.toml"  # settings whose `file` says which model they are of
LEDGER = ".openings.jsonl"
UNKNOWN = "images that its makers do not name"

_POINT = "stated"
_OTHERS = (".pt", ".pth", ".pb", ".tflite", ".pkl", ".safetensors", ".xml")
_REMEDY = "put one beside it, with findings, output and input.range: see docs/foreign-models.md"


@dataclass(frozen=True)
class _Foreign(Bundle):
    """Somebody's model, opened. folder: its file, since the folder around it is not its own.

    held: by name, files of a bundle that are made of it: the layer on its pooled map, if any
    """

    held: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def ledger(self) -> Path:
        return self.folder.with_name(self.folder.name + LEDGER)

    def read(self, name: str) -> bytes:
        return self.held[name]

    @property
    def shipped(self) -> bool:
        return False

    def checks(self, maps: str) -> list[dict[str, Any]]:
        """None: what checks a method alters the network in torch."""
        return []


@dataclass(frozen=True)
class _Found:
    """A model's file, what is stated of it, and where."""

    file: Path
    settings: Settings
    stated: Path | None


def open_model(path: str | Path) -> Bundle:
    """A bundle, or anybody's Keras or ONNX model as one.

    path: a bundle, the TOML that states what a model takes and gives, the model beside it, or a
        folder that holds one of all these
    Raises BundleError: none of these, several, or one that cannot be used; RecipeError where a TOML
    is wrong; MissingExtraError for a Keras file without the extra `keras`.
    """
    path = Path(path)
    try:
        found = _found(path)
        return load_bundle(path) if found is None else _opened(found)
    except OSError as error:
        raise BundleError(
            error.filename or path, f"cannot be read ({error.strerror or error})"
        ) from error


def _found(path: Path) -> _Found | None:
    """The model that `path` means; None where it is a bundle, or nothing."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        return None
    if suffix == ".toml":
        return _of_settings(path)
    if suffix in SUFFIXES:
        return _of_model(path)
    if suffix in _OTHERS:
        raise BundleError(
            path,
            "not a model that Hilum opens",
            expected=f"a bundle, or a model as {', '.join(SUFFIXES)}",
            remedy="export it to ONNX where it was made",
        )
    return None


def _in_folder(folder: Path) -> _Found | None:
    if (folder / MANIFEST).is_file():
        return None
    models = sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES)
    bundles = sorted(each.parent for each in folder.glob(f"[!.]*/{MANIFEST}"))
    if not models:
        return None
    if len(models) + len(bundles) > 1:
        names = [each.name for each in (*bundles, *models)]
        raise BundleError(
            folder,
            f"{len(names)} models: {', '.join(names)}",
            expected="one",
            remedy=f"name it, for instance {(*bundles, *models)[0]}",
        )
    return _of_model(models[0])


def _of_settings(path: Path) -> _Found:
    settings = read_settings(path)
    if settings.file is not None:
        file = path.with_name(settings.file)
        if file.suffix.lower() not in SUFFIXES:
            raise BundleError(path, f"file = {settings.file!r}", expected=", ".join(SUFFIXES))
        if not file.is_file():
            raise BundleError(file, "no such file", remedy=f"{path} names it")
        return _Found(file, settings, path)
    beside = [path.with_suffix(suffix) for suffix in SUFFIXES]
    beside += [path.with_suffix("")]  # model.onnx.toml
    files = [each for each in beside if each.is_file() and each.suffix.lower() in SUFFIXES]
    if len(files) != 1:
        raise BundleError(
            path,
            f"{len(files) or 'no'} models of this name beside it",
            expected="one",
            remedy='name it: file = "model.onnx"',
        )
    return _Found(files[0], settings, path)


def _of_model(file: Path) -> _Found:
    for path in (file.with_name(file.name + ".toml"), file.with_suffix(".toml")):
        if path.is_file():
            settings = read_settings(path)
            if settings.file in (None, file.name):
                return _Found(file, settings, path)
    anybody = file.with_name(ANY_NAME)
    if anybody.is_file() and (settings := read_settings(anybody)).file == file.name:
        return _Found(file, settings, anybody)
    if file.name in PRESETS:
        return _Found(file, PRESETS[file.name], None)
    raise BundleError(
        file,
        "nothing says what it takes and what its outputs mean",
        expected=file.with_suffix(".toml").name,
        remedy=_REMEDY,
    )


def _opened(found: _Found) -> Bundle:
    keras = found.file.suffix.lower() in keras_file.SUFFIXES
    read = keras_file.read_keras if keras else onnx_file.read_onnx
    network = fitted(read(found.file), found.settings, found.file)
    beside = () if keras else onnx_file.weights_beside(found.file)
    held = {WEIGHTS: _weights(network)}
    stated = found.settings.model_dump(mode="json", exclude={"file"})
    facts = {
        "model": sha256_of(found.file),
        "beside": {each.name: sha256_of(each) for each in beside},
        "settings": stated,
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    manifest = _manifest(found, network, digest, stated)
    return _Foreign(found.file, manifest, digest, network.network, held)


def _weights(network: Fitted) -> bytes:
    """The one layer that maps rest on, as a bundle keeps it; nothing where there is none."""
    if network.head is None:
        return safetensors.numpy.save({})
    weight_fc, bias_f = (np.ascontiguousarray(each) for each in network.head)
    return safetensors.numpy.save({"head.weight": weight_fc, "head.bias": bias_f})


def _manifest(found: _Found, network: Fitted, digest: str, stated: Mapping[str, Any]) -> Manifest:
    """What is known of the model, and nothing else."""
    settings, findings = found.settings, tuple(found.settings.findings)
    where = "the preset for this file" if found.stated is None else found.stated.name
    given = "threshold" in settings.model_fields_set
    rule = f"as {where} states it" if given else f"since {where} states no other"
    point = OperatingPoint(
        _POINT,
        f"{rule}; chosen on no images known here",
        settings.threshold,
        Estimate.missing("the model's makers do not say on which images", 0),
        Estimate.missing("the model's makers do not say on which images", 0),
        0,
    )
    calibrator = ChosenCalibrator(
        Temperature(1.0), reason="the model's own probability, as it is: nothing was fitted"
    )
    data = DataPart(source=settings.source or "", findings=findings)
    mean, std = (_three(each, of_none) for each, of_none in _normalisation(settings))
    return Manifest(
        name=found.file.stem,
        created="",
        findings=findings,
        backbone=Backbone(name=found.file.name, weights="", mean=mean, std=std),
        preprocessing=settings.input.steps(network.size),
        engine=EngineFacts(input_size=network.size),
        calibrators={finding: calibrator.to_dict() for finding in findings},
        operating_points={finding: (point.to_dict(),) for finding in findings},
        deployed=_POINT,
        source=settings.trained_on or UNKNOWN,
        synthetic=False,
        warnings=(),
        roles={},
        # Ids in what is written are pseudonyms, the same ones for the same model.
        salt=digest[:32],
        figures={},
        recipe={
            "data": data.model_dump(mode="json"),
            "calibration": {},
            FOREIGN: {**stated, "file": found.file.name, "stated_in": where},
        },
        versions={},
        commit=None,
        machine="",
        licence=settings.licence,
    )


def _normalisation(settings: Settings) -> tuple[tuple[tuple[float, ...], float], ...]:
    return (settings.input.mean, 0.0), (settings.input.std, 1.0)


def _three(values: tuple[float, ...], of_none: float) -> tuple[float, float, float]:
    """Of the channels, as a bundle states them."""
    first, second, third = values if len(values) == 3 else (values or (of_none,)) * 3
    return first, second, third
