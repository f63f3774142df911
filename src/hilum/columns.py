"""What a column is called, the same in a cohort's table and in predictions."""

from __future__ import annotations

# What an evaluation may be broken down by, besides the patient.
SUBGROUPS = ("site", "view", "age", "sex")


def column(kind: str, finding: str) -> str:
    """The column of a finding: `label_…`, `logit_…`, `prob_…`, `decision_…`."""
    return f"{kind}_{finding.lower().replace(' ', '_')}"
