from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from PIL import Image

from hilum.bundle import Bundle
from hilum.cli import run
from hilum.data.faults import SEVERITIES, FaultyPixels
from hilum.data.pixels import ArrayPixels
from hilum.errors import HilumError
from hilum.robustness import medmnist_c as module
from hilum.robustness.family import Family
from hilum.robustness.medmnist_c import as_fault, drawing_from, medmnist_c

Captured = pytest.CaptureFixture[str]
FILM_HW = np.linspace(0, 255, 28 * 28).reshape(28, 28).astype(np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class Grain:
    """As the package's: from NumPy's global generator, on RGB in eight bits."""

    given: Image.Image

    def apply(self, image: Image.Image, severity: int) -> np.ndarray:
        type(self).given = image
        drawn = []
        for _ in range(3):
            drawn.append(np.random.normal(size=image.size[::-1]))  # noqa: NPY002
            time.sleep(0.0005)  # another thread may come in between
        drawn_hwc = np.stack(drawn, axis=2)
        return np.clip(np.asarray(image) + (severity + 1) * drawn_hwc, 0, 255).astype(np.uint8)


class Impulse:
    """As the package's: from a generator that is set on it."""

    rng: np.random.Generator

    def apply(self, image: Image.Image, severity: int) -> np.ndarray:
        lost_hw = self.rng.random(image.size[::-1]) < 0.1
        return np.where(lost_hw[:, :, None], 0, np.asarray(image)).astype(np.uint8)


def state() -> str:
    return str(np.random.get_state(legacy=False))  # noqa: NPY002


def test_the_global_generator_is_left_as_it_was_found_even_by_an_error() -> None:
    before = state()
    with drawing_from(rng(3)):
        assert state() != before
        one = np.random.normal()  # noqa: NPY002
    assert state() == before
    drawn = []

    def break_off() -> None:
        with drawing_from(rng(3)):
            drawn.append(np.random.normal())  # noqa: NPY002
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        break_off()
    assert state() == before
    assert drawn == [one]


@pytest.mark.parametrize("corruption", [Grain(), Impulse()])
def test_a_film_is_drawn_from_seed_severity_and_index_alone(corruption: module.Corruption) -> None:
    pixels = ArrayPixels(np.stack([FILM_HW] * 40))

    def read(index: int, severity: int = 2, seed: int = 0) -> np.ndarray:
        fault = as_fault("grain", corruption)
        return np.asarray(FaultyPixels(pixels, fault, severity, seed).read(index))

    one_hw = read(1)
    np.testing.assert_array_equal(one_hw, read(1))
    for other_hw in (read(2), read(1, severity=3), read(1, seed=1)):
        assert np.abs(one_hw - other_hw).max() > 0.01
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(read, range(40)))
    np.testing.assert_array_equal(together, [read(index) for index in range(40)])
    assert "rng" not in vars(corruption)


def test_a_corruption_gets_the_film_in_colour_and_eight_bits_and_gives_grey() -> None:
    fault = as_fault("grain", Grain())
    found_hw = fault.apply(FILM_HW, 4, rng())
    assert (Grain.given.mode, Grain.given.size) == ("RGB", (28, 28))
    np.testing.assert_array_equal(np.asarray(Grain.given)[:, :, 1], FILM_HW)
    assert found_hw.shape == (28, 28)
    # Colours are drawn one by one, and a grey is 0.30, 0.59 and 0.11 of them: a noise of 4 steps
    # keeps two thirds of it.
    assert 0.5 < (found_hw * 255 - FILM_HW)[5:23].std() / 4 < 0.8


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of the same name and layout, which a test may break."""
    folder = tmp_path / "fake"
    files = {
        "medmnistc/__init__.py": "",
        "medmnistc/corruptions/registry.py": """
            import numpy as np
            class Dark:
                def apply(self, image, severity):
                    return (np.asarray(image) * (1 - 0.2 * severity)).astype(np.uint8)
            class Noise:
                def apply(self, image, severity):
                    noisy = np.asarray(image) + np.random.normal(0, 20, (28, 28, 3))
                    return np.clip(noisy, 0, 255).astype(np.uint8)
            CORRUPTIONS_DS = {"pneumoniamnist": {"dark": Dark(), "noise": Noise()}}
            """,
        "medmnistc/utils/baselines.py": """
            BASELINES = {"pneumoniamnist": {
                "clean_score": 0.1, "raw_scores": {"dark": 0.08, "noise": 0.3}}}
            """,
        "medmnistc-9.9.dist-info/METADATA": "Metadata-Version: 2.1\nName: medmnistc\nVersion: 9.9",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in sys.modules if name.partition(".")[0] == "medmnistc"]:
            patch.delitem(sys.modules, name)
        patch.syspath_prepend(str(folder))
        yield folder
        for name in [name for name in sys.modules if name.partition(".")[0] == "medmnistc"]:
            del sys.modules[name]


def test_the_verb_gives_errors_relative_to_the_published_ones(
    fake: Path, small_bundle: Bundle, small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    copy, out = shutil.copytree(small_bundle.folder, tmp_path / "bundle"), tmp_path / "stressed"
    arguments = ["stress", str(copy), "--data", str(small_npz), "--family", "medmnist-c"]
    assert run([*arguments, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "the first has 28 × 28 pixels" in printed
    assert "without dark: under these AlexNet errs less" in printed
    told = json.loads((out / "stress.json").read_text())
    assert (told["family"], told["made_by"], told["seed"]) == ("medmnist-c", "medmnistc 9.9", 0)
    assert told["first_film"] == {"height": 28, "width": 28}
    by_severity = {
        name: [
            1 - each["figures"]["Pneumonia"]["balanced_accuracy"]["b"]["value"]
            for each in told["conditions"]
            if each["corruption"] == name
        ]
        for name in ("dark", "noise")
    }
    dark, noise = (sum(errors) / 5 for errors in by_severity.values())
    clean = 1 - told["clean"]["Pneumonia"]["balanced_accuracy"]["value"]
    error = told["relative_error"]["Pneumonia"]
    assert error["left_out"] == ["dark"]
    assert error["relative"]["value"] == pytest.approx((dark / 0.08 + noise / 0.3) / 2)
    assert error["relative_rise"]["value"] == pytest.approx((noise - clean) / 0.2)
    assert f"BE: {error['relative']['value']:.3f} (" in printed


def test_on_other_films_the_published_errors_are_left_out_and_that_is_said(
    fake: Path, small_bundle: Bundle, small_npz: Path, tmp_path: Path, capsys: Captured
) -> None:
    copy, out = shutil.copytree(small_bundle.folder, tmp_path / "bundle"), tmp_path / "stressed"
    arguments = ["stress", str(copy), "--data", str(small_npz), "--family", "medmnist-c"]
    part = ["--on", "pneumoniamnist:calibrate", "--severity", "1", "--out", str(out)]
    assert run([*arguments, *part]) == 0
    printed = capsys.readouterr().out
    told = "AlexNet's errors are of the test films of pneumoniamnist"
    assert f"BE: not given: {told}" in printed
    error = json.loads((out / "stress.json").read_text())["relative_error"]["Pneumonia"]
    assert error["relative"]["reason"] == told


def test_a_corruption_of_another_family_is_refused(
    fake: Path, small_bundle: Bundle, tmp_path: Path, capsys: Captured
) -> None:
    start = ["stress", str(small_bundle.folder), "--out", str(tmp_path / "out")]
    assert run([*start, "--family", "medmnist-c", "--corruption", "blur"]) == 2
    error = capsys.readouterr().err
    assert "no corruption 'blur' in the family medmnist-c; expected dark, noise" in error
    assert run([*start, "--family", "imagenet-c"]) == 2
    assert "'acquisition', 'medmnist-c'" in capsys.readouterr().err


def test_without_the_package_the_verb_says_what_to_install(
    small_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    out = tmp_path / "out"
    start = ["stress", str(small_bundle.folder), "--out", str(out)]
    assert run([*start, "--family", "medmnist-c"]) == 2
    error = capsys.readouterr().err
    assert (
        "needs the package medmnistc, which is not installed; pip install medmnistc and " in error
    )
    assert "apt-get install libmagickwand" in error
    assert "Traceback" not in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            'raise ImportError("MagickWand shared library not found.\\nTry to install:")',
            "needs ImageMagick's library, which is not installed; "
            "apt-get install libmagickwand-6.q16-6",
        ),
        ("import no_such_package", "needs no_such_package, which is not installed"),
        ('raise ImportError("libGL.so.1: no such file")', "imported (libGL.so.1: no such file)"),
    ],
)
def test_what_the_package_lacks_is_told_in_a_line(fake: Path, code: str, told: str) -> None:
    (fake / "medmnistc/corruptions/registry.py").write_text(code)
    with pytest.raises(HilumError) as caught:
        medmnist_c()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def published() -> Family:
    if find_spec("medmnistc") is None:
        pytest.skip("medmnistc is not installed")
    try:
        return medmnist_c()
    except HilumError as error:
        pytest.skip(str(error))


def test_two_of_the_thirteen_published_corruptions_have_no_rise_to_divide_by(
    published: Family,
) -> None:
    assert len(published.corruptions) == 13
    assert published.reference is not None
    assert set(published.reference.corrupted) == set(published.corruptions)
    assert published.reference.left_out == ("contrast_up", "gamma_corr_up")


def test_published_corruptions_are_those_of_the_package_and_can_be_replayed(
    published: Family, data_folder: Path
) -> None:
    from medmnistc.corruptions.registry import CORRUPTIONS_DS

    film_hw = np.load(data_folder / "pneumoniamnist.npz")["test_images"][0]
    before = state()
    for name, fault in published.corruptions.items():
        for severity in SEVERITIES:
            found_hw, again_hw = (fault.apply(film_hw, severity, rng(5)) for _ in range(2))
            np.testing.assert_array_equal(found_hw, again_hw)
            assert np.abs(found_hw - film_hw / 255).max() > 0.01
            if "noise" not in name:
                image = Image.fromarray(film_hw).convert("RGB")
                own_hwc = CORRUPTIONS_DS["pneumoniamnist"][name].apply(image, severity - 1)
                own_hw = np.asarray(Image.fromarray(own_hwc).convert("L"))
                np.testing.assert_allclose(found_hw * 255, own_hw, atol=1e-4)
        assert bool(np.abs(found_hw - fault.apply(film_hw, 5, rng(6))).max()) == ("noise" in name)
    assert state() == before


def test_relative_errors_are_those_of_the_packages_own_evaluator(published: Family) -> None:
    from medmnistc.eval import Evaluator

    from hilum.robustness.relative_error import Reference, relative_error
    from hilum.units import units_of

    draw, names = rng(2), list(published.corruptions)
    y_n = (draw.random(90) < 0.6).astype(int)
    prob_n, prob = draw.random(90), {name: draw.random((5, 90)) for name in names}
    theirs = Evaluator("pneumoniamnist", y_n[:, None], names, ".", "mine", "binary-class")
    theirs.evaluate_clean(prob_n[:, None], 0.4)
    for name in names:
        theirs.evaluate(prob[name].reshape(-1, 1), name, 0.4)
    theirs.output_log = {}
    theirs.populate_summary()
    assert isinstance(published.reference, Reference)
    ours = relative_error(
        {name: (prob[name] > 0.4) != (y_n == 1) for name in names},
        (prob_n > 0.4) != (y_n == 1),
        y_n == 1,
        units_of(np.array([None] * 90, dtype=object)),
        published.reference,
        rng=rng(),
        resamples=50,
    )
    log = theirs.output_log
    assert ours.relative.value == pytest.approx(log["metrics"]["be"])
    kept = [name for name in names if name not in ours.left_out]
    rises = [log["rbe_scores"][name] for name in kept]
    assert ours.relative_rise.value == pytest.approx(np.mean(rises))
    for name in kept:
        assert ours.by_corruption[name].relative_rise.value == pytest.approx(
            log["rbe_scores"][name]
        )
