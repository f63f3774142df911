from __future__ import annotations

from typing import Any

import pytest

from hilum.explanation.saliency import same_maps
from hilum.explanation.verdicts import standing


def record(passed: bool | None, source: str = "a", n: int = 64) -> dict[str, Any]:
    checks = [{"question": "weights", "passed": passed}, {"question": "noise", "passed": True}]
    return {"finding": "Pneumonia", "source": source, "n": n, "checks": checks}


@pytest.mark.parametrize(
    ("later", "stands"),
    [
        (record(True, source="b", n=8), False),
        (record(True, n=8), False),
        (record(None, n=8), False),
        (record(True), True),
        (record(None), None),
    ],
)
def test_a_failure_stands_until_as_many_films_of_its_source_clear_it(
    later: dict[str, Any], stands: bool | None
) -> None:
    verdicts = {each.question: each for each in standing([record(False), later])}
    assert verdicts["weights"].passed is stands
    assert verdicts["noise"].passed is True


def test_a_later_failure_counts() -> None:
    (verdict, _) = standing([record(True), record(False, source="b", n=8)])
    assert (verdict.passed, verdict.source, verdict.n) == (False, "b", 8)
    assert standing([]) == []


def test_the_last_map_is_the_same_whoever_computes_it() -> None:
    engine = same_maps("grad_cam", "last feature map, 7 × 7")
    assert same_maps("grad_cam", "last feature map (bn2), 7 × 7") == engine
    assert same_maps("hires_cam", "last feature map (bn2), 7 × 7") == engine
    assert same_maps("hires_cam", "blocks.4, 14 × 14") != engine
    assert same_maps("occlusion", "the input, 14 × 14") == "occlusion at the input, 14 × 14"
