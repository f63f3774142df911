"""Small cohorts to be sharded, and real servers that hand shards out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.pixels import ArrayPixels, FilePixels
from hilum.data.shards import fetching


def make_cohort(n: int, height: int = 40, width: int = 56) -> Cohort:
    """`n` noisy films of 8 bits with all that a cohort can know; ids are not public."""
    rng = np.random.default_rng(n)
    image_id_n = [f"Miller/film {i}.v2" for i in range(n)]
    table = pd.DataFrame(
        {
            "image_id": image_id_n,
            "patient_id": [f"Miller-{i // 2}" if i % 3 else None for i in range(n)],
            "site": ["north", "south"] * (n // 2) + ["north"] * (n % 2),
            "view": None,
            "age": [np.nan if i % 4 == 0 else 20.5 + i for i in range(n)],
            "sex": ["F" if i % 2 else None for i in range(n)],
            "split": ["train" if i % 5 else "test" for i in range(n)],
            "role": None,
            "label_pneumonia": (np.arange(n) % 2).astype(float),
            "label_lung_opacity": [np.nan if i % 3 == 0 else float(i % 3 == 1) for i in range(n)],
            "accession": [f"Miller-A{i}" for i in range(n)],
        }
    ).astype({"patient_id": "str", "sex": "str"})
    boxes = pd.DataFrame(
        [(image_id_n[i], "Pneumonia", 8.0, 4.0, 20.0, 30.0) for i in range(1, n, 2)],
        columns=["image_id", "finding", "x", "y", "width", "height"],
    )
    return Cohort(
        name="folder:hospital",
        findings=("Pneumonia", "Lung Opacity"),
        table=table,
        pixels=ArrayPixels(rng.integers(0, 256, (n, height, width)).astype(np.uint8)),
        warnings=("made for a test",),
        licence="none",
        boxes=boxes,
        excluded=pd.DataFrame({"image_id": ["Miller/side"], "reason": ["view LATERAL"]}),
        meanings={"Pneumonia": "somebody said so"},
    )


@pytest.fixture
def cohort_of() -> Callable[..., Cohort]:
    return make_cohort


@pytest.fixture
def file_cohort(tmp_path: Path) -> Cohort:
    """Four files: PNG of 8 and of 16 bits, JPEG, and a PNG of 8 bits that is squashed to half its
    width."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "films"
    folder.mkdir()
    grey8 = rng.integers(0, 256, (48, 64)).astype(np.uint8)
    grey16 = rng.integers(0, 65536, (48, 64)).astype(np.uint16)
    Image.fromarray(grey8).save(folder / "a.png")
    Image.fromarray(grey16).save(folder / "b.png")
    Image.fromarray(grey8).save(folder / "c.jpg", quality=95)
    Image.fromarray(grey8).save(folder / "d.png")
    cohort = make_cohort(4)
    names = ["a.png", "b.png", "c.jpg", "d.png"]
    return replace(
        cohort,
        pixels=FilePixels(folder, names, aspect_n=np.array([np.nan, np.nan, np.nan, 0.5])),
        boxes=cohort.boxes[:0],
    )


@dataclass
class CountedPixels:
    """Passes films on and counts them; raises `error` instead of the film number `at`."""

    pixels: ArrayPixels
    at: int = -1
    error: BaseException = field(default_factory=KeyboardInterrupt)
    read_films: list[int] = field(default_factory=list)

    def read(self, index: int) -> NDArray[np.uint8]:
        if index == self.at:
            raise self.error
        self.read_films.append(index)
        return self.pixels.read(index)  # type: ignore[return-value]


@pytest.fixture
def counted() -> Callable[..., CountedPixels]:
    return CountedPixels


@dataclass
class WebServer:
    """A web server over a folder. cut: name -> how often it is still to be cut off midway."""

    folder: Path
    url: str = ""
    cut: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, state: WebServer, **more: object) -> None:
        self.state = state
        super().__init__(*args, directory=str(state.folder), **more)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.state.asked.append(name)
        if self.state.cut.get(name, 0) <= 0:
            return super().do_GET()
        self.state.cut[name] -= 1
        data = (self.state.folder / name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.close_connection = True
        return None

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[WebServer]:
    folder = tmp_path / "www"
    folder.mkdir()
    state = WebServer(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, state=state)) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_cache_and_no_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HILUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "PAUSE_S", 0.01)
