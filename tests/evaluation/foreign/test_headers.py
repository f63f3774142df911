import pytest

from hilum.errors import EvaluationError
from hilum.evaluation.foreign.headers import Columns, FindingColumns, Headers, find_columns
from hilum.evaluation.subgroups.grouping import GroupBy


def found(names: str, **headers: object) -> Columns:
    return find_columns(Headers(**headers), names.split(","), "theirs.csv")  # type: ignore[arg-type]


def only(columns: Columns) -> FindingColumns:
    (finding,) = columns.findings
    return finding


USUAL = {
    "id": ["id", "image_id", "image", "path", "filename", "Image ID", "FileName"],
    "label": ["label", "y_true", "target", "Y_True"],
    "prob": ["prob", "probability", "y_score", "score", "pred", "Probability"],
    "patient": ["patient_id", "patient", "patientId", "PATIENT"],
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in USUAL.items() for name in names]
)
def test_usual_names_are_found_in_any_case(kind: str, name: str) -> None:
    names = {each: usual[0] for each, usual in USUAL.items()} | {kind: name}
    columns = found(",".join(["report", *reversed(names.values())]))
    assert (columns.image_id, columns.patient_id) == (names["id"], names["patient"])
    assert only(columns) == FindingColumns("Finding", names["label"], names["prob"], None)
    assert columns.names == [names[each] for each in ("id", "patient", "label", "prob")]


def test_of_several_usual_names_hilums_own_is_taken() -> None:
    columns = found("path,image_id,patient,patient_id,label,pred,prob")
    assert (columns.image_id, columns.patient_id) == ("image_id", "patient_id")
    assert only(columns).prob == "prob"


def test_hilums_own_columns_are_found_with_their_decisions() -> None:
    columns = found(
        "image_id,patient_id,label_pneumonia,logit_pneumonia,prob_pneumonia,decision,site,view,age,sex"
    )
    assert only(columns) == FindingColumns(
        "Pneumonia", "label_pneumonia", "prob_pneumonia", "logit_pneumonia", "decision"
    )
    assert list(columns.groups) == ["site", "view", "age", "sex"]
    many = found(
        "image_id,label_a_b,logit_a_b,prob_a_b,label_c,logit_c,prob_c,decision_a_b,decision_c"
    )
    assert [each.decision for each in many.findings] == ["decision_a_b", "decision_c"]
    assert [each.finding for each in many.findings] == ["A B", "C"]


def test_a_decision_of_somebody_elses_is_not_taken_for_hilums() -> None:
    assert only(found("id,label_x,logit_x,prob_x,decision")).decision is None
    assert only(found("image_id,label,logit,prob,decision")).decision is None
    assert only(found("image_id,label_x,prob_x,decision")).decision is None
    mapped = found("image_id,label_x,logit_x,prob_x,decision,p", findings=("X=label_x,p",))
    assert only(mapped).decision is None


def test_findings_are_found_by_prefix_spelled_as_noted_and_the_others_named() -> None:
    names = "id,label_Pleural Effusion,prob_pleural_effusion,label_edema,logit_edema,prob_mass"
    columns = find_columns(Headers(), names.split(","), "f", spelled=["pleural Effusion"])
    assert columns.findings == (
        FindingColumns("pleural Effusion", "label_Pleural Effusion", "prob_pleural_effusion", None),
        FindingColumns("Edema", "label_edema", None, "logit_edema"),
    )
    assert columns.left_out == ("prob_mass",)


def test_flags_name_columns_but_for_case() -> None:
    columns = found(
        "a,b,C,d,e,label,prob",
        image_id="A", label="b", prob="c", patient_id="d", findings=("Nodule",),
    )  # fmt: skip
    assert (columns.image_id, columns.patient_id) == ("a", "d")
    assert only(columns) == FindingColumns("Nodule", "b", "C", None)
    assert only(found("id,label,prob,z", logit="z")) == FindingColumns(
        "Finding", "label", None, "z"
    )
    assert only(found("id,label,prob_mass", prob="prob_mass")).finding == "Mass"
    # To the letter comes first.
    assert only(found("id,label,P,p", prob="p")).prob == "p"


def test_a_finding_is_mapped_to_its_columns() -> None:
    columns = found("id,e,p,f,l", findings=("Pleural Effusion=e,p", "Edema = f ,, l"))
    assert columns.findings == (
        FindingColumns("Pleural Effusion", "e", "p", None),
        FindingColumns("Edema", "f", None, "l"),
    )
    both = found("id,e,p,l", findings=("Mass=e,p,l",))
    assert only(both) == FindingColumns("Mass", "e", "p", "l")


def test_named_findings_are_taken_in_their_order_and_the_others_left() -> None:
    names = "id,label_a,prob_a,label_b,prob_b,label_c,prob_c"
    columns = found(names, findings=("C", "A"))
    assert [each.finding for each in columns.findings] == ["C", "A"]
    assert columns.left_out == ()


def test_one_named_finding_has_usual_columns() -> None:
    assert only(found("id,label,score", findings=("Mass",))) == FindingColumns(
        "Mass", "label", "score", None
    )
    assert only(found("id,label,prob_mass", findings=("Mass",))).prob == "prob_mass"


def test_logits_and_probabilities_may_both_stand_there() -> None:
    assert only(found("id,label,prob,logit")) == FindingColumns("Finding", "label", "prob", "logit")


def test_groups_are_those_asked_for_or_those_known() -> None:
    assert found("id,label,prob,Age,scanner").groups == {"Age": GroupBy("age")}
    asked = (GroupBy("SCANNER"), GroupBy("AGE", (40.0,)))
    columns = found("id,label,prob,Age,Site,scanner", groups=asked)
    assert columns.groups == {"scanner": GroupBy("scanner"), "Age": GroupBy("age", (40.0,))}


@pytest.mark.parametrize(
    ("names", "headers", "words"),
    [
        ("a,label,prob", {}, "no column for the id (columns: a, label, prob)"),
        ("a,label,prob", {}, "set --id"),
        ("id,y,prob", {}, "expected one of label, y_true, target; set --label"),
        ("id,label,p", {}, "no column for the probability or the logit (columns: id, label, p)"),
        ("id,label,p", {}, "set --prob, or --logit for raw logits"),
        ("id,path,label,prob", {}, "id and path could each be the id"),
        ("id,label,y_true,prob", {}, "label and y_true could each be the label"),
        ("id,label,score,pred", {}, "score and pred could each be the prob"),
        ("id,label,prob", {"label": "y"}, "no column 'y' (columns: id, label, prob); set --label"),
        ("id,label,P,p", {"prob": "prob"}, "no column 'prob'"),
        ("id,label,prob", {"patient_id": "who"}, "no column 'who'"),
        ("id,label,prob", {"groups": (GroupBy("scanner"),)}, "no column 'scanner'"),
        ("id,label,prob,a", {"groups": (GroupBy("a"), GroupBy("A"))}, "a is named twice"),
        ("id,label,prob", {"prob": "prob", "logit": "prob"}, "--prob, --logit: both are set"),
        ("id,label,prob", {"label": "prob"}, "prob is named as the label and as the score"),
        ("id,label,prob,label", {}, "two columns are called label"),
        ("id,label_a,prob_a,Label A", {}, "label_a and Label A name one column"),
        ("id,label,prob", {"findings": ("A", "B")}, "no columns label_a and prob_a or logit_a"),
        ("id,label,prob", {"findings": ("A", "B")}, "set --finding 'A=LABEL,PROB'"),
        ("id,label_a,prob_a", {"findings": ("A", "a")}, "one finding is named twice"),
        ("id,label,prob", {"findings": ("A=label",)}, "expected NAME=LABEL,PROB"),
        ("id,label,prob", {"findings": ("A=label,",)}, "expected NAME=LABEL,PROB"),
        ("id,label,prob", {"findings": ("=label,prob",)}, "has no name"),
        ("id,label,prob", {"findings": ("A=label,p",)}, "no column 'p'"),
        ("id,y,p", {"findings": ("A=y,p",), "label": "y"}, "names the column of a single finding"),
        ("id,y,p", {"findings": ("A", "B"), "prob": "p"}, "names the column of a single finding"),
    ],
)
def test_what_is_missing_or_ambiguous_is_refused_with_the_flag_to_set(
    names: str, headers: dict[str, object], words: str
) -> None:
    with pytest.raises(EvaluationError) as caught:
        found(names, **headers)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_of_very_many_columns_the_first_are_listed() -> None:
    names = ",".join(f"column{i}" for i in range(500))
    with pytest.raises(EvaluationError, match="column19 and 480 more") as caught:
        found(names)
    assert len(str(caught.value)) < 400


def test_what_was_found_is_told_in_words() -> None:
    columns = found("id,y,p,age", label="y", prob="p", findings=("Mass",))
    assert (
        columns.in_words()
        == "id from id; patient from no column; Mass from y and p; groups from age"
    )
