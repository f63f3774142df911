"""The change plan: what may change, how a change is tested and let in, what it risks, and the way
back.

Its three parts are those of the FDA's guidance on predetermined change control plans. Every limit
is `limits`', read off this bundle's own figures; where none was measured the plan says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from hilum.card.limits import Limit, limits
from hilum.card.markdown import Lines, bullets, cell, plain, table
from hilum.card.results import Results
from hilum.card.subject import Subject


def change_plan(subject: Subject, results: Results) -> Lines:
    """The plan as a section of the card."""
    return [
        "## Change plan",
        "",
        "In the three parts of the FDA's guidance on predetermined change control plans (2024). No "
        "authority has seen it: it is a plan for research, and a draft for those who write a real "
        "one. Limits are this bundle's own figures. That a changed version is held to the end of "
        "their 95 % intervals is a convention of Hilum's, not the FDA's and not medicine's; a wide "
        "interval makes a lax limit, and a site may set a stricter one.",
        "",
        "### 1. What may change",
        "",
        *_modifications(subject, results),
        "### 2. How a change is made, tested and let in",
        "",
        *_protocol(subject, results),
        "### 3. What a change risks",
        "",
        *_impact(subject, results),
    ]


def _modifications(subject: Subject, results: Results) -> Lines:
    of = subject.command
    rows = [
        (
            "a local operating point",
            _labels(results, "decisions"),
            f"no: it is applied to the probabilities that `hilum predict` writes, and judged by "
            f"{of('evaluate --predictions later.csv --threshold 0.3 --out local')}",
        ),
        (
            "local recalibration",
            _labels(results, "probabilities"),
            "no: likewise; it moves every threshold and prediction set, which are chosen again",
        ),
        (
            "another engine, such as int8",
            "films of calibrate, with torch's answers",
            f"no: {of('export NAME --to openvino --int8')} lets it in only where it agrees",
        ),
    ]
    if not subject.foreign:
        rows.append(
            (
                "the same recipe on more or newer films of the same kind; a new calibrator; "
                "another deployed point of its own",
                "all of part 2",
                "yes",
            )
        )
    return [
        *table(("change", "evidence", "new bundle"), rows),
        "**Not covered, and a new start with a new card:** another finding, another meaning of the "
        "label, other views, ages or machines than those above, another input, another use.",
        "",
    ]


def _labels(results: Results, of: str) -> str:
    """How many local labels a change wants, as far as a validation could tell."""
    told = [
        f"{plain(site.name)}: {plain(getattr(remedies, of).in_words)}"
        for site, _ in results.sites
        for remedies in site.remedies.values()
    ]
    if told:
        return " ".join(told)
    return "how many labels is not known: `hilum validate` on films of the site tells"


def _protocol(subject: Subject, results: Results) -> Lines:
    of = subject.command
    data = (
        "**Data.** New films are looked at by `hilum data check` first. They go to train, tune and "
        "calibrate; test stays as it is, such as by a column `split`. "
        f"{_opened(subject)}"
    )
    if subject.foreign:
        training = "**Training.** Its makers' affair; a new file is a new model, with a new digest."
    else:
        training = (
            "**Training.** The recipe stands in `bundle.json`; what of it changes is written down "
            "before test is opened, and chosen on tune or folds alone: "
            f"{of('train recipe.toml --select robust --out models/next')}"
        )
    return [
        data,
        "",
        training,
        "",
        f"**Tests and limits.** On the same films: {of('evaluate models/next --out next')}. Where "
        "ids are not public both versions are evaluated with `--keep-ids`, and "
        f"{of('compare evaluated/predictions.parquet next/predictions.parquet')} must not find the "
        "new one worse beyond chance. Then stress, novelty and shortcuts as for this card.",
        "",
        *_limits(subject, results),
        *_probes(results),
        "**Letting in, and the way back.** The old bundle is kept, whole and with its digest. The "
        "new one takes its place in the folder that is served, and SIGHUP swaps it in without a "
        "lost request; a damaged one is refused. The way back is the same: the old folder in its "
        "place, and SIGHUP. For the first days the old one may answer beside it, at another port, "
        "to see where they differ.",
        "",
        "**Trace.** Every opening of test stands in the bundle's ledger (`openings.jsonl`), every "
        "answer in the service's record with the digest of the bundle that gave it "
        f"({of('audit verify record')}), each version in a card of its own. Who decided, when and "
        "on what evidence is for the site to write down.",
        "",
        "**What sets the plan in motion:**",
        "",
        *bullets(_alarms(subject, results)),
    ]


def _opened(subject: Subject) -> str:
    own = subject.own_openings
    if not own:
        return "The ledger holds no opening of test."
    return (
        f"Test has been opened {len(own)} times by the ledger: films that choose between many "
        "versions are test films no more."
    )


def _limits(subject: Subject, results: Results) -> Lines:
    found = [*limits(subject, results)]
    rows = [
        (
            f"{plain(each.finding)}: {plain(each.figure)}" if each.finding else plain(each.figure),
            cell(each.estimate),
            _bound(each),
            f"`hilum {each.verb}`",
        )
        for each in found
    ]
    lines = table(("figure", "this bundle", "a changed version", "by"), rows)
    measured = {each.verb for each in found}
    missing = [verb for verb in ("evaluate", "stress", "novelty") if verb not in measured]
    if missing:
        verbs = ", ".join(f"`hilum {verb}`" for verb in missing)
        lines += [f"**No limit** rests on {verbs}: their results were not given.", ""]
    return lines


def _probes(results: Results) -> Lines:
    told = [
        f"Shortcuts, {plain(finding)}: {sum(each.found is True for each in probes)} of "
        f"{len(probes)} probes found something here; in a changed version no other may."
        for explained in results.explained
        for finding, probes in (explained.probes or {}).items()
    ]
    return bullets(told or ["Shortcuts: no limit, as nobody has probed this bundle for them."])


def _bound(limit: Limit) -> str:
    if limit.bound is None:
        return "no limit"
    return f"{limit.side} {limit.bound:.3f}"


def _alarms(subject: Subject, results: Results) -> Iterator[str]:
    yield (
        "drift: `hilum monitor` says since which day films, scores or the share referred have "
        "moved. First the X-ray unit is looked at, then the bundle;"
    )
    for finding in subject.manifest.findings:
        deployed = subject.points(finding)[subject.manifest.deployed]
        for name, estimate in (
            ("sensitivity", deployed.sensitivity),
            ("specificity", deployed.specificity),
        ):
            if estimate.low is not None:
                yield (
                    f"late labels: `hilum monitor --labels` finds evidence that the {name} for "
                    f"{plain(finding)} lies below {estimate.low:.3f}, the lower end of what it was "
                    "on calibrate;"
                )
    yield "the record does not hold against its chain: answers stop until it is known why;"
    yield "a new X-ray unit, new processing of films, or other patients: validate again first."


def _impact(subject: Subject, results: Results) -> Lines:
    found = results.of(subject.own)
    lines = [
        "**Another point**: fewer missed are paid for with more false alarms. On test:"
        if found
        else "**Another point**: fewer missed are paid for with more false alarms; by how much was "
        "not measured.",
        "",
    ]
    if found is not None:
        rows = []
        for finding in found.evaluation.findings:
            for name, point in found.evaluation.operating_points[finding].items():
                counts = point.confusion
                rows.append(
                    (
                        f"{plain(finding)}, {plain(name)}",
                        f"{point.threshold:.4g}",
                        f"{counts.fn:,} of {counts.fn + counts.tp:,}",
                        f"{counts.fp:,} of {counts.fp + counts.tn:,}",
                    )
                )
        lines += table(("point", "probability from", "missed", "false alarms"), rows)
    agreement = subject.manifest.engine.agreement
    engine = (
        "how far its probabilities lie from torch's was not measured here"
        if agreement is None
        else f"its probabilities may move by up to {agreement.largest_probability_difference:.2g} "
        f"from torch's on {agreement.n:,} films of {agreement.role} as carried; another engine's "
        "record says its own"
    )
    return [
        *lines,
        *bullets(
            (
                f"**Another engine**: {engine}.",
                "**Recalibration**: probabilities that readers have got used to mean something "
                "else; tell them, and name the day.",
                "**New weights**: errors on other films than before, even where every figure is "
                "better. `hilum compare` counts the films that change sides; look at those that "
                "were right and are wrong.",
                "**Several changes at once**: one at a time, or nobody knows which did it.",
            )
        ),
    ]
