"""Where a classifier looks, as a section of the report that `hilum evaluate` writes.

What the section says is computed in `attention`; how the page looks is the report's.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.data.resampling import resample
from hilum.evaluation.report.blocks import Film, Films, Picture, Section, Text
from hilum.evaluation.report.films import data_address
from hilum.evaluation.report.supplement import Supplement
from hilum.explanation.attention import Attention, attention_over
from hilum.explanation.evidence import Evidence
from hilum.explanation.explaining import Explanation
from hilum.explanation.localisation import SIDE
from hilum.explanation.pictures import COLOURS, KINDS, LIMIT, draw_zones, tinted
from hilum.explanation.report import (
    ALIGNED,
    Settings,
    attention_figures,
    film_under_map,
    judged_by,
    place_of,
)
from hilum.explanation.saliency import NAMES
from hilum.units import units_of

FILE = "attention.json"
TITLE = "Where it looks"
_SHOWN = 192  # pixels a side of a mean map on the page


def supplement(
    explanation: Explanation, evidence: Evidence, settings: Settings, *, of: int
) -> Supplement:
    """Mean maps by kind of answer and attention by zone, for every finding.

    evidence: of the very films of the explanation; its lung masks align them
    of: films that these were drawn from
    """
    findings = explanation.predictions.findings
    told: dict[str, Any] = {}
    sections = {}
    for f, finding in enumerate(findings):
        attention = _attention(explanation, evidence, settings, f)
        told[finding] = attention_figures(attention, settings.thresholds[finding])
        sections[finding] = (_section(attention, explanation, settings, finding, of),)
    plain = {
        "bundle": settings.bundle,
        "source": settings.source,
        "synthetic": settings.synthetic,
        "method": explanation.saliency.method,
        "layer": explanation.saliency.layer,
        "caution": settings.caution,
        "n": len(explanation.predictions),
        "findings": told,
    }
    return Supplement(sections, {FILE: json.dumps(plain, indent=1, allow_nan=False) + "\n"})


def without_maps(findings: tuple[str, ...], reason: str) -> Supplement:
    """The section that says why there are no maps."""
    section = Section("looks", TITLE, (Text(f"No maps were made: {reason}."),))
    return Supplement(dict.fromkeys(findings, (section,)))


def _attention(
    explanation: Explanation, evidence: Evidence, settings: Settings, f: int
) -> Attention:
    predictions, saliency = explanation.predictions, explanation.saliency
    finding = predictions.findings[f]
    judged = judged_by(predictions, finding, settings.thresholds[finding])
    by_lungs, places = evidence.of_all_lungs, []
    for n, (film, map_hw) in enumerate(zip(judged, saliency.densities()[:, f], strict=True)):
        grey_hw = explanation.cohort.radiograph(n)
        tile, window = film_under_map(
            film, grey_hw, map_hw, saliency.grid, (), settings.steps, SIDE
        )
        lungs_hw = evidence.lungs_on_grid(n, *grey_hw.shape) if by_lungs else None
        places.append(place_of(tile, window, lungs_hw))
    return attention_over(
        places,
        [film.kind for film in judged],
        predictions.label(finding),
        units_of(predictions.patient_id_n),
        np.random.default_rng(0),
    )


def _section(
    attention: Attention, explanation: Explanation, settings: Settings, finding: str, of: int
) -> Section:
    saliency, n = explanation.saliency, len(explanation.predictions)
    limit = LIMIT[saliency.method]
    drawn = f"{n:,} of the {of:,} films, drawn by lot" if n < of else f"all {n:,} films"
    words = (
        f"{NAMES[saliency.method]} at the {saliency.layer}, over {drawn}: "
        f"what each place adds to the logit. A map says what moved the network, not where the "
        f"finding is. On the method: {settings.caution}."
    )
    tiles = tuple(
        Film(
            (kind, f"{attention.means[kind][0]:,} films"),
            f"Mean map of {kind}s",
            data_address(_enlarged(tinted(*attention.means[kind][1:], limit))),
        )
        for kind in KINDS
        if kind in attention.means
    )
    scale = Film(
        ("colours", f"\N{MINUS SIGN}{limit:g} to +{limit:g} logits"),
        f"Colour scale from {-limit:+g} on the left to {limit:+g} on the right",
        data_address(_scale()),
    )
    zones = Picture(
        "attention",
        "Attention by zone of the chest",
        "The share of what speaks for the finding that lies in each sixth of the frame, by label, "
        "with its interval, over the films of which anything does; "
        f"{ALIGNED[attention.aligned_by]}.",
        f"Attention of {finding} by zone: {_most(attention)}.",
        (5.2, 3.6),
        partial(draw_zones, attention.zones),
    )
    inside = () if attention.lungs is None else (Text(_in_lungs(attention)),)
    return Section(
        "looks",
        TITLE,
        (
            Text(words),
            Films(
                "Mean map of each kind of answer",
                "Red speaks for the finding, blue against it, in logits were all of the film like "
                f"this place; {ALIGNED[attention.aligned_by]}.",
                (*tiles, scale),
                "",
            ),
            zones,
            *inside,
            Text("Every number of this section:", (FILE, FILE)),
        ),
    )


def _most(attention: Attention) -> str:
    """The zone that has most of it, for who cannot see the plot."""
    zones = attention.zones["all"]
    known = {name: share for name, share in zones.items() if share.value is not None}
    if not known:
        return "no film has attention"
    name = max(known, key=lambda zone: known[zone].value or 0.0)
    return f"most in the {name} zone, {known[name].in_words()}"


def _in_lungs(attention: Attention) -> str:
    shares = (attention.lungs or {})["all"]
    said = "; ".join(f"{name} {share.in_words()}" for name, share in shares.items())
    return f"Of all films: {said}."


def _enlarged(rgb_hw3: NDArray[np.float32]) -> NDArray[np.float32]:
    channels = [resample(rgb_hw3[..., c], _SHOWN, _SHOWN, "bilinear") for c in range(3)]
    return np.stack(channels, axis=-1)


def _scale() -> NDArray[np.float32]:
    across_w = np.linspace(0, 1, _SHOWN)
    strip_w3 = COLOURS(across_w)[:, :3].astype(np.float32)
    return np.broadcast_to(strip_w3, (_SHOWN, _SHOWN, 3))
