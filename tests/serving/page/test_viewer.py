"""What mouse, fingers and keys do to the film, and the map over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from hilum.explanation.pictures import COLOURS, LIMIT
from serving.page.visiting import Visit, phantom, png

Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def film() -> bytes:
    return png(phantom())


@pytest.fixture
def opened(visit: Open, film: bytes) -> Iterator[Visit]:
    opened = visit()
    opened.bring({"film.png": film})
    yield opened
    assert opened.said == []


def test_the_map_moves_with_its_opacity_and_is_the_servers(opened: Visit, film: bytes) -> None:
    bare = opened.canvas()
    slider = opened.page.locator("#map-opacity")
    assert slider.is_disabled()
    opened.show_map()
    grey, over = opened.site.picture(film), opened.site.picture(film, "explain")
    assert grey.shape == over.shape
    assert over[..., 3].max() > 0
    for percent in (100, 50, 0):
        slider.fill(str(percent))
        alpha = over[..., 3:] / 255 * percent / 100
        wanted = (grey[..., :3] * (1 - alpha) + over[..., :3] * alpha).mean((0, 1))
        drawn = opened.canvas()
        np.testing.assert_allclose(opened.film().mean((0, 1)), wanted, atol=1.5)
        assert (np.abs(drawn - bare).max() > 5) == (percent > 0)
        assert opened.text("#corner-map") == f"map {percent} %"
    slider.evaluate("slider => slider.blur()")
    opened.page.keyboard.press("]")
    assert opened.text("#corner-map") == "map 10 %"
    opened.page.keyboard.press("m")
    np.testing.assert_array_equal(opened.canvas(), bare)
    assert opened.page.locator("#legend").is_hidden()


def test_the_legend_is_the_servers_scale(opened: Visit) -> None:
    opened.show_map()
    legend = opened.text("#legend")
    limit = LIMIT["grad_cam"]
    assert f"≥ +{limit:g}" in legend
    assert f"≤ −{limit:g}" in legend
    assert "against Pneumonia" in legend
    shares = np.linspace(-1, 1, 41)
    told = opened.page.evaluate(
        """shares => import('/page/map_scale.js').then(scale =>
            shares.map(share => [...scale.colour(share), 255 * scale.strength(share)]))""",
        shares.tolist(),
    )
    rgb_n3 = 255 * COLOURS(0.5 + shares / 2)[:, :3]
    assert np.abs(np.array(told)[:, :3] - rgb_n3).max() < 3  # matplotlib has 256 colours
    np.testing.assert_allclose(np.array(told)[:, 3], 255 * 0.65 * np.abs(shares) ** 0.7)


def test_a_drag_sets_window_and_level(opened: Visit) -> None:
    bare, film = opened.canvas(), opened.film()
    opened.drag(-120, 0)
    narrow = opened.canvas()
    assert opened.text("#corner-window").startswith("W 135")
    assert narrow.std() > bare.std() + 5  # fewer greys from black to white: more contrast
    opened.page.get_by_role("button", name="Reset").click()
    np.testing.assert_array_equal(opened.canvas(), bare)
    opened.drag(0, -60)
    assert opened.text("#corner-window").endswith("L 68")
    assert opened.canvas().mean() > bare.mean() + 10  # up is brighter
    opened.page.keyboard.press("r")
    opened.page.keyboard.press("i")
    inside = slice(2, -2)
    inverted = opened.film()[inside, inside]
    np.testing.assert_allclose(inverted, 255 - film[inside, inside], atol=2)


def test_keys_on_the_film_set_window_and_level_and_move_it(opened: Visit) -> None:
    bare = opened.canvas()
    opened.page.locator("#film").focus()
    opened.page.keyboard.press("Shift+ArrowLeft")
    assert opened.text("#corner-window").startswith("W 247")
    opened.page.keyboard.press("Shift+ArrowUp")
    assert opened.text("#corner-window").endswith("L 120")
    assert np.abs(opened.canvas() - bare).max() > 5
    for _ in range(4):
        opened.page.keyboard.press("+")
    before = opened.canvas()
    opened.page.keyboard.press("ArrowDown")
    after = opened.canvas()
    np.testing.assert_allclose(after[40:-60], before[80:-20], atol=1)
    assert opened.text("#answer-title") == "Answer: film-1"


def test_the_wheel_zooms_where_it_is_turned_and_fit_goes_back(opened: Visit) -> None:
    bare = opened.canvas()
    box = opened.page.locator("#film").bounding_box()
    x, y = box["width"] / 2 + 90, box["height"] / 2 - 60
    opened.page.mouse.move(box["x"] + x, box["y"] + y)
    opened.page.mouse.wheel(0, -400)
    near = opened.canvas()
    assert opened.text("#corner-zoom") == "182 %"
    here = near[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].mean()
    assert here == pytest.approx(
        bare[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].mean(), abs=6
    )
    assert np.abs(near - bare).mean() > 3
    opened.page.get_by_role("button", name="Fit").click()
    np.testing.assert_array_equal(opened.canvas(), bare)


def test_the_film_is_moved_by_its_tool_and_never_out_of_sight(opened: Visit) -> None:
    for _ in range(6):
        opened.page.get_by_role("button", name="Zoom in").click()
    opened.page.get_by_role("button", name="Move").click()
    before = opened.canvas()
    opened.drag(50, 30)
    after = opened.canvas()
    np.testing.assert_allclose(after[30:, 50:], before[:-30, :-50], atol=1)
    assert opened.text("#corner-window") == "W 255  L 128"
    for _ in range(9):
        opened.drag(300, 200)
    assert (opened.canvas() > 0).mean() > 0.9


def test_two_fingers_zoom(visit: Open, film: bytes) -> None:
    opened = visit(has_touch=True, viewport={"width": 400, "height": 900})
    opened.bring({"film.png": film})
    opened.page.locator("#film").scroll_into_view_if_needed()
    box = opened.page.locator("#film").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = opened.page.context.new_cdp_session(opened.page)
    for kind, apart in (("touchStart", 30), ("touchMove", 45), ("touchMove", 60), ("touchEnd", 0)):
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": points if apart else []},
        )
    assert opened.text("#corner-zoom") == "200 %"
    assert opened.text("#corner-window") == "W 255  L 128"


def test_another_film_starts_afresh(opened: Visit) -> None:
    opened.drag(-80, 40)
    opened.page.keyboard.press("+")
    opened.bring({"other.png": png(phantom(5))})
    opened.choose(2)
    assert opened.text("#corner-window") == "W 255  L 128"
    assert opened.text("#corner-zoom") == "100 %"
    assert opened.text("#corner-name") == "film-2"
