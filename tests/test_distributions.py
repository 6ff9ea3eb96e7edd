"""The continuous Bernoulli against a reference with 60 digits, and as a torch distribution."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from support import DEVICES
from torch import Tensor

from hfvae import ContinuousBernoulli

MAGNITUDES = [10**exponent for exponent in torch.linspace(-30, 4, 69).tolist()]
SWEEP = torch.linspace(-2, 2, 401).tolist()
ETAS = sorted({0.0, *SWEEP, *MAGNITUDES, *(-magnitude for magnitude in MAGNITUDES)})
VALUES = [0.0, 1e-3, 0.1, 0.5, 0.998, 1.0]
DTYPES = [torch.float32, torch.float64]


def reference(x: float, eta: float) -> dict[str, mpmath.mpf]:
    with mpmath.workdps(60):
        e = mpmath.mpf(eta)
        if eta == 0:
            normalizer, mean, variance = mpmath.mpf(0), mpmath.mpf(1) / 2, mpmath.mpf(1) / 12
        elif abs(e) < 1e-6:
            normalizer, mean, variance = e / 2 + e**2 / 24, mpmath.mpf(1) / 2 + e / 12, 1 / mpmath.mpf(12)
        else:
            normalizer = mpmath.log(mpmath.expm1(e) / e)
            mean = 1 / -mpmath.expm1(-e) - 1 / e
            variance = 1 / e**2 - 1 / (4 * mpmath.sinh(e / 2) ** 2)
        return {
            "log_prob": mpmath.mpf(x) * e - normalizer,
            "gradient": mpmath.mpf(x) - mean,
            "mean": mean,
            "variance": variance,
            "entropy": normalizer - e * mean,
        }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("value", VALUES)
def test_agrees_with_the_reference(value: float, dtype: torch.dtype, tolerance: float, device: str) -> None:
    eta = torch.tensor(ETAS, dtype=dtype, device=device, requires_grad=True)
    x = torch.tensor(value, dtype=dtype, device=device)
    p = ContinuousBernoulli(eta)
    log_prob = p.log_prob(x)
    (gradient,) = torch.autograd.grad(log_prob.sum(), eta)
    ours = {
        "log_prob": log_prob,
        "gradient": gradient,
        "mean": p.mean,
        "variance": p.variance,
        "entropy": p.entropy(),
    }
    for i, exact_eta in enumerate(eta.tolist()):
        for name, exact in reference(x.item(), exact_eta).items():
            got = ours[name][i].item()
            error = abs(got - exact)
            assert error <= tolerance * max(1, abs(exact)), (name, exact_eta, got, exact)


@pytest.mark.parametrize("device", DEVICES)
def test_torchs_own_is_not_exact(device: str) -> None:
    """The reason to have our own: should torch ever agree, this class can go."""
    eta, x = torch.tensor(30.0, device=device), torch.tensor(0.5, device=device)
    exact = reference(0.5, 30.0)["log_prob"]
    assert abs(torch.distributions.ContinuousBernoulli(logits=eta).log_prob(x).item() - exact) > 0.1
    assert abs(ContinuousBernoulli(eta).log_prob(x).item() - exact) < 1e-5


@pytest.mark.parametrize("eta", [-1e4, -50.0, -3.0, -1e-3, 0.0, 1e-3, 3.0, 50.0, 1e4])
def test_density_integrates_to_one_and_gives_the_cdf(eta: float) -> None:
    p = ContinuousBernoulli(torch.tensor(eta, dtype=torch.float64))
    scale = max(1.0, abs(eta))
    x = torch.linspace(0, 1, int(200 * scale) + 1, dtype=torch.float64)
    density = p.log_prob(x).exp()
    integral = torch.cumulative_trapezoid(density, x)
    assert integral[-1].item() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(p.cdf(x[1:]), integral, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("eta", [-1e4, -20.0, -0.1, -1e-3, 0.0, 1e-30, 1e-3, 0.1, 20.0, 1e4])
def test_icdf_inverts_cdf(eta: float, dtype: torch.dtype) -> None:
    p = ContinuousBernoulli(torch.tensor(eta, dtype=dtype))
    u = torch.linspace(0.001, 0.999, 99, dtype=dtype)
    x = p.icdf(u)
    assert ((x >= 0) & (x <= 1)).all()
    torch.testing.assert_close(p.cdf(x), u, atol=2e-3 if abs(eta) == 1e4 and dtype == torch.float32 else 1e-5, rtol=0)
    ends = torch.tensor([0.0, 1.0], dtype=dtype)
    torch.testing.assert_close(p.cdf(ends), ends)
    torch.testing.assert_close(p.icdf(ends), ends)


@pytest.mark.parametrize("eta", [-9.0, -0.5, 0.0, 2.0, 9.0])
def test_samples_have_the_mean_and_the_variance(eta: float) -> None:
    p = ContinuousBernoulli(torch.tensor(eta))
    x = p.sample((200_000,))
    deviation = p.variance.item() ** 0.5
    assert x.mean().item() == pytest.approx(p.mean.item(), abs=5 * deviation / 200_000**0.5)
    assert x.std().item() == pytest.approx(deviation, rel=0.02)


def test_gradients() -> None:
    eta = torch.tensor([-40.0, -2.0, -0.3, -1e-6, 1e-6, 0.1, 0.6, 7.0], dtype=torch.float64, requires_grad=True)
    x = torch.rand(8, dtype=torch.float64).requires_grad_()
    u = torch.rand(8, dtype=torch.float64)

    def log_prob(x: Tensor, eta: Tensor) -> Tensor:
        return ContinuousBernoulli(eta, validate_args=False).log_prob(x)

    assert torch.autograd.gradcheck(log_prob, (x, eta))
    assert torch.autograd.gradgradcheck(log_prob, (x, eta))
    assert torch.autograd.gradcheck(lambda eta: ContinuousBernoulli(eta).mean, eta)
    assert torch.autograd.gradcheck(lambda eta: ContinuousBernoulli(eta).entropy(), eta)
    assert torch.autograd.gradcheck(lambda eta: ContinuousBernoulli(eta).icdf(u), eta)
    assert ContinuousBernoulli(eta).rsample((3,)).requires_grad


@pytest.mark.parametrize("sign", [-1, 1])
def test_outside_the_limit_value_is_bounded_and_gradient_leads_back(sign: int) -> None:
    limit = 9.0
    eta = torch.tensor([sign * 8.0, sign * 12.0], requires_grad=True)
    p = ContinuousBernoulli(eta, limit=limit)
    saturated = torch.tensor(0.001 if sign < 0 else 0.999)
    log_prob = p.log_prob(saturated)
    exact = ContinuousBernoulli(eta.detach().clamp(-limit, limit))
    torch.testing.assert_close(log_prob, exact.log_prob(saturated))
    torch.testing.assert_close(p.mean, exact.mean)
    torch.testing.assert_close(p.logits, exact.logits)
    (gradient,) = torch.autograd.grad(log_prob.sum(), eta, create_graph=True)
    (curvature,) = torch.autograd.grad(gradient.sum(), eta)
    torch.testing.assert_close(curvature, torch.stack([-exact.variance[0], torch.zeros(())]))
    assert gradient[0].item() == pytest.approx(saturated.item() - exact.mean[0].item(), abs=1e-6)
    assert gradient[1] * sign < 0, "ascent must lead back inside"


def test_shapes_and_expand() -> None:
    p = ContinuousBernoulli(torch.zeros(3, 1), limit=5.0)
    assert p.batch_shape == (3, 1)
    assert p.log_prob(torch.rand(4)).shape == (3, 4)
    assert p.rsample((7, 2)).shape == (7, 2, 3, 1)
    wide = p.expand((2, 3, 4))
    assert wide.batch_shape == (2, 3, 4)
    assert wide.limit == 5.0
    assert wide.mean.shape == (2, 3, 4)


def test_refusals() -> None:
    with pytest.raises(TypeError, match="float32 or float64"):
        ContinuousBernoulli(torch.zeros(2, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match="logits"):
        ContinuousBernoulli(torch.tensor(math.nan))
    with pytest.raises(ValueError, match="limit must be positive"):
        ContinuousBernoulli(torch.zeros(2), limit=-1)
    with pytest.raises(ValueError, match="lie in"):
        ContinuousBernoulli(torch.zeros(2)).log_prob(torch.tensor(1.5))
