"""Which images a bundle is judged on: a role of its own source, or another source's.

An image or patient that the bundle was made from is refused unless the user allows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hilum.columns import column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort
    from hilum.data.fingerprints import Fingerprints
    from hilum.recipe import DataPart

Seen = Literal["refuse", "allow", "leave out"]


@dataclass(frozen=True)
class Chosen:
    """The images of a role. told: what must be told of them; seen: what of them training saw, or
    why that is not known, empty for nothing."""

    films: Cohort
    told: tuple[str, ...]
    seen: tuple[str, ...]


EVERY = "all"  # in place of a role: every image of another source


def asked_for(bundle: Bundle, on: str, options: Sequence[str]) -> tuple[DataPart, str]:
    """What `SOURCE[:ROLE]` and `--option` mean: how the source is opened, and the role.

    The bundle's own source is meant by none, or by the very word it was trained with; the settings
    are then the bundle's own. A source such as `nih:/data` has a colon of its own.
    Raises HilumError.
    """
    from hilum.data.cohort import ROLES
    from hilum.data.sources import NAMES
    from hilum.errors import HilumError
    from hilum.recipe import ReadingPart, source_options

    source, colon, role = on.rpartition(":")
    if not colon or role not in (*ROLES, EVERY):
        if colon and source.partition("@")[0] in NAMES:
            raise HilumError("--on", f"role {role!r}", expected=", ".join((*ROLES, EVERY)))
        source, role = on, "test"
    if bundle.foreign:
        source = source or bundle.data.source
        if not source:
            raise HilumError(
                "--on",
                f"nothing says what {bundle.folder.name} is to be judged on",
                expected="SOURCE[:ROLE]",
                remedy="name it, or state a source beside the model",
            )
    elif source in ("", bundle.data.source):
        if options:
            raise HilumError(
                "--option", "the bundle says how its own source is read", remedy="leave it out"
            )
        if role == EVERY:
            raise HilumError(
                f"--on {on}", "the bundle was made from these images", expected=", ".join(ROLES)
            )
        return bundle.data, role
    if role not in ("test", EVERY):
        if bundle.foreign:
            raise HilumError(
                f"--on {on}",
                "nobody knows the roles of a model made elsewhere",
                expected="test or all",
            )
        raise HilumError(
            f"--on {on}",
            f"the bundle was trained on {bundle.manifest.source}, which may hold these very films",
            expected=f"role test or {EVERY} of another source",
        )
    settings, reading = source_options([*options, f"source={source}"])
    if not settings.findings:
        settings = settings.model_copy(update={"findings": bundle.findings})
    if reading not in (ReadingPart(), bundle.manifest.reading):
        raise HilumError(
            "--option reading", "the bundle says how films are read", remedy="leave it out"
        )
    return settings, role


def is_source(paths: Sequence[str]) -> bool:
    """True when what stands in the place of films is one source, such as `shards:s3://bucket/x`."""
    from hilum.data.sources import KINDS

    kind, colon, _ = paths[0].partition(":")
    return len(paths) == 1 and bool(colon) and kind in KINDS and not Path(paths[0]).exists()


def images_of_role(
    bundle: Bundle, cohort: Cohort, role: str, settings: DataPart, *, seen: Seen
) -> tuple[Cohort, list[str]]:
    """The images of a role, and all that must be told of them beside the figures; as `choose`."""
    chosen = choose(bundle, cohort, role, settings, seen=seen)
    return chosen.films, [*chosen.told, *chosen.seen]


def choose(bundle: Bundle, cohort: Cohort, role: str, settings: DataPart, *, seen: Seen) -> Chosen:
    """The images of a role, and what must be told of them beside the figures.

    Of another source `test` is the published one, and every image where none is published.
    seen: what is done with images that the bundle was made from
    Raises HilumError when there is none, when none has a label, or when some were seen.
    """
    import numpy as np

    from hilum.cli.work import left_out, look_at
    from hilum.data.roles import assign_roles, refuse_broken
    from hilum.errors import HilumError

    told = [*cohort.warnings, *cohort.left_out()]
    told += [f"at training: {w}" for w in bundle.manifest.warnings if w not in told]
    own = not bundle.foreign and settings == bundle.data and cohort.name == bundle.manifest.source
    changed = False
    prints = look_at(cohort, settings)
    broken_n = np.isin(np.arange(len(cohort)), list(prints.broken) if prints else [])
    if own:
        seed = bundle.manifest.recipe["seed"]
        assigned, ledger = assign_roles(cohort, settings, seed=seed, prints=prints)
        chosen_n = (assigned.table["role"] == role).to_numpy()
        changed = ledger.roles[role]["digest"] != bundle.manifest.roles["roles"][role]["digest"]
        if changed:
            told.append(f"role {role} does not hold the images it held when the bundle was trained")
    else:
        if bundle.foreign:
            told.append(
                f"the model was made elsewhere, from {bundle.manifest.source}; what it takes and "
                f"gives is as stated of {bundle.folder.name}, which nothing here can check"
            )
        else:
            there = "" if cohort.name != bundle.manifest.source else " of another place"
            told.append(
                f"the bundle was trained on {bundle.manifest.source}, not on {cohort.name}{there}"
            )
        told += _meanings(bundle, cohort)
        split = cohort.table["split"]
        published = role != EVERY and split.notna().any()
        chosen_n = (split == "test").to_numpy() if published else np.ones_like(broken_n)
        if prints is not None:
            refuse_broken(cohort.name, prints.broken, len(cohort), settings.broken_limit)
        if lost := int((chosen_n & broken_n).sum()):
            told.append(left_out(lost))
        chosen_n = chosen_n & ~broken_n
    if not chosen_n.any():
        raise HilumError(
            cohort.name, f"no image has the role '{role}'", remedy=f"take every image by :{EVERY}"
        )
    words: list[str] = []
    if role in ("test", EVERY):
        safe = own and not changed  # drawn as at training: nothing can be shared
        seen_n, words = _seen(bundle, cohort, prints, chosen_n, safe=safe, seen=seen)
        chosen_n = chosen_n & ~seen_n
        if not chosen_n.any():
            raise HilumError(
                cohort.name,
                f"nothing is left of the role '{role}': {'; '.join(words)}",
                expected="images that the bundle has not seen",
            )
    _refuse_unlabelled(bundle, cohort.where(chosen_n))
    return Chosen(cohort.where(chosen_n), tuple(told), tuple(words))


def _meanings(bundle: Bundle, cohort: Cohort) -> list[str]:
    """What a label means here and at training, where both are known and differ."""
    then, now = bundle.manifest.meanings, cohort.meanings
    return [
        f"what {finding} means here: {now[finding]}; at training: {then[finding]}"
        for finding in bundle.findings
        if finding in then and finding in now and then[finding] != now[finding]
    ]


def _refuse_unlabelled(bundle: Bundle, cohort: Cohort) -> None:
    from hilum.errors import HilumError

    known = [
        finding
        for finding in bundle.findings
        if finding in cohort.findings and cohort.table[column("label", finding)].notna().any()
    ]
    if not known:
        has = ", ".join(cohort.findings) or "none"
        raise HilumError(
            cohort.name,
            f"no image has a label for {' or '.join(bundle.findings)}; its findings: {has}",
            expected="labels to judge by",
            remedy="name the column with --option columns.label=…, or use 'hilum predict'",
        )


def _seen(
    bundle: Bundle,
    cohort: Cohort,
    prints: Fingerprints | None,
    chosen_n: NDArray[np.bool_],
    *,
    safe: bool,
    seen: Seen,
) -> tuple[NDArray[np.bool_], list[str]]:
    """Rows to leave out because the bundle was made from them, and what to tell.

    safe: the images are known to be those that training set aside
    Raises HilumError when there are any and nobody said what to do with them.
    """
    import numpy as np

    from hilum.errors import HilumError

    none_n = np.zeros_like(chosen_n)
    ledger = bundle.seen()
    if ledger is None:
        whose = "its makers do not say" if bundle.foreign else "the bundle does not say"
        unknown = f"{whose} which images it was made from: some may be among these"
        return none_n, [] if safe else [unknown]
    overlap = ledger.overlap(cohort, prints, ("train", "tune", "calibrate")).among(chosen_n)
    if overlap.rows:
        words = overlap.in_words()
        match seen:
            case "refuse":
                raise HilumError(
                    cohort.name,
                    words,
                    expected="new ones",
                    remedy="add --leave-out-seen to judge on the others; or --allow-seen, also "
                    "where patients of another hospital merely have the same numbers",
                )
            case "allow":
                return none_n, [f"{words}: figures flatter"]
            case "leave out":
                return np.isin(np.arange(len(cohort)), overlap.rows), [f"left out: {words}"]
    blind = ledger.cannot_know(cohort, prints)
    if safe or blind is None:
        return none_n, []
    why = f"whether the bundle was made from some of these images is not known: {blind}"
    return none_n, [why]
