"""Priors and posteriors other than the usual ones reach everything that asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from hfvae import VAE, DenseVAE, encode_loader, evaluation, generate, load
from hfvae.cli.evaluate import traversals
from hfvae.demo import api
from hfvae.demo.page.decoding import decode
from hfvae.demo.registry import ModelRegistry
from hfvae.demo.sliders.prior import draws
from hfvae.inference import evaluating
from hfvae.probability.posteriors import POSTERIORS, Posterior, make_posterior
from hfvae.probability.priors import PRIORS, Prior, make_prior
from hfvae.training.objectives import importance_weighted_bound


class FarPrior(DenseVAE):
    """Overrides `prior` itself: N(5, 0.1^2 I)."""

    @property
    def prior(self) -> Distribution:
        mean = torch.full((self.latent_dim,), 5.0, device=self.device, dtype=self.dtype)
        return Independent(Normal(mean, 0.1 * torch.ones_like(mean)), 1)


class MixturePrior(Prior):
    def __init__(self, latent_dim: int, components: int = 3) -> None:
        super().__init__(latent_dim)
        self.means = nn.Parameter(5 + torch.randn(components, latent_dim))

    def forward(self, like: Tensor) -> Distribution:
        parts = Independent(Normal(self.means, torch.full_like(self.means, 0.1)), 1)
        return MixtureSameFamily(Categorical(logits=self.means.new_zeros(len(self.means))), parts)


class FullPosterior(Posterior):
    @staticmethod
    def num_outputs(latent_dim: int) -> int:
        return latent_dim + latent_dim**2

    def forward(self, outputs: Tensor) -> Distribution:
        mean, entries = outputs[:, : self.latent_dim], outputs[:, self.latent_dim :]
        factor = entries.view(-1, self.latent_dim, self.latent_dim).tril(-1)
        return MultivariateNormal(mean, scale_tril=factor + torch.eye(self.latent_dim).to(outputs))


class Shifted(Posterior):
    """Has a parameter of its own, and no closed-form KL: the mean is shifted by a learned vector."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.shift = nn.Parameter(torch.full((latent_dim,), 0.3))

    @staticmethod
    def num_outputs(latent_dim: int) -> int:
        return latent_dim

    def forward(self, outputs: Tensor) -> Distribution:
        mean = outputs + self.shift
        return MultivariateNormal(
            mean, scale_tril=0.3 * torch.eye(self.latent_dim).to(outputs).expand(len(mean), -1, -1)
        )


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    PRIORS["Mixture"] = MixturePrior
    POSTERIORS.update(Full=FullPosterior, Shifted=Shifted)
    yield
    del PRIORS["Mixture"], POSTERIORS["Full"], POSTERIORS["Shifted"]


MODELS: dict[str, Callable[[], VAE]] = {
    "overridden": lambda: FarPrior([8], 2),
    "mixture": lambda: DenseVAE([8], 2, prior_type="Mixture", prior_options={"components": 2}),
}
COMBINATIONS = [(prior, posterior) for prior in ("Normal", "Mixture") for posterior in ("Diagonal", "Full", "Shifted")]


def registry_of(vae: VAE, folder: Path) -> ModelRegistry:
    vae.save_pretrained(folder / "model")
    return ModelRegistry([str(folder / "model")], "cpu")


@pytest.mark.parametrize("name", MODELS)
def test_draws_come_from_the_models_own_prior(name: str, tmp_path: Path) -> None:
    vae = MODELS[name]()
    seeded = torch.Generator().manual_seed
    with evaluating(vae):
        far = vae.decode_image(vae.prior.sample(torch.Size((200,))))
    assert (generate(vae, 200, generator=seeded(0)).mean(0) - far.mean(0)).abs().max() < 0.05
    registry = registry_of(vae, tmp_path)
    model = next(iter(registry.models))
    answer = draws(registry, {"model": model, "count": 9, "temperature": 1.0, "seed": 3})
    z = torch.tensor(answer["z"])
    assert (z - 5).abs().max() < 4
    assert decode(registry, {"model": model, "z": answer["z"]})["images"] == answer["images"]
    still = draws(registry, {"model": model, "count": 9, "temperature": 0.0, "seed": 3})
    assert (torch.tensor(still["z"]) - z).abs().max() < 0.5, "the same base noise"
    by_name = {function.__name__: function for function in api.endpoints(registry)}
    called = torch.tensor(by_name["generate"](model, num_samples=3, seed=1))
    expected = generate(load(tmp_path / "model", device="cpu"), 3, generator=seeded(1))[:, 0]
    torch.testing.assert_close(called, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_texts_and_figures_know_the_prior(name: str, tmp_path: Path) -> None:
    vae = MODELS[name]()
    described = registry_of(vae, tmp_path).describe()[0]
    assert described["drawsInBrowser"] is False
    assert described["span"] >= 5
    assert torch.tensor(described["origin"]).mean().item() == pytest.approx(5, abs=2)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "N(0, I)" not in card
    assert described["prior"] in card
    moved = traversals(vae, torch.randn(50, 2))
    assert (moved - 5).abs().max() < 10
    assert moved.mean().item() == pytest.approx(5, abs=2)


@pytest.mark.parametrize(("prior", "posterior"), COMBINATIONS)
def test_every_combination(prior: str, posterior: str, images: Tensor, tmp_path: Path) -> None:
    vae = DenseVAE([8], 2, prior_type=prior, posterior_type=posterior)
    terms = vae.elbo(images)
    torch.testing.assert_close(terms.elbo, -(terms.rate + terms.distortion))
    (-terms.elbo.mean()).backward()
    assert all(parameter.grad is not None for parameter in vae.parameters())
    encoded = evaluation.encode_dataset(vae, [(images, torch.zeros(6))])
    factorises = (prior, posterior) == ("Normal", "Diagonal")
    assert (encoded.latent_kl is not None) is factorises
    assert evaluation.rate_is_exact(vae, images) is (prior == "Normal")
    assert evaluation.active_units(encoded.codes).shape == (2,)
    z_mu, z_sigma = encode_loader(vae, [(images, torch.zeros(6))])
    assert torch.equal(z_mu, encoded.codes)
    assert z_sigma.shape == ((6, 2) if posterior == "Diagonal" else (6, 2, 2)), "no covariance is dropped"
    vae.save_pretrained(tmp_path)
    loaded = load(tmp_path, device="cpu")
    assert (loaded.prior_type, loaded.posterior_type) == (prior, posterior)
    assert all(torch.equal(value, vae.state_dict()[name]) for name, value in loaded.state_dict().items())
    seeded = torch.Generator().manual_seed
    assert torch.equal(generate(vae, 3, generator=seeded(0)), generate(loaded, 3, generator=seeded(0)))


@pytest.mark.parametrize("kind", ["prior", "posterior"])
@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("Nothing", None, "_type must be one of Normal|_type must be one of Diagonal"),
        (5, None, "must be one of"),
        ("usual", {"components": 3}, "_options do not fit"),
        ("usual", [1], "must map names to values"),
    ],
)
def test_bad_choices(kind: str, name: Any, options: Any, sentence: str) -> None:
    usual = {"prior": "Normal", "posterior": "Diagonal"}[kind]
    make = {"prior": make_prior, "posterior": make_posterior}[kind]
    with pytest.raises(ValueError, match=sentence):
        make(usual if name == "usual" else name, 2, options)


def test_the_importance_weighted_gradient_for_any_posterior_and_prior(images: Tensor) -> None:
    """Of the doubly reparameterised estimator the mean is that of the plain one (Tucker et al. 2019, eq. 8)."""
    torch.manual_seed(0)
    vae = DenseVAE([8], 2, "Gaussian", prior_type="Mixture", posterior_type="Shifted", sigma=3.0)
    with torch.no_grad():
        vae.prior_module.means.sub_(5)
    x = images[:1].expand(4000, *images.shape[1:])

    def gradients(objective: Callable[[], Tensor]) -> dict[str, Tensor]:
        vae.zero_grad()
        objective().mean().backward()
        return {
            name: parameter.grad.clone() for name, parameter in vae.named_parameters() if parameter.grad is not None
        }

    def plain() -> Tensor:
        from hfvae.probability.sampling import rsample

        q = vae.encode(x)
        z = rsample(q, (3,), torch.Generator().manual_seed(1))
        return vae.log_weights(x, z, q).logsumexp(0)

    ours = gradients(lambda: importance_weighted_bound(vae, x, 3, torch.Generator().manual_seed(2)))
    theirs = gradients(plain)
    for name in ("posterior.shift", "prior_module.means", "encoder.1.0.bias"):
        assert name in ours
        difference = (ours[name] - theirs[name]).norm() / theirs[name].norm()
        assert difference < 0.15, name
