"""Page: a validation as the blocks of one page, and the page with its pictures as one HTML file.

Sentences are `words`', tables `tables`', plots `pictures`'; how it looks is `evaluation.report`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hilum.abstention import REASONS
from hilum.calibration.prior_shift import ASSUMPTION
from hilum.evaluation.report import figure_tables, referral_blocks
from hilum.evaluation.report.blocks import (
    Block,
    Bullets,
    Chapter,
    Contents,
    Films,
    KeyFigures,
    Panel,
    Picture,
    References,
    Section,
    Table,
    Text,
)
from hilum.evaluation.report.drawing import figure_of, for_page, svg_of
from hilum.evaluation.report.page import page
from hilum.evaluation.report.phrases import cell, estimate, listed, plural, whole_sentence
from hilum.evaluation.report.pictures import WIDE, pictures_of
from hilum.evaluation.report.reading import shown_points
from hilum.evaluation.report.verdict import NOT_A_DEVICE, SYNTHETIC
from hilum.evaluation.report.verdict import verdict as in_full
from hilum.robustness.external import tables, words
from hilum.robustness.external.local import TOO_FEW_DRAWN
from hilum.robustness.external.pictures import draw_forest, draw_learning, draw_sides
from hilum.robustness.external.sources import METHODS, SOURCES
from hilum.robustness.external.validating import Site, Validation
from hilum.robustness.shift import Shift
from hilum.robustness.shift.pictures import draw_shift

LEARNT = ("log_loss", "balanced_accuracy", "sensitivity", "specificity")
SHIFT = "shift"


@dataclass(frozen=True)
class Shown:
    """What a page shows beside the figures, by site and finding.

    films: rows of failures; shifts: why it dropped
    folders: site -> where its own files lie beside the page
    """

    films: Mapping[tuple[str, str], tuple[Films, ...]] = field(default_factory=dict)
    shifts: Mapping[tuple[str, str], Shift] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    facts: tuple[tuple[str, str], ...] = ()


def contents(found: Validation, shown: Shown) -> Contents:
    """The whole page: a chapter for each site and finding."""
    pairs = [(site, finding) for site in found.sites for finding in found.findings]
    chapters = tuple(
        Chapter(f"s{k}", _called(found, *pair), tuple(_sections(found, *pair, shown)))
        for k, pair in enumerate(pairs)
    )
    told = Section("caveats", "Caveats", (Bullets(tuple(_caveats(found)), "warning"),))
    if len(pairs) == 1:
        opening, *rest = chapters[0].sections
        first: tuple[Section, ...] = (opening, told)
        chapters = (Chapter(chapters[0].key, chapters[0].finding, tuple(rest)),)
    else:
        first = (_all(found), told)
    images = sum(site.evaluation.n for site in found.sites)
    return Contents(
        f"External validation of {found.name}",
        (
            listed([*found.findings]),
            listed([site.name for site in found.sites]),
            plural(images, "image"),
        ),
        SYNTHETIC if found.synthetic else None,
        first,
        chapters,
        tuple(_closing(found, shown)),
        kicker="a frozen classifier on other people's patients",
        chapters_are="site" if len(found.findings) == 1 else "site and finding",
        footer=(Text("Every number stands in", ("validation.json", "validation.json")),),
    )


def html(found: Validation, shown: Shown) -> str:
    """The page, its pictures in it."""
    parts = contents(found, shown)
    about = f"{found.name}, {NOT_A_DEVICE}"
    drawings = {}
    for key, picture in _pictures(parts):
        if picture.name == SHIFT:
            made = _shift_figure(found, shown, key)
        else:
            made = figure_of(picture, synthetic=found.synthetic)
        drawings[key, picture.name] = for_page(
            svg_of(made, picture, about), f"{key}-{picture.name}"
        )
    return page(parts, drawings)


def forest(found: Validation, finding: str) -> Picture:
    """AUROC of every site with the summary."""
    auroc = {site.name: site.drops[finding]["auroc"].outside for site in found.sites}
    pooled = found.pooled[finding]
    return Picture(
        "forest" if finding == found.findings[0] else f"forest_{found.findings.index(finding)}",
        f"AUROC for {finding} by site",
        "Squares: each site with its 95 % interval and images; diamond: random-effects mean; "
        "bar: where a further site may lie. Blue, inside, has no part in the mean.",
        f"Forest plot of {len(auroc)} sites, summary {pooled.summary.in_brief(2)}.",
        (7.6, 0.9 + 0.34 * (len(auroc) + 3)),
        partial(
            draw_forest, auroc, pooled, inside=found.inside.figures.get(finding, {}).get("auroc")
        ),
    )


def learning_pictures(site: Site, finding: str) -> Iterator[Picture]:
    """A curve for probabilities and one for each kind of decision."""
    local = site.remedies[finding].local
    if not local.steps:
        return
    for name in LEARNT:
        title = "Log loss" if name == "log_loss" else name.replace("_", " ").capitalize()
        first, last = local.steps[0], local.steps[-1]
        yield Picture(
            f"learning_{name}",
            f"{title} by labels",
            f"Mean over {first.draws} draws of k patients, judged on all others; bars: 95 % "
            "interval by patient; band: where 95 of 100 single draws lie.",
            f"{title} from {first.figures[name].in_brief(3)} at {first.k} labelled {local.kind}s "
            f"to {last.figures[name].in_brief(3)} at {last.k}.",
            (WIDE, 3.7),
            partial(draw_learning, local, name),
        )


def _called(found: Validation, site: Site, finding: str) -> str:
    return site.name if len(found.findings) == 1 else f"{site.name}: {finding}"


def _all(found: Validation) -> Section:
    blocks: list[Block] = []
    for finding in found.findings:
        said = tuple(words.on_several(found, finding))
        lead = tuple(f"{finding}. {each}" if len(found.findings) > 1 and k == 0 else each
                     for k, each in enumerate(said))  # fmt: skip
        if lead:
            blocks.append(Bullets(lead, "lead"))
        if finding in found.pooled:
            blocks.append(forest(found, finding))
        blocks.append(tables.every_site(found.sites, finding))
    return Section("verdict", "Verdict", tuple(blocks))


def _sections(found: Validation, site: Site, finding: str, shown: Shown) -> Iterator[Section]:
    evaluation, drops = site.evaluation, site.drops[finding]
    drawn = pictures_of(evaluation, finding)
    yield Section(
        "verdict",
        "Verdict",
        (
            KeyFigures(tuple(_key_figures(site, finding))),
            Bullets(
                (
                    words.prevalence_words(found, site, finding),
                    *words.verdict(found, site, finding),
                    *_why(shown, site, finding),
                ),
                "lead",
            ),
        ),
    )
    yield Section(
        "sides",
        "Inside and outside",
        (_sides(site, finding), tables.side_by_side(drops, found.inside, site),
         *([Text(found.inside.note)] if found.inside.note else [])),
    )  # fmt: skip
    yield Section("reliability", "Reliability", tuple(_reliability(found, finding, drawn)))
    if "decision" in drawn:
        yield Section("decision", "Decision curve at the local prevalence", (drawn["decision"],))
    curves = evaluation.curves[finding]
    points = {name: p.threshold for name, p in shown_points(evaluation, finding).items()}
    yield Section(
        "threshold",
        "Threshold and prevalence here",
        (Panel(finding, curves.counts, curves.scores, points),),
    )
    yield from _shift_section(shown, site, finding)
    if finding in site.remedies:
        yield Section("remedies", "What could be done", tuple(_remedies(found, site, finding)))
    if finding in site.labellings:
        both = site.labellings[finding]
        yield Section(
            "labels",
            "Two labellings",
            (
                Bullets(tuple(words.labelling_words(both, drops.get("auroc"))), "lead"),
                tables.both_labellings(both),
                tables.crossed(both),
            ),
        )
    yield Section("seen", "Seen in training, and referred", tuple(_seen(site, finding)))
    yield Section("groups", "Subgroups", tuple(figure_tables.by_group(evaluation, finding, drawn)))
    films = shown.films.get((site.name, finding), ())
    if films:
        yield Section("failures", "Failures", films)
    yield Section("full", "Outside in full", tuple(_full(site, finding, shown)))


def _key_figures(site: Site, finding: str) -> Iterator[tuple[str, str, str]]:
    drops = site.drops[finding]
    for title, name in (
        ("AUROC outside", "auroc"),
        ("Sensitivity", "sensitivity"),
        ("Specificity", "specificity"),
        ("Calibration slope", "calibration_slope"),
    ):
        outside, inside = drops[name].outside, drops[name].inside
        number, _, rest = estimate(name, outside).partition(" (")
        beside = "" if inside.value is None else f"; inside {estimate(name, inside).split(' (')[0]}"
        if outside.value is None:
            number, rest = "\N{EN DASH}", (outside.reason or "")
        yield title, number, f"{rest.removesuffix(')')}{beside}"


def _why(shown: Shown, site: Site, finding: str) -> Iterator[str]:
    """Of what is known of the shift the last sentence, which names what to look at first."""
    shift = shown.shifts.get((site.name, finding))
    if shift is not None:
        yield from shift.in_words()[-1:]


def _sides(site: Site, finding: str) -> Picture:
    drops = site.drops[finding]
    auroc = drops["auroc"]
    return Picture(
        "sides",
        "Inside and outside",
        "Each figure with its 95 % interval; sensitivity and specificity at the deployed point.",
        f"AUROC {auroc.inside.in_brief(2)} inside and {auroc.outside.in_brief(2)} outside.",
        (WIDE, 3.0),
        partial(draw_sides, drops),
    )


def _reliability(found: Validation, finding: str, drawn: Mapping[str, Picture]) -> Iterator[Block]:
    inside = found.inside.evaluation
    if inside is not None and "reliability" in (there := pictures_of(inside, finding)):
        yield _renamed(there["reliability"], "reliability_inside", "Reliability inside")
    if "reliability" in drawn:
        yield _renamed(drawn["reliability"], "reliability", "Reliability outside")
    else:
        yield Text("There is no reliability curve of these films.")


def _renamed(picture: Picture, name: str, title: str) -> Picture:
    return Picture(
        name, title, picture.caption, f"{title}: {picture.alt}", picture.size, picture.draw
    )


def _shift_section(shown: Shown, site: Site, finding: str) -> Iterator[Section]:
    shift = shown.shifts.get((site.name, finding))
    if shift is None:
        return
    picture = Picture(
        SHIFT,
        "What moved",
        "Distributions of what moved most; what each takes off the drop; and tests.",
        "; ".join(shift.in_words()),
        (9.4, 6.0),
        _whole,
    )
    yield Section("why", "Why it dropped", (Bullets(tuple(shift.in_words()), "lead"), picture))


def _whole(ax: Axes) -> Axes:
    """In place of a drawing on one pair of axes, where `draw_shift` makes the whole figure."""
    return ax


def _shift_figure(found: Validation, shown: Shown, key: str) -> Figure:
    pairs = [(site.name, finding) for site in found.sites for finding in found.findings]
    site, finding = pairs[int(key.removeprefix("s"))]
    title = f"{finding}: {found.inside.source} and {site}"
    return draw_shift(shown.shifts[site, finding], title, synthetic=found.synthetic)


def _remedies(found: Validation, site: Site, finding: str) -> Iterator[Block]:
    remedies = site.remedies[finding]
    prior, local = remedies.prior, remedies.local
    yield Bullets((remedies.probabilities.in_words, remedies.decisions.in_words), "lead")
    yield Text(
        "Nothing below changes the bundle, and nothing above rests on it. A site that means to "
        "use what is fitted here needs films of its own to judge it on."
    )
    if local.steps:
        yield from learning_pictures(site, finding)
        yield tables.learning(local)
        yield tables.choices(local)
        if any(step.kept for step in local.steps):
            kept = ", ".join(f"{step.kept} at {step.k}" for step in local.steps if step.kept)
            yield Text(f"{TOO_FEW_DRAWN}: {kept}.")
    else:
        yield Text(f"No learning curve: {local.reason}.")
    if prior is not None:
        inside = found.inside.figures.get(finding, {})
        yield Bullets((*words.prior_words(prior, inside), ASSUMPTION), "lead")
        yield Table(
            "Prior shift: the prevalence without labels, and by them",
            ("", "Prevalence"),
            (
                ("Where calibrated", f"{100 * prior.training:.1f}\N{NO-BREAK SPACE}%"),
                ("Here, without labels", cell("ppv", prior.estimated)),
                ("Here, by the labels", cell("ppv", prior.labelled)),
            ),
        )


def _seen(site: Site, finding: str) -> Iterator[Block]:
    yield Bullets(tuple(map(whole_sentence, site.seen)) or (words.UNSEEN,))
    if finding not in site.referrals:
        yield Text(words.NO_GATE)
        return
    yield from referral_blocks(site.referrals[finding], REASONS)


def _full(site: Site, finding: str, shown: Shown) -> Iterator[Block]:
    yield Bullets(in_full(site.evaluation, finding), "plain")
    yield figure_tables.figures(site.evaluation, finding)
    if site.name in shown.folders:
        folder = shown.folders[site.name]
        yield Text(
            "Its evaluation and predictions, from which `hilum evaluate --predictions` makes a "
            "report of its own, lie in",
            (folder, f"{folder}/"),
        )


def _caveats(found: Validation) -> Iterator[str]:
    yield from map(whole_sentence, found.notes)
    several = len(found.sites) > 1
    for site in found.sites:
        for warning in site.evaluation.warnings:
            yield whole_sentence(f"{site.name}: {warning}" if several else warning)
    yield (
        "One set of films from elsewhere is one draw of places: what holds here need not hold at "
        "the next."
    )
    yield NOT_A_DEVICE


def _closing(found: Validation, shown: Shown) -> Iterator[Section]:
    yield Section(
        "methods",
        "Methods",
        (
            Table(
                "How what this page adds to an evaluation was computed",
                ("What", "How"),
                METHODS,
                (0, 1),
            ),
            References(SOURCES),
        ),
    )
    rows = (("Bundle", found.bundle), ("Deployed point", found.deployed), *shown.facts)
    yield Section("run", "Run", (Table("What was run", ("", ""), rows, (0, 1)),))


def _pictures(parts: Contents) -> Iterator[tuple[str, Picture]]:
    """Every picture with the key that the page knows it by."""
    sections: list[tuple[str, Section]] = [("r", part) for part in (*parts.first, *parts.last)]
    sections += [(chapter.key, part) for chapter in parts.chapters for part in chapter.sections]
    for key, part in sections:
        for block in part.blocks:
            if isinstance(block, Picture):
                yield key, block
