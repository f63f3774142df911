"""About: what a bundle is, what it is for and what not, whom it was made from, and how.

All of it is the bundle's own record; figures stand in the sections beside this.
"""

from __future__ import annotations

from collections.abc import Iterator

from hilum.bundle import NOT_A_DEVICE
from hilum.card.markdown import Lines, bullets, code, plain, table
from hilum.card.subject import Subject

UNKNOWN = "the source does not tell"
_REFERENCES = (
    "Mitchell et al. 2019, Model Cards for Model Reporting, "
    "<https://doi.org/10.1145/3287560.3287596>: the form of this card.",
    "FDA 2024, Marketing Submission Recommendations for a Predetermined Change Control Plan for "
    "Artificial Intelligence-Enabled Device Software Functions: the parts of the change plan.",
    "ONC 2024, HTI-1 final rule, 45 CFR 170.315(b)(11): the source attributes, which this card "
    "answers where the run knows them.",
)


def what_it_is(subject: Subject) -> Lines:
    """Title, what must be said first, and the classifier in a table."""
    manifest = subject.manifest
    lines = [f"# {plain(manifest.name)}", "", f"**{NOT_A_DEVICE}**", ""]
    if manifest.synthetic:
        lines += ["**SYNTHETIC: trained on images that no patient stands behind.**", ""]
    meanings = "; ".join(
        f"{finding}: {manifest.meanings.get(finding, UNKNOWN)}" for finding in manifest.findings
    )
    size = manifest.engine.input_size
    referring = ", or refers the film to a reader instead" if manifest.abstention else ""
    made = (
        f"elsewhere, from {manifest.source}"
        if subject.foreign
        else f"{manifest.created[:10]}, from {manifest.source}"
    )
    return [
        *lines,
        "Says of a frontal chest radiograph how probable "
        f"{plain(', '.join(manifest.findings))} is{referring}. What was not looked at, this card "
        "names as such.",
        "",
        *table(
            ("", ""),
            (
                ("What a 1 means", plain(meanings)),
                ("Input", "one film (PNG, JPEG, TIFF, DICOM), seen as "
                 f"{size} × {size} grey pixels; no age, sex, history or earlier film"),
                ("Output", "the model's own probability, and a decision" if subject.foreign
                 else "a calibrated probability, and a decision"),
                ("Network", plain(f"{manifest.backbone.name}; first weights: "
                                  f"{manifest.backbone.weights or 'not known'}")),
                ("Made", plain(made)),
                ("Digest", code(subject.digest)),
            ),
        ),
    ]  # fmt: skip


def use(subject: Subject) -> Lines:
    """What it is for, for whom, and what it must not be used for."""
    no_answer = (
        "it does not say when it meets one"
        if subject.manifest.abstention is None
        else "it refers many of their films to a reader, not all"
    )
    return [
        "## What it is for",
        "",
        *bullets(
            (
                f"**Intended use**: {plain(subject.manifest.intended_use)} To study how such a "
                "classifier does, where it fails, and what a site would have to do first.",
                "**Users**: researchers who report on classifiers; clinical data scientists who "
                "judge one on their own hospital's films; engineers who test one beside a PACS.",
            )
        ),
        "**Not for:**",
        "",
        *bullets(
            (
                "any decision on a patient: diagnosis, triage, the order of a worklist, leaving a "
                "film unread;",
                "films other than frontal chest radiographs, and findings other than "
                f"{plain(', '.join(subject.manifest.findings))}: that it calls one absent does not "
                "mean that the film is normal;",
                "patients unlike those it was made from: it knows nothing of them, and "
                f"{no_answer};",
                "proof of where a finding lies: a map shows what moves the answer, not illness.",
            )
        ),
    ]


def population(subject: Subject) -> Lines:
    """Whom it was made from, as far as the bundle's record knows."""
    manifest = subject.manifest
    lines = ["## Whom it was made from", ""]
    if not subject.roles:
        return [
            *lines,
            f"From {plain(manifest.source)}. Of which images, and of whom, is not on record.",
            "",
        ]
    lines += [f"{plain(manifest.source)} ({plain(manifest.licence or 'licence unknown')}).", ""]
    first, *others = manifest.findings
    head = ["role", "images", *([] if others else ["present", "absent"]), "what it was used for"]
    lines += table(head, (_role(subject, role, first, alone=not others) for role in subject.roles))
    if others:
        train = subject.roles["train"]["n_by_label"]
        lines += table(
            ("finding, in train", "present", "absent", "unknown"),
            ((plain(f), *(f"{train[f].get(k, 0):,}" for k in ("present", "absent", "unknown")))
             for f in manifest.findings),
        )  # fmt: skip
    return [*lines, *bullets(_who(subject))]


_USED_FOR = {
    "train": "fits the weights",
    "tune": "stops training",
    "calibrate": "fits calibrator, operating points and limits",
    "test": "is opened to judge alone",
}


def _role(subject: Subject, role: str, finding: str, *, alone: bool) -> tuple[str, ...]:
    facts = subject.roles[role]
    counts = facts["n_by_label"][finding]
    labels = (f"{counts['present']:,}", f"{counts['absent']:,}") if alone else ()
    return (role, f"{facts['n']:,}", *labels, _USED_FOR.get(role, ""))


def _who(subject: Subject) -> Iterator[str]:
    told, train = subject.manifest.roles, subject.roles.get("train", {})
    ages = train.get("ages")
    yield (
        f"**Ages in train**: {ages['low']:.0f} to {ages['high']:.0f} years, known of "
        f"{ages['n']:,} of {train['n']:,} images; 90 stands for all above."
        if ages
        else f"**Ages**: {UNKNOWN}."
    )
    for key, name in (("sexes", "Sex"), ("views", "Views")):
        counts = train.get(key)
        known = ", ".join(f"{plain(value)} {n:,}" for value, n in (counts or {}).items())
        yield f"**{name} in train**: {known}." if known else f"**{name}**: {UNKNOWN}."
    sites = train.get("sites")
    yield f"**Sites in train**: {sites:,}." if sites else f"**Sites**: {UNKNOWN}."
    yield "**X-ray machines, ancestry, illness and treatment**: not in the bundle's record."
    grouping = {
        "patient": "no patient stands in two roles, where patients are known",
        "image": "no patient is known, so one may stand in two roles",
    }
    yield (
        f"**Roles**: {grouping.get(str(told.get('grouping')), 'not told')}; no image, and no copy "
        f"of one that was found, stands in two. {len(told.get('excluded', ())):,} images were left "
        "out of all roles."
    )


def how_it_was_made(subject: Subject) -> Lines:
    """Versions, commit, machine and licence; warnings of the run; sources of this card."""
    manifest = subject.manifest
    lines = ["## How it was made", ""]
    if subject.foreign:
        stated = manifest.recipe["foreign"]
        lines += [
            plain(f"{stated['file']}, read as {stated['stated_in']} states. How it was trained is "
                  f"not known. Licence: {manifest.licence or 'unknown'}."),
            "",
        ]  # fmt: skip
    else:
        versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
        lines += bullets(
            (
                f"Recipe {code(str(manifest.recipe['name']))}, seed {manifest.recipe['seed']}; all "
                "of it stands in `bundle.json`.",
                f"Commit {code(manifest.commit or 'not known')}; {plain(manifest.machine)}.",
                f"Versions: {plain(versions)}.",
                f"Licence of the images: {plain(manifest.licence or 'unknown')}. The front matter "
                "repeats it; who publishes the weights answers for theirs.",
            )
        )
    if manifest.warnings:
        lines += ["## Warnings", "", *bullets(map(plain, manifest.warnings))]
    return [*lines, "## Sources of this card", "", *bullets(_REFERENCES)]
