"""The items of CLAIM 2024 and TRIPOD+AI, in our own short words, and what of a run answers each.

The numbers are those of the published checklists; their sentences are not repeated here. How an
answer is made is left to `answers`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hilum.evaluation.report.checklist.answers import Topic, data, model, results


@dataclass(frozen=True)
class Item:
    """One item: its number, what it asks, which topics answer it, and what is left when they do.

    rest: what no run can know of it; "" when the topics answer all of it
    unrecorded: what is left besides when the model's record is not there
    """

    number: str
    part: str
    asks: str
    topics: tuple[Topic, ...] = ()
    rest: str = ""
    unrecorded: str = ""


@dataclass(frozen=True)
class Guideline:
    """A reporting checklist. source: a key of `references.REFERENCES`"""

    name: str
    source: str
    items: tuple[Item, ...]


_TITLE, _INTRODUCTION, _METHODS = "Title and abstract", "Introduction", "Methods"
_RESULTS, _DISCUSSION, _OTHER = "Results", "Discussion", "Other information"
_OPEN, _PUBLIC = "Open science", "Patients and public"

CLAIM = Guideline(
    "CLAIM 2024",
    "CLAIM 2024",
    (
        Item("1", _TITLE, "Title or abstract says that AI is used, and of which kind"),
        Item("2", _TITLE, "A summary from design to conclusion"),
        Item(
            "3",
            _INTRODUCTION,
            "Why it is needed, what it is for, its place in care",
            (model.intended_use,),
            "the background, and its place in care",
        ),
        Item("4", _INTRODUCTION, "What the study asks, and any hypothesis"),
        Item("5", _METHODS, "Whether images were collected for the study or before it"),
        Item("6", _METHODS, "What kind of study it is: new model, its test, feasibility"),
        Item(
            "7",
            _METHODS,
            "Where the data come from",
            (data.evaluated_on, data.trained_on),
            "where, when and by whom the images were made",
            unrecorded="the data of training",
        ),
        Item(
            "8",
            _METHODS,
            "Who was let in and who was kept out",
            (data.left_out,),
            "the clinical criteria",
        ),
        Item(
            "9",
            _METHODS,
            "What was done to the images beforehand",
            (model.preprocessing, model.normalisation),
        ),
        Item(
            "10",
            _METHODS,
            "Which part of the data, or of each image, was used",
            (data.counted, data.left_out),
            "any choice made before these images reached the run",
        ),
        Item("11", _METHODS, "How identities were removed"),
        Item(
            "12",
            _METHODS,
            "What was done about missing data",
            (data.missing,),
            unrecorded="missing data in training",
        ),
        Item("13", _METHODS, "How the images were made: devices, settings, views"),
        Item("14", _METHODS, "How the truth was established"),
        Item("15", _METHODS, "Why it was established in that way"),
        Item("16", _METHODS, "Who annotated, and with what training"),
        Item("17", _METHODS, "How the test images were annotated"),
        Item("18", _METHODS, "How far annotators agree, with others and with themselves"),
        Item(
            "19",
            _METHODS,
            "How images were divided between training and testing",
            (data.partitions,),
        ),
        Item(
            "20",
            _METHODS,
            "What the divisions never share: patient, image",
            (data.disjoint, data.left_out),
        ),
        Item(
            "21",
            _METHODS,
            "How many were wanted, and why so many",
            (data.counted,),
            "how many were planned, and why",
        ),
        Item(
            "22",
            _METHODS,
            "The model, from input to output",
            (model.network, model.normalisation, model.calibration),
        ),
        Item("23", _METHODS, "Software and versions", (model.software,)),
        Item("24", _METHODS, "Weights at the start", (model.first_weights,)),
        Item("25", _METHODS, "How it was trained", (model.training,)),
        Item(
            "26",
            _METHODS,
            "How the final model was picked",
            (model.stopping,),
            "how this recipe was chosen among others",
        ),
        Item("27", _METHODS, "Whether models are combined", (model.one_network,)),
        Item(
            "28",
            _METHODS,
            "Figures by which it is judged",
            (results.metrics, results.curves),
            "why these, and which was primary",
        ),
        Item("29", _METHODS, "Uncertainty and significance", (results.uncertainty,)),
        Item("30", _METHODS, "How results bear other assumptions or inputs"),
        Item("31", _METHODS, "How its answers are explained"),
        Item(
            "32",
            _METHODS,
            "Judged on data of the source it was trained on",
            (results.same_source,),
        ),
        Item("33", _METHODS, "Judged on data from elsewhere", (results.other_source,)),
        Item("34", _METHODS, "Trial registration"),
        Item(
            "35",
            _RESULTS,
            "How many came in and how many fell out",
            (data.counted, data.left_out, data.missing),
            "those who fell out before these images reached the run",
        ),
        Item(
            "36",
            _RESULTS,
            "Who stands in each division",
            (data.numbers_by_role, data.groups),
            "age, sex and illness in each division",
        ),
        Item(
            "37",
            _RESULTS,
            "Performance on every division, with uncertainty",
            (results.performance, results.other_roles),
            unrecorded="performance on the data of training",
        ),
        Item(
            "38",
            _RESULTS,
            "Diagnostic accuracy and how precise it is",
            (results.accuracy, results.sets),
        ),
        Item(
            "39",
            _RESULTS,
            "Where it errs, and why",
            (results.errors, results.gaps),
            "why it errs",
        ),
        Item("40", _DISCUSSION, "Limits of the study", (results.told_limits,), "all other limits"),
        Item(
            "41",
            _DISCUSSION,
            "What follows for practice, and the use in mind",
            (model.intended_use,),
            "what follows for practice",
        ),
        Item(
            "42",
            _OTHER,
            "Where the protocol or more technical detail is",
            (model.command, model.bundle_identity),
            "the protocol",
        ),
        Item(
            "43",
            _OTHER,
            "Where software, model and data are to be had",
            (model.code, model.bundle_identity, data.trained_on),
            "where they are to be had",
        ),
        Item("44", _OTHER, "Who paid, and what they had a say in"),
    ),
)

TRIPOD_AI = Guideline(
    "TRIPOD+AI 2024",
    "TRIPOD+AI 2024",
    (
        Item("1", _TITLE, "Title names development or evaluation, the patients, the outcome"),
        Item("2", _TITLE, "Abstract by the checklist for abstracts"),
        Item("3a", _INTRODUCTION, "The clinical setting, why a model, which ones exist"),
        Item(
            "3b",
            _INTRODUCTION,
            "For whom, by whom and for what it is to be used",
            (model.intended_use,),
            "patients, users and place in care",
        ),
        Item("3c", _INTRODUCTION, "Known inequalities in health between groups"),
        Item("4", _INTRODUCTION, "Aims: development, evaluation or both"),
        Item(
            "5a",
            _METHODS,
            "Sources of data, for development and for evaluation",
            (data.evaluated_on, data.trained_on),
            "what kind of data they are, why these, whom they represent",
            unrecorded="the data of development",
        ),
        Item("5b", _METHODS, "Dates of collection"),
        Item("6a", _METHODS, "Setting and centres", (results.clusters,), "what the centres are"),
        Item(
            "6b",
            _METHODS,
            "Who was eligible",
            (data.left_out,),
            "the clinical criteria",
        ),
        Item("6c", _METHODS, "Treatments, and how they were handled"),
        Item(
            "7",
            _METHODS,
            "Preparation and checks of the data",
            (model.preprocessing, data.left_out),
            "whether they were alike in all groups of people",
        ),
        Item(
            "8a",
            _METHODS,
            "What is predicted, and how it was assessed",
            (model.findings,),
            "how, when and by which standard it was assessed",
        ),
        Item("8b", _METHODS, "Who assessed the outcome, where that takes judgement"),
        Item("8c", _METHODS, "Blinding of that assessment"),
        Item("9a", _METHODS, "Which predictors were considered", (model.predictors,)),
        Item(
            "9b",
            _METHODS,
            "Each predictor, how and when measured",
            (model.predictors, model.preprocessing),
            "how and when the images were taken",
        ),
        Item(
            "9c",
            _METHODS,
            "Who assessed predictors, where that takes judgement",
            (model.predictors,),
        ),
        Item(
            "10",
            _METHODS,
            "How many, and whether that is enough",
            (data.counted, data.numbers_by_role),
            "how the size was arrived at, and why it suffices",
        ),
        Item(
            "11",
            _METHODS,
            "Missing data",
            (data.missing,),
            unrecorded="missing data in development",
        ),
        Item(
            "12a",
            _METHODS,
            "What the data were used for",
            (data.partitions, data.disjoint),
        ),
        Item(
            "12b",
            _METHODS,
            "How predictors entered the model",
            (model.preprocessing, model.normalisation),
        ),
        Item(
            "12c",
            _METHODS,
            "The kind of model, its making, its tuning",
            (model.network, model.first_weights, model.training, model.stopping),
            "why this model, and any search for settings",
        ),
        Item(
            "12d",
            _METHODS,
            "Differences between centres: how they were looked at",
            (results.clusters,),
            "any model of these differences",
        ),
        Item(
            "12e",
            _METHODS,
            "Figures and plots of performance",
            (results.metrics, results.curves, results.uncertainty),
            "why these",
        ),
        Item("12f", _METHODS, "Whether evaluation led to a change", (model.not_updated,)),
        Item("12g", _METHODS, "How predictions were computed", (model.how_predicted,)),
        Item(
            "13",
            _METHODS,
            "What was done about rare classes, and recalibration after it",
            (model.imbalance, model.calibration),
            "why",
        ),
        Item(
            "14",
            _METHODS,
            "What was done for fairness",
            (results.gaps,),
            "any step beyond looking at groups",
        ),
        Item(
            "15",
            _METHODS,
            "What comes out: probability, class, and how thresholds were set",
            (model.thresholds, model.prediction_sets),
            "why these thresholds suit the use",
            unrecorded="on which images they were chosen",
        ),
        Item(
            "16",
            _METHODS,
            "How evaluation data differ from development data",
            (data.differences,),
            "differences of setting, patients and assessment",
        ),
        Item("17", _METHODS, "Ethics approval and consent"),
        Item("18a", _OPEN, "Funding"),
        Item("18b", _OPEN, "Conflicts of interest"),
        Item("18c", _OPEN, "Protocol"),
        Item("18d", _OPEN, "Registration"),
        Item(
            "18e",
            _OPEN,
            "Whether the data are to be had",
            (data.trained_on,),
            "where they are to be had",
        ),
        Item(
            "18f",
            _OPEN,
            "Whether the code is to be had",
            (model.code, model.command),
            "where it is to be had",
        ),
        Item("19", _PUBLIC, "How patients and the public had a part"),
        Item(
            "20a",
            _RESULTS,
            "The way of participants through the study",
            (data.counted, data.left_out, data.missing),
            "participants before these images reached the run",
        ),
        Item(
            "20b",
            _RESULTS,
            "Who they are, overall and by source",
            (data.counted, data.groups),
            "dates, illness, treatment and differences between groups of people",
        ),
        Item(
            "20c",
            _RESULTS,
            "How they compare with those of development",
            (data.differences,),
            "the distribution of age, sex and illness",
        ),
        Item(
            "21",
            _RESULTS,
            "Numbers in each analysis, with events",
            (data.numbers_by_role, data.counted),
            unrecorded="the numbers of development",
        ),
        Item(
            "22",
            _RESULTS,
            "The model in full, so that others can use it",
            (model.network, model.bundle_identity),
            "how it is to be had, and under which terms",
        ),
        Item(
            "23a",
            _RESULTS,
            "Performance with intervals, also by group",
            (results.performance, results.accuracy, results.gaps),
        ),
        Item("23b", _RESULTS, "Performance between centres", (results.clusters,)),
        Item("24", _RESULTS, "Results of a change of the model", (model.not_updated,)),
        Item("25", _DISCUSSION, "What the results mean, fairness among it"),
        Item("26", _DISCUSSION, "Limits of the study", (results.told_limits,), "all other limits"),
        Item("27a", _DISCUSSION, "What to do with poor or missing input in use"),
        Item("27b", _DISCUSSION, "What users must do and know"),
        Item("27c", _DISCUSSION, "Next steps, and where it may apply"),
    ),
)

GUIDELINES = (CLAIM, TRIPOD_AI)
