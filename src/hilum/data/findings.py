"""Findings: one spelling for each, whatever a data set calls it, and what a 1 means in each source.

How a source's labels are read is left to `sources`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hilum.errors import DataError

# Our spelling -> what others write. Case, hyphens and underscores make no difference.
SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Atelectasis": ("Atelectases",),
        "Cardiomegaly": ("Enlarged Heart", "Cardiac Enlargement"),
        "Consolidation": ("Consolidations", "Airspace Consolidation"),
        "Edema": ("Oedema", "Pulmonary Edema", "Pulmonary Oedema"),
        "Emphysema": ("Pulmonary Emphysema",),
        "Enlarged Cardiomediastinum": ("Enlarged Cardiomediastinal Silhouette",),
        "Fibrosis": ("Pulmonary Fibrosis", "Lung Fibrosis"),
        "Fracture": ("Fractures",),
        "Hernia": ("Hiatal Hernia", "Hiatus Hernia"),
        "Infiltration": ("Infiltrate", "Infiltrates", "Pulmonary Infiltrate"),
        "Lung Lesion": ("Lesion", "Pulmonary Lesion", "Nodule/Mass", "Nodule or Mass"),
        "Lung Opacity": ("Opacity", "Opacities", "Lung Opacities", "Pulmonary Opacity"),
        "Mass": ("Masses", "Lung Mass", "Pulmonary Mass"),
        "No Finding": ("No Findings", "Normal"),
        "Nodule": ("Nodules", "Lung Nodule", "Pulmonary Nodule"),
        "Pleural Effusion": ("Effusion", "Effusions", "Pleural Effusions"),
        "Pleural Other": (),
        "Pleural Thickening": ("Pleural_Thickening",),
        "Pneumonia": ("Pneumonias",),
        "Pneumothorax": ("Pneumothoraces",),
        "Support Devices": ("Support Device", "Medical Devices"),
    }
)

# In the order of each publication.
NIH = (
    "Atelectasis", "Cardiomegaly", "Pleural Effusion", "Infiltration", "Mass", "Nodule",
    "Pneumonia", "Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis",
    "Pleural Thickening", "Hernia",
)  # fmt: skip
CHEXPERT = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion",
    "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip

# CheXpert's tree of labels has these below Lung Opacity (Irvin et al. 2019; drawn in Pham et al.
# 2021, Neurocomputing 437:186).
CHEXPERT_OPACITIES = ("Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis")
# The same in NIH's words, where a lesion is a mass or a nodule; an infiltrate, too, is an opacity
# (Hansell et al. 2008, Fleischner Society: Glossary of terms, "infiltrate").
NIH_OPACITIES = (
    "Atelectasis", "Infiltration", "Mass", "Nodule", "Pneumonia", "Consolidation", "Edema",
)  # fmt: skip

# What a 1 means; {finding} stands for a finding that has no sentence of its own.
MEANINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "nih": {
            "Pneumonia": (
                "the report names pneumonia, as text mining read it; no radiologist looked again, "
                "and other opacities may be pneumonia too (Wang et al. 2017)"
            ),
            "Lung Opacity": (
                f"derived: the report names at least one of {', '.join(NIH_OPACITIES)}, as text "
                "mining read it; these are the opacities of CheXpert's tree of labels, and "
                "infiltration (Wang et al. 2017, Irvin et al. 2019)"
            ),
            "No Finding": (
                "the report names none of the 14 findings, as text mining read it; others may be "
                "there (Wang et al. 2017)"
            ),
            "{finding}": "the report names it, as text mining read it (Wang et al. 2017)",
        },
        "rsna": {
            "Pneumonia": (
                "radiologists drew a box round an opacity of the lung that may be pneumonia; they "
                "saw one film and no history, so this is suspicion, not diagnosis "
                "(Shih et al. 2019)"
            ),
            "Lung Opacity": (
                "radiologists drew a box round an opacity of the lung that may be pneumonia; an "
                "opacity that they did not think so counts as absent (Shih et al. 2019)"
            ),
            "No Finding": "radiologists found the film normal (Shih et al. 2019)",
        },
        "chexpert": {
            "Pneumonia": (
                "the report names pneumonia, as CheXpert's labeller read it; not named counts as "
                "absent, and 8 % of studies are uncertain (Irvin et al. 2019)"
            ),
            "Lung Opacity": (
                "the report names an opacity of the lung, as CheXpert's labeller read it; where "
                f"it does not, derived from {', '.join(CHEXPERT_OPACITIES)}, which CheXpert's tree "
                "of labels has below it (Irvin et al. 2019)"
            ),
            "No Finding": (
                "the labeller found none of the other findings in the report, support devices "
                "apart (Irvin et al. 2019)"
            ),
            "{finding}": (
                "the report names it, as CheXpert's labeller read it; not named counts as absent "
                "(Irvin et al. 2019)"
            ),
        },
        "kermany": {
            "Pneumonia": (
                "two physicians graded the child's film as pneumonia, bacterial or viral; a third "
                "checked the test films (Kermany et al. 2018)"
            ),
            "Lung Opacity": (
                "not labelled; pneumonia, as two physicians graded it, may stand for it "
                "(Kermany et al. 2018)"
            ),
        },
        "hannover": {
            "Pneumonia": (
                "not labelled; each patient had COVID-19 by PCR, whatever the film shows "
                "(Winther et al. 2020)"
            ),
            "Lung Opacity": (
                "not labelled; each patient had COVID-19 by PCR, whatever the film shows "
                "(Winther et al. 2020)"
            ),
        },
    }
)


def spelling(name: str) -> str | None:
    """Our spelling of a finding, None for one that the table does not know."""
    return _SPELLINGS.get(_plain(name))


def meaning(source: str, finding: str) -> str:
    """What a 1 means for a finding, in our spelling, in a source of MEANINGS: one sentence.

    Raises KeyError when the source has no sentence for it.
    """
    sentences = MEANINGS[source]
    return sentences[finding] if finding in sentences else sentences["{finding}"]


def asked(
    findings: Sequence[str], offered: Sequence[str], source: str, *, key: str = "data.findings"
) -> tuple[str, ...]:
    """The findings asked for, in our spelling, each once.

    offered: those that the source has
    key: the recipe's key that asks for them
    Raises DataError for one that is unknown, naming the nearest, or that the source lacks.
    """
    names = []
    for finding in findings:
        name = spelling(finding)
        if name is None:
            near = difflib.get_close_matches(_plain(finding), _SPELLINGS, n=1)
            raise DataError(
                key,
                f"unknown finding {finding!r}",
                expected=", ".join(offered),
                remedy=f"did you mean {_SPELLINGS[near[0]]!r}?" if near else None,
            )
        if name not in offered:
            raise DataError(key, f"{source} has no label for {name!r}", expected=", ".join(offered))
        names.append(name)
    return tuple(dict.fromkeys(names))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", name.casefold()).strip()


_SPELLINGS = {
    _plain(written): name for name, others in SYNONYMS.items() for written in (name, *others)
}
