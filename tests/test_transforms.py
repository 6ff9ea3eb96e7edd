"""torch's tools over a model: compile, export, vmap, grad. Checks step aside there, and stay in eager calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import LIKELIHOOD_TYPES, TINY
from torch import Tensor, nn

from hfvae import VAE
from hfvae.tensors import unchecked_values

BATCH = 4


def variant(likelihood_type: str, kind: str) -> VAE:
    options = {"prior_type": "Flow", "prior_options": {"blocks": 2, "features": 4}, "posterior_type": "FullCovariance"}
    return TINY["dense" if kind == "flow" else kind](
        likelihood_type=likelihood_type, **(options if kind == "flow" else {})
    ).eval()


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "image": lambda vae, x, z: vae.decode_image(vae.posterior.code(vae.encode(x))),
    "log p(x|z)": lambda vae, x, z: vae.decode(z).log_prob(x),
    "log q(z|x)": lambda vae, x, z: vae.encode(x).log_prob(z),
    "log p(z)": lambda vae, x, z: vae.prior.log_prob(z),
}
every = pytest.mark.parametrize("name", FUNCTIONS)
likelihoods = pytest.mark.parametrize("likelihood_type", LIKELIHOOD_TYPES)
kinds = pytest.mark.parametrize("kind", ["dense", "conv", "flow"])


class Module(nn.Module):
    def __init__(self, vae: VAE, name: str) -> None:
        super().__init__()
        self.vae, self.name = vae, name

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return FUNCTIONS[self.name](self.vae, x, z)


def inputs(vae: VAE, count: int = BATCH) -> tuple[Tensor, Tensor]:
    return torch.rand(count, *vae.image_shape).round(), torch.randn(count, vae.latent_dim)


@every
@likelihoods
@kinds
@pytest.mark.filterwarnings("ignore")
def test_compile(kind: str, likelihood_type: str, name: str) -> None:
    module = Module(variant(likelihood_type, kind), name)
    x, z = inputs(module.vae)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, z), module(x, z))
    torch._dynamo.reset()


@kinds
@pytest.mark.filterwarnings("ignore")
def test_compile_the_elbo_for_batches_of_any_size(kind: str) -> None:
    vae = variant("ContinuousBernoulli", kind)
    compiled = torch.compile(vae.elbo, backend="aot_eager")
    for count in (BATCH, BATCH + 3, BATCH + 1):
        x, _ = inputs(vae, count)
        torch.manual_seed(0)
        bound = compiled(x).elbo
        torch.manual_seed(0)
        torch.testing.assert_close(bound, vae.elbo(x).elbo)
    torch._dynamo.reset()


@every
@likelihoods
@kinds
def test_export(kind: str, likelihood_type: str, name: str) -> None:
    module = Module(variant(likelihood_type, kind), name)
    dynamic = {"x": {0: torch.export.Dim.AUTO}, "z": {0: torch.export.Dim.AUTO}}
    program = torch.export.export(module, inputs(module.vae), dynamic_shapes=dynamic).module()
    for count in (BATCH, BATCH + 3):
        x, z = inputs(module.vae, count)
        torch.testing.assert_close(program(x, z), module(x, z))


@every
@likelihoods
@kinds
def test_vmap_and_grad(kind: str, likelihood_type: str, name: str) -> None:
    module = Module(variant(likelihood_type, kind), name)
    x, z = inputs(module.vae)
    expected = module(x, z)
    one_by_one = torch.vmap(lambda x, z: module(x[None], z[None])[0])(x, z)
    torch.testing.assert_close(one_by_one, expected, atol=1e-4, rtol=1e-4)

    def total(x: Tensor, z: Tensor) -> Tensor:
        return module(x, z).square().mean()

    x.requires_grad_(), z.requires_grad_()
    taken = torch.autograd.grad(total(x, z), (x, z), allow_unused=True, materialize_grads=True)
    for gradient, wanted in zip(torch.func.grad(total, argnums=(0, 1))(x.detach(), z.detach()), taken, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-3, rtol=1e-4)


@likelihoods
def test_per_image_gradients_of_the_weights(likelihood_type: str) -> None:
    """What vmap over grad is for: the gradient of each image's log-density by itself."""
    vae = variant(likelihood_type, "dense")
    x, z = inputs(vae)
    parameters = {name: value.detach() for name, value in vae.named_parameters()}

    def density(parameters: dict[str, Tensor], x: Tensor, z: Tensor) -> Tensor:
        module = Module(vae, "log p(x|z)")
        renamed = {f"vae.{name}": value for name, value in parameters.items()}
        return torch.func.functional_call(module, renamed, (x[None], z[None]))[0]

    each = torch.vmap(torch.func.grad(density), in_dims=(None, 0, 0))(parameters, x, z)
    vae.zero_grad()
    vae.decode(z).log_prob(x).sum().backward()
    name = "decoder.0.0.weight"
    torch.testing.assert_close(each[name].sum(0), vae.get_parameter(name).grad, atol=1e-3, rtol=1e-4)


@likelihoods
def test_eager_calls_keep_their_checks(likelihood_type: str) -> None:
    vae = variant(likelihood_type, "dense")
    bad = torch.full((1, *vae.image_shape), float("nan"))
    with pytest.raises(ValueError, match=r"pixels"):
        vae.encode(bad)
    if likelihood_type in ("Bernoulli", "ContinuousBernoulli"):
        with pytest.raises(ValueError, match=r"needs pixels in \[0, 1\]"):
            vae.encode(torch.full((1, *vae.image_shape), 2.0))


def test_checks_of_values_can_be_left_out() -> None:
    """As on a GPU, where each would wait for it; what does not need values is checked all the same."""
    vae = TINY["dense"]()
    grey = torch.full((2, 1, 28, 28), 1.5)
    with unchecked_values():
        vae.elbo(grey)
        with pytest.raises(ValueError, match="must have shape"):
            vae.elbo(grey[:, :, 1:])
    with pytest.raises(ValueError, match="needs pixels in"):
        vae.elbo(grey)
