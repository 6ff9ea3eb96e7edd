"""What must never change: the bundled models' codes, images and figures, and folders of format version 1.

The stored values were computed by the commit before prior, posterior and data set became modules.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support import DATA

from hfvae import evaluation, generate, hub, load
from hfvae.cli.evaluate import evaluation_data
from hfvae.inference import evaluating

STORED = load_file(DATA / "golden.safetensors")
NEAR = {"rtol": 1e-5, "atol": 1e-5}
NEAR_INVERTED = {"rtol": 0.0, "atol": 3e-4}
"""For draws of a flow prior: inverting its blocks enlarges rounding errors, to 6e-5 from one processor to another."""


@pytest.mark.parametrize("name", hub.bundled_names())
def test_bundled_models_answer_as_before(name: str) -> None:
    vae = load(name, device="cpu")
    expected = {key.removeprefix(f"{name}."): value for key, value in STORED.items() if key.startswith(f"{name}.")}
    z, x = expected["z"], expected["images"]
    torch.testing.assert_close(generate(vae, z=z), x, **NEAR)
    with evaluating(vae):
        q = vae.encode(x)
        pixels = vae.likelihood.preprocess(x, torch.Generator().manual_seed(0))
        terms = vae.elbo(pixels, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(q.mean, expected["mean"], **NEAR)
    torch.testing.assert_close(q.stddev, expected["stddev"], **NEAR)
    torch.testing.assert_close(terms.elbo, expected["elbo"], **NEAR)
    torch.testing.assert_close(terms.rate, expected["rate"], **NEAR)
    drawn = generate(vae, 2, generator=torch.Generator().manual_seed(2), temperature=0.7)
    torch.testing.assert_close(drawn, expected["drawn"], **(NEAR_INVERTED if vae.prior_type == "Flow" else NEAR))


@pytest.mark.mnist
@pytest.mark.parametrize("name", hub.bundled_names())
def test_bundled_figures_are_measured_again(name: str, mnist_dir: Path) -> None:
    vae, latents = load(name, device="cpu"), hub.ModelSource(name).latents()
    loader = evaluation_data(vae, str(mnist_dir), 0).test_dataloader()
    batches = [batch for batch, _ in zip(loader, range(5), strict=False)]
    encoded = evaluation.encode_dataset(vae, batches)
    count = len(encoded.labels)
    torch.testing.assert_close(encoded.codes, latents.mean[:count], rtol=2**-10, atol=1e-4)  # stored as float16
    assert torch.equal(encoded.labels, latents.labels[:count])
    elbo = evaluation.image_bounds(vae, batches).elbo
    torch.testing.assert_close(elbo.float(), latents.elbo[:count], rtol=1e-5, atol=2e-3)
    metrics = json.loads((hub.BUNDLED / name / hub.METRICS).read_text())["metrics"]
    assert float(latents.elbo.double().mean()) == pytest.approx(metrics["elbo"]["value"], abs=1e-4)
    active = int(evaluation.active_units(latents.mean).sum())
    assert active == metrics["active_units"]["value"]


def test_a_folder_of_the_first_version_loads(tmp_path: Path) -> None:
    folder = tmp_path / "version1"
    shutil.copytree(DATA / "version1", folder)
    expected = load_file(DATA / "version1.safetensors")
    vae = load(folder, device="cpu")
    with evaluating(vae):
        torch.testing.assert_close(vae.encode(expected["x"]).mean, expected["mean"], **NEAR)
        torch.testing.assert_close(generate(vae, z=torch.tensor([[0.5, -1.0]])), expected["decoded"], **NEAR)
    assert (vae.prior_type, vae.posterior_type) == ("Normal", "Diagonal")
    assert vae.training_data.dataset.name == "MNIST"
    assert vae.training_data.pixels.dequantize
    assert hub.ModelSource(folder).latents().mean.shape == (10, 2)
    vae.save_pretrained(folder)
    assert load(folder, device="cpu").config == vae.config
    hub.write_card(folder, vae.facts())
    assert "MNIST" in (folder / hub.CARD).read_text()
