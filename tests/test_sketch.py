"""A drawing becomes the digit MNIST would have recorded."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from support import REPOSITORY

from hfvae import MNISTDataModule, hub, load
from hfvae.evaluation import Encoded, knn_accuracy
from hfvae.sketch import to_digit


def rendering(digit: torch.Tensor, seed: int, mode: str) -> torch.Tensor:
    """A test digit (28, 28) drawn three to nine times as large, somewhere on a light 300x300 page."""
    generator = torch.Generator().manual_seed(seed)
    side = int(28 * (3 + 6 * torch.rand((), generator=generator)))
    large = F.interpolate(digit[None, None], (side, side), mode=mode)[0, 0].clamp(0, 1)
    top, left = torch.randint(0, 300 - side, (2,), generator=generator).tolist()
    return 255 * (1 - F.pad(large, (left, 300 - side - left, top, 300 - side - top)))


@pytest.mark.mnist
def test_mnist_digits_stay_as_they_are(mnist: MNISTDataModule) -> None:
    x, _ = next(iter(mnist.test_dataloader()))
    for digit in x[:, 0]:
        fitted = to_digit(digit)
        assert fitted is not None
        assert (fitted - digit).abs().mean() < 2e-3


@pytest.mark.mnist
@pytest.mark.parametrize(("mode", "tolerance"), [("nearest", 0.012), ("bilinear", 0.027), ("bicubic", 0.025)])
def test_renderings_come_back_with_their_label(mnist: MNISTDataModule, mode: str, tolerance: float) -> None:
    x, y = next(iter(mnist.test_dataloader()))
    fitted = [to_digit(rendering(digit, seed, mode)) for seed, digit in enumerate(x[:, 0])]
    stacked = torch.stack([digit for digit in fitted if digit is not None]).unsqueeze(1)
    assert stacked.shape == x.shape
    assert (stacked - x).abs().mean() < tolerance, "mean ink of a digit is 0.13"

    vae = load("mnist-conv-32d", device="cpu")
    latents = hub.ModelSource("mnist-conv-32d").latents()
    others = Encoded(latents.mean[500:], latents.labels[500:])
    with torch.no_grad():
        originals, renderings = (Encoded(q.mean, y) for q in (vae.encode(x), vae.encode(stacked)))
    kept = knn_accuracy(others, renderings)
    assert kept > knn_accuracy(others, originals) - 0.03
    assert kept > 0.9


def test_size_place_and_centre_of_mass() -> None:
    drawing = torch.zeros(200, 280)
    drawing[20:180, 30:70] = 200  # a bar, four times as high as wide
    digit = to_digit(drawing)
    assert digit is not None
    assert digit.shape == (28, 28)
    assert digit.max() == 1
    rows, columns = (torch.nonzero(digit.sum(axis)).flatten() for axis in (1, 0))
    assert (len(rows), len(columns)) == (20, 5)
    places = torch.arange(28.0)
    for axis in (0, 1):
        assert float((digit.sum(1 - axis) * places).sum() / digit.sum()) == pytest.approx(14, abs=0.51)


@pytest.mark.parametrize("side", [1, 5, 28, 60, 280])
def test_a_dot_fills_the_box(side: int) -> None:
    drawing = torch.zeros(300, 300)
    drawing[7 : 7 + side, 11 : 11 + side] = 1
    digit = to_digit(drawing)
    assert digit is not None
    assert int((digit > 0.5).sum()) == 400


def test_polarity() -> None:
    drawing = torch.zeros(100, 100, dtype=torch.uint8)
    drawing[30:60, 40:50] = 180
    digit = to_digit(drawing)
    assert torch.equal(to_digit(255 - drawing), digit)
    assert torch.equal(to_digit(drawing, light_ground=False), digit)
    assert not torch.equal(to_digit(drawing, light_ground=True), digit)


def test_antialiased() -> None:
    diagonal = torch.eye(280)
    wide = F.max_pool2d(diagonal[None, None], 25, stride=1, padding=12)[0, 0]
    digit = to_digit(wide)
    assert digit is not None
    assert ((digit > 0.05) & (digit < 0.95)).sum() > 20


@pytest.mark.parametrize("drawing", [torch.zeros(28, 28), torch.ones(280, 280), torch.full((5, 9), -3.0)])
def test_empty(drawing: torch.Tensor) -> None:
    assert to_digit(drawing) is None


@pytest.mark.parametrize(
    ("drawing", "error"),
    [
        (torch.zeros(1, 28, 28), ValueError),
        (torch.zeros(0, 28), ValueError),
        (torch.zeros(1, 5000), ValueError),
        (torch.full((28, 28), math.nan), ValueError),
        ([[0]], TypeError),
        (torch.eye(28, dtype=torch.complex64), TypeError),
    ],
)
def test_refusals(drawing: torch.Tensor, error: type[Exception]) -> None:
    with pytest.raises(error, match="a drawing must be"):
        to_digit(drawing)


def test_nothing_heavy_is_imported() -> None:
    source = (REPOSITORY / "hfvae" / "sketch.py").read_text()
    assert "import gradio" not in source
    assert "from ." not in source
