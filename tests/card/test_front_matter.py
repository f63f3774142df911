"""What a card says to machines, read back by what reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cards import made_bundle, made_evaluation, write_results
from hilum.card import card_text, first_card, read_results, without_front_matter
from hilum.card.front_matter import front_matter, metadata
from hilum.card.results import Evaluated, Results
from hilum.card.subject import Subject


def parsed(text: str) -> dict[str, Any]:
    head, *_ = text.removeprefix("---\n").split("\n---\n")
    read: dict[str, Any] = yaml.safe_load(head)
    return read


def test_yaml_reads_back_what_was_meant(tmp_path: Path) -> None:
    bundle = made_bundle(tmp_path / "b")
    folders = write_results(tmp_path / "results", bundle.digest)
    results = read_results(folders, bundle.digest)
    assert parsed(front_matter(bundle.manifest, results)) == metadata(bundle.manifest, results)


@pytest.mark.parametrize(
    "name",
    ["yes", "null", "1.0", "1e3", "a: b", "- x", 'q"uo\\te', "ä\x85\x7f\u2028", "#", "[", "~"],
)
def test_strange_names_stay_what_they_are(tmp_path: Path, name: str) -> None:
    bundle = made_bundle(tmp_path / "b", name=name)
    found = made_evaluation(bundle.digest, source=name)
    results = Results((Evaluated(found),))
    told = parsed(front_matter(bundle.manifest, results))
    assert told["model-index"][0]["name"] == name
    assert told["model-index"][0]["results"][0]["dataset"]["name"] == name


@pytest.mark.parametrize(
    ("words", "licence"),
    [
        ("CC BY 4.0, Kermany et al. 2018", {"license": "cc-by-4.0"}),
        ("", {"license": "unknown"}),
        ("RSNA's terms of use", {"license": "other", "license_name": "rsna-s-terms-of-use"}),
    ],
)
def test_a_licence_is_the_hubs_or_named(
    tmp_path: Path, words: str, licence: dict[str, str]
) -> None:
    told = metadata(made_bundle(tmp_path / "b", licence=words).manifest, Results())
    assert {key: told[key] for key in told if key.startswith("license")} == licence


def test_the_hub_s_own_library_reads_the_figures(tmp_path: Path) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    bundle = made_bundle(tmp_path / "b")
    folders = write_results(tmp_path / "results", bundle.digest)
    text = card_text(Subject.of(bundle), read_results(folders, bundle.digest))
    card = huggingface_hub.ModelCard(text, ignore_metadata_errors=False)
    assert card.data.library_name == "hilum"
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.model_name == "old"
    found = {(each.dataset_name, each.metric_type): each for each in card.data.eval_results}
    auroc = made_evaluation(bundle.digest).figures["Pneumonia"]["auroc"]
    assert found["pneumoniamnist", "roc_auc"].metric_value == pytest.approx(auroc.value, abs=1e-4)
    assert found["pneumoniamnist", "roc_auc"].dataset_split == "test"
    assert ("site_b", "recall") in found
    assert all(each.task_type == "image-classification" for each in card.data.eval_results)
    # As the library writes it again, nothing is lost.
    again = huggingface_hub.ModelCard(str(card), ignore_metadata_errors=False)
    assert again.data.to_dict() == card.data.to_dict()
    assert card.text.strip().startswith("# old")


def test_people_get_the_card_without_it(tmp_path: Path) -> None:
    bundle = made_bundle(tmp_path / "b")
    assert without_front_matter(first_card(bundle.manifest, bundle.digest)).startswith("# old\n")
    assert without_front_matter("# mine\n\n---\nx\n---\n") == "# mine\n\n---\nx\n---\n"
