"""Evidence that the user names beside a source's own: boxes, masks of a finding, masks of lungs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort
    from hilum.explanation.evidence import Evidence
    from hilum.recipe import DataPart


@dataclass(frozen=True)
class Given:
    """Evidence that the user names, as the options of `hilum explain` do."""

    boxes: Path | None = None
    masks: Path | None = None
    lungs: Path | None = None
    boxes_first: bool = False

    def of(self, films: Cohort, finding: str, *, needed: bool = True) -> Evidence:
        """What is known of places on these films; theirs stands for the source's own.

        finding: whose boxes they are where the file does not say
        needed: whether files that have nothing of these films are refused
        """
        from dataclasses import replace

        from hilum.explanation.evidence import Evidence, boxes_in, masks_in

        if self.boxes is not None:
            films = boxes_in(self.boxes, films, finding, needed=needed)
        elif self.masks is not None:
            films = replace(films, boxes=films.boxes.iloc[:0])
        return Evidence(
            films,
            masks_in(self.masks, films, needed=needed) if self.masks else {},
            masks_in(self.lungs, films, needed=needed) if self.lungs else {},
            self.boxes_first,
            of_source=self.boxes is None and self.masks is None,
        )


def films_to_calibrate_on(
    bundle: Bundle, cohort: Cohort, settings: DataPart, on: str | None, given: Given
) -> Evidence | None:
    """Evidence on the bundle's own calibrate films with a finding, of the kind that is asked for;
    None without any, and on other sources.
    """
    import numpy as np

    from hilum.cli.images import images_of_role

    if bundle.foreign:
        return None  # nobody knows its calibrate films
    if on and (settings != bundle.data or cohort.name != bundle.manifest.source):
        return None
    films, _ = images_of_role(bundle, cohort, "calibrate", settings, seen="allow")
    evidence = given.of(films, bundle.findings[0], needed=False)
    present_n = np.asarray((films.label_nf == 1).any(axis=1))
    keep_n = present_n & np.array([evidence.of_finding(n) for n in range(len(films))])
    return evidence.where(keep_n) if keep_n.any() else None


def say_what_is_known(evidence: Evidence) -> None:
    """Masks of a part of the films, where the figures by lungs hang on all."""
    from hilum.cli.show import say

    masked = sum(evidence.of_lungs(n) for n in range(len(evidence.cohort)))
    if 0 < masked < len(evidence.cohort):
        say(
            f"note: masks of the lungs for {masked:,} of {len(evidence.cohort):,} films; all are "
            "laid by what the network sees, and there is no share within the lungs"
        )
