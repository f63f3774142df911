"""Occlusion by the engine: what torch and Captum give, of any network."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.bundle import Bundle
from hilum.data.cohort import Cohort
from hilum.engines import Output, open_engine
from hilum.explanation.explaining import explain
from hilum.explanation.gradients import ByTorch
from hilum.explanation.occlusion import occlusion
from hilum.predict import predict


def test_maps_are_those_of_torch_and_captum(small_bundle: Bundle, small_cohort: Cohort) -> None:
    some = small_cohort.where(np.arange(len(small_cohort)) < 4)
    by_torch = ByTorch(small_bundle, len(some), "occlusion", None)
    predict(small_bundle, some, look=by_torch)
    expected, found = by_torch.saliency(), explain(small_bundle, some, method="occlusion").saliency
    assert (found.layer, found.grid, found.method) == (
        expected.layer, expected.grid, expected.method
    )  # fmt: skip
    assert np.abs(expected.map_nfhw).max() > 0.05
    np.testing.assert_allclose(found.map_nfhw, expected.map_nfhw, atol=1e-4)


@pytest.mark.parametrize("side", [32, 61, 64])
def test_maps_are_those_of_captum_where_the_stride_does_not_divide_the_side(side: int) -> None:
    import torch
    from captum.attr import Occlusion

    rng = np.random.default_rng(0)
    weight_fp = rng.normal(0, 1, (2, side * side)).astype(np.float32)

    def logits(image_nchw: np.ndarray) -> np.ndarray:
        return np.tanh(image_nchw.reshape(len(image_nchw), -1) @ weight_fp.T / side)

    class Fixed:
        name = "fixed"

        def __call__(self, image_nchw: np.ndarray) -> Output:
            return Output(logits(image_nchw), image_nchw)

    image_nchw = rng.random((3, 1, side, side), dtype=np.float32)
    found = occlusion(Fixed(), image_nchw, logits(image_nchw))
    image = torch.from_numpy(image_nchw)
    stride = side // 14
    for finding in range(2):
        made = Occlusion(lambda x: torch.from_numpy(logits(x.numpy()))).attribute(
            image,
            sliding_window_shapes=(1, 2 * stride, 2 * stride),
            strides=(1, stride, stride),
            baselines=image.mean(dim=(1, 2, 3), keepdim=True).expand_as(image),
            target=finding,
        )
        if side % stride == 0:
            made = torch.nn.functional.avg_pool2d(made, stride)
        np.testing.assert_allclose(found[:, finding], made[:, 0].numpy(), atol=1e-5)


def test_the_engines_memory_may_be_used_again(
    small_bundle: Bundle, small_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maps of a batch do not hang on what the engine is asked while they are made."""
    monkeypatch.setattr("hilum.predict.BATCH_SIZE", 4)
    some = small_cohort.where(np.arange(len(small_cohort)) < 6)
    whole = explain(small_bundle, some, method="occlusion")
    alone = explain(small_bundle, some.where(np.arange(6) == 5), method="occlusion")
    np.testing.assert_allclose(whole.saliency.map_nfhw[5], alone.saliency.map_nfhw[0], atol=1e-5)
    logit_n = predict(small_bundle, some, engine=open_engine(small_bundle)).logit("Pneumonia")
    np.testing.assert_array_equal(whole.predictions.logit("Pneumonia"), logit_n)
