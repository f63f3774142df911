"""When it refers: the report's section on what is answered and what is handed on.

What it says is computed in `hilum.evaluation.referral`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

import numpy as np

from hilum.evaluation.plots.referral import draw_referrals
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.referral import Part, Referral, referral
from hilum.evaluation.report.blocks import Block, Bullets, Picture, Section, Table, Text
from hilum.evaluation.report.supplement import Supplement

FILE = "referral.json"
_FIGURES = ("coverage", "sensitivity", "specificity", "error")
_RIVALS = {
    "random": "as many images chosen by lot",
    "confidence": "as many images that lie furthest from the threshold",
}


def referral_supplement(
    predictions: Predictions, thresholds: Mapping[str, float], reasons: Mapping[str, str]
) -> Supplement:
    """A section for every finding that predictions say referrals of; none where there are none.

    thresholds: deployed, by finding; reasons: what each reason means
    """
    found = {
        finding: each
        for finding in predictions.findings
        if (each := referral(predictions, finding, thresholds[finding], np.random.default_rng(0)))
        is not None
    }
    if not found:
        return Supplement()
    told = {finding: each.to_dict() for finding, each in found.items()}
    return Supplement(
        {finding: (_section(each, reasons),) for finding, each in found.items()},
        {FILE: json.dumps(told, indent=1, allow_nan=False) + "\n"},
    )


def referral_blocks(found: Referral, reasons: Mapping[str, str]) -> tuple[Block, ...]:
    """What is answered and what is handed on, in words and figures.

    reasons: what each reason means
    """
    known = [reason for reason in reasons if reason in found.reasons]
    strange = [reason for reason in found.reasons if reason not in reasons]
    asked = tuple(
        f"{reason}: {found.reasons[reason].in_words()}, {reasons.get(reason, 'in its own words')}"
        for reason in (*known, *strange)
    )
    coverage = found.answered.figures["coverage"].in_words()
    rest = "hands the rest on, as a share of all" if asked else "hands none on"
    return (
        Text(
            "This classifier may hand an image on to a reader in place of an answer. It answers "
            f"{coverage} of these images and {rest}{':' if asked else '.'}"
        ),
        *((Bullets(asked),) if asked else ()),
        _figures(found),
        Bullets(_against(found)),
        *((_sites(found.sites),) if found.sites else ()),
    )


def _section(found: Referral, reasons: Mapping[str, str]) -> Section:
    blocks = [*referral_blocks(found, reasons)]
    if found.reasons:
        share = {
            kind: {reason: n / max(1, sum(held.values())) for reason, n in held.items()}
            for kind, held in found.kinds.items()
        }
        blocks.append(
            Picture(
                "referral",
                "What becomes of right and wrong answers",
                "Each kind of answer at the deployed point: how many images are answered, and how "
                "many are handed on for which reason.",
                "Bars by kind of answer: answered and referred images",
                (6.4, 2.9),
                partial(draw_referrals, found.kinds, share),
            )
        )
    return Section("refers", "When it refers", tuple(blocks))


def _figures(found: Referral) -> Table:
    rows = tuple(
        (
            name.capitalize(),
            found.whole.figures[name].in_brief(),
            found.answered.figures[name].in_brief(),
        )
        for name in _FIGURES[1:]
    )
    return Table(
        "At the deployed point",
        ("", f"all {found.whole.labelled:,} with a label", "those that are answered"),
        rows,
    )


def _against(found: Referral) -> tuple[str, ...]:
    lines = []
    for name, words in _RIVALS.items():
        gain = found.against[name]
        if gain.value is None or gain.low is None or gain.high is None:
            lines.append(f"Against {words}: {gain.in_words()}.")
            continue
        verdict = (
            "fewer errors" if gain.low > 0 else "more errors" if gain.high < 0 else "no clear gain"
        )
        lines.append(
            f"Against {words}: {verdict}; their error less that of those answered here is "
            f"{gain.in_words()}."
        )
    return tuple(lines)


def _sites(sites: Mapping[str, Part]) -> Table:
    return Table(
        "By site, of those that are answered",
        ("Site", "images", *(name for name in _FIGURES[:3])),
        tuple(
            (site, f"{part.n:,}", *(part.figures[name].in_brief() for name in _FIGURES[:3]))
            for site, part in sites.items()
        ),
    )
