"""A browser, a service of the small bundle, films that it answers and refers, and open pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

from hilum.bundle import Bundle
from hilum.serving.http import create_app
from serving.page.visiting import Gate, Site, Visit, dicom_of, phantom, png
from together import free_port


@pytest.fixture(scope="module")
def served(browser: Any, small_bundle: Bundle) -> Iterator[Site]:
    gate = Gate(create_app(small_bundle))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(gate, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the server has not started"
        assert time.monotonic() < until, "the server takes too long to start"
        time.sleep(0.02)
    yield Site(f"http://127.0.0.1:{port}/", gate)
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture
def site(served: Site) -> Site:
    """The service, as open and idle as at first."""
    served.gate.token, served.gate.busy = "", 0
    served.gate.asked.clear()
    return served


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def open_page(place: str = "", **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        opened = Visit(page, site)
        page.on("console", lambda message: opened.said.append(message.text))
        page.on("pageerror", lambda error: opened.said.append(str(error)))
        page.on("request", lambda request: opened.asked.append(request.url))
        page.goto(site.url + place)
        return opened

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def known(served: Site, small_npz: Path) -> dict[str, bytes]:
    """A film that is called present and one that is called absent, by those words."""
    films: dict[str, bytes] = {}
    with np.load(small_npz) as arrays:
        for grey_hw in arrays["val_images"]:
            (film,) = served.predict(png(grey_hw))["films"]
            if film["status"] == "answered":
                films.setdefault(film["findings"][0]["decision"], png(grey_hw))
            if len(films) == 2:
                return films
    pytest.fail(f"the small bundle calls no film { ({'present', 'absent'} - set(films)) }")


@pytest.fixture(scope="module")
def strange(served: Site) -> bytes:
    """A DICOM film of 12 bits that is referred: the small bundle was made from noise."""
    ramp_hw = np.add.outer(np.linspace(0, 0.5, 200), np.linspace(0, 0.5, 200))
    for grey_hw in (*(phantom(n) for n in range(8)), ramp_hw, np.round(ramp_hw)):
        film = dicom_of(grey_hw)
        if served.predict(film)["films"][0]["status"] == "referred":
            return film
    pytest.fail("the small bundle refers no film")
