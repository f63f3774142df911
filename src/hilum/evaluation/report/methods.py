"""Methods: one plain sentence on how each figure is computed, and the papers it rests on.

The papers stand in `references`, the names of the figures in `words`. docs/methods.md is this
table, by `methods_page`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hilum.estimates import Estimate
from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report.reading import calibrated
from hilum.evaluation.report.references import REFERENCES, Reference
from hilum.evaluation.report.words import FIGURE_WORDS, POINT_WORDS, words

__all__ = ["FIGURE_WORDS", "NOTES", "POINT_WORDS", "Note", "methods_page", "notes", "words"]


@dataclass(frozen=True)
class Note:
    """How one thing is computed, and when an evaluation uses it.

    sources: keys of REFERENCES
    figures: names of the figures it speaks of; used when one of them is given
    method: words of an interval's method; used when they all stand in one
    feature: of the evaluation, one of `_features`
    A note with none of the three is always used.
    """

    chapter: str
    title: str
    sentence: str
    sources: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    feature: str = ""

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(REFERENCES[key] for key in self.sources)


NOTES = (
    Note(
        "Intervals",
        "Bootstrap",
        "Patients, or images where no patient is known, are drawn with replacement as often as "
        "there are any, 2,000 times unless told otherwise; the limits are the 2.5th and 97.5th "
        "percentile of the figure over these draws, the same draws for every figure.",
        ("Efron 1993",),
        method=("bootstrap",),
    ),
    Note(
        "Intervals",
        "Bootstrap on the logit scale",
        "A resample holds images twice and so ranks them too well; for figures of ranking the "
        "draws give the standard error alone, and the limits lie 1.96 of it away on the logit "
        "scale.",
        ("Boyd 2013",),
        method=("bootstrap", "logit scale"),
    ),
    Note(
        "Intervals",
        "Bootstrap moved by its bias",
        "A calibration error grows with noise, and drawing from the data adds their noise a second "
        "time; the percentiles are moved down by what the draws exceed the figure on average.",
        ("Efron 1993",),
        method=("moved by their bias",),
    ),
    Note(
        "Intervals",
        "Proportions",
        "A share of images has its Wilson score interval.",
        ("Wilson 1927",),
        method=("Wilson",),
    ),
    Note(
        "Intervals",
        "Proportions, several images of a patient",
        "The number of images is divided by the design effect, that is by how much more patients "
        "vary than images drawn independently would, before Wilson's interval is taken; where all "
        "images are alike in outcome it is divided by the images per patient. Where patients are "
        "few, it is shrunk further, as Student's t is wider than the normal.",
        ("Rao 1992", "Korn 1998"),
        method=("design effect",),
    ),
    Note(
        "Discrimination",
        "AUROC",
        "The chance that an image with the finding scores above one without, ties counted half; "
        "its interval is DeLong's, set on the logit scale.",
        ("DeLong 1988", "Sun 2014"),
        figures=("auroc",),
    ),
    Note(
        "Discrimination",
        "AUROC, several images of a patient",
        "DeLong's components are summed within patients before their variance is taken.",
        ("Obuchowski 1997",),
        method=("DeLong", "by patient"),
    ),
    Note(
        "Discrimination",
        "AUROC where DeLong's variance is 0 or rests on too few",
        "Where the classes are separated, all scores are equal, or a class holds fewer than 20 "
        "images (patients, where they are known), the interval is Newcombe's method 5, which "
        "takes the variance at the limit.",
        ("Newcombe 2006",),
        method=("Newcombe's method 5",),
    ),
    Note(
        "Discrimination",
        "Partial AUROC",
        "The area under the ROC curve where specificity is 0.9 or more, standardised so that 0.5 "
        "is chance and 1 is perfect.",
        ("McClish 1989",),
        figures=("partial_auroc",),
    ),
    Note(
        "Discrimination",
        "Average precision",
        "The mean, over images with the finding, of the precision at each one's own score, without "
        "interpolation; chance is the prevalence.",
        ("Manning 2008",),
        figures=("average_precision",),
    ),
    Note(
        "Discrimination",
        "Sensitivity at a fixed specificity, and the reverse",
        "The greatest sensitivity that a threshold with at least that specificity reaches on these "
        "images, without interpolation; as the threshold is chosen on the images it is judged on, "
        "it is what could be reached, not what an operating point yields.",
        figures=tuple(name for name in FIGURE_WORDS if "_at_" in name),
    ),
    Note(
        "Decisions",
        "Shares at an operating point",
        "Positive is a probability (a bundle's is calibrated, anybody else's taken as given) at or "
        "above the threshold; accuracy, sensitivity, specificity, PPV and NPV are shares of "
        "images, PPV and NPV at the prevalence of these images.",
        ("Wilson 1927",),
        figures=("accuracy", "sensitivity", "specificity", "ppv", "npv"),
    ),
    Note(
        "Decisions",
        "Likelihood ratios",
        "How much more often an image with the finding is called positive (LR+) or negative (LR−) "
        "than one without; limits on the log scale by the delta method, summed within patients.",
        ("Simel 1991",),
        figures=("lr_positive", "lr_negative"),
    ),
    Note(
        "Decisions",
        "PPV and NPV at a stated prevalence",
        "Bayes' rule turns the likelihood ratio and its limits into PPV and NPV; it supposes that "
        "sensitivity and specificity stay as they are at another prevalence.",
        ("Mercaldo 2007",),
        feature="prevalence",
    ),
    Note(
        "Decisions",
        "F1, balanced accuracy, MCC",
        "F1 is 2 TP / (2 TP + FP + FN), balanced accuracy the mean of sensitivity and specificity, "
        "MCC the correlation of decision and label; F1 and MCC move with the prevalence.",
        ("Brodersen 2010", "Matthews 1975"),
        figures=("f1", "balanced_accuracy", "mcc"),
    ),
    Note(
        "Decisions",
        "Operating points",
        "Thresholds are fixed before these images are opened, on the calibrate role: by the "
        "greatest sensitivity + specificity − 1 (Youden), by a target sensitivity or specificity, "
        "by what a miss costs against a false alarm, or by F-beta; each point states its rule.",
        ("Youden 1950", "Elkan 2001"),
        feature="rules",
    ),
    Note(
        "Reliability",
        "Brier score",
        "The mean squared difference between probability and label; 0 is best.",
        ("Brier 1950",),
        figures=("brier", "brier_uncalibrated"),
    ),
    Note(
        "Reliability",
        "Decomposition of the Brier score",
        "Brier = miscalibration − resolution + uncertainty: miscalibration is the squared distance "
        "of stated and observed over equal-mass bins less what chance puts into it, uncertainty "
        "what the prevalence alone would earn, and resolution the rest, so that variation within a "
        "bin counts as resolution; the unbiased parts may fall below 0.",
        ("Murphy 1973", "Stephenson 2008", "Ferro 2012", "Bröcker 2012"),
        figures=("brier_reliability", "brier_resolution", "brier_uncertainty"),
    ),
    Note(
        "Reliability",
        "Log loss",
        "The mean negative logarithm of the probability given to what was the case, in nats; a "
        "probability of exactly 0 or 1 that is wrong costs 36.",
        ("Good 1952",),
        figures=("log_loss", "log_loss_uncalibrated"),
    ),
    Note(
        "Reliability",
        "Calibration error (ECE)",
        "The root mean square distance of stated and observed over 15 bins of about equal numbers "
        "of images (fewer below 150 images), less what chance alone puts into it, and 0 where that "
        "leaves less than nothing.",
        ("Roelofs 2022", "Bröcker 2012", "Ferro 2012"),
        figures=("ece", "ece_uncalibrated"),
    ),
    Note(
        "Reliability",
        "ECE over equal-width bins",
        "The mean absolute distance of stated and observed over 15 equal steps of probability, as "
        "most papers give it; it is biased upward, more so the fewer the images, and stands here "
        "for comparison with papers alone.",
        ("Naeini 2015", "Guo 2017"),
        figures=("ece_equal_width",),
    ),
    Note(
        "Reliability",
        "Calibration intercept and slope",
        "Logistic regressions of the label on logit(probability): the intercept with the slope "
        "held at 1 (above 0: probabilities too low on the whole), and the slope (below 1: too "
        "extreme); Wald limits with a sandwich variance, summed within patients; no slope where "
        "the scores separate the classes.",
        ("Cox 1958", "Van Calster 2016", "Van Calster 2019", "Liang 1986", "Albert 1984"),
        figures=("calibration_intercept", "calibration_slope"),
    ),
    Note(
        "Reliability",
        "Smooth calibration curve and ICI",
        "The label is regressed on a restricted cubic spline of logit(probability) with 5 knots (3 "
        "where a class is small); the index is the mean absolute distance of this curve from what "
        "was stated.",
        ("Austin 2019", "Harrell 2015"),
        figures=("ici",),
    ),
    Note(
        "Reliability",
        "No Hosmer–Lemeshow test",
        "Its p value falls with the number of images and turns on the choice of groups, and it "
        "says neither how far nor in which direction probabilities are off; it is not given.",
        ("Kramer 2007", "Van Calster 2019"),
        figures=("calibration_slope",),
    ),
    Note(
        "Reliability",
        "Uncalibrated figures",
        "The same figures of sigmoid(logit), the network's output before any calibrator.",
        feature="calibrated",
    ),
    Note(
        "Reliability",
        "Calibrators",
        "Temperature, Platt, beta and isotonic calibration are fitted on the calibrate role, per "
        "finding; the first of them whose cross-validated log loss lies within one standard error "
        "of the least is kept, unless the recipe names one.",
        ("Guo 2017", "Platt 1999", "Kull 2017", "Zadrozny 2002", "Breiman 1984"),
        feature="bundle",
    ),
    Note(
        "Utility",
        "Net benefit and decision curve",
        "True positives less false positives weighted by the odds of the threshold, per image: "
        "what acting at that probability gains over acting on no one, beside acting on everyone.",
        ("Vickers 2006",),
        figures=("net_benefit",),
    ),
    Note(
        "Utility",
        "Selective risk",
        "Images are set aside from the least certain on, that is from the probability nearest the "
        "threshold in logits; the curve gives the errors among those answered, and AUGRC the mean "
        "over all coverages of errors let through as a share of all images (half the error rate is "
        "chance).",
        ("Traub 2024",),
        figures=("augrc",),
    ),
    Note(
        "Utility",
        "Prediction sets",
        "Split conformal prediction, each class with its own limit from the calibrate role: a set "
        "holds the true class with at least the stated chance in each class, if these images are "
        "exchangeable with those; both classes, or none (neither is likely enough), means: "
        "refer to a person.",
        ("Vovk 2012", "Sadinle 2019", "Angelopoulos 2023"),
        feature="prediction_sets",
    ),
    Note(
        "Groups",
        "Subgroups",
        "Figures at the deployed point per group, each group against all other images of known "
        "group; Brier score and ECE have normal limits with a sandwich variance, "
        "differences Newcombe's hybrid interval, and p values are adjusted by Holm's method over "
        "all gaps tested in a finding.",
        ("Newcombe 1998", "Holm 1979", "Liang 1986"),
        feature="subgroups",
    ),
    Note(
        "Groups",
        "Mean over findings",
        "The plain mean of each figure over the findings that have it, on the same resamples; "
        "accuracy, sensitivity and the like are taken at each finding's deployed point.",
        feature="macro",
    ),
    Note(
        "Beside an evaluation",
        "Label-error candidates",
        "Confident learning: an image whose probability for the other class exceeds the mean "
        "probability of the images that bear that class; candidates for review, not errors. In "
        "`label_review.csv` a name that begins with =, +, -, @, a tab or a carriage return has a "
        "single quote before it, lest a spreadsheet run it as a formula.",
        ("Northcutt 2021",),
        feature="label_errors",
    ),
    Note(
        "Beside an evaluation",
        "Comparison of two classifiers",
        "On the same images: DeLong's paired test of AUROC (Holm's correction over findings), "
        "McNemar's mid-p test of decisions (whole patients where several images are of one), and a "
        "paired bootstrap by patient of any figure, with a normal interval; the net "
        "reclassification index is not given, as it can favour the worse calibrated model.",
        (
            "DeLong 1988",
            "McNemar 1947",
            "Fagerland 2013",
            "Obuchowski 1998",
            "Yang 2010",
            "Bonett 2012",
            "Holm 1979",
            "Hilden 2014",
            "Pepe 2014",
        ),
        feature="comparison",
    ),
    Note(
        "Beside an evaluation",
        "Reporting checklists",
        "`checklist.md` answers from the run what it can of CLAIM 2024 and TRIPOD+AI.",
        ("CLAIM 2024", "TRIPOD+AI 2024"),
    ),
)


def notes(
    evaluation: Evaluation, *, beside: tuple[str, ...] = (), without: tuple[str, ...] = ()
) -> tuple[Note, ...]:
    """The notes that this evaluation uses, in the table's order.

    beside: what stands beside the evaluation in the same report: "label_errors", "comparison"
    without: features that this model does not have, whatever the evaluation looks like
    """
    given = {name for name, estimate in _estimates(evaluation) if estimate.value is not None}
    methods = {estimate.method for _, estimate in _estimates(evaluation)}
    features = {*_features(evaluation), *beside}.difference(without)
    return tuple(
        note
        for note in NOTES
        if given.intersection(note.figures)
        or (note.method and any(all(w in m for w in note.method) for m in methods))
        or note.feature in features
        or not (note.figures or note.method or note.feature)
    )


def _features(evaluation: Evaluation) -> Iterator[str]:
    points = [p for of in evaluation.operating_points.values() for p in of.values()]
    curves = evaluation.curves.values()
    if any(p.at_prevalence for p in points) or any(c.prevalence is not None for c in curves):
        yield "prevalence"
    if any(calibrated(evaluation, finding) for finding in evaluation.findings):
        yield "calibrated"
    if evaluation.bundle is not None:
        yield "bundle"
        # Where somebody else's thresholds come from is not known.
        if any(point.rule for point in points):
            yield "rules"
    if evaluation.prediction_sets:
        yield "prediction_sets"
    if any(evaluation.subgroups.values()):
        yield "subgroups"
    if evaluation.macro:
        yield "macro"


def _estimates(evaluation: Evaluation) -> Iterator[tuple[str, Estimate]]:
    for figures in (*evaluation.figures.values(), evaluation.macro):
        yield from figures.items()
    for points in evaluation.operating_points.values():
        for point in points.values():
            yield from point.figures.items()
    for sets in evaluation.prediction_sets.values():
        yield from sets.figures.items()
    for breakdowns in evaluation.subgroups.values():
        for breakdown in breakdowns:
            for group in breakdown.groups:
                yield from group.figures.items()


def methods_page() -> str:
    """docs/methods.md: every note by chapter, then the papers."""
    lines = [
        "# How each figure is computed",
        "",
        "One sentence a figure, and the papers behind it. A report prints the notes that it uses.",
        "This page is made from `hilum.evaluation.report.methods` by",
        "",
        "```sh",
        "python -c 'from hilum.evaluation.report import methods as m; print(m.methods_page(), "
        'end="")\' > docs/methods.md',
        "```",
        "",
    ]
    for chapter in dict.fromkeys(note.chapter for note in NOTES):
        lines += [f"## {chapter}", "", "| | how | source |", "|---|---|---|"]
        for note in NOTES:
            if note.chapter == chapter:
                lines.append(f"| {note.title} | {note.sentence} | {', '.join(note.sources)} |")
        lines.append("")
    lines += ["## Sources", "", "| | |", "|---|---|"]
    for key, reference in REFERENCES.items():
        # Angle brackets in old DOIs would be taken for HTML.
        text = reference.in_words.replace("<", "&lt;").replace(">", "&gt;")
        lines.append(f"| {key} | {text} |")
    return "\n".join(lines) + "\n"
