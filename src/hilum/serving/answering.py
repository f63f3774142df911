"""Films → answers in the service's own terms, whatever brought them: HTTP or DICOM.

Queues and clocks are `batching`'s business, bytes `decoding`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.abstention import REASONS
from hilum.bundle import NOT_A_DEVICE, Bundle
from hilum.calibration import OperatingPoint
from hilum.data.preprocessing import shown
from hilum.engines import Engine, open_engine
from hilum.errors import BundleError
from hilum.explanation.grid import Grid, grid_of_engine, placed
from hilum.explanation.head import Head, head_of
from hilum.explanation.pictures import COLOURS, LIMIT
from hilum.explanation.saliency import GradCam, on_film
from hilum.predict import Answer, Predictor
from hilum.serving.film import PICTURE_SIDE, Facts, Film

NOTICE = NOT_A_DEVICE


@dataclass(frozen=True)
class FindingAnswer:
    """What is said of one finding.

    probability: calibrated; threshold: of the deployed point, which has the name `point`
    decision: present or absent, at that point; refer: None, or why a person must read the film,
        of REASONS; wording: all of it in a sentence that does not say more than is known
    """

    finding: str
    probability: float
    decision: str
    threshold: float
    point: str
    refer: str | None
    wording: str


@dataclass(frozen=True)
class FilmAnswer:
    """What is said of one film. raw: what stands behind it, for the record and for maps."""

    input: str
    findings: tuple[FindingAnswer, ...]
    facts: Facts
    warnings: tuple[str, ...]
    bundle: str
    engine: str
    synthetic: bool
    raw: Answer = field(repr=False)

    @property
    def refer(self) -> str | None:
        """Why the film is referred for any of its findings, None where none is."""
        return next((each.refer for each in self.findings if each.refer), None)


class Answerer:
    """A bundle and its engine, answering film after film; for one caller at a time."""

    def __init__(self, bundle: Bundle, engine: Engine | None = None) -> None:
        """engine: None opens the fastest. Raises BundleError when it cannot be run."""
        self.bundle = bundle
        self.predictor = Predictor(bundle, engine or open_engine(bundle))
        deployed = bundle.manifest.deployed
        self._points = {f: bundle.operating_points(f)[deployed] for f in bundle.findings}
        self._ages = ages_of(bundle)
        self._head = self._read_head()

    @property
    def engine(self) -> str:
        return self.predictor.engine.name

    @property
    def has_maps(self) -> bool:
        """Whether `map_of` has one to give."""
        return self._head is not None

    def _read_head(self) -> tuple[Head, Grid] | None:
        """What maps are made of, None where the head is not one layer on pooled features.

        Read at the start: the folder may hold another bundle by the time that a map is asked for.
        """
        side = self.bundle.manifest.engine.input_size
        network = self.predictor.engine(np.zeros((1, 1, side, side), np.float32))
        _, channels, rows, _ = network.feature_nchw.shape
        try:
            head = head_of(self.bundle, channels)
            return head, placed(grid_of_engine(self.bundle.engine), side, rows)
        except BundleError:
            return None

    def answer(self, films: Sequence[Film]) -> list[FilmAnswer]:
        """Answers in the films' order. films: at least one."""
        batch, said = self.predictor.run(np.stack([film.image_chw for film in films]))
        manifest = self.bundle.manifest
        return [
            FilmAnswer(
                film.digest,
                tuple(
                    self._finding(
                        finding,
                        float(said.prob_nf[n, f]),
                        bool(said.decision_nf[n, f]),
                        str(said.refer_nf[n, f]) or None,
                    )
                    for f, finding in enumerate(self.bundle.findings)
                ),
                film.facts,
                (*film.warnings, *self._more_warnings(film.facts)),
                self.bundle.digest,
                self.engine,
                manifest.synthetic,
                Answer(
                    np.arange(1),
                    film.image_chw[None],
                    batch.logit_nf[n : n + 1].copy(),
                    batch.feature_nchw[n : n + 1].copy(),
                    batch.engine,
                ),
            )
            for n, film in enumerate(films)
        ]

    def _finding(
        self, finding: str, prob: float, present: bool, refer: str | None
    ) -> FindingAnswer:
        threshold = self.predictor.thresholds[finding]
        return FindingAnswer(
            finding,
            round(prob, 6),
            "present" if present else "absent",
            threshold,
            self.bundle.manifest.deployed,
            refer,
            in_words(
                finding,
                prob,
                present,
                self._points[finding],
                refer,
                calibrated=not self.bundle.foreign,
            ),
        )

    def _more_warnings(self, facts: Facts) -> tuple[str, ...]:
        warnings = []
        if self._ages is not None and facts.age is not None:
            low, high = self._ages
            if not low <= facts.age <= high:
                warnings.append(
                    f"age {facts.age:.0f}, outside the {low:.0f} to {high:.0f} years of the films "
                    "it was trained on"
                )
        if self.bundle.manifest.synthetic:
            warnings.append("SYNTHETIC: trained on synthetic images; its answers mean nothing")
        return tuple(warnings)

    def map_of(self, answer: FilmAnswer, finding: str) -> NDArray[np.float32]:
        """Grad-CAM of one finding on the film's picture, float32 [h, w] in logits.

        The picture is at most PICTURE_SIDE pixels long. NaN where the network saw nothing. Raises
        BundleError where the head is not one layer on pooled features.
        """
        if self._head is None:
            raise BundleError(self.bundle.manifest.name, "does not pool one map for its answer")
        collector = GradCam(self.bundle, 1, *self._head)
        collector(answer.raw)
        saliency = collector.saliency()
        rows, columns = answer.facts.rows, answer.facts.columns
        scale = min(1.0, PICTURE_SIDE / max(rows, columns))
        height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
        window = shown(rows, columns, self.bundle.manifest.preprocessing)
        window = window.scaled(height / rows, width / columns)
        map_hw = saliency.densities()[0, self.bundle.findings.index(finding)]
        return on_film(map_hw, saliency.grid, window, height, width)


def ages_of(bundle: Bundle) -> tuple[float, float] | None:
    """The least and greatest age, in years, of the films it was trained on; None: not known."""
    ages = bundle.manifest.roles.get("roles", {}).get("train", {}).get("ages")
    return None if ages is None else (float(ages["low"]), float(ages["high"]))


def in_words(
    finding: str,
    prob: float,
    present: bool,
    point: OperatingPoint,
    refer: str | None,
    *,
    calibrated: bool = True,
) -> str:
    """The answer as a sentence: what was found and how far the point is known, or why withheld.

    calibrated: the probability is; another maker's is as the model gives it
    """
    if refer is not None:
        return f"No answer is given: {REASONS[refer]}."
    side = "at or above" if present else "below"
    probability = "calibrated probability" if calibrated else "probability"
    called = (
        f"{finding} called {'present' if present else 'absent'}: {probability} "
        f"{_three_digits(prob)}, {side} the operating point {_three_digits(point.threshold)}"
    )
    known, films = (
        (point.sensitivity, f"found {{}} of those with {finding}")
        if present
        else (point.specificity, f"called absent {{}} of those without {finding}")
    )
    if known.value is None or known.low is None or known.high is None:
        return f"{called}."
    share = (
        f"{100 * known.value:.1f} % (95 % interval {100 * known.low:.1f} to {100 * known.high:.1f})"
    )
    # The point was chosen on these very films, so on others it may do worse.
    chosen = "on the films of calibrate, on which this point was chosen, it"
    return f"{called}; {chosen} {films.format(share)}."


def _three_digits(prob: float) -> str:
    """A probability in [0, 1] that never says a certainty that is not there."""
    if 0.9995 <= prob < 1:
        return ">0.999"
    if 0 < prob < 0.0005:
        return "<0.001"
    return f"{prob:.3f}"


def overlay(map_hw: NDArray[np.float32]) -> bytes:
    """A map as a PNG with transparency, to be laid over the film's picture.

    Fixed scale: red for, blue against, LIMIT at full strength; nought is clear, and what the
    network did not see is dark.
    """
    share_hw = np.clip(np.nan_to_num(map_hw) / LIMIT["grad_cam"], -1, 1)
    rgba_hw4 = (COLOURS(0.5 + share_hw / 2) * 255).round().astype(np.uint8)
    strength_hw = 0.65 * np.abs(share_hw) ** 0.7
    rgba_hw4[..., 3] = (255 * strength_hw).round().astype(np.uint8)
    rgba_hw4[np.isnan(map_hw)] = (0, 0, 0, 166)
    file = BytesIO()
    Image.fromarray(rgba_hw4, "RGBA").save(file, "PNG")
    return file.getvalue()


def as_json(answer: FilmAnswer, name: str) -> dict[str, object]:
    """One film of `POST /v1/predict`'s answer. name: what the client calls the film."""
    return {
        "name": name,
        "input": answer.input,
        "status": "referred" if answer.refer else "answered",
        "findings": [
            {
                "finding": each.finding,
                "probability": each.probability,
                "decision": each.decision,
                "threshold": each.threshold,
                "operating_point": each.point,
                "refer": None
                if each.refer is None
                else {"reason": each.refer, "meaning": REASONS[each.refer]},
                "wording": each.wording,
            }
            for each in answer.findings
        ],
        "facts": _plain(vars(answer.facts)),
        "warnings": list(answer.warnings),
    }


def _plain(facts: Mapping[str, object]) -> dict[str, object]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in facts.items()}
