import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from hilum.recipe import AugmentationPart
from hilum.training.augmentation import apply_variation, draw_variation

NOTHING = AugmentationPart(
    rotation_degrees=0, translation=0, scale=0, brightness=0, contrast=0, gamma=0, noise=0
)


def films(n: int = 4, size: int = 33) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((n, 1, size, size), dtype=np.float32))


def vary(settings: AugmentationPart, image_nchw: torch.Tensor, seed: int = 0) -> torch.Tensor:
    variation = draw_variation(settings, len(image_nchw), np.random.default_rng(seed))
    return apply_variation(image_nchw, variation)


def test_with_every_range_at_nought_films_stay_as_they_are() -> None:
    image_nchw = films()
    torch.testing.assert_close(vary(NOTHING, image_nchw), image_nchw, atol=2e-4, rtol=0)


def test_the_same_variation_gives_the_same_films_and_leaves_torchs_random_state_alone() -> None:
    image_nchw = films()
    variation = draw_variation(AugmentationPart(), 4, np.random.default_rng(3))
    before = torch.get_rng_state()
    once, again = apply_variation(image_nchw, variation), apply_variation(image_nchw, variation)
    assert torch.equal(once, again)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(once, image_nchw)


def test_varied_films_stay_in_range_without_gaps() -> None:
    strong = AugmentationPart(
        rotation_degrees=45, translation=0.4, scale=0.5, brightness=0.5, contrast=0.9, gamma=0.9,
        noise=0.3,
    )  # fmt: skip
    varied = vary(strong, films(64))
    assert torch.isfinite(varied).all()
    assert varied.min() >= 0
    assert varied.max() <= 1


def test_a_flip_mirrors_left_and_right_and_is_off_by_default() -> None:
    assert AugmentationPart().horizontal_flip == 0
    image_nchw = films()
    flipped = vary(NOTHING.model_copy(update={"horizontal_flip": 1.0}), image_nchw)
    torch.testing.assert_close(flipped, image_nchw.flip(3), atol=2e-4, rtol=0)


def test_a_film_turned_by_ninety_degrees_is_turned() -> None:
    image_nchw = films(1)
    variation = draw_variation(NOTHING, 1, np.random.default_rng(0))
    variation.affine_n23[0, :, :2] = [[0, -1], [1, 0]]
    turned = apply_variation(image_nchw, variation)
    quarter_turns = [torch.rot90(image_nchw, k, (2, 3)) for k in (1, 3)]
    assert any(torch.allclose(turned, each, atol=2e-4) for each in quarter_turns)


@pytest.mark.parametrize(
    ("setting", "moves"), [("brightness", True), ("gamma", True), ("noise", False)]
)
def test_exposure_moves_the_mean_and_noise_does_not(setting: str, moves: bool) -> None:
    settings = NOTHING.model_copy(update={setting: 0.2})
    flat = torch.full((200, 1, 33, 33), 0.4)
    mean_n = vary(settings, flat).mean(dim=(1, 2, 3))
    assert (mean_n.std() > 0.02) == moves
    assert abs(float(mean_n.mean()) - 0.4) < 0.02


def test_each_film_is_blurred_by_its_own_gaussian() -> None:
    image_nchw = films(3, size=40)
    variation = draw_variation(NOTHING, 3, np.random.default_rng(0))
    variation.blur_n[:] = [0.0, 0.02, 0.05]
    blurred = apply_variation(image_nchw, variation)
    for film, share, made in zip(image_nchw, (0.0, 0.02, 0.05), blurred, strict=True):
        expected_hw = gaussian_filter(
            film[0].numpy(), share * 40, mode="nearest", radius=int(np.ceil(3 * 0.05 * 40))
        )
        np.testing.assert_allclose(made[0].numpy(), expected_hw, atol=3e-4)


def test_blur_is_drawn_up_to_its_limit() -> None:
    blur_n = draw_variation(
        NOTHING.model_copy(update={"blur": 0.02}), 500, np.random.default_rng(0)
    ).blur_n
    assert blur_n.min() < 0.001
    assert 0.019 < blur_n.max() <= 0.02


def test_a_stretched_film_is_wider_and_lower_by_the_same_factor() -> None:
    """The affine takes a point of the varied film to the film: its corner (1, 1) to (1/√s, √s)."""
    stretched = NOTHING.model_copy(update={"stretch": 0.3})
    corner_n2 = draw_variation(stretched, 500, np.random.default_rng(0)).affine_n23.sum(axis=2)
    np.testing.assert_allclose(corner_n2.prod(axis=1), 1.0, rtol=1e-5)
    stretch_n = np.log(corner_n2[:, 1] / corner_n2[:, 0])
    assert -0.3 <= stretch_n.min() < -0.28
    assert 0.28 < stretch_n.max() <= 0.3
