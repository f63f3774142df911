from __future__ import annotations

import numpy as np
import pytest
import torch

from hilum.data.sources.phantom import phantom_cohort
from hilum.explanation.gradients import attribute
from hilum.explanation.grid import Grid, placed
from hilum.explanation.network import feature_layer, grid_of_layer
from hilum.explanation.saliency import Method
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble


@pytest.fixture(scope="module")
def classifiers() -> list[Classifier]:
    made = []
    for seed in range(2):
        torch.manual_seed(seed)
        classifier = Classifier(
            make_backbone("efficientnet_lite0", 2, weights="imagenet", dropout=0.0)
        )
        torch.nn.init.normal_(classifier.head_parameters()[0], std=0.1)
        made.append(classifier.eval())
    return made


def films(n: int = 3, side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).random((n, 1, side, side), dtype=np.float32)


def test_at_the_last_map_hirescam_is_grad_cam_and_at_an_earlier_layer_it_is_not(
    classifiers: list[Classifier],
) -> None:
    last = [attribute(classifiers[0], films(), 1, m) for m in ("grad_cam", "hires_cam")]
    np.testing.assert_allclose(last[0], last[1], atol=1e-5)
    early = [
        attribute(classifiers[0], films(), 1, m, layer="blocks.3")
        for m in ("grad_cam", "hires_cam")
    ]
    assert early[0].shape == early[1].shape == (3, 4, 4)
    assert np.abs(early[0] - early[1]).max() > 1e-3


def test_integrated_gradients_add_up_to_the_difference_of_logits(
    classifiers: list[Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.explanation.gradients.STEPS", 256)
    ramp = np.linspace(0.2, 0.6, 64, dtype=np.float32)
    image_nchw = np.stack([np.tile(ramp, (64, 1)), np.tile(ramp[:, None], 64)])[:, None]
    map_nhw = attribute(classifiers[0], image_nchw, 0, "integrated_gradients")
    with torch.inference_mode():
        logit_n = classifiers[0](torch.from_numpy(image_nchw))[:, 0]
        black = classifiers[0](torch.zeros(1, 1, 64, 64))[0, 0]
    assert map_nhw.shape == (2, 16, 16)  # sums over cells
    np.testing.assert_allclose(map_nhw.sum(axis=(1, 2)), (logit_n - black).numpy(), atol=0.1)


def test_occlusion_is_the_fall_of_the_logit_where_a_square_is_covered(
    classifiers: list[Classifier],
) -> None:
    image_nchw = films(1)
    map_hw = attribute(classifiers[0], image_nchw, 0, "occlusion")[0]
    covered = image_nchw.copy()
    covered[0, 0, :8, :8] = image_nchw.mean()
    with torch.inference_mode():
        both_nf = classifiers[0](torch.from_numpy(np.concatenate([image_nchw, covered])))
    # Only one of the overlapping squares covers the very corner.
    assert map_hw[0, 0] == pytest.approx(float(both_nf[0, 0] - both_nf[1, 0]), abs=1e-4)


def test_the_map_of_an_ensemble_is_the_mean_of_its_members(classifiers: list[Classifier]) -> None:
    whole = attribute(Ensemble(classifiers).eval(), films(), 0, "grad_cam")
    each = [attribute(member, films(), 0, "grad_cam") for member in classifiers]
    np.testing.assert_allclose(whole, np.mean(each, axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "layer"), [("resnet18", "layer4"), ("efficientnet_b0", "bn2"), ("convnext_atto", None)]
)
def test_the_layer_that_the_head_pools_is_found_per_backbone(name: str, layer: str | None) -> None:
    classifier = Classifier(make_backbone(name, 1, weights="none", dropout=0.0)).eval()
    found = feature_layer(classifier, 64)
    assert found == layer or layer is None
    with torch.inference_mode():
        assert classifier.network.get_submodule(found) is not None


def test_a_layer_that_is_not_there_is_refused_with_those_that_are(
    classifiers: list[Classifier],
) -> None:
    with pytest.raises(ValueError, match=r"no layer 'blocks\.9'.*blocks\.0"):
        attribute(classifiers[0], films(1), 0, "grad_cam", layer="blocks.9")


@pytest.mark.parametrize(
    ("name", "layer", "step", "first"),
    [
        ("efficientnet_lite0", "bn2", 32, 0.0),
        ("efficientnet_b0", "blocks.3", 16, 0.0),
        # TensorFlow pads a convolution of stride 2 by one less before the film than after it.
        ("tf_efficientnet_b0", "bn2", 32, 1 + 2 + 4 + 8 + 16),
        ("resnet18", "layer4", 32, 0.0),
    ],
)
def test_a_cell_stands_in_the_middle_of_what_moves_it(
    name: str, layer: str, step: int, first: float
) -> None:
    """Held against the network: how much each pixel moves the sum of a cell's channels."""
    torch.manual_seed(0)
    classifier = Classifier(make_backbone(name, 1, weights="none", dropout=0.0)).eval()
    side = 320
    grid = grid_of_layer(classifier, layer, side)
    assert grid is not None
    assert grid.step == step
    image_nchw = torch.rand(4, 1, side, side, requires_grad=True)
    taken: list[torch.Tensor] = []
    module = classifier.network.get_submodule(layer)
    hook = module.register_forward_hook(lambda _, __, output: taken.append(output))
    classifier.feature_map(image_nchw)
    hook.remove()
    cell = round((side / 2 - grid.first) / step)
    taken[0][:, :, cell, cell].sum().backward()
    assert image_nchw.grad is not None
    moved_p = image_nchw.grad.abs().sum(dim=(0, 1, 2)).numpy().astype(float)
    centre = (moved_p * np.arange(side)).sum() / moved_p.sum()
    assert centre == pytest.approx(grid.first + cell * step, abs=0.2 * step)
    assert grid.first == first


def test_several_layers_give_the_mean_of_their_maps_where_their_cells_stand(
    classifiers: list[Classifier],
) -> None:
    larger = np.repeat(np.repeat(films(), 2, axis=2), 2, axis=3)
    early, late, both = (
        attribute(classifiers[0], larger, 0, "hires_cam", layer=layer)
        for layer in ("blocks.2", "blocks.4", "blocks.2, blocks.4")
    )
    assert early.shape == both.shape == (3, 16, 16)
    assert late.shape == (3, 8, 8)
    grids = [grid_of_layer(classifiers[0], name, 128) for name in ("blocks.2", "blocks.4")]
    assert grids[0] is not None
    assert grids[1] is not None
    assert grids[1].step == 2 * grids[0].step
    # Every other cell of the finer grid stands where one of the coarser does.
    shift = round((grids[1].first - grids[0].first) / grids[0].step)
    expected = (256 * early[:, shift::2, shift::2] + 64 * late) / 2
    np.testing.assert_allclose(256 * both[:, shift::2, shift::2], expected, atol=1e-4)
    # One layer alone is itself.
    alone = attribute(classifiers[0], larger, 0, "hires_cam", layer="blocks.2,blocks.2")
    np.testing.assert_allclose(alone, early, atol=1e-6)


@pytest.mark.parametrize(("side", "tiled"), [(64, True), (128, False), (224, False)])
def test_few_cells_lie_over_tiles_and_many_where_the_graph_says(side: int, tiled: bool) -> None:
    """What of the film moves the cells of the last map, on average, lies nearer to the one."""
    network = make_backbone("efficientnet_lite0", 1, weights="imagenet", dropout=0.0)
    classifier = Classifier(network).eval()
    films = phantom_cohort(8, size=side, seed=1)
    image_nchw = torch.from_numpy(np.stack([films.radiograph(n)[None] for n in range(8)]))
    feature_nchw = classifier.feature_map(image_nchw.requires_grad_())
    cells = feature_nchw.shape[-1]
    centres = []
    for cell in range(cells):
        (moved,) = torch.autograd.grad(
            feature_nchw[:, :, :, cell].sum(), image_nchw, retain_graph=True
        )
        moved_p = moved.abs().sum(dim=(0, 1, 2)).numpy().astype(float)
        centres.append((moved_p * np.arange(side)).sum() / moved_p.sum())
    traced, tiles = grid_of_layer(classifier, "bn2", side), Grid.of_tiles(side, cells)
    assert traced is not None
    off = [abs(np.mean(centres) - (g.first + g.step * (cells - 1) / 2)) for g in (traced, tiles)]
    assert (off[1] < off[0]) == tiled
    assert placed(traced, side, cells) == (tiles if tiled else traced)


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients"])
def test_a_method_on_pixels_takes_no_layer(classifiers: list[Classifier], method: Method) -> None:
    with pytest.raises(ValueError, match="takes no layer"):
        attribute(classifiers[0], films(), 0, method, layer="blocks.4")
