"""Images and batches as people have them: PIL, NumPy, torch, data sets of dicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import TINY
from test_training import quiet_trainer
from torch import Tensor
from torch.utils.data import DataLoader

from hfvae import DenseVAE, encode_loader, interpolate, reconstruct
from hfvae.evaluation import encode_dataset, image_bounds
from hfvae.images import as_images, composite, split_batch
from hfvae.sketch import to_digit
from hfvae.training import VAETraining

GREY, COLOUR = (1, 6, 5), (3, 6, 5)
LEVELS = torch.randint(0, 256, (4, 1, 6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
COLOURED = torch.randint(0, 256, (4, 3, 6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

GIVEN: dict[str, Callable[[Tensor], Any]] = {
    "a tensor of floats": lambda k: k / 255,
    "a tensor of doubles": lambda k: (k / 255).double(),
    "a tensor of levels": lambda k: k,
    "an array of levels": lambda k: k.numpy(),
    "an array of floats": lambda k: k.numpy().astype(np.float32) / 255,
    "channels last": lambda k: k.movedim(1, -1).numpy(),
    "a read-only array that runs backwards": lambda k: k.flip(0).numpy()[::-1],
    "a list of tensors": lambda k: [*k],
    "a list of arrays": lambda k: [*k.movedim(1, -1).numpy()],
    "a list of PIL images": lambda k: [Image.fromarray(np.squeeze(x)) for x in k.movedim(1, -1).numpy()],
}


@pytest.mark.parametrize("levels", [LEVELS, COLOURED], ids=["grey", "colour"])
@pytest.mark.parametrize("given", GIVEN)
def test_all_are_the_same_images(given: str, levels: Tensor) -> None:
    shape = (*levels.shape[1:],)
    images = as_images(GIVEN[given](levels), shape)
    torch.testing.assert_close(images.float(), levels / 255, atol=1e-6, rtol=0)
    single = GIVEN[given](levels[:1])
    torch.testing.assert_close(as_images(single[0], shape).float(), levels[:1] / 255, atol=1e-6, rtol=0)


def test_grey_images_need_no_channel_axis() -> None:
    for given in (LEVELS[:, 0], LEVELS[:, 0].numpy(), [*LEVELS[:, 0]]):
        torch.testing.assert_close(as_images(given, GREY), LEVELS / 255)
    assert as_images(LEVELS[0, 0], GREY).shape == (1, *GREY)
    assert as_images(LEVELS > 127, GREY).unique().tolist() == [0, 1]


def test_a_colour_picture_for_a_grey_model_turns_grey() -> None:
    picture = Image.fromarray(COLOURED[0].movedim(0, -1).numpy())
    expected = torch.from_numpy(np.array(picture.convert("L"))) / 255
    torch.testing.assert_close(as_images(picture, GREY)[0, 0], expected)


INK = torch.zeros(28, 28)
INK[4:24, 12:16] = 1
INK[4:24, 11] = INK[4:24, 16] = 128 / 255  # soft edges
RING = torch.zeros(28, 28)
RING[3:25, 4:24] = 1
RING[6:22, 7:21] = 0


def with_alpha(colour: tuple[int, int, int], alpha: Tensor) -> Image.Image:
    """One colour of ink on a transparent ground whose hidden pixels are of the same colour."""
    return Image.fromarray(np.dstack([*(np.full((28, 28), c, np.uint8) for c in colour), (255 * alpha).byte().numpy()]))


def keyed(picture: Image.Image, level: int) -> Image.Image:
    """A grey picture one of whose levels is transparent, as PNG's tRNS chunk has it."""
    picture.info["transparency"] = level
    return picture


TRANSPARENT: dict[str, Callable[[Tensor], Any]] = {
    "white ink, RGBA": lambda ink: with_alpha((255, 255, 255), ink),
    "black ink, RGBA": lambda ink: with_alpha((0, 0, 0), ink),
    "white ink, LA": lambda ink: with_alpha((255, 255, 255), ink).convert("LA"),
    "black ink, LA": lambda ink: with_alpha((0, 0, 0), ink).convert("LA"),
    "an RGBA array": lambda ink: np.asarray(with_alpha((0, 0, 0), ink)),
    "an RGBA array of floats": lambda ink: np.asarray(with_alpha((255, 255, 255), ink)) / np.float32(255),
    "an LA array": lambda ink: np.asarray(with_alpha((0, 0, 0), ink).convert("LA")),
    "an RGBA tensor": lambda ink: torch.from_numpy(np.array(with_alpha((0, 0, 0), ink))),
    "opaque RGBA": lambda ink: Image.fromarray((255 * ink).byte().numpy()).convert("RGBA"),
    "black is keyed out": lambda ink: keyed(Image.fromarray((255 * ink).byte().numpy()), 0),
}


@pytest.mark.parametrize("ink", [INK, RING], ids=["a bar", "a ring"])
@pytest.mark.parametrize("given", TRANSPARENT)
def test_ink_on_a_transparent_ground_is_light_on_black(given: str, ink: Tensor) -> None:
    picture = TRANSPARENT[given](ink)
    torch.testing.assert_close(as_images(picture, (1, 28, 28))[0, 0].float(), ink, atol=1 / 128, rtol=0)
    torch.testing.assert_close(as_images([picture, picture], (1, 28, 28))[1, 0].float(), ink, atol=1 / 128, rtol=0)


def test_a_palette_with_transparency() -> None:
    picture = Image.fromarray((INK > 0.9).byte().numpy(), "P")
    picture.putpalette([7, 7, 7, 0, 0, 0])
    picture.info["transparency"] = 0
    assert torch.equal(as_images(picture, (1, 28, 28))[0, 0], (INK > 0.9).float())


def test_a_code_is_the_same_whatever_the_ink() -> None:
    """White ink on transparent was encoded as [17.3, -20.1], far outside the prior, for a digit at [-0.9, 1.9]."""
    vae = TINY["dense"]()
    expected = reconstruct(vae, INK.view(1, 1, 28, 28))
    for given in TRANSPARENT.values():
        torch.testing.assert_close(reconstruct(vae, given(INK)), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("paper", [1.0, 0.1])
def test_transparent_corners_of_a_photograph_are_ground(paper: float) -> None:
    grey, alpha = paper + (1 - 2 * paper) * INK, torch.ones(28, 28)
    alpha[:3, :3] = alpha[:3, -3:] = alpha[-3:, :3] = alpha[-3:, -3:] = 0
    torch.testing.assert_close(composite(grey * alpha, alpha), grey)


def test_ink_of_several_colours_on_a_transparent_ground() -> None:
    grey = torch.where(torch.arange(28)[:, None] < 14, 0.3, 0.0).expand(28, 28)
    torch.testing.assert_close(composite(grey, INK), INK * (1 - grey))


def test_nothing_but_transparency_is_blank() -> None:
    assert composite(torch.rand(28, 28), torch.zeros(28, 28)).unique().tolist() == [0]
    assert to_digit(composite(torch.rand(28, 28), torch.zeros(28, 28))) is None


def test_faint_ink_only() -> None:
    assert torch.equal(composite(torch.ones(28, 28), 0.3 * INK), 0.3 * INK)


def test_a_cropped_stroke_is_told_by_its_alpha() -> None:
    stroke = torch.ones(20, 4)
    stroke[0, 0] = stroke[-1, -1] = 0
    assert torch.equal(composite(torch.zeros(20, 4), stroke), stroke)


def test_a_model_of_colours_takes_them_all() -> None:
    picture = Image.fromarray(COLOURED[0].movedim(0, -1).numpy())
    opaque = as_images(picture, COLOUR)
    torch.testing.assert_close(as_images(picture.convert("RGBA"), COLOUR), opaque)
    cut = np.dstack([np.asarray(picture), np.zeros((6, 5), np.uint8)])
    assert as_images(cut, COLOUR).unique().tolist() == [1], "viewers show white there"
    grey = np.asarray(picture.convert("LA"))
    torch.testing.assert_close(as_images(grey, COLOUR), as_images(picture.convert("L").convert("RGB"), COLOUR))


def test_an_array_of_colours_for_a_grey_model_turns_grey() -> None:
    array = COLOURED.movedim(1, -1).numpy()
    expected = as_images([Image.fromarray(x) for x in array], GREY)
    torch.testing.assert_close(as_images(array, GREY), expected, atol=1 / 255, rtol=0)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("digit.png", TypeError, "must be a PIL image.* got str"),
        (None, TypeError, "got NoneType"),
        ([], ValueError, "empty list"),
        ([LEVELS[0], "x"], TypeError, r"x\[1\] must be a PIL image"),
        (LEVELS.long(), TypeError, "pixels of uint8.* got torch.int64"),
        (LEVELS.numpy().astype(np.uint16), TypeError, "uint16"),
        (np.array(["a"]), TypeError, "pixels"),
        (torch.rand(2, 1, 7, 5), ValueError, r"must have shape \(N, 1, 6, 5\).* got \(2, 1, 7, 5\). Resize images"),
        (Image.new("L", (9, 9)), ValueError, "Resize images of another size first"),
        (torch.rand(1, 1, 1, 6, 5), ValueError, "must have shape"),
        (torch.rand(30), ValueError, "must have shape"),
    ],
)
def test_what_is_refused(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        as_images(given, GREY)


def test_inference_takes_them_all() -> None:
    vae = DenseVAE([8], 2, image_shape=GREY)
    expected = reconstruct(vae, LEVELS / 255)
    for given in GIVEN.values():
        torch.testing.assert_close(reconstruct(vae, given(LEVELS)), expected)
    path = interpolate(vae, Image.fromarray(LEVELS[0, 0].numpy()), LEVELS[1, 0].numpy(), steps=3)
    torch.testing.assert_close(path[[0, -1]], expected[:2])
    with pytest.raises(ValueError, match="one image each, got 4 and 1"):
        interpolate(vae, LEVELS, LEVELS[0])
    with pytest.raises(ValueError, match=r"needs pixels in \[0, 1\].*divide grey levels by 255"):
        reconstruct(vae, LEVELS.float())


BATCHES: dict[str, Callable[[Tensor], Any]] = {
    "images": lambda x: x,
    "one": lambda x: (x,),
    "pairs": lambda x: (x, torch.arange(len(x))),
    "image and label": lambda x: {"image": x, "label": torch.arange(len(x))},
    "pixel_values": lambda x: {"pixel_values": x, "labels": torch.arange(len(x))},
    "no channel axis": lambda x: {"image": x[:, 0], "label": torch.arange(len(x))},
}


@pytest.mark.parametrize("likelihood_type", ["Bernoulli", "ContinuousBernoulli"])
@pytest.mark.parametrize("kind", BATCHES)
def test_loaders_may_yield_any_of_these(kind: str, likelihood_type: str) -> None:
    vae = DenseVAE([8], 2, likelihood_type, image_shape=GREY)
    x = (LEVELS / 255).round()
    loader = [BATCHES[kind](x[:3]), BATCHES[kind](x[3:])]
    mean, _ = encode_loader(vae, loader)
    torch.testing.assert_close(mean, vae.encode(x).mean)
    torch.testing.assert_close(image_bounds(vae, loader).elbo, image_bounds(vae, [x]).elbo)
    if split_batch(loader[0])[1] is None:
        for function in (encode_dataset, lambda vae, loader: encode_loader(vae, loader, return_targets=True)):
            with pytest.raises(ValueError, match="images only"):
                function(vae, loader)
    else:
        assert encode_loader(vae, loader, return_targets=True)[2].tolist() == [0, 1, 2, 0]
    levels = image_bounds(vae, [BATCHES[kind](LEVELS)]).elbo
    assert torch.equal(levels, image_bounds(vae, [BATCHES[kind](LEVELS)]).elbo), "dequantised or binarised alike"


@pytest.mark.parametrize("batch", [5, "x", [], {"picture": LEVELS}, ([LEVELS[0]], [1])])
def test_a_batch_of_another_kind(batch: Any) -> None:
    with pytest.raises(TypeError, match="batch"):
        encode_loader(DenseVAE([8], 2, image_shape=GREY), [batch])


@pytest.mark.parametrize("likelihood_type", ["Bernoulli", "ContinuousBernoulli", "Gaussian"])
def test_a_data_set_of_the_datasets_library_trains(likelihood_type: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    records = {"image": [Image.fromarray(x) for x in LEVELS[:, 0].numpy()] * 16, "label": [0, 1, 2, 3] * 16}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=4)})
    data = datasets.Dataset.from_dict(records, features=features).with_format("torch")
    loader = DataLoader(data, batch_size=16)
    vae = DenseVAE([8], 2, likelihood_type, image_shape=GREY)
    training = VAETraining(vae)
    trainer = quiet_trainer(tmp_path, max_epochs=2)
    trainer.fit(training, loader, loader)
    assert "val/elbo" in trainer.callback_metrics
    _, _, labels = encode_loader(vae, loader, return_targets=True)
    assert labels.tolist() == records["label"]


def test_the_model_s_own_checks_stay() -> None:
    vae = TINY["dense"]()
    with pytest.raises(ValueError, match="must have shape"):
        vae.encode(torch.rand(28, 28))
