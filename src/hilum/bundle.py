"""Bundle: a folder with a classifier and all that is needed to use it and to judge it.

Making one is `training`'s job and running one `predict`'s; here it is written, verified, loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import safetensors.numpy
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hilum.abstention import Policy
from hilum.calibration import Calibrator, ChosenCalibrator, ConformalLimits, OperatingPoint
from hilum.data.preprocessing import Step
from hilum.data.seen import Seen
from hilum.errors import BundleError, EvaluationError, OutputError
from hilum.evaluation import Deployment
from hilum.evaluation.results import SetLimits
from hilum.ledger import add_line, read_lines, state_folder
from hilum.recipe import RESERVED_POINTS, DataPart, ReadingPart
from hilum.shipped import is_shipped, shipped_bundle, shipped_bundles

# 2: any calibrator, with its table; several operating points; conformal limits.
# 3: how files are read; which images and patients it was made from.
# 4: when it refers. Earlier ones are read too.
SCHEMA = 4
MANIFEST = "bundle.json"
LEDGER = "openings.jsonl"
CHECKS = "sanity.jsonl"
WEIGHTS = "weights.safetensors"
ENGINE = "openvino/model.xml"
SEEN = "seen.parquet"
CARD = "card.md"  # beside what is digested, as it tells of figures that come later
ABSTENTION = "abstention.safetensors"
FOREIGN = "foreign"  # in the recipe of a model that others made: what is stated of it

NOT_A_DEVICE = "Research use only. Hilum and its bundles are not a medical device."


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Agreement(_Part):
    """How far the engine's probabilities lie from torch's, over `n` films of `role`."""

    role: str
    n: int
    largest_probability_difference: float


class EngineFacts(_Part):
    """The network as OpenVINO runs it. precision is what was asked of the processor.

    agreement: None where the network was never torch's
    """

    file: str = ENGINE
    input_size: int
    precision: str = "f32"
    agreement: Agreement | None = None


class Backbone(_Part):
    """The network's timm name and where its first weights came from."""

    name: str
    weights: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Manifest(_Part):
    """What `bundle.json` holds. `files` names every other file with its SHA-256.

    calibrators, conformal, operating_points: per finding, as `hilum.calibration` writes them;
        a finding may lack a point that could not be reached, never the deployed one
    abstention: limits of the policy by which it refers, whose weights stand in
        `abstention.safetensors`; None in bundles of schema 1 to 3
    name: of the folder it was written to; the recipe has its own
    meanings: finding -> what a 1 means in the source it was trained on
    salt: of the hashes that stand for ids and images, here and in `seen.parquet`; None, and no such
        file, in bundles of schema 1 and 2
    """

    schema_version: int = SCHEMA
    name: str
    created: str
    findings: tuple[str, ...]
    meanings: dict[str, str] = Field(default_factory=dict)
    backbone: Backbone
    reading: ReadingPart = ReadingPart()
    preprocessing: tuple[Step, ...]
    engine: EngineFacts
    calibrators: dict[str, dict[str, Any]]
    operating_points: dict[str, tuple[dict[str, Any], ...]]
    conformal: dict[str, dict[str, Any]] = Field(default_factory=dict)
    abstention: dict[str, Any] | None = None
    deployed: str
    source: str
    synthetic: bool
    warnings: tuple[str, ...]
    roles: dict[str, Any]
    salt: str | None = None
    figures: dict[str, Any]
    recipe: dict[str, Any]
    versions: dict[str, str]
    commit: str | None
    machine: str
    licence: str
    intended_use: str = NOT_A_DEVICE
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk. digest: SHA-256 of `bundle.json`, which digests all the rest.

    engine: OpenVINO's network and its weights, the very bytes that were verified
    """

    folder: Path
    manifest: Manifest
    digest: str
    engine: tuple[bytes, bytes] = field(repr=False)

    @property
    def findings(self) -> tuple[str, ...]:
        return self.manifest.findings

    @property
    def foreign(self) -> bool:
        """Whether others made it, as `hilum.foreign` opens models: which images it was made from,
        and how, is then what they say and no more.
        """
        return FOREIGN in self.manifest.recipe

    @property
    def shipped(self) -> bool:
        """Whether it came with Hilum, so that its own folder is left as it is."""
        return is_shipped(self.folder)

    @property
    def stored(self) -> str:
        """The type that its weights are kept in; what it computes in is float32."""
        kept: str = self.manifest.recipe.get("model", {}).get("stored", "float32")
        return kept

    @property
    def ledger(self) -> Path | None:
        """The file that every look at `test` is written into; None where there is no place for it.

        Of a bundle that ships with Hilum it stands in the user's state folder, and the looks before
        it was shipped in its own.
        """
        return self._written(LEDGER)

    def _written(self, name: str) -> Path | None:
        """Where lines are added: to its own file of that name, or to the user's."""
        if not self.shipped:
            return self.folder / name
        state = state_folder()
        called = f"{self.folder.name}-{self.digest[:12]}.jsonl"
        return None if state is None else state / Path(name).stem / called

    def _add(self, written: Path | None, line: Mapping[str, Any]) -> bool:
        if written is None:
            return False
        if self.shipped:
            with suppress(OSError):  # a line cannot be added then
                written.parent.mkdir(parents=True, exist_ok=True)
        return add_line(written, line)

    def _lines(self, name: str, written: Path | None) -> list[dict[str, Any]]:
        """What stands in its own file of that name, and in the one that is added to."""
        before = read_lines(self.folder / name) if self.shipped else []
        return before + (read_lines(written) if written is not None else [])

    def read(self, name: str) -> bytes:
        """One of the bundle's files, held against its digest. Raises BundleError: not as it was."""
        return verified(self.folder / name, self.manifest.files[name])

    def card(self) -> bytes | None:
        """The model card; None without one, and where `card.md` tells of another bundle.

        Raises BundleError where an earlier version digested it and it is not as it was.
        """
        if CARD in self.manifest.files:
            return self.read(CARD)
        try:
            text = (self.folder / CARD).read_bytes()
        except OSError:
            return None
        return text if self.digest.encode() in text else None

    def calibrator(self, finding: str) -> Calibrator:
        """What turns the finding's raw logit into a probability."""
        return self.chosen_calibrator(finding).calibrator

    def chosen_calibrator(self, finding: str) -> ChosenCalibrator:
        """The calibrator with what it was compared to; without in bundles of schema 1."""
        return ChosenCalibrator.from_dict(self.manifest.calibrators[finding])

    def operating_points(self, finding: str) -> dict[str, OperatingPoint]:
        """Named thresholds, chosen on `calibrate`."""
        points = (OperatingPoint.from_dict(p) for p in self.manifest.operating_points[finding])
        return {point.name: point for point in points}

    def conformal_limits(self, finding: str) -> ConformalLimits | None:
        """Limits of prediction sets, from `calibrate`; None in bundles of schema 1."""
        plain = self.manifest.conformal.get(finding)
        return None if plain is None else ConformalLimits.from_dict(plain)

    def policy(self) -> Policy | None:
        """When it refers in place of an answer; None in bundles of schema 1 to 3."""
        if self.manifest.abstention is None:
            return None
        try:
            arrays = safetensors.numpy.load(self.read(ABSTENTION))
        except safetensors.SafetensorError as error:
            raise BundleError(self.folder / ABSTENTION, f"damaged ({error})") from error
        return Policy.of(arrays, self.manifest.abstention)

    @property
    def data(self) -> DataPart:
        """How its own source was opened and shared among the roles."""
        return DataPart.model_validate(self.manifest.recipe["data"])

    def seen(self) -> Seen | None:
        """The images and patients it was made from; None in bundles of schema 1 and 2."""
        if self.manifest.salt is None or SEEN not in self.manifest.files:
            return None
        return Seen.read(self.folder / SEEN, self.manifest.salt)

    def thresholds(self) -> dict[str, dict[str, float]]:
        """Finding → point → threshold on calibrated probability; the one in use is `deployed`."""
        return {finding: dict(each.thresholds) for finding, each in self.deployments().items()}

    def deployments(self) -> dict[str, Deployment]:
        """What `evaluate` needs of each finding.

        The point in use is called "deployed" and no longer by its own name, which its rule tells.
        """
        return {
            finding: deployment(
                self.operating_points(finding),
                self.manifest.deployed,
                self.conformal_limits(finding),
                # A bundle of schema 1 has one point and no rules by name.
                targets_of(self.manifest.recipe["calibration"].get("operating_points", {})),
            )
            for finding in self.findings
        }

    def record_opening(
        self, role: str, source: str, n: int, auroc: Mapping[str, float | None]
    ) -> bool:
        """Write one look at `role` into the ledger, a line that is only ever added.

        Returns False when the ledger is on a medium that cannot be written.
        """
        line = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "bundle": self.digest,
            "role": role,
            "source": source,
            "n": n,
            "auroc": dict(auroc),
        }
        return self._add(self.ledger, line)

    def openings(self) -> list[dict[str, Any]]:
        """Every look at `test` so far, oldest first."""
        return self._lines(LEDGER, self.ledger)

    def record_checks(
        self,
        maps: str,
        checks: Sequence[Mapping[str, Any]],
        *,
        finding: str,
        source: str,
        n: int,
    ) -> bool:
        """Keep how a method of explanation stood its sanity checks on this very classifier.

        maps: the method and its layer, by one name; finding: whose logit was explained
        source, n: whose films were asked, and how many
        Returns False when the bundle is on a medium that cannot be written.
        """
        line = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "bundle": self.digest,
            "maps": maps,
            "finding": finding,
            "source": source,
            "n": n,
            "checks": list(checks),
        }
        return self._add(self._written(CHECKS), line)

    def checks(self, maps: str) -> list[dict[str, Any]]:
        """Every record of a method's checks on this classifier, oldest first."""
        return [
            line
            for line in self._lines(CHECKS, self._written(CHECKS))
            if (line["bundle"], line.get("maps")) == (self.digest, maps)
        ]


def read_openings(folder: Path) -> list[dict[str, Any]]:
    """The ledger of a bundle. Raises BundleError when a line of it is no record."""
    return read_lines(folder / LEDGER)


def deployment(
    points: Mapping[str, OperatingPoint],
    deployed: str,
    limits: ConformalLimits | None,
    targets: Mapping[str, tuple[str, float]],
) -> Deployment:
    """Points and limits as `evaluate` takes them.

    deployed: the name of the point in use; targets: by name, the figure a point was to reach
    """
    called = {name: "deployed" if name == deployed else name for name in points}
    return Deployment(
        {called[name]: point.threshold for name, point in points.items()},
        {
            called[name]: f"{name}: {point.rule}" if name == deployed else point.rule
            for name, point in points.items()
        },
        SetLimits(limits.coverage, limits.present_from, limits.absent_to) if limits else None,
        {called[name]: target for name, target in targets.items() if name in called},
    )


def targets_of(rules: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """By point, the sensitivity or specificity that a recipe's rules (as JSON) ask for."""
    return {
        name: (rule["rule"], rule["target"])
        for name, rule in rules.items()
        if rule["rule"] in ("sensitivity", "specificity")
    }


def find_bundle(path: str | Path) -> Path:
    """The bundle folder that `path` means: itself, or the only bundle inside it.

    Where nothing is at `path`, it may be the name of a bundle that ships with Hilum.
    Raises BundleError when there is none, or more than one.
    """
    path = Path(path)
    shipped = shipped_bundle(path)
    try:
        if (path / MANIFEST).is_file():
            return path
        if shipped is not None and not path.exists():
            return shipped
        inside = sorted(each.parent for each in path.glob(f"[!.]*/{MANIFEST}"))
    except OSError as error:
        raise BundleError(path, f"cannot be read ({error.strerror or error})") from error
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise BundleError(
            path,
            f"{len(inside)} bundles: {', '.join(each.name for each in inside)}",
            expected="one",
            remedy=f"name it, for instance {inside[0]}",
        )
    raise BundleError(
        path,
        "no bundle here",
        expected=" or ".join((f"a folder with {MANIFEST}", *_shipped_in_words())),
        remedy="make one with 'make reproduce' or 'hilum train', or mount the one you have"
        if shipped is None
        else f"the one that ships with Hilum is {shipped}",
    )


def _shipped_in_words() -> tuple[str, ...]:
    names = shipped_bundles()
    return (f"the name of one that ships with Hilum ({', '.join(names)})",) if names else ()


def load_bundle(path: str | Path) -> Bundle:
    """Verify a bundle: schema, then every file's digest, before anything is built from it.

    Raises BundleError: not a bundle, newer schema, missing file, or a byte that differs.
    """
    folder = find_bundle(path)
    try:
        return _load(folder)
    except OSError as error:
        raise BundleError(
            error.filename or folder,
            f"cannot be read ({error.strerror or error})",
            remedy="let this user read the bundle's files",
        ) from error


def read_manifest(folder: Path) -> Manifest:
    """What a bundle says of itself, for lists: its other files are not looked at.

    Raises BundleError: damaged, or of a newer schema.
    """
    path = folder / MANIFEST
    try:
        return _read_manifest(path, path.read_bytes())
    except OSError as error:
        raise BundleError(path, f"cannot be read ({error.strerror or error})") from error


def _load(folder: Path) -> Bundle:
    raw = (folder / MANIFEST).read_bytes()
    manifest = _read_manifest(folder / MANIFEST, raw)
    engine = manifest.engine.file
    kept: dict[str, bytes] = {}
    for name, expected in manifest.files.items():
        content = verified(folder / name, expected)
        if name in (engine, _weights_of(engine)):
            kept[name] = content
    return Bundle(
        folder,
        manifest,
        hashlib.sha256(raw).hexdigest(),
        (kept[engine], kept[_weights_of(engine)]),
    )


def verified(file: Path, expected: str) -> bytes:
    """A file's bytes, held against its SHA-256. Raises BundleError: not as they were."""
    if not file.is_file():
        raise BundleError(file, "missing", expected="a file of the bundle", remedy=_RENEW)
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise BundleError(
            file, f"damaged: sha256 {found[:12]}…", expected=f"{expected[:12]}…", remedy=_RENEW
        )
    return content


def _weights_of(engine: str) -> str:
    return engine.removesuffix(".xml") + ".bin"


def _refuse_foreign_names(manifest: Manifest) -> None:
    """Every file stands inside the folder, and what is run is among those that are digested."""
    for name in manifest.files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"the file {name} lies outside the bundle")
    policy = () if manifest.abstention is None else (ABSTENTION,)
    for name in (manifest.engine.file, _weights_of(manifest.engine.file), WEIGHTS, *policy):
        if name not in manifest.files:
            raise ValueError(f"{name} has no digest")


def _refuse_unusable(manifest: Manifest) -> None:
    """Every finding has a calibrator, the deployed point, and numbers within their ranges."""
    if not manifest.findings:
        raise ValueError("no finding")
    for finding in manifest.findings:
        ChosenCalibrator.from_dict(manifest.calibrators[finding])
        points = [OperatingPoint.from_dict(p) for p in manifest.operating_points[finding]]
        names = [point.name for point in points]
        if manifest.deployed not in names:
            raise ValueError(f"no operating point {manifest.deployed!r}")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two operating points {name!r}")
            if name in RESERVED_POINTS:
                raise ValueError(f"an operating point of the reserved name {name!r}")
        if not all(0 <= point.threshold <= 1 for point in points):
            raise ValueError("a threshold outside [0, 1]")
    for finding, plain in manifest.conformal.items():
        if finding not in manifest.findings:
            raise ValueError(f"conformal limits of an unknown finding {finding!r}")
        ConformalLimits.from_dict(plain)


_RENEW = "copy the bundle again, or train it again"


def _read_manifest(path: Path, raw: bytes) -> Manifest:
    try:
        values = json.loads(raw)
        sealed = values.pop("digest")
        version = int(values["schema_version"])
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise BundleError(path, f"damaged ({error})", expected="JSON", remedy=_RENEW) from error
    if version > SCHEMA:
        raise BundleError(
            path,
            f"bundle of schema {version}",
            expected=f"{SCHEMA} or earlier",
            remedy="upgrade Hilum to read it",
        )
    if sealed != seal_of(values):
        raise BundleError(path, "damaged: its digest does not match", remedy=_RENEW)
    try:
        manifest = Manifest.model_validate(values)
        _refuse_foreign_names(manifest)
        _refuse_unusable(manifest)
    except (ValidationError, EvaluationError, KeyError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise BundleError(path, f"not a bundle of schema {version} ({line})") from error
    return manifest


@contextmanager
def bundle_draft(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target`; what fails inside leaves an old bundle as it was.

    Raises OutputError when the folder cannot be written or the disk is full.
    """
    remedy = "name a folder that you may write to, on a disk with room"
    with folder_draft(target, "the bundle", remedy) as draft:
        yield draft


@contextmanager
def folder_draft(target: Path, what: str, remedy: str) -> Iterator[Path]:
    """A temporary folder beside `target`, gone at the end unless it was renamed.

    what, remedy: of the OutputError where it cannot be written or the disk is full
    """
    draft = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        draft.chmod(0o755)
        yield draft
    except OSError as error:
        raise OutputError(
            target, f"{what} cannot be written ({error.strerror or error})", remedy=remedy
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def seal_bundle(
    draft: Path,
    target: Path,
    manifest: Manifest,
    *,
    card: Callable[[Manifest, str], str] | None = None,
) -> Bundle:
    """Digest every file of the draft, write `bundle.json`, and put the draft in place.

    card: what `card.md` says, from the manifest as it is written and the bundle's digest; it is the
        one file of the draft that has no digest itself
    An earlier bundle at `target` is replaced whole; anything else there is refused.
    """
    files = {}
    for each in sorted(draft.rglob("*")):
        if each.is_file():
            each.chmod(0o644)  # safetensors writes for its owner alone; a container is another
            if each != draft / CARD:
                files[each.relative_to(draft).as_posix()] = sha256_of(each)
    manifest = manifest.model_copy(update={"files": files})
    values = manifest.model_dump(mode="json")
    values["digest"] = seal_of(values)
    with (draft / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    if card is not None:
        (draft / CARD).write_text(card(manifest, sha256_of(draft / MANIFEST)), encoding="utf-8")
    if target.exists():
        refuse_foreign_folder(target)
        # Two renames, since a folder cannot be renamed over one with files in it.
        old = target.with_name(f".{target.name}.{time.monotonic_ns()}.old")
        target.rename(old)
        try:
            draft.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(target)
    return load_bundle(target)


def refuse_foreign_folder(target: Path) -> None:
    """Raise OutputError when `target` holds something that is not a bundle."""
    empty = target.is_dir() and not any(target.iterdir())
    if target.exists() and not empty and not (target / MANIFEST).is_file():
        raise OutputError(
            target,
            "exists and is not a bundle",
            expected="a new folder, an empty one, or a bundle to replace",
            remedy="name another folder with --out",
        )


def seal_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of JSON's values, which a file then carries as its own `digest`."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """A file's digest, in hex; read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
