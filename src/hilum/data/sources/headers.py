"""Headers: which column of a table of films is the path, a label, the patient, the view.

Reading the table is left to `tables`, what its values mean to `words`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from hilum.columns import column, spelt
from hilum.data.findings import spelling
from hilum.errors import DataError

BOX = ("x", "y", "width", "height")
# Our columns besides labels: `label` is that of a single finding, `label_NAME` of one of several.
OURS = (
    "path", "image_id", "patient_id", "study_id", "site", "view", "age", "sex", "split",
    "aspect", *BOX,
)  # fmt: skip
DEFAULT_FINDING = "Pneumonia"


@dataclass(frozen=True)
class Headers:
    """Which header of a file is which of our columns.

    known: our column -> header, of those that stand in the file
    labels: finding, in our spelling -> header
    assumed: True where nobody said which finding the labels are of
    """

    known: dict[str, str]
    labels: dict[str, str]
    assumed: bool


def find_headers(
    found: Sequence[str], where: Path, columns: Mapping[str, str], findings: Sequence[str]
) -> Headers:
    """Match the headers `found` in a file to our columns.

    columns: as the recipe has it, ours -> header; others are known by our names, whatever their
        case, spaces and underscores
    findings: those asked for; empty takes `label`, or every column `label_NAME`
    Raises DataError, with the headers found and the key to set, where one is missing or could be
    either of two.
    """
    search = _Search(found, where, columns)
    for ours in columns:
        if ours not in (*OURS, "label") and not ours.startswith("label_"):
            near = difflib.get_close_matches(ours, [*OURS, "label"], n=1)
            raise DataError(
                f"data.columns.{ours}",
                "no column that Hilum knows",
                expected=", ".join(["label", "label_NAME", *OURS]),
                remedy=f"did you mean {near[0]}?" if near else None,
            )
    known = {"path": search.needed("path")}
    known |= {ours: header for ours in OURS if (header := search.ours(ours)) is not None}
    box = [each for each in BOX if each in known]
    if len(box) < len(BOX):
        if asked := [each for each in box if each in columns]:
            raise DataError(
                f"data.columns.{asked[0]}", "a box in part", expected=f"all of {', '.join(BOX)}"
            )
        for each in box:  # `width` alone is likely to be the image's
            del known[each]
    if "label" in columns and (both := [key for key in columns if key.startswith("label_")]):
        raise DataError(
            "data.columns.label", f"stands beside data.columns.{both[0]}", expected="one of them"
        )
    if findings:
        return Headers(known, _asked(search, findings), assumed=False)
    family = _family(search)
    if family is not None:
        return Headers(known, family, assumed=False)
    return Headers(known, {DEFAULT_FINDING: search.needed("label")}, assumed=True)


@dataclass(frozen=True)
class _Search:
    found: Sequence[str]
    where: Path
    columns: Mapping[str, str] = field(default_factory=dict)

    def ours(self, ours: str) -> str | None:
        """The header of one of our columns: as mapped, or by its name; None without one."""
        if ours not in self.columns:
            return self.like(ours)
        return self.like(self.columns[ours]) or self.refuse(ours)

    def needed(self, ours: str) -> str:
        """`ours`, refused where there is none."""
        return self.ours(ours) or self.refuse(ours)

    def like(self, name: str) -> str | None:
        """The header that is `name`, or is it but for case, spaces and underscores."""
        if name in self.found:
            return name
        close = [each for each in self.found if _plain(each) == _plain(name)]
        if len(close) > 1:
            raise DataError(
                self.where, f"{' and '.join(close)} could each be {name}", remedy="rename one"
            )
        return close[0] if close else None

    def of_finding(self, finding: str) -> str | None:
        """The header `label_NAME`, or else NAME, of a finding under any of its names."""
        fits = [each for each in self.found if _finding_of(each) == spelt(finding)]
        own = [each for each in fits if each.strip().lower().startswith("label_")]
        if len(own or fits) > 1:
            raise DataError(
                self.where, f"{' and '.join(own or fits)} are both {finding}", remedy="rename one"
            )
        return next(iter(own or fits), None)

    def refuse(self, ours: str) -> NoReturn:
        """Raise DataError for a column that is not there."""
        name = self.columns.get(ours, ours)
        shown = ", ".join(self.found[:20]) + (", ..." if len(self.found) > 20 else "")
        near = difflib.get_close_matches(name, self.found, n=1)
        remedy = f"set data.columns.{ours} to the header of that column"
        raise DataError(
            self.where,
            f"no column {name!r} (columns: {shown})",
            remedy=f"did you mean {near[0]!r}? {remedy}" if near else remedy,
        )


def _asked(search: _Search, findings: Sequence[str]) -> dict[str, str]:
    """The label columns of these findings: `label_NAME`, or NAME; for one alone, also `label`."""
    alone = len(findings) == 1
    if "label" in search.columns and not alone:
        raise DataError(
            "data.columns.label",
            f"names one column for {len(findings)} findings",
            remedy="set data.columns.label_NAME for each finding",
        )
    mapped = {_finding_of(key): key for key in search.columns if key.startswith("label_")}
    labels: dict[str, str] = {}
    for name in findings:
        finding = spelling(name) or name
        header: str | None
        if finding in mapped:
            header = search.ours(mapped[finding])
        elif alone and "label" in search.columns:
            header = search.ours("label")
        else:
            header = search.of_finding(finding) or (search.like("label") if alone else None)
        labels[finding] = header or search.refuse("label" if alone else column("label", name))
    return labels


def _family(search: _Search) -> dict[str, str] | None:
    """The label columns `label_NAME`, as mapped or as they stand; None where `label` stands."""
    keys = [key for key in search.columns if key.startswith("label_")]
    if not keys and (search.ours("label") is not None):
        return None
    keys = keys or [name for name in search.found if name.strip().lower().startswith("label_")]
    labels: dict[str, str] = {}
    for key in keys:
        finding = _finding_of(key)
        if finding in labels:
            raise DataError(
                search.where, f"{labels[finding]} and {key} are both {finding}", remedy="name one"
            )
        labels[finding] = search.needed(key)
    return labels or None


def _finding_of(header: str) -> str:
    """The finding, in our spelling, that `label_NAME` or `NAME` is about."""
    name = header.strip()
    name = spelt(name[len("label_") :] if name.lower().startswith("label_") else name)
    return spelling(name) or name


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")
