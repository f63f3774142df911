"""The service against the bare engine: films a second, latency, overload, and hours of work.

    python benchmarks/serving.py                 films of 224 px, 32 clients, by wrk
    python benchmarks/serving.py --overload      ten times as many clients as it takes on
    python benchmarks/serving.py --soak 10       minutes: memory and unexpected answers

Without --bundle a small one of 224 px is trained first. Rounds of engine, predict and service take
turns, and medians are told: the ratios travel, the times do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

CLIENTS = 32
FILMS = 64
LUA = """
local films, n = {}, 0
for name in io.popen('ls ' .. os.getenv('FILMS') .. '/*.png'):lines() do
  local file = io.open(name, 'rb'); films[#films + 1] = file:read('*a'); file:close()
end
local head = { ['Content-Type'] = 'image/png' }
request = function() n = n + 1; return wrk.format('POST', nil, head, films[n % #films + 1]) end
done = function(summary, latency)
  io.write(string.format('{"requests": %d, "seconds": %f, "not_2xx": %d, "broken": %d, ' ..
    '"p50_ms": %f, "p99_ms": %f}\\n', summary.requests, summary.duration / 1e6,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write +
    summary.errors.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--bundle", type=Path, help="otherwise one of 224 px is trained")
    options.add_argument("--seconds", type=float, default=8)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--decoders", type=int, default=None)
    options.add_argument("--overload", action="store_true")
    options.add_argument("--soak", type=float, metavar="MINUTES")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        films = _films(here / "films")
        bundle = asked.bundle or _trained(here)
        lua = here / "post.lua"
        lua.write_text(LUA)
        _tell_where()
        extra = ["--workers", str(asked.workers)]
        if asked.decoders is not None:
            extra += ["--decoders", str(asked.decoders)]
        with _serving(bundle, here / "log", extra) as (url, pid):
            load = _Load(url, films, lua)
            if asked.soak:
                _soak(load, pid, asked.soak)
            elif asked.overload:
                _overload(load, url, films)
            else:
                _throughput(load, bundle, films, asked.seconds, asked.rounds)


def _throughput(load: _Load, bundle: Path, films: Path, seconds: float, rounds: int) -> None:
    from hilum.bundle import load_bundle
    from hilum.data.preprocessing import preprocess
    from hilum.data.radiograph import read_radiograph
    from hilum.data.sources.films import films as opened
    from hilum.predict import BATCH_SIZE, Predictor, predict

    loaded = load_bundle(bundle)
    predictor = Predictor(loaded)
    steps = loaded.manifest.preprocessing
    paths = sorted(films.glob("*.png"))[:BATCH_SIZE]
    batch = np.stack([preprocess(read_radiograph(path).stored_hw, steps) for path in paths])
    cohort = opened([films], loaded.findings)
    rates: dict[str, list[float]] = {"engine": [], "engine and policy": [], "predict": []}
    served: list[dict[str, float]] = []
    load(CLIENTS, 2)
    for _ in range(rounds):
        rates["engine"].append(len(batch) * _rate(lambda: predictor.engine(batch), seconds))
        rates["engine and policy"].append(len(batch) * _rate(lambda: predictor.run(batch), seconds))
        rates["predict"].append(FILMS * _rate(lambda: predict(loaded, cohort), seconds))
        served.append(load(CLIENTS, seconds))
    rates["service"] = [each["requests"] / each["seconds"] for each in served]
    median = {name: statistics.median(each) for name, each in rates.items()}
    batch_ms = 1000 * len(batch) / median["engine"]
    p99 = statistics.median(each["p99_ms"] for each in served)
    for name, each in rates.items():
        told = ", ".join(f"{rate:.0f}" for rate in each)
        print(f"{name}: {median[name]:.0f} films/s ({told})")
    for name in ("engine", "engine and policy", "predict"):
        print(f"service / {name}: {median['service'] / median[name]:.2f}")
    print(
        f"p99 {p99:.0f} ms, {p99 / batch_ms:.1f} times a batch of {len(batch)} ({batch_ms:.0f} ms)"
    )
    print(f"not 2xx: {sum(each['not_2xx'] for each in served)}")


def _overload(load: _Load, url: str, films: Path) -> None:
    film = next(films.glob("*.png")).read_bytes()
    head = {"content-type": "image/png"}
    running = load.begin(10 * CLIENTS, 10)
    time.sleep(2)
    refused = []
    with httpx.Client(base_url=url, timeout=30) as client:
        while running.poll() is None:
            began = time.monotonic()
            answer = client.post("/v1/predict", content=film, headers=head)
            if answer.status_code == 503:
                refused.append(time.monotonic() - began)
                assert int(answer.headers["retry-after"]) >= 1
            time.sleep(0.05)
        found = load.end(running)
        began = time.monotonic()
        while (answer := client.post("/v1/predict", content=film, headers=head)).is_error:
            time.sleep(0.02)
        recovered = time.monotonic() - began
    answered = found["requests"] - found["not_2xx"]
    print(f"{10 * CLIENTS} clients: {answered / found['seconds']:.0f} films/s answered,")
    print(f"{found['not_2xx'] / found['seconds']:.0f} refusals/s, {found['broken']:.0f} broken")
    if refused:
        quantile = np.quantile(refused, [0.5, 0.99]) * 1000
        print(f"a 503 took {quantile[0]:.0f} ms (median), {quantile[1]:.0f} ms (99 %)")
    print(f"answered again {recovered:.2f} s after the load ended")


def _soak(load: _Load, pid: int, minutes: float) -> None:
    """Memory comes and goes with the batches: medians of the first and the last minute are told."""
    load(CLIENTS, 30)
    running = load.begin(CLIENTS, 60 * minutes)
    held = []
    while running.poll() is None:
        held.append((time.monotonic(), _resident(pid)))
        time.sleep(2)
    found = load.end(running)
    first, last = held[0][0] + 60, held[-1][0] - 60
    begun = statistics.median(size for at, size in held if at <= first)
    ended = statistics.median(size for at, size in held if at >= last)
    print(f"{minutes:g} minutes, {found['requests']:,} requests, {found['not_2xx']} not 2xx,")
    print(f"{found['broken']} broken, p99 {found['p99_ms']:.0f} ms")
    print(
        f"memory of all processes, median of the first and the last minute: "
        f"{begun / 2**20:.0f} -> {ended / 2**20:.0f} MiB ({ended / begun - 1:+.1%})"
    )


class _Load:
    """wrk against the service."""

    def __init__(self, url: str, films: Path, lua: Path) -> None:
        self._url, self._films, self._lua = url, films, lua

    def begin(self, clients: int, seconds: float) -> subprocess.Popen[str]:
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "30s"]
        return subprocess.Popen(
            [*command, "-s", str(self._lua), f"{self._url}/v1/predict"],
            env=os.environ | {"FILMS": str(self._films)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def end(self, running: subprocess.Popen[str]) -> dict[str, float]:
        told, _ = running.communicate()
        found: dict[str, float] = json.loads(told.strip().splitlines()[-1])
        return found

    def __call__(self, clients: int, seconds: float) -> dict[str, float]:
        return self.end(self.begin(clients, seconds))

    def batches(self) -> float:
        """Films a batch, on average so far."""
        text = httpx.get(f"{self._url}/metrics").text
        value = {
            name: float(found[1])
            for name in ("hilum_batch_films_sum", "hilum_batch_films_count")
            if (found := re.search(rf"^{name} (\S+)$", text, re.M))
        }
        return (
            f"{value['hilum_batch_films_sum'] / value['hilum_batch_films_count']:.1f} films a batch"
        )


def _rate(work: object, seconds: float) -> float:
    work()  # type: ignore[operator]
    began, done = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        work()  # type: ignore[operator]
        done += 1
    return done / (time.monotonic() - began)


def _resident(pid: int) -> int:
    process = psutil.Process(pid)
    every = [process, *process.children(recursive=True)]
    return sum(each.memory_full_info().uss for each in every)


@contextmanager
def _serving(bundle: Path, log: Path, extra: list[str]) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "hilum", "serve", str(bundle), "--port", "0", *extra]
    with log.open("w") as told:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True)
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                sys.exit(log.read_text())
            yield found[0], process.pid
        finally:
            process.terminate()
            process.wait()


def _films(folder: Path) -> Path:
    """224-pixel PNGs: real films where HILUM_DATA has them, otherwise simulated ones."""
    folder.mkdir()
    real = Path(os.environ.get("HILUM_DATA", "")) / "kermany_224" / "images"
    paths = sorted(real.rglob("*.jp*g"))[:FILMS]
    for n in range(FILMS):
        if paths:
            image = Image.open(paths[n % len(paths)]).convert("L")
        else:
            down, across = np.mgrid[-1:1:224j, -1:1:224j]
            noise = np.random.default_rng(n).normal(0, 6, (224, 224))
            grey = 200 - 120 * np.exp(-8 * (np.abs(across) - 0.45) ** 2 - 2 * down**2) + noise
            image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
        image.resize((224, 224)).save(folder / f"{n:03d}.png")
    return folder


def _trained(folder: Path) -> Path:
    from hilum.data.sources import open_source
    from hilum.recipe import make_recipe
    from hilum.training.run import train

    rng = np.random.default_rng(0)
    arrays = {}
    for split in ("train", "val", "test"):
        label = (np.arange(60) % 2).astype(np.uint8)[:, None]
        grey = rng.integers(0, 160, (60, 28, 28)) + 60 * label[:, :, None]
        arrays |= {f"{split}_images": grey.astype(np.uint8), f"{split}_labels": label}
    np.savez(folder / "pneumoniamnist.npz", **arrays)
    recipe = make_recipe(
        {
            "name": "served",
            "input": {"size": 224},
            "train": {"epochs": 1, "batch_size": 16},
            "abstention": {"examples": 100},
        }
    )
    cohort = open_source("pneumoniamnist", data=folder / "pneumoniamnist.npz")
    return train(recipe, cohort, folder / "served").folder


def _tell_where() -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    cores = len(os.sched_getaffinity(0))
    print(
        f"{' '.join(sys.argv)}; {platform.machine()}, {cores} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{datetime.now(UTC):%d %B %Y}, commit {commit}")


if __name__ == "__main__":
    main()
