"""What the page says of films: the API's own answers, refusals, and nothing of a patient."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.bundle import Bundle
from serving.page.visiting import NO_FILM, Site, Visit, dicom_of, phantom, png

Open = Callable[..., Visit]


def shown_prob(prob: float) -> str:
    if 0.9995 < prob < 1:
        return ">0.999"
    return "<0.001" if 0 < prob < 0.0005 else f"{prob:.3f}"


def check(opened: Visit, film: bytes) -> dict[str, Any]:
    """The current film's panel says what the API answers; returns that."""
    told = opened.site.predict(film)
    (said,) = told["films"]
    panel = opened.text("#answer")
    for finding in said["findings"]:
        assert finding["wording"] in panel
        assert shown_prob(finding["probability"]) in panel
        assert f"{finding['threshold']:.3f}" in panel
        assert finding["operating_point"] in panel
        if finding["refer"]:
            assert finding["refer"]["meaning"] in panel
    for warning in said["warnings"]:
        assert warning in panel
    facts = said["facts"]
    assert f"{facts['columns']} × {facts['rows']} pixels" in panel
    for origin in (told["bundle"]["digest"][:12], told["engine"], said["input"][:12]):
        assert origin in panel
    return told


def test_png_and_dicom_show_what_the_api_answers(
    visit: Open, known: dict[str, bytes], strange: bytes
) -> None:
    opened = visit()
    films = {"one.png": known["present"], "two.png": known["absent"], "IM000001": strange}
    opened.bring(films)
    headings = ["Called present", "Called absent", "Refer to a reader"]
    for number, (film, heading) in enumerate(zip(films.values(), headings, strict=True), 1):
        opened.choose(number)
        (said,) = check(opened, film)["films"]
        assert opened.text(".decision").strip() == heading
        assert said["name"] == "film-1"  # of its request; the page counts its own
        spoken = opened.page.locator(".drawn").get_attribute("aria-label")
        assert shown_prob(said["findings"][0]["probability"]) in spoken
    assert "57 years" in opened.text("#answer")
    assert "female" in opened.text("#answer")
    assert opened.said == []


def test_real_films_show_what_the_api_answers(visit: Open, data_folder: Path) -> None:
    paths = [
        next((data_folder / "kermany_224").rglob("*.jpeg"), None)
        or next((data_folder / "kermany_224").rglob("*.jpg")),
        next((data_folder / "rsna_sample/stage_2_train_images").glob("*.dcm")),
        data_folder / "dicom/real_chest/siim_jpegbaseline_mono1_tag.dcm",
    ]
    opened = visit()
    films = {path.name: path.read_bytes() for path in paths}
    opened.bring(films)
    for number, film in enumerate(films.values(), 1):
        opened.choose(number)
        check(opened, film)
        assert opened.canvas().std() > 10
    assert opened.said == []


def test_a_referral_looks_like_none_of_the_decisions(
    visit: Open, known: dict[str, bytes], strange: bytes
) -> None:
    opened = visit()
    opened.bring({"a": strange, "b": known["present"]})
    panel = opened.text("#answer")
    assert "Withheld as an answer" in panel
    assert "Called" not in panel
    look = "e => [getComputedStyle(e).borderTopStyle, getComputedStyle(e).backgroundColor]"
    referred = opened.page.locator(".finding").evaluate(look)
    size = opened.page.locator(".prob b").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    opened.choose(2)
    answered = opened.page.locator(".finding").evaluate(look)
    assert referred[0] != answered[0]
    assert referred[1] != answered[1]
    assert "Withheld" not in opened.text("#answer")
    assert size < opened.page.locator(".prob b").evaluate(
        "e => parseFloat(getComputedStyle(e).fontSize)"
    )


def test_a_rejected_film_says_why_in_its_row_and_leaves_the_others_alone(
    visit: Open, known: dict[str, bytes]
) -> None:
    opened = visit()
    opened.bring({"good.png": known["present"], "bad.dcm": NO_FILM})
    row = opened.page.locator("#list tr").nth(1)
    assert row.locator(".status").get_attribute("class") == "status rejected"
    detail = row.locator(".detail").inner_text()
    assert len(detail) > 10
    row.locator("button").click()
    assert detail in opened.text("#answer")
    assert opened.canvas().max() == 0  # no other film's picture
    assert "1 answered, 1 rejected" in opened.text("#progress-words")
    assert [words for words in opened.said if "422" not in words] == []


def test_several_findings_have_an_answer_and_a_map_each(visit: Open, strange: bytes) -> None:
    opened = visit()

    def with_mass(route: Any) -> None:
        response = route.fetch()
        told = response.json()
        mass = told["films"][0]["findings"][0] | {
            "finding": "Mass",
            "probability": 0.125,
            "decision": "absent",
            "refer": None,
            "wording": "Mass called absent.",
        }
        told["films"][0]["findings"].append(mass)
        route.fulfill(response=response, body=json.dumps(told))

    opened.page.route("**/v1/predict", with_mass)
    opened.bring({"a": strange})
    assert opened.page.locator(".finding").count() == 2
    assert "Mass called absent." in opened.text("#answer")
    assert opened.page.locator("#list td").last.inner_text() == "Refer"
    opened.page.locator("#finding-shown").select_option("Mass")
    assert opened.page.locator("#list td").first.inner_text() == "0.125"
    assert opened.page.locator("#list td").last.inner_text() == "Absent"
    with opened.page.expect_request("**/v1/explain") as asked:
        opened.page.locator("#map-on").check()
        opened.page.locator("#map-finding").select_option("Mass")
    assert asked.value.method == "POST"
    table = exported(opened)
    assert table[0]["answer_pneumonia"] == "refer"
    assert table[0]["answer_mass"] == "absent"


def exported(opened: Visit) -> list[dict[str, str]]:
    with opened.page.expect_download() as download:
        opened.page.locator("#csv").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert download.value.suggested_filename == "hilum-answers.csv"
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_csv_holds_the_api_answers_and_no_file_names_unless_asked(
    visit: Open, known: dict[str, bytes], strange: bytes
) -> None:
    opened = visit()
    names = ["Doe^Jane.png", '=HYPERLINK("x"),"y".png', "three.dcm", "four.txt"]
    films = dict(zip(names, [*known.values(), strange, NO_FILM], strict=True))
    opened.bring(films)
    rows = exported(opened)
    assert "file_name" not in rows[0]
    assert "Doe" not in str(rows)
    assert [row["film"] for row in rows] == ["film-1", "film-2", "film-3", "film-4"]
    for row, film in zip(rows[:3], films.values(), strict=False):
        told = opened.site.predict(film)
        (said,) = told["films"]
        (finding,) = said["findings"]
        assert float(row["prob_pneumonia"]) == finding["probability"]
        assert float(row["threshold_pneumonia"]) == finding["threshold"]
        assert row["answer_pneumonia"] == ("refer" if finding["refer"] else finding["decision"])
        assert row["refer_pneumonia"] == (finding["refer"] or {}).get("reason", "")
        assert row["status"] == said["status"]
        assert row["input_sha256"] == said["input"]
        assert row["bundle_digest"] == told["bundle"]["digest"]
        assert row["warnings"] == " | ".join(said["warnings"])
    assert rows[3]["status"] == "rejected"
    assert rows[3]["error"]
    assert rows[3]["answer_pneumonia"] == ""
    opened.page.locator("#names").check()
    opened.page.locator("#csv-names").check()
    named = [row["file_name"] for row in exported(opened)]
    assert named == [names[0], "'" + names[1], *names[2:]]


def test_a_cell_is_quoted_and_is_no_formula(visit: Open) -> None:
    wanted = [
        ("plain", "plain"),
        ("a,b", '"a,b"'),
        ('say "no"', '"say ""no"""'),
        ("two\nlines", '"two\nlines"'),
        (" kept ", '" kept "'),
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+4", "'+4"),
        ("-4", "'-4"),
        (" =1", "' =1"),
        ("\t=1", "'\t=1"),
        ("=1,2", '"\'=1,2"'),
        ("x;=cmd", '"x;\'=cmd"'),
        ("x; @a;b", '"x; \'@a;b"'),
        (-4, "-4"),
        (0.25, "0.25"),
        (None, ""),
    ]
    cells = "values => import('/page/csv.js').then(csv => values.map(csv.cell))"
    assert visit().page.evaluate(cells, [value for value, _ in wanted]) == [c for _, c in wanted]


def test_nothing_of_a_patient_is_on_the_page_or_in_the_csv(visit: Open) -> None:
    planted = {
        "PatientName": "Zanzibar^Quilla",
        "PatientID": "MRN-778213",
        "PatientBirthDate": "19410317",
        "StudyDate": "20190523",
        "AccessionNumber": "ACC99417",
        "InstitutionName": "Farland Hospital",
        "ReferringPhysicianName": "Ngata^Orla",
        "StudyDescription": "seen by Dr Ngata",
        "StationName": "XR-ROOM-9",
        "BodyPartExamined": "OF QUILLA",
        "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.777666555",
    }
    film = dicom_of(phantom(), **planted)
    assert b"Zanzibar" in film
    opened = visit()
    opened.bring({"Zanzibar_Quilla_MRN-778213.dcm": film, "Ngata": NO_FILM})
    opened.choose(1)
    opened.show_map()
    everything = [
        opened.page.content(),
        opened.page.locator("body").aria_snapshot(),
        str(exported(opened)),
        opened.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}])"),
        *opened.said,
        *opened.asked,
    ]
    words = ["Zanzibar", "Quilla", "778213", "19410317", "1941", "20190523", "ACC99417", "Farland"]
    for word in [*words, "Ngata", "XR-ROOM", "777666555", "2019-05-23"]:
        assert not [text[:80] for text in everything if word.lower() in text.lower()], word
    # The browser tells the server no file name either.
    opened.page.locator("#names").check()
    assert "Zanzibar_Quilla" in opened.text("#list")


def test_the_classifier_view_tells_the_bundle(visit: Open, small_bundle: Bundle) -> None:
    opened = visit("#classifier")
    opened.page.locator(".card").wait_for()
    view = opened.text("#classifier")
    assert small_bundle.digest in view
    assert small_bundle.manifest.name in view
    for name, point in small_bundle.operating_points("Pneumonia").items():
        assert name.replace("_", " ") in view
        assert f"{point.threshold:.4f}" in view
        if point.sensitivity.value is not None:
            assert f"{point.sensitivity.value:.3f} ({point.sensitivity.low:.3f} to" in view
    policy = small_bundle.policy()
    assert policy is not None
    assert policy.in_words() in view
    assert "Before it is used anywhere" in view
    assert opened.page.locator("#films-view").is_hidden()
    opened.page.get_by_role("link", name="Films", exact=True).click()
    assert opened.page.locator("#films-view").is_visible()
    assert opened.said == []


def test_a_card_is_text_and_never_code(visit: Open) -> None:
    opened = visit()
    card = (
        "---\nlicense: mit\n---\n\n"
        "# <img src=x onerror=alert(1)>\n\n**bold** `code` <script>alert(2)</script>\n\n"
        "| a | b |\n|---|---|\n| <b>1</b> | 2 |\n\n"
        "- [ ] one\n- two [x](javascript:alert(3)) \\[0, 18)\n"
    )
    html = opened.page.evaluate(
        """card => import('/page/markdown.js').then(({ markdown }) => {
            const place = document.createElement('div');
            place.append(...markdown(card, 3));
            document.body.append(place);
            return [place.innerHTML, place.querySelectorAll('img, script, a').length,
                    place.querySelectorAll('td, th, li, b, code').length];
        })""",
        card,
    )
    assert html[1:] == [0, 8]
    assert "&lt;img" in html[0]
    assert "license" not in html[0]
    assert "<li>☐ one</li>" in html[0]
    assert "[0, 18)" in html[0]
    assert "\\" not in html[0]
    assert opened.said == []


def test_a_synthetic_bundle_is_named_in_a_banner(visit: Open, site: Site) -> None:
    opened = visit()
    assert opened.page.locator("#synthetic").is_hidden()

    def synthetic(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=json.dumps(response.json() | {"synthetic": True}))

    opened.page.route("**/v1/bundle", synthetic)
    opened.page.goto(site.url)
    opened.page.locator("#synthetic").wait_for()
    assert "SYNTHETIC" in opened.text("#synthetic")
    opened.page.get_by_text("Research use only: not a medical device").wait_for()


def test_png_of_the_phantom_is_drawn_as_the_server_draws_it(visit: Open) -> None:
    opened = visit()
    film = png(phantom())
    opened.bring({"a.png": film})
    wanted = opened.site.picture(film)[..., 0]
    assert opened.film().mean() == pytest.approx(wanted.mean(), abs=1)
    # Nothing but the film is drawn on the ground.
    assert opened.canvas().sum() == pytest.approx(opened.film().sum(), rel=0.01)
