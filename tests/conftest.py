"""What several tests share: real data where it is at hand, and one small bundle."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.bundle import Bundle, load_bundle
from hilum.data.cohort import Cohort
from made import small_recipe, without_ink, write_npz

_CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fingerprints and ledgers are kept apart from those of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets. Without it a test is skipped, or fails in CI."""
    folder = Path(os.environ.get("HILUM_DATA", ""))
    if not (folder / "pneumoniamnist.npz").is_file():
        message = "HILUM_DATA names no folder with pneumoniamnist.npz"
        if os.environ.get("HILUM_REQUIRE_DATA"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def small_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pneumoniamnist.npz"
    write_npz(path)
    return path


@pytest.fixture(scope="session")
def small_cohort(small_npz: Path) -> Cohort:
    from hilum.data.sources import open_source

    return open_source("pneumoniamnist", data=small_npz)


@pytest.fixture(scope="session")
def small_bundle(small_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that has learnt a little; tests that change it copy it first.

    Processes that share the work of one test run share it, too.
    """
    from hilum.predict import predict
    from hilum.training.run import train

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "small_bundle.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "models" / "small").exists():
            return load_bundle(folder / "models" / "small")
        recipe = small_recipe(epochs=6, batch_size=8, patience=6)
        bundle = train(recipe, small_cohort, folder / "models" / "small")
        # A network that says the same of every film would let any test of its answers pass.
        assert np.ptp(predict(bundle, small_cohort).logit("Pneumonia")) > 0.5
        return bundle


@pytest.fixture
def no_ink() -> Iterator[None]:
    """Figures are made and not drawn."""
    with without_ink():
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium. Of a module: Playwright's loop runs for as long as it is there, and there
    can be but one in a thread.
    """
    executable = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        executable = None
    if executable is None:
        message = "no chromium, or no playwright, on this machine"
        if os.environ.get("HILUM_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=[*_CHROMIUM])
        yield started
        started.close()
