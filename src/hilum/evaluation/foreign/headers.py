"""Headers: which column of somebody's table is the id, the label, the score, the patient, a group.

Reading the columns is left to `tables`; what their values may be, to `reading`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from hilum.columns import SUBGROUPS, column, spelt
from hilum.errors import EvaluationError
from hilum.evaluation.foreign.tables import listed
from hilum.evaluation.subgroups.grouping import GroupBy

# What each column is commonly called. Of names in one row, two in one file are ambiguous; a name
# in an earlier row is preferred. Case, spaces and underscores do not count.
NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "id": (("image_id",), ("id", "image", "path", "filename")),
    "label": (("label", "y_true", "target"),),
    "prob": (("prob", "probability"), ("y_score", "score", "pred")),
    "logit": (("logit",),),
    "patient": (("patient_id",), ("patient",)),
}

_SCORES = ("prob", "logit")


@dataclass(frozen=True)
class Headers:
    """What the user says of a table's columns; None or empty: found by its name (see NAMES).

    label, prob, logit: of one finding; at most one of prob and logit
    findings: each "NAME", whose columns are label_name and prob_name or logit_name, or
        "NAME=LABEL,PROB", or "NAME=LABEL,,LOGIT"
    groups: columns to break figures down by; empty takes site, view, age and sex where they stand
    """

    image_id: str | None = None
    label: str | None = None
    prob: str | None = None
    logit: str | None = None
    patient_id: str | None = None
    findings: tuple[str, ...] = ()
    groups: tuple[GroupBy, ...] = ()


@dataclass(frozen=True)
class FindingColumns:
    """Where one finding stands in a file: its label, and its probability, its raw logit or both.

    decision, refer: where the decisions made by Hilum stand, and why it refers; None in anybody
        else's table
    """

    finding: str
    label: str
    prob: str | None
    logit: str | None
    decision: str | None = None
    refer: str | None = None


@dataclass(frozen=True)
class Columns:
    """Which column of a file is what.

    groups: by the name that the column has in the file
    left_out: columns with a score that no finding takes
    """

    image_id: str
    patient_id: str | None
    findings: tuple[FindingColumns, ...]
    groups: dict[str, GroupBy]
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Every column that is read, once."""
        found = [self.image_id, self.patient_id, *self.groups]
        for each in self.findings:
            found += [each.label, each.prob, each.logit, each.decision, each.refer]
        return [*dict.fromkeys(name for name in found if name is not None)]

    def in_words(self) -> str:
        """`id from path; patient from none; Pneumonia from y_true and p_hat`."""
        parts = [f"id from {self.image_id}", f"patient from {self.patient_id or 'no column'}"]
        for each in self.findings:
            scores = " and ".join(name for name in (each.prob, each.logit) if name is not None)
            parts.append(f"{each.finding} from {each.label} and {scores}")
        if self.groups:
            parts.append(f"groups from {listed([*self.groups])}")
        return "; ".join(parts)


def find_columns(
    headers: Headers,
    found: Sequence[str],
    where: str,
    *,
    spelled: Sequence[str] = (),
    groups: Sequence[str] = SUBGROUPS,
) -> Columns:
    """Which of the columns `found` in a file is what.

    where: the file, for errors
    spelled: findings as a file of Hilum's own spells them
    groups: what to break figures down by, where it stands, when the user names no group
    Raises EvaluationError, with the columns found and the flag to set, where a column is missing
    or could be either of two.
    """
    search = _Search(found, where)
    findings = tuple(_findings(headers, search, spelled))
    columns = Columns(
        search.needed("id", headers.image_id),
        search.one("patient", headers.patient_id),
        findings,
        _groups(headers.groups, groups, search),
        () if headers.findings or _flags(headers) else _left_out(findings, search),
    )
    for name in columns.names:
        if found.count(name) > 1:
            search.refuse(f"two columns are called {name}", "rename one of them")
    return columns


@dataclass(frozen=True)
class _Search:
    """The header of one file, and what is said when something is not in it."""

    found: Sequence[str]
    where: str

    def refuse(self, what: str, remedy: str, expected: str | None = None) -> NoReturn:
        raise EvaluationError(
            self.where, f"{what} (columns: {listed(self.found)})", expected=expected, remedy=remedy
        )

    def named(self, flag: str, name: str) -> str:
        """The column that a flag names: to the letter, or but for case."""
        if name in self.found:
            return name
        close = [each for each in self.found if _plain(each) == _plain(name)]
        if len(close) != 1:
            self.refuse(f"no column {name!r}", f"set {flag} to one of them")
        return close[0]

    def one(self, kind: str, name: str | None) -> str | None:
        """The column of a kind: as its flag says, or by its common names; None without one."""
        if name is not None:
            return self.named(f"--{kind}", name)
        for names in NAMES[kind]:
            plain = [_plain(name) for name in names]
            fits = [name for name in dict.fromkeys(self.found) if _plain(name) in plain]
            if len(fits) > 1:
                self.refuse(f"{' and '.join(fits)} could each be the {kind}", f"set --{kind}")
            if fits:
                return fits[0]
        return None

    def needed(self, kind: str, name: str | None) -> str:
        """`one`, refused where there is none."""
        column = self.one(kind, name)
        if column is None:
            self.refuse(f"no column for the {kind}", f"set --{kind}", _usual(kind))
        return column

    def with_prefix(self, kind: str) -> dict[str, str]:
        """Columns such as `prob_pneumonia`, by the finding's part of the name."""
        fits: dict[str, str] = {}
        for name in self.found:
            plain = name.strip().lower().replace(" ", "_")
            if plain.startswith(f"{kind}_"):
                key = plain.removeprefix(f"{kind}_")
                if key in fits:
                    self.refuse(f"{fits[key]} and {name} name one column", "rename one of them")
                fits[key] = name
        return fits

    def family(self, key: str) -> tuple[str | None, str | None, str | None]:
        """`label_{key}`, `prob_{key}` and `logit_{key}`, None where they do not stand."""
        label, prob, logit = (self.with_prefix(kind).get(key) for kind in ("label", *_SCORES))
        return label, prob, logit


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")


def _usual(*kinds: str) -> str:
    """The common names of these kinds of columns."""
    return "one of " + listed([name for kind in kinds for row in NAMES[kind] for name in row])


def _flags(headers: Headers) -> list[str]:
    """Which flags for the columns of a single finding are set."""
    return [kind for kind in ("label", *_SCORES) if getattr(headers, kind) is not None]


def _left_out(findings: Sequence[FindingColumns], search: _Search) -> tuple[str, ...]:
    taken = {name for each in findings for name in (each.prob, each.logit)}
    scores = [name for kind in _SCORES for name in search.with_prefix(kind).values()]
    return tuple(name for name in scores if name not in taken)


def _key(finding: str) -> str:
    return column("", finding).removeprefix("_")


def _findings(
    headers: Headers, search: _Search, spelled: Sequence[str]
) -> Iterator[FindingColumns]:
    flags = _flags(headers)
    if headers.prob is not None and headers.logit is not None:
        raise EvaluationError("--prob, --logit", "both are set", expected="one of them")
    if flags and (len(headers.findings) > 1 or any("=" in each for each in headers.findings)):
        raise EvaluationError(
            f"--{flags[0]}",
            "names the column of a single finding",
            remedy="with --finding 'NAME=LABEL,PROB' for each finding it is not needed",
        )
    label, prob, logit = (search.with_prefix(kind) for kind in ("label", *_SCORES))
    families = [key for key in label if key in prob or key in logit]
    if headers.findings:
        keys = [_key(each.partition("=")[0].strip()) for each in headers.findings]
        if len(set(keys)) < len(keys):
            raise EvaluationError("--finding", "one finding is named twice", expected="each once")
        alone = len(headers.findings) == 1
        for each in headers.findings:
            yield _asked(each, headers, search, alone=alone, families=len(families))
    elif families and not flags:
        names = {_key(name): name for name in spelled}
        for key in families:
            columns = [name for name in search.family(key) if name is not None]
            name = names.get(key, spelt(columns[0].strip().partition("_")[2]))
            yield _of_family(name, search, len(families))
    else:
        yield _single(None, headers, search)


def _asked(
    text: str, headers: Headers, search: _Search, *, alone: bool, families: int
) -> FindingColumns:
    """The columns of `--finding TEXT`."""
    name, mapped, places = (part.strip() for part in text.partition("="))
    if not name:
        raise EvaluationError("--finding", f"{text!r} has no name", expected="NAME=LABEL,PROB")
    if mapped:
        parts = [part.strip() for part in places.split(",")]
        if not (2 <= len(parts) <= 3 and parts[0] and any(parts[1:])):
            raise EvaluationError(
                "--finding", f"{text!r}", expected="NAME=LABEL,PROB or NAME=LABEL,,LOGIT"
            )
        label, prob, logit = (search.named("--finding", p) if p else None for p in (*parts, "")[:3])
        assert label is not None
        return FindingColumns(name, label, prob, logit)
    flags = headers.label or headers.prob or headers.logit
    label, prob, logit = search.family(_key(name))
    if not flags and label and (prob or logit):
        return _of_family(name, search, families)
    if alone:
        return _single(name, headers, search)
    search.refuse(
        f"no columns label_{_key(name)} and prob_{_key(name)} or logit_{_key(name)}",
        f"set --finding '{name}=LABEL,PROB'",
    )


def _of_family(name: str, search: _Search, families: int) -> FindingColumns:
    """A finding whose columns are called as Hilum calls them; its decisions may stand there too.

    families: how many findings the file holds; with one, its decisions are called `decision`
    """
    label, prob, logit = search.family(_key(name))
    assert label is not None
    decision = "decision" if families == 1 else column("decision", name)
    ours = ["image_id", decision, *(column(kind, name) for kind in ("label", *_SCORES))]
    known = all(each in search.found for each in ours)
    refer = "refer" if families == 1 else column("refer", name)
    referred = refer if known and refer in search.found else None
    return FindingColumns(name, label, prob, logit, decision if known else None, referred)


def _single(name: str | None, headers: Headers, search: _Search) -> FindingColumns:
    """The only finding of a file: from flags, from its own columns, or from common names."""
    own = search.family(_key(name)) if name is not None else (None, None, None)
    label = headers.label or own[0]
    label = search.needed("label", None) if label is None else search.named("--label", label)
    if headers.prob is not None:
        prob, logit = search.named("--prob", headers.prob), None
    elif headers.logit is not None:
        prob, logit = None, search.named("--logit", headers.logit)
    elif own[1] or own[2]:
        prob, logit = own[1:]
    else:
        prob, logit = search.one("prob", None), search.one("logit", None)
    score = prob or logit
    if score is None:
        search.refuse(
            "no column for the probability or the logit",
            "set --prob, or --logit for raw logits",
            _usual(*_SCORES),
        )
    if label in (prob, logit):
        search.refuse(f"{label} is named as the label and as the score", "set two columns")
    return FindingColumns(name or _name_from(score), label, prob, logit)


def _name_from(score: str) -> str:
    """The finding that a column `prob_…` or `logit_…` names, else just "Finding"."""
    kind, _, finding = score.partition("_")
    return spelt(finding) if kind.lower() in _SCORES and finding else "Finding"


def _groups(asked: Sequence[GroupBy], usual: Sequence[str], search: _Search) -> dict[str, GroupBy]:
    if not asked:
        fits = {name.strip().lower(): name for name in reversed(search.found)}
        return {fits[name.lower()]: GroupBy(name) for name in usual if name.lower() in fits}
    groups: dict[str, GroupBy] = {}
    for group in asked:
        name = search.named("--group", group.column)
        # Age is age whatever its case, and so are the other subgroups that Hilum knows.
        plain = name.strip().lower()
        target = plain if plain in SUBGROUPS else name
        if target in [each.column for each in groups.values()]:
            raise EvaluationError("--group", f"{name} is named twice", expected="each column once")
        groups[name] = GroupBy(target, group.edges)
    return groups
