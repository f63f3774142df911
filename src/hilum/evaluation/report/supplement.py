"""Supplement: sections that others add to a report, with the files that belong to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hilum.evaluation.report.blocks import Picture, Section

# Taken away when a later report into the same folder has none of them.
FILES = ("attention.json", "referral.json")
PLOTS = ("attention", "referral")


@dataclass(frozen=True)
class Supplement:
    """What follows the report's own sections on each finding.

    sections: by finding; their pictures' names stand in PLOTS
    files: name of FILES -> text
    """

    sections: Mapping[str, tuple[Section, ...]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: Supplement) -> Supplement:
        """Both, the other's sections after these."""
        findings = dict.fromkeys((*self.sections, *other.sections))
        return Supplement(
            {finding: (*self.of(finding), *other.of(finding)) for finding in findings},
            {**self.files, **other.files},
        )

    def of(self, finding: str) -> tuple[Section, ...]:
        return self.sections.get(finding, ())

    def pictures(self, finding: str) -> Iterator[Picture]:
        """All pictures in the sections of a finding."""
        for section in self.of(finding):
            yield from (block for block in section.blocks if isinstance(block, Picture))
