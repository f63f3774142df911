"""A check in lines that a person reads on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hilum.data.checking.problems import counted
from hilum.data.checking.results import Against, DataCheck, Films, Kind, LabelCount, PlannedRoles

_WIDE = 16  # of the first column
_VALUES = 6  # of a column, on one line
_EXAMPLES = 3


def summary(found: DataCheck) -> Iterator[str]:
    """Plain lines, the headings in the first column."""
    patients = f", {counted(found.patients.n, 'patient')}" if found.patients.n else ""
    yield f"{found.source}: {counted(found.n_images, 'image')}{patients}"
    if found.synthetic:
        yield "SYNTHETIC: no patient stands behind these images"
    if found.licence:
        yield _line("licence", found.licence)
    yield from _labels(found)
    yield from _meanings(found.labels)
    for name in ("split", "view", "sex", "site"):
        yield _line(name, _counts(getattr(found, name), found.n_images))
    yield from _ages(found)
    if found.patients.n:
        films = ", ".join(f"{n:,} with {k}" for k, n in found.patients.with_films.items())
        yield _line("films a patient", f"{films}; at most {found.patients.most_films:,}")
    if found.boxes:
        yield _line("boxes", _counts(found.boxes, None))
    yield from _films(found.films, found.n_images)
    yield from _kinds("left out", found.excluded)
    yield from _duplicates(found)
    if found.roles is not None:
        yield from _roles(found.roles)
    if found.against is not None:
        yield from _against(found.against)
    yield from _kinds("cannot be read", found.broken)
    for warning in found.warnings:
        yield _line("warning", warning)
    if not found.problems:
        yield "nothing found that needs a look"
        return
    yield f"{counted(len(found.problems), 'thing')} to look into:"
    for problem in found.problems:
        yield f"  - {problem}"
    if found.ids == "pseudonyms":
        yield "Ids are pseudonyms of this run alone; --keep-ids writes those of the source."


def _line(name: str, text: str) -> str:
    return f"  {name:<{_WIDE}}{text}"


def _under(lines: Sequence[str], name: str) -> Iterator[str]:
    for i, line in enumerate(lines):
        yield _line(name if i == 0 else "", line)


def _labels(found: DataCheck) -> Iterator[str]:
    width = max((len(each.finding) for each in found.labels), default=0)
    for label in found.labels:
        known = label.present + label.absent
        share = f" ({100 * label.present / known:.1f} %)" if known else ""
        unknown = f", {label.unknown:,} unknown" if label.unknown else ""
        yield (
            f"  {label.finding:<{max(width + 2, _WIDE)}}"
            f"{label.present:,} with{share}, {label.absent:,} without{unknown}"
        )


def _meanings(labels: Sequence[LabelCount]) -> Iterator[str]:
    """What a label means, the findings that share a meaning together."""
    together: dict[str, list[str]] = {}
    for label in labels:
        if label.meaning:
            together.setdefault(label.meaning, []).append(label.finding)
    for meaning, findings in together.items():
        more = f" and {len(findings) - 2:,} more" if len(findings) > 3 else ""
        named = ", ".join(findings[:2] if more else findings) + more
        yield _line("a label means", f"{named}: {meaning}")


def _counts(counts: Mapping[str, int], n: int | None) -> str:
    """`PA (600), AP (400)`; of many values the commonest."""
    if list(counts) == ["unknown"]:
        return "not known"
    told = [f"{value} ({count:,})" for value, count in list(counts.items())[:_VALUES]]
    if len(counts) > _VALUES:
        rest = sum(list(counts.values())[_VALUES:])
        told.append(f"{len(counts) - _VALUES} more values ({rest:,})")
    return ", ".join(told)


def _ages(found: DataCheck) -> Iterator[str]:
    age = found.age
    if age.median is None:
        yield _line("age", "not known")
        return
    yield _line("age", f"{age.lowest:g} to {age.highest:g} years, median {age.median:g}")
    yield _line("", ", ".join(f"{band} ({n:,})" for band, n in age.bands.items()))


def _films(films: Films, n_images: int) -> Iterator[str]:
    if films.shorter_side is not None:
        low, middle, high = films.shorter_side
        sizes = _counts(films.sizes, None)
        if len(films.sizes) > _VALUES or films.other_sizes:
            sizes = ", ".join(f"{size} ({n:,})" for size, n in list(films.sizes.items())[:3])
            sizes += f", … ; shorter side {low:,} to {high:,}, median {middle:,g}"
        of = "" if films.n == n_images else f" (of {films.n:,} films)"
        yield _line("size, px", sizes + of)
    for name, counts in (
        ("format", films.formats),
        ("bits", films.bits),
        ("photometric", films.photometric),
        ("modality", films.modality),
        ("body part", films.body_part),
        ("transfer syntax", films.transfer_syntax),
    ):
        if counts:
            yield _line(name, _counts(counts, None))


def _kinds(name: str, kinds: Sequence[Kind]) -> Iterator[str]:
    lines = []
    for kind in kinds[:_VALUES]:
        such = ", ".join(kind.examples[:_EXAMPLES]) + (", …" if kind.n > _EXAMPLES else "")
        lines.append(f"{kind.n:,}: {kind.what} ({such})")
    if len(kinds) > _VALUES:
        rest = sum(kind.n for kind in kinds[_VALUES:])
        lines.append(f"{rest:,}: {len(kinds) - _VALUES} more reasons")
    yield from _under(lines, name)


def _duplicates(found: DataCheck) -> Iterator[str]:
    seen = found.duplicates
    if not seen.looked_for:
        yield _line("duplicates", "not looked for: pixels were not read")
        return
    hashed = ""
    if seen.hashed < found.n_images:
        rest = found.n_images - seen.hashed
        hashed = f"; {counted(rest, 'film')} too small, flat or broken for a perceptual hash"
    if not seen.same_film_sets:
        yield _line("duplicates", f"none{hashed}")
        return
    yield _line(
        "duplicates",
        f"{counted(seen.same_film_films, 'image')} of {counted(seen.same_film_sets, 'film')}, "
        f"{seen.same_pixels_films:,} with equal pixels{hashed}",
    )


def _roles(planned: PlannedRoles) -> Iterator[str]:
    lines = []
    for role, facts in planned.roles.items():
        n_by_label = facts["n_by_label"]
        assert isinstance(n_by_label, Mapping)
        first, *others = n_by_label.items()
        labels = f"{first[1]['present']:,} with {first[0]}" + (", …" if others else "")
        lines.append(f"{role} {facts['n']:,} ({labels})")
    yield from _under(lines, "roles")
    yield from _kinds("in no role", planned.excluded)


def _against(against: Against) -> Iterator[str]:
    film = (
        f"{against.same_film:,} of the same film, {against.same_pixels:,} with equal pixels"
        if against.pixels_compared
        else "pixels not compared"
    )
    patients = (
        f"{against.same_patient:,} of the same patient"
        if against.patients_comparable
        else "patients not known to both"
    )
    yield _line("shared with", f"{against.source}: {film}; {patients}")
