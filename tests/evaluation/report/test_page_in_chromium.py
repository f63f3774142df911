"""The page in a real browser: what a reader moves, sees, prints and hears."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluation.report.made_evaluation import (
    HOSTILE,
    made_evaluation,
    made_facts,
    made_predictions,
    phantom,
)
from hilum.evaluation import Predictions
from hilum.evaluation.report import write_report

DASH = "–"


@dataclass(frozen=True)
class Report:
    predictions: Predictions
    html: Path

    @property
    def url(self) -> str:
        return self.html.as_uri()


def written(out: Path, predictions: Predictions, **evaluation: Any) -> Report:
    write_report(
        out,
        predictions,
        made_evaluation(predictions, **evaluation),
        image_of=phantom,
        facts=made_facts(),
    )
    return Report(predictions, out / "report.html")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return written(tmp_path_factory.mktemp("one"), made_predictions())


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Report:
    predictions = made_predictions(("Pneumonia", "Mass", HOSTILE), missing=9, ids=HOSTILE + "{}")
    return written(tmp_path_factory.mktemp("three"), predictions, synthetic=True)


@dataclass
class Visit:
    """An open page, and everything it complained of or asked for."""

    page: Any
    said: list[str]
    asked: list[str]


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    contexts = []

    def open_page(report: Report, **options: Any) -> Visit:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        opened = Visit(page, [], [])
        page.on("console", lambda message: opened.said.append(message.text))
        page.on("pageerror", lambda error: opened.said.append(str(error)))
        page.on("dialog", lambda dialog: (opened.said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: opened.asked.append(request.url))
        page.goto(report.url)
        return opened

    yield open_page
    for context in contexts:
        context.close()


def half_up(number: float, digits: int) -> str:
    rounded = Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    text = f"{abs(rounded):,}"
    return f"−{text}" if rounded < 0 else text


def expected(predictions: Predictions, finding: str, t: float, p: float) -> dict[str, str]:
    """Every number of the panel, straight from the predictions."""
    y_n, prob_n = predictions.label(finding), predictions.prob(finding)
    tp = sum(1 for y, q in zip(y_n, prob_n, strict=True) if y == 1 and q >= t)
    fn = sum(1 for y, q in zip(y_n, prob_n, strict=True) if y == 1 and q < t)
    fp = sum(1 for y, q in zip(y_n, prob_n, strict=True) if y == 0 and q >= t)
    tn = sum(1 for y, q in zip(y_n, prob_n, strict=True) if y == 0 and q < t)
    sens, spec = tp / (tp + fn), tn / (tn + fp)
    # Of a thousand patients at prevalence p.
    ill, well = 1000 * p, 1000 * (1 - p)
    called_ill, called_well = ill * sens, well * (1 - spec)
    missed, cleared = ill * (1 - sens), well * spec

    def per_cent(part: float, whole: float) -> str:
        if whole == 0:
            return DASH
        share = part / whole
        rest = 1 if share in (0, 1) else min(share, 1 - share)
        return f"{half_up(100 * share, 1 if rest >= 5e-4 else 2 if rest >= 5e-5 else 3)}\xa0%"

    def ratio(part: float, whole: float) -> str:
        if whole == 0:
            return DASH
        x = part / whole
        return half_up(x, 0 if x >= 100 else 1 if x >= 10 else 2 if x >= 1 else 3)

    def of_1000(number: float) -> str:
        return half_up(number, 0 if number >= 9.95 else 1)

    odds = None if t == 1 else t / (1 - t)
    return {
        "tp": f"{tp:,}",
        "fn": f"{fn:,}",
        "fp": f"{fp:,}",
        "tn": f"{tn:,}",
        "sensitivity": per_cent(sens, 1),
        "specificity": per_cent(spec, 1),
        "ppv": per_cent(called_ill, called_ill + called_well),
        "npv": per_cent(cleared, cleared + missed),
        "lr_positive": ratio(sens, 0 if fp == 0 else 1 - spec),
        "lr_negative": ratio(1 - sens, spec),
        "net_benefit": DASH
        if odds is None
        else half_up((called_ill - called_well * odds) / 1000, 3),
        "net_benefit_all": DASH if odds is None else half_up((ill - well * odds) / 1000, 3),
        "tp_1000": of_1000(called_ill),
        "fn_1000": of_1000(missed),
        "fp_1000": of_1000(called_well),
        "tn_1000": of_1000(cleared),
    }


READ = """panel => Object.fromEntries(
  [...panel.querySelectorAll('[data-say]')].map(e => [e.dataset.say, e.textContent]))"""
PLACES = """panel => {
  const data = JSON.parse(panel.querySelector('script').textContent);
  const i = panel.querySelector('[data-threshold]').value;
  const j = panel.querySelector('[data-prevalence]').value;
  return [data.threshold[i], data.prevalence[j]]; }"""


def check(panel: Any, predictions: Predictions, finding: str) -> tuple[float, float]:
    """Compare every number with Python's; return threshold and prevalence."""
    t, p = panel.evaluate(PLACES)
    shown = panel.evaluate(READ)
    for name, words in expected(predictions, finding, t, p).items():
        assert shown[name] == words, (name, t, p)
        assert words in shown["sentence"]
    assert float(shown["threshold"]) == pytest.approx(t, abs=5e-5)
    assert float(shown["prevalence"].removesuffix("\xa0%")) == pytest.approx(100 * p, rel=5e-3)
    return t, p


def test_every_number_follows_the_sliders_as_python_counts_them(visit: Any, one: Report) -> None:
    opened = visit(one)
    panel = opened.page.locator("#f0-panel")
    threshold, prevalence = panel.locator("[data-threshold]"), panel.locator("[data-prevalence]")
    seen = {check(panel, one.predictions, "Pneumonia")}
    # By keyboard: an end, a step, a page, the other end.
    for keys in (["Home"], ["ArrowRight"] * 3, ["PageUp"] * 4, ["End"], ["ArrowLeft"] * 40):
        for key in keys:
            threshold.press(key)
        seen.add(check(panel, one.predictions, "Pneumonia"))
    for keys in (["Home"], ["ArrowUp"] * 12, ["PageUp"] * 3, ["End"]):
        for key in keys:
            prevalence.press(key)
        seen.add(check(panel, one.predictions, "Pneumonia"))
    # By mouse: somewhere along the bar, then dragged.
    for slider, share in ((threshold, 0.37), (prevalence, 0.11), (threshold, 0.93)):
        box = slider.bounding_box()
        y = box["y"] + box["height"] / 2
        opened.page.mouse.move(box["x"] + box["width"] * 0.5, y)
        opened.page.mouse.down()
        opened.page.mouse.move(box["x"] + box["width"] * share, y)
        opened.page.mouse.up()
        seen.add(check(panel, one.predictions, "Pneumonia"))
    assert len(seen) >= 12
    assert {t for t, _ in seen} >= {0.0, 1.0}
    assert {p for _, p in seen} >= {0.001, 0.99}
    assert opened.said == []
    assert opened.asked == [one.url]


def test_buttons_go_to_each_operating_point_and_to_the_observed_prevalence(
    visit: Any, one: Report
) -> None:
    opened = visit(one)
    panel = opened.page.locator("#f0-panel")
    points = made_evaluation(one.predictions).operating_points["Pneumonia"]
    for name, point in points.items():
        button = panel.locator("[data-jump]", has_text=re.compile(f"^{re.escape(name)}(:|$)"))
        button.click()
        t, _ = check(panel, one.predictions, "Pneumonia")
        assert t == point.threshold
        assert button.get_attribute("aria-pressed") == "true"
        assert panel.evaluate(READ)["tp"] == str(point.confusion.tp)
    panel.locator("[data-prevalence]").press("Home")
    assert check(panel, one.predictions, "Pneumonia")[1] == 0.001
    panel.locator("[data-observed]").click()
    _, p = check(panel, one.predictions, "Pneumonia")
    assert p == np.nanmean(one.predictions.label("Pneumonia"))
    # At the prevalence of the images Bayes' rule gives the shares of the images.
    ppv = points["cost 5 to 1"].figures["ppv"].value
    assert panel.evaluate(READ)["ppv"] == f"{half_up(100 * (ppv or 0), 1)}\xa0%"


def test_the_dot_and_the_line_follow_the_threshold(visit: Any, one: Report) -> None:
    panel = visit(one).page.locator("#f0-panel")
    for key in ("Home", "End"):
        panel.locator("[data-threshold]").press(key)
        t, _ = panel.evaluate(PLACES)
        assert panel.locator("[data-cut]").get_attribute("d").startswith(f"M{200 * t:.2f} ")
        dot = panel.locator("[data-dot]")
        place = float(dot.get_attribute("cx")), float(dot.get_attribute("cy"))
        assert place == ((200.0, 0.0) if key == "Home" else (0.0, 200.0))


def test_the_page_lets_its_own_films_be_seen(visit: Any, one: Report) -> None:
    page = visit(one).page
    sizes = page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth])")
    assert len(sizes) > 10
    assert all(size == [True, 28] for size in sizes)


def test_without_script_the_panel_stands_at_the_deployed_point(visit: Any, one: Report) -> None:
    page = visit(one, java_script_enabled=False).page
    assert page.locator("#f0-panel [data-threshold]").is_hidden()
    said = {
        name: page.locator(f"#f0-panel [data-say={name}]").first.text_content()
        for name in ("tp", "fp", "ppv", "net_benefit", "tn_1000")
    }
    share = float(np.nanmean(one.predictions.label("Pneumonia")))
    wanted = expected(one.predictions, "Pneumonia", 0.31, share)
    assert said == {name: wanted[name] for name in said}


def test_one_class_leaves_dashes_and_no_error(visit: Any, tmp_path: Path) -> None:
    whole = made_predictions(n=40)
    predictions = Predictions(whole.findings, whole.table.assign(label_pneumonia=1.0))
    opened = visit(written(tmp_path, predictions, subgroups=False))
    panel = opened.page.locator("#f0-panel")
    panel.locator("[data-threshold]").press("End")
    shown = panel.evaluate(READ)
    assert shown["sensitivity"] == "0.0\xa0%"
    for name in ("specificity", "ppv", "npv", "lr_positive", "net_benefit", "fp_1000"):
        assert shown[name] == DASH
    assert opened.said == []


def test_with_several_findings_one_is_shown_at_a_time_and_each_has_its_own_numbers(
    visit: Any, three: Report
) -> None:
    opened = visit(three)
    page = opened.page
    for k, finding in enumerate(three.predictions.findings):
        page.locator("#finding").select_option(index=k)
        assert page.locator("article:visible").count() == 1
        assert page.locator("article:visible h3").text_content() == finding
        panel = page.locator(f"#f{k}-panel")
        panel.locator("[data-threshold]").press("PageUp")
        check(panel, three.predictions, finding)
    assert page.locator(".banner").is_visible()
    # A name that closes the script has closed nothing, and nothing of it ran.
    assert opened.said == []
    assert opened.asked == [three.url]


def shot(page: Any) -> np.ndarray:
    with Image.open(BytesIO(page.screenshot())) as image:
        return np.asarray(image.convert("RGB"), dtype=float)


CONTRASTS = """() => {
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = rgb(getComputedStyle(e).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || element.closest('script, style')) continue;
    // Words within a plot lie on its paper, or on bars that the plots' own tests look after.
    if (!element.checkVisibility() || element.closest('svg')) continue;
    const style = getComputedStyle(element);
    const one = light(rgb(style.color)), other = light(behind(element));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([ratio, element.className, walker.currentNode.textContent.slice(0, 40)]);
  }
  return found;
}"""


def test_light_and_dark_differ_and_both_can_be_read(visit: Any, three: Report) -> None:
    paper = {}
    for scheme in ("light", "dark"):
        page = visit(three, color_scheme=scheme).page
        picture = shot(page)
        paper[scheme] = float(np.median(picture))
        assert float(np.abs(picture - paper[scheme]).max()) > 120
        poor = [row for row in page.evaluate(CONTRASTS) if row[0] < 4.5]
        assert poor == []
        # A plot's paper is the page's.
        inside, outside = page.evaluate(
            """() => [getComputedStyle(document.querySelector('.plot svg path')).fill,
                      getComputedStyle(document.body).backgroundColor]"""
        )
        assert inside == outside
    assert paper["light"] > 230
    assert paper["dark"] < 60


@pytest.mark.parametrize("width", [320, 375, 768])
def test_a_phone_scrolls_no_page_sideways(
    visit: Any, one: Report, three: Report, width: int
) -> None:
    for report in (one, three):
        page = visit(report, viewport={"width": width, "height": 800}).page
        wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1] == width
        beyond = page.evaluate(
            """() => [...document.querySelectorAll(
                'p, h1, h2, h3, figure, input, button, select, li')]
                .filter(e => e.checkVisibility() && !e.closest('.wide, .skip'))
                .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
                .map(e => e.outerHTML.slice(0, 80))"""
        )
        assert beyond == []


def test_print_is_a4_without_cut_figures_and_without_sliders(visit: Any, one: Report) -> None:
    page = visit(one).page
    pdf = page.pdf(prefer_css_page_size=True)
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert len(boxes) > 3
    for width, height in boxes:
        assert (round(float(width)), round(float(height))) == (595, 842)
    page.emulate_media(media="print")
    assert page.locator("input:visible, button:visible, nav:visible").count() == 0
    assert page.locator("#f0-panel [data-say=threshold]").is_visible()
    kept = page.evaluate(
        """[...document.querySelectorAll('figure.plot, tr, .panel')]
            .map(e => getComputedStyle(e).breakInside)"""
    )
    assert kept
    assert set(kept) == {"avoid"}
    # Everything fits into the width that A4 leaves.
    page.set_viewport_size({"width": 680, "height": 960})
    assert page.evaluate("document.documentElement.scrollWidth") <= 680


def test_a_dark_room_prints_on_white(visit: Any, one: Report) -> None:
    page = visit(one, color_scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_who_hears_the_page_finds_landmarks_names_and_an_order(visit: Any, three: Report) -> None:
    page = visit(three).page
    for landmark in ("header", "nav", "main", "footer"):
        assert page.locator(landmark).count() == 1
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for control in page.locator("input, select").all():
        assert page.locator(f"label[for='{control.get_attribute('id')}']").count() == 1
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('[role=img], [role=region], img, article, section')]
            .filter(e => !(e.getAttribute('alt') || e.getAttribute('aria-label')
              || document.getElementById(e.getAttribute('aria-labelledby'))?.textContent))
            .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    twice = page.evaluate(
        """() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
                   return ids.filter((id, k) => ids.indexOf(id) !== k); }"""
    )
    assert twice == []
    assert page.locator("output[aria-live=polite]").count() == 3


def test_who_tabs_through_the_page_sees_where_they_are(visit: Any, one: Report) -> None:
    page = visit(one).page
    page.keyboard.press("Tab")
    assert page.locator(".skip").evaluate("e => e.getBoundingClientRect().left") >= 0
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        width, kind = page.evaluate(
            """() => { const s = getComputedStyle(document.activeElement);
                       return [s.outlineStyle === 'none' ? 0 : parseFloat(s.outlineWidth),
                               document.activeElement.id]; }"""
        )
        assert width >= 2
        reached.add(kind)
    assert {"f0-move-threshold", "f0-move-prevalence"} <= reached
