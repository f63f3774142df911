"""What a column is called, the same in a cohort's table and in predictions."""

from __future__ import annotations

# What an evaluation may be broken down by, besides the patient.
SUBGROUPS = ("site", "view", "age", "sex")


def spelt(suffix: str) -> str:
    """A finding's name from the suffix of its column: as it stands, or in title case where it is
    wholly in lower case."""
    plain = suffix.replace("_", " ").strip()
    return plain.title() if plain == plain.lower() else plain


def column(kind: str, finding: str) -> str:
    """The column of a finding: `label_…`, `logit_…`, `prob_…`, `decision_…`."""
    return f"{kind}_{finding.lower().replace(' ', '_')}"
