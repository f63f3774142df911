"""Using the page: films brought, the worklist, keys, tokens, themes, small screens, access."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from serving.page.visiting import FRAMES, NO_FILM, Site, Visit, phantom, png

Open = Callable[..., Visit]
DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new DragEvent(kind, how));
    const covered = !document.getElementById('drop-here').hidden;
    if (kind === 'dragover' && !covered) throw new Error('no cover');
  }
}"""


@pytest.fixture(scope="module")
def batch(known: Mapping[str, bytes], strange: bytes) -> dict[str, bytes]:
    return {
        "a.png": known["absent"],
        "b.dcm": strange,
        "c.txt": NO_FILM,
        "d.png": known["present"],
    }


def names(opened: Visit) -> list[str]:
    opened.page.evaluate(FRAMES)
    return [words.strip() for words in opened.page.locator("#list .words").all_inner_texts()]


def current(opened: Visit) -> str:
    return opened.text("#answer-title").removeprefix("Answer: ")


def test_a_film_dropped_anywhere_is_answered(visit: Open, strange: bytes) -> None:
    opened = visit()
    opened.page.evaluate(DROP, ["film", base64.b64encode(strange).decode()])
    opened.settle(1)
    assert opened.page.locator(".finding.referred").is_visible()
    assert opened.page.locator("#drop-here").is_hidden()
    assert opened.said == []


def test_the_worklist_is_sorted_and_filtered(visit: Open, batch: dict[str, bytes]) -> None:
    opened = visit()
    opened.bring(batch)
    page = opened.page
    assert names(opened) == ["film-1", "film-2", "film-3", "film-4"]
    prob = {
        f"film-{n}": opened.site.predict(film)["films"][0]["findings"][0]["probability"]
        for n, film in enumerate(batch.values(), 1)
        if film != NO_FILM
    }
    page.get_by_role("button", name="Probability").click()
    falling = sorted(prob, key=lambda name: -prob[name])
    assert names(opened) == [*falling, "film-3"]
    page.get_by_role("button", name="Probability").click()
    assert names(opened) == [*falling[::-1], "film-3"]
    assert page.locator("th.number").get_attribute("aria-sort") == "ascending"
    page.locator("[data-sort=status]").click()
    assert names(opened) == ["film-4", "film-1", "film-2", "film-3"]
    for kind, wanted in (
        ("answered", ["film-4", "film-1"]),
        ("referred", ["film-2"]),
        ("rejected", ["film-3"]),
        ("waiting", []),
        ("all", ["film-4", "film-1", "film-2", "film-3"]),
    ):
        button = page.locator(f"[data-filter={kind}]")
        button.click()
        assert names(opened) == wanted
        assert button.locator(".count").inner_text() == str(len(wanted))
    assert page.locator("#list img").count() == 3


def test_keys_walk_the_worklist_and_can_be_switched_off(
    visit: Open, batch: dict[str, bytes]
) -> None:
    opened = visit()
    opened.bring(batch)
    press = opened.page.keyboard.press
    for key, wanted in (
        ("j", 2), ("ArrowDown", 3), ("j", 4), ("j", 4), ("k", 3), ("ArrowUp", 2),
        ("End", 4), ("Home", 1),
    ):  # fmt: skip
        press(key)
        assert current(opened) == f"film-{wanted}", key
    focused = "() => document.activeElement.innerText.trim() || document.activeElement.id"
    assert opened.page.evaluate(focused) == "film-1"
    assert opened.page.locator("#list button[tabindex='0']").count() == 1
    press("Enter")
    assert opened.page.evaluate(focused) == "film"
    press("?")
    assert opened.page.locator("#help-dialog").is_visible()
    press("j")
    assert current(opened) == "film-1"
    opened.page.locator("#keys-on").uncheck()
    press("Escape")
    press("j")
    assert current(opened) == "film-1"


def test_clearing_asks_and_leaves_nothing(visit: Open, batch: dict[str, bytes]) -> None:
    opened = visit()
    opened.bring(batch)
    opened.page.locator("#clear").click()
    opened.page.get_by_role("button", name="Keep").click()
    assert opened.page.locator("#list tr").count() == 4
    opened.page.locator("#clear").click()
    opened.page.locator("#clear-dialog").get_by_role("button", name="Clear").click()
    opened.page.locator("#invite").wait_for()
    assert opened.page.locator("#list tr").count() == 0
    assert opened.page.locator("#answer *").count() == 0
    opened.bring({"a.png": batch["a.png"]})
    assert current(opened) == "film-1"


def test_a_busy_server_is_asked_again(visit: Open, site: Site, known: dict[str, bytes]) -> None:
    opened = visit()
    site.gate.busy = 2
    opened.bring({"a.png": known["present"], "b.png": known["absent"]})
    assert site.gate.busy == 0
    assert opened.text("#progress-words") == "2 films: 2 answered"


def test_a_server_that_is_away_leaves_the_film_to_be_sent_again(
    visit: Open, known: dict[str, bytes]
) -> None:
    opened = visit()
    opened.page.route("**/v1/predict", lambda route: route.abort())
    opened.bring({"a.png": known["present"]})
    assert "could not be reached" in opened.text("#answer")
    assert opened.text("#list .chip") == "Failed"
    opened.page.unroute("**/v1/predict")
    opened.page.locator("#again").click()
    opened.page.locator(".finding.present").wait_for()


def test_a_token_is_asked_for_and_kept_for_the_tab_alone(
    visit: Open, site: Site, known: dict[str, bytes]
) -> None:
    site.gate.token = "let me in"
    opened = visit()
    dialog = opened.page.locator("#token-dialog")
    opened.page.locator("#token").fill("wrong")
    opened.page.get_by_role("button", name="Go on").click()
    dialog.get_by_text("That token was refused").wait_for()
    assert opened.page.locator("#token").input_value() == ""
    opened.page.locator("#token").fill("let me in")
    opened.page.keyboard.press("Enter")
    opened.page.locator(".which:not(:empty)").wait_for()
    assert dialog.is_hidden()
    opened.bring({"a.png": known["present"]})
    opened.page.locator(".finding.present").wait_for()
    opened.page.reload()
    opened.page.locator(".which:not(:empty)").wait_for()
    assert dialog.is_hidden()
    assert opened.page.evaluate("() => JSON.stringify({...localStorage})") == "{}"
    assert not [url for url in opened.asked if "let" in url]


def brightness(opened: Visit, selector: str) -> int:
    colour = opened.page.locator(selector).first.evaluate(
        "e => getComputedStyle(e).backgroundColor.match(/\\d+/g).map(Number)"
    )
    return int(sum(colour[:3]))


def test_light_and_dark_follow_the_system_and_the_button(
    visit: Open, known: dict[str, bytes]
) -> None:
    for scheme, other in (("light", "dark"), ("dark", "light")):
        opened = visit(color_scheme=scheme)
        opened.bring({"a.png": known["present"]})
        is_dark = {"light": False, "dark": True}
        assert (brightness(opened, "body") < 200) == is_dark[scheme]
        assert brightness(opened, ".viewer") < 60
        opened.page.locator("#theme").click()
        assert (brightness(opened, "body") < 200) == is_dark[other]
        assert brightness(opened, ".viewer") < 60
        opened.page.reload()
        assert (brightness(opened, "body") < 200) == is_dark[other]


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_screen_scrolls_sideways(visit: Open, batch: dict[str, bytes], width: int) -> None:
    opened = visit(viewport={"width": width, "height": 740})
    size = "() => [document.documentElement.scrollWidth, window.innerWidth]"
    beyond = """() => [...document.querySelectorAll('main *, header *')]
        .filter(e => e.checkVisibility() && !e.closest('.wide, .unseen, .sprite, .stage'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 80))"""

    def check(state: str) -> None:
        assert opened.page.evaluate(size) == [width, width], state
        assert opened.page.evaluate(beyond) == [], state

    check("empty")
    opened.bring({**batch, "a-very-long-name-" * 6 + ".png": png(phantom())})
    opened.page.locator("#names").check()
    opened.show_map()
    check("batch")
    opened.choose(2)
    check("referred")
    opened.page.locator("nav a", has_text="Classifier").click()
    opened.page.locator(".card").wait_for()
    check("classifier")


def grave(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Open, batch: dict[str, bytes], scheme: str) -> None:
    opened = visit(color_scheme=scheme, reduced_motion="reduce")
    assert grave(opened.page) == []
    opened.bring(batch)
    opened.page.locator("#names").check()
    opened.show_map()
    assert grave(opened.page) == []
    for _ in range(3):
        opened.page.keyboard.press("j")
        assert grave(opened.page) == []
    opened.page.locator("#help-open").click()
    assert grave(opened.page) == []
    opened.page.keyboard.press("Escape")
    opened.page.locator("nav a", has_text="Classifier").click()
    opened.page.locator(".card").wait_for()
    assert grave(opened.page) == []


def test_nothing_is_asked_of_another_origin(visit: Open, batch: dict[str, bytes]) -> None:
    opened = visit()
    opened.bring({name: film for name, film in batch.items() if film != NO_FILM})
    opened.show_map()
    opened.page.locator("nav a", has_text="Classifier").click()
    opened.page.locator(".card").wait_for()
    places = {urlsplit(url.removeprefix("blob:")).netloc for url in opened.asked}
    assert places == {urlsplit(opened.site.url).netloc}
    assert opened.said == []  # nor has the content policy anything to say
    policy = opened.page.request.get(opened.site.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_answers_are_announced(visit: Open, known: dict[str, bytes]) -> None:
    opened = visit()
    opened.bring({"a.png": known["present"]})
    said = opened.page.locator("#said")
    assert said.get_attribute("aria-live") == "polite"
    assert "Pneumonia called present" in said.inner_text()
    opened.page.keyboard.press("Tab")
    opened.page.locator(".skip").focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("() => document.activeElement.id") == "main"
    assert opened.page.locator("#films-view").is_visible()
