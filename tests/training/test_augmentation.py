import numpy as np
import pytest
import torch

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
