"""An open page of the service and what tests do on it: bring films, wait, look at the canvas.

Who serves and who opens the browser is left to conftest.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import httpx
import numpy as np
from PIL import Image

from data.radiograph.made_films import data_set, dicom, raster
from hilum.data.sources.phantom import phantom_cohort

PIXELS = "canvas => canvas.toDataURL('image/png')"
FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
NO_FILM = b"this is no film at all, whatever it is called"


@dataclass
class Gate:
    """ASGI before the app: a token where one is wanted, and refusals as busy, one a film."""

    app: Any
    token: str = ""
    busy: int = 0
    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.asked.append(headers.get("authorization", ""))
            if scope["path"].startswith("/v1/"):
                if self.token and headers.get("authorization") != f"Bearer {self.token}":
                    return await self._refuse(send, 401, "expected a bearer token")
                if self.busy and scope["path"] == "/v1/predict":
                    self.busy -= 1
                    return await self._refuse(send, 503, "too many films at a time")
        await self.app(scope, receive, send)

    async def _refuse(self, send: Any, status: int, detail: str) -> None:
        headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = f'{{"type": "urn:hilum:test", "status": {status}, "detail": "{detail}"}}'
        await send({"type": "http.response.body", "body": body.encode()})


@dataclass
class Site:
    """The service, at an address of this machine."""

    url: str
    gate: Gate

    def predict(self, film: bytes) -> dict[str, Any]:
        """What the API answers on one film."""
        response = httpx.post(f"{self.url}v1/predict", files={"film": ("film", film)}, timeout=30)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def picture(self, film: bytes, route: str = "picture") -> np.ndarray[Any, Any]:
        """A picture of one film as RGBA, float [h, w, 4] in 0 to 255."""
        response = httpx.post(f"{self.url}v1/{route}", files={"film": ("film", film)}, timeout=30)
        response.raise_for_status()
        with Image.open(BytesIO(response.content)) as image:
            return np.asarray(image.convert("RGBA"), dtype=float)


@dataclass
class Visit:
    """An open page, and everything it complained of or asked for."""

    page: Any
    site: Site
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def bring(self, films: Mapping[str, bytes], *, wait: bool = True) -> None:
        """Choose films, and wait until each has its answer and the first its picture."""
        have = self.page.locator("#list tr").count()
        self.page.locator("#files").set_input_files(
            [
                {"name": name, "mimeType": "application/octet-stream", "buffer": film}
                for name, film in films.items()
            ]
        )
        if wait:
            self.settle(have + len(films))

    def settle(self, films: int) -> None:
        from playwright.sync_api import expect

        expect(self.page.locator("#list tr")).to_have_count(films, timeout=20_000)
        expect(self.page.locator("#list .status.waiting")).to_have_count(0, timeout=30_000)
        expect(self.page.locator("#stage-words")).to_be_hidden()

    def show_map(self) -> None:
        from playwright.sync_api import expect

        self.page.locator("#map-on").check()
        expect(self.page.locator("#corner-map")).to_have_text("map 100 %")

    def choose(self, number: int) -> None:
        """Make film-`number` current and wait for its picture."""
        from playwright.sync_api import expect

        self.page.locator(f"#list [data-film='{number}'] button").click()
        expect(self.page.locator("#answer-title")).to_have_text(f"Answer: film-{number}")
        expect(self.page.locator("#stage-words")).to_be_hidden()

    def canvas(self) -> np.ndarray[Any, Any]:
        """The canvas as float [h, w, 3] in 0 to 255."""
        self.page.evaluate(FRAMES)
        address = self.page.locator("#film").evaluate(PIXELS)
        with Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
            return np.asarray(image.convert("RGB"), dtype=float)

    def film(self) -> np.ndarray[Any, Any]:
        """The part of the canvas that a square film fills when it fits."""
        drawn = self.canvas()
        height, width = drawn.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return drawn[top : top + side, left : left + side]

    def text(self, selector: str) -> str:
        self.page.evaluate(FRAMES)
        words = self.page.locator(selector).inner_text()
        assert isinstance(words, str)
        return words

    def drag(self, right: float, down: float) -> None:
        """Drag on the film from its middle."""
        box = self.page.locator("#film").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + right / 2, y + down / 2)
        self.page.mouse.move(x + right, y + down)
        self.page.mouse.up()


def phantom(index: int = 3, size: int = 200) -> np.ndarray[Any, Any]:
    """A drawn chest film, float32 [size, size] in [0, 1]."""
    return phantom_cohort(8, size=size, seed=1).radiograph(index)


def png(grey_hw: np.ndarray[Any, Any]) -> bytes:
    """grey_hw: in [0, 1], or already bytes."""
    whole = grey_hw if grey_hw.dtype == np.uint8 else (255 * grey_hw).round().astype(np.uint8)
    return raster(Image.fromarray(whole), "PNG")


def dicom_of(grey_hw: np.ndarray[Any, Any], **elements: Any) -> bytes:
    """A DICOM film of 12 bits. grey_hw: in [0, 1]"""
    return dicom(data_set((4095 * grey_hw).round().astype(np.uint16), **elements))
