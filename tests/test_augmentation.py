"""Displaced training images: the right places, the right sharpness, the right range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hfvae.data import Augmentation, Images, ImageTensors, MNISTDataModule
from hfvae.datasets import Pixels

CONTRASTS = pytest.mark.parametrize("edge_contrast", [None, 1.7])
PLACES = torch.arange(28.0) - 13.5


def dot(row: int) -> Tensor:
    """400 images of two bright pixels in the middle of a row, (400, 1, 28, 28)."""
    images = torch.zeros(400, 1, 28, 28)
    images[:, :, row, 13:15] = 255
    return images


def centre(images: Tensor) -> tuple[Tensor, Tensor]:
    """Each image's centre of mass, in pixels from the image's centre."""
    mass = images.sum((1, 2, 3))
    return (images.sum((1, 2)) * PLACES).sum(1) / mass, (images.sum((1, 3)) * PLACES).sum(1) / mass


@CONTRASTS
def test_rotation_turns_around_the_centre(edge_contrast: float | None) -> None:
    assert (Augmentation()(dot(4)) - dot(4)).abs().max() < 255e-4
    x, y = centre(Augmentation(rotation=90, edge_contrast=edge_contrast)(dot(4)))
    torch.testing.assert_close((x**2 + y**2).sqrt(), torch.full((400,), 9.5), atol=0.1, rtol=0)
    assert x.min() < -9
    assert x.max() > 9


@CONTRASTS
def test_shifts_are_in_pixels(edge_contrast: float | None) -> None:
    shifts = centre(Augmentation(shift=2, edge_contrast=edge_contrast)(dot(13)))
    for moved, start in zip(shifts, (0, -0.5), strict=True):
        assert -2.3 < (moved - start).min() < -1.7
        assert 1.7 < (moved - start).max() < 2.3
    assert abs(torch.corrcoef(torch.stack(shifts))[0, 1]) < 0.2, "the axes move independently"


@CONTRASTS
def test_shear_moves_rows_aside_by_their_height(edge_contrast: float | None) -> None:
    shear = Augmentation(shear=0.3, edge_contrast=edge_contrast)
    for row, furthest in ((3, 10.5 * 0.3), (8, 5.5 * 0.3)):
        x, y = centre(shear(dot(row)))
        assert furthest - 0.4 < x.max() < furthest + 0.2
        assert furthest - 0.4 < -x.min() < furthest + 0.2
        torch.testing.assert_close(y, torch.full((400,), row - 13.5), atol=0.2, rtol=0)


@CONTRASTS
def test_stretch_changes_the_width_alone(edge_contrast: float | None) -> None:
    bar = torch.zeros(400, 1, 28, 28)
    bar[:, :, 10:18, 6:22] = 255
    bars = Augmentation(stretch=0.2, edge_contrast=edge_contrast)(bar) / 255
    widths, heights = bars[:, 0, 13].sum(1), bars[:, 0, :, 13].sum(1)
    assert 16 / 1.2 - 0.3 < widths.min() < 16 / 1.1
    assert 16 / 0.9 < widths.max() < 16 / 0.8 + 0.3
    torch.testing.assert_close(heights, torch.full((400,), 8.0), atol=0.3, rtol=0)


@pytest.mark.mnist
@pytest.mark.parametrize(("edge_contrast", "most"), [(1.7, 0.04), (None, 0.6)])
def test_the_contrast_keeps_the_grey_of_edges(mnist_dir: Path, edge_contrast: float | None, most: float) -> None:
    """An interpolated pixel is a grey one, whose binarisation is noise that the image did not have."""
    module = MNISTDataModule(mnist_dir)
    module.setup("fit")
    levels = module.train_set.images.levels[module.train_set.indices[:1000]].float()
    augmentation = Augmentation(rotation=5, edge_contrast=edge_contrast)
    before, after = (
        (-torch.xlogy(p, p) - torch.xlogy(1 - p, 1 - p)).sum((1, 2, 3)).mean()
        for p in (levels / 255, augmentation(levels) / 255)
    )
    change = abs(after / before - 1)
    assert change < most
    assert bool(change > 0.3) is (edge_contrast is None), "blur is what the contrast is for"


@CONTRASTS
def test_displaced_white_stays_in_range(edge_contrast: float | None) -> None:
    """Interpolation rounds a few images of a million above 255, and one of them ends a training."""
    white = torch.full((2000, 1, 28, 28), 255, dtype=torch.uint8)
    augmentation = Augmentation(rotation=45, edge_contrast=edge_contrast)
    unclamped = F.grid_sample(white.float(), augmentation._sources(white, 28, 28), align_corners=False)
    assert unclamped.max() > 255, "else this test shows nothing"
    moved = ImageTensors(Images(white, torch.zeros(2000)), torch.arange(2000), Pixels(), augmentation=augmentation)
    x, _ = moved.__getitems__(list(range(2000)))
    assert x.max() == 1
    assert x.min() == 0


def test_images_that_are_not_square_keep_their_proportions() -> None:
    square, wide = torch.zeros(200, 1, 28, 28), torch.zeros(200, 1, 28, 56)
    square[:, :, 8:20, 10:18] = wide[:, :, 8:20, 24:32] = 255
    settings = {"rotation": 60, "shear": 0.2, "stretch": 0.1, "shift": 1, "edge_contrast": 1.7}
    moved = []
    for images in (square, wide):
        torch.manual_seed(0)
        moved.append(Augmentation(**settings)(images))
    torch.testing.assert_close(moved[1][..., 14:42], moved[0], atol=0.5, rtol=0)


def test_other_shapes_and_channels() -> None:
    images = 255 * torch.rand(5, 3, 20, 32)
    assert Augmentation(5, 0.1, 0.1, 0.5, 1.7)(images).shape == images.shape
    assert Augmentation(rotation=5)(images).shape == images.shape


@pytest.mark.parametrize("settings", [{}, {"edge_contrast": 1.7}])
def test_without_displacement_images_stay_as_they_are(settings: dict[str, Any]) -> None:
    images = torch.randint(256, (10, 1, 28, 28), dtype=torch.uint8)
    augmentation = Augmentation(**settings)
    still = ImageTensors(Images(images, torch.zeros(10)), torch.arange(10), Pixels(), augmentation=augmentation)
    torch.testing.assert_close(still.__getitems__(list(range(10)))[0], images / 255)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rotation": 400}, "rotation must be"),
        ({"shear": -0.1}, "shear must be"),
        ({"stretch": 1}, "stretch must be"),
        ({"shift": -1}, "shift must be"),
        ({"shift": float("nan")}, "shift must be"),
        ({"edge_contrast": 0.5}, "edge_contrast must be"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MNISTDataModule(**settings)
