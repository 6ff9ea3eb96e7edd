"""The continuous Bernoulli against a reference with 60 digits, and as torch's class of the same name."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import pytest
import torch
from support import DEVICES
from torch import Tensor
from torch.distributions import (
    Beta,
    Distribution,
    Exponential,
    Gamma,
    Gumbel,
    Independent,
    Laplace,
    Normal,
    Pareto,
    Uniform,
    kl_divergence,
)

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
    p = ContinuousBernoulli(logits=eta)
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
    assert abs(ContinuousBernoulli(logits=eta).log_prob(x).item() - exact) < 1e-5


@pytest.mark.parametrize("eta", [-1e4, -50.0, -3.0, -1e-3, 0.0, 1e-3, 3.0, 50.0, 1e4])
def test_density_integrates_to_one_and_gives_the_cdf(eta: float) -> None:
    p = ContinuousBernoulli(logits=torch.tensor(eta, dtype=torch.float64))
    scale = max(1.0, abs(eta))
    x = torch.linspace(0, 1, int(200 * scale) + 1, dtype=torch.float64)
    density = p.log_prob(x).exp()
    integral = torch.cumulative_trapezoid(density, x)
    assert integral[-1].item() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(p.cdf(x[1:]), integral, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("eta", [-1e4, -20.0, -0.1, -1e-3, 0.0, 1e-30, 1e-3, 0.1, 20.0, 1e4])
def test_icdf_inverts_cdf(eta: float, dtype: torch.dtype) -> None:
    p = ContinuousBernoulli(logits=torch.tensor(eta, dtype=dtype))
    u = torch.linspace(0.001, 0.999, 99, dtype=dtype)
    x = p.icdf(u)
    assert ((x >= 0) & (x <= 1)).all()
    torch.testing.assert_close(p.cdf(x), u, atol=2e-3 if abs(eta) == 1e4 and dtype == torch.float32 else 1e-5, rtol=0)
    ends = torch.tensor([0.0, 1.0], dtype=dtype)
    torch.testing.assert_close(p.cdf(ends), ends)
    torch.testing.assert_close(p.icdf(ends), ends)


@pytest.mark.parametrize("eta", [-9.0, -0.5, 0.0, 2.0, 9.0])
def test_samples_have_the_mean_and_the_variance(eta: float) -> None:
    p = ContinuousBernoulli(logits=torch.tensor(eta))
    x = p.sample((200_000,))
    deviation = p.variance.item() ** 0.5
    assert x.mean().item() == pytest.approx(p.mean.item(), abs=5 * deviation / 200_000**0.5)
    assert x.std().item() == pytest.approx(deviation, rel=0.02)


def test_gradients() -> None:
    eta = torch.tensor([-40.0, -2.0, -0.3, -1e-6, 1e-6, 0.1, 0.6, 7.0], dtype=torch.float64, requires_grad=True)
    x = torch.rand(8, dtype=torch.float64).requires_grad_()
    u = torch.rand(8, dtype=torch.float64)

    def log_prob(x: Tensor, eta: Tensor) -> Tensor:
        return ContinuousBernoulli(logits=eta, validate_args=False).log_prob(x)

    assert torch.autograd.gradcheck(log_prob, (x, eta))
    assert torch.autograd.gradgradcheck(log_prob, (x, eta))
    assert torch.autograd.gradcheck(lambda eta: ContinuousBernoulli(logits=eta).mean, eta)
    assert torch.autograd.gradcheck(lambda eta: ContinuousBernoulli(logits=eta).entropy(), eta)
    assert torch.autograd.gradcheck(lambda eta: ContinuousBernoulli(logits=eta).icdf(u), eta)
    assert torch.autograd.gradcheck(lambda eta, x: ContinuousBernoulli(logits=eta).cdf(x), (eta, x))
    assert torch.autograd.gradcheck(lambda eta: ContinuousBernoulli(logits=eta).variance, eta)
    assert ContinuousBernoulli(logits=eta).rsample((3,)).requires_grad


@pytest.mark.parametrize("sign", [-1, 1])
def test_outside_the_limit_value_is_bounded_and_gradient_leads_back(sign: int) -> None:
    limit = 9.0
    eta = torch.tensor([sign * 8.0, sign * 12.0], requires_grad=True)
    p = ContinuousBernoulli(logits=eta, limit=limit)
    saturated = torch.tensor(0.001 if sign < 0 else 0.999)
    log_prob = p.log_prob(saturated)
    exact = ContinuousBernoulli(logits=eta.detach().clamp(-limit, limit))
    torch.testing.assert_close(log_prob, exact.log_prob(saturated))
    torch.testing.assert_close(p.mean, exact.mean)
    torch.testing.assert_close(p.logits, exact.logits)
    (gradient,) = torch.autograd.grad(log_prob.sum(), eta, create_graph=True)
    (curvature,) = torch.autograd.grad(gradient.sum(), eta)
    torch.testing.assert_close(curvature, torch.stack([-exact.variance[0], torch.zeros(())]))
    assert gradient[0].item() == pytest.approx(saturated.item() - exact.mean[0].item(), abs=1e-6)
    assert gradient[1] * sign < 0, "ascent must lead back inside"


def test_shapes_and_expand() -> None:
    p = ContinuousBernoulli(logits=torch.zeros(3, 1), limit=5.0)
    assert p.batch_shape == (3, 1)
    assert p.log_prob(torch.rand(4)).shape == (3, 4)
    assert p.rsample((7, 2)).shape == (7, 2, 3, 1)
    wide = p.expand((2, 3, 4))
    assert wide.batch_shape == (2, 3, 4)
    assert wide.limit == 5.0
    assert wide.mean.shape == (2, 3, 4)


@pytest.mark.parametrize("quantity", ["variance", "mean", "entropy", "cdf", "icdf", "log_prob", "kl"])
def test_gradients_at_equal_odds(quantity: str) -> None:
    """lambda = 1/2 is where untrained networks are, and where the closed forms are 0 / 0."""
    eta = torch.zeros(3, requires_grad=True)
    p, u = ContinuousBernoulli(logits=eta), torch.tensor([0.0, 0.25, 1.0])
    got = {
        "variance": lambda: p.variance,
        "mean": lambda: p.mean,
        "entropy": p.entropy,
        "cdf": lambda: p.cdf(u),
        "icdf": lambda: p.icdf(u),
        "log_prob": lambda: p.log_prob(u),
        "kl": lambda: kl_divergence(p, ContinuousBernoulli(logits=torch.tensor(1.2))),
    }[quantity]()
    expected = {
        "variance": torch.zeros(3),
        "mean": torch.full((3,), 1 / 12),
        "entropy": torch.zeros(3),
        "cdf": u * (u - 1) / 2,
        "icdf": u * (1 - u) / 2,
        "log_prob": u - 0.5,
        "kl": torch.full((3,), -1.2 / 12),
    }[quantity]
    torch.testing.assert_close(torch.autograd.grad(got.sum(), eta)[0], expected)


# As torch's class


@pytest.mark.parametrize("call", [(), (0.3, 0.2), (None, None, (0.4, 0.6), True)])
def test_either_probs_or_logits(call: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="either probs or logits, and not both"):
        ContinuousBernoulli(*call)


@pytest.mark.parametrize(
    ("probs", "shape"),
    [
        (0.3, ()),
        (torch.tensor(0.3), ()),
        (torch.tensor([0.7, 0.2, 0.4]), (3,)),
        (torch.linspace(0.1, 0.9, 30).view(2, 3, 5), (2, 3, 5)),
    ],
)
def test_agrees_with_torch_where_torch_is_exact(probs: Any, shape: tuple[int, ...]) -> None:
    ours = ContinuousBernoulli(probs, None, (0.499, 0.501), True)
    theirs = torch.distributions.ContinuousBernoulli(probs, None, (0.499, 0.501), True)
    assert ours.batch_shape == ours.param_shape == theirs.param_shape == shape
    assert ours.sample().shape == theirs.sample().shape
    assert ours.sample((8, 2)).shape == (8, 2, *shape)
    value = torch.linspace(0.1, 0.9, 4).view(4, *[1] * len(shape))
    for name in ("probs", "logits", "mean", "variance", "stddev"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=2e-4, rtol=1e-4)
    for name in ("log_prob", "cdf", "icdf"):
        torch.testing.assert_close(getattr(ours, name)(value), getattr(theirs, name)(value), atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(ours.entropy(), theirs.entropy(), atol=2e-4, rtol=1e-4)


def test_torchs_own_expected_entropies() -> None:
    probs = torch.tensor([0.7, 0.2, 0.4])
    expected = torch.tensor([-0.02938, -0.07641, -0.00682])
    torch.testing.assert_close(ContinuousBernoulli(probs).entropy(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("probs", [0.0, 1e-30, 1e-4, 0.4999, 0.5, 0.9, 1.0])
def test_probs_and_logits_are_the_same_parameter(probs: float) -> None:
    given = torch.tensor(probs, requires_grad=True)
    p = ContinuousBernoulli(given)
    assert p.probs.item() == pytest.approx(probs, rel=1e-5, abs=1e-37)
    assert torch.isfinite(p.logits)
    twin = ContinuousBernoulli(logits=p.logits)
    torch.testing.assert_close(p.log_prob(torch.tensor(0.3)), twin.log_prob(torch.tensor(0.3)))
    (gradient,) = torch.autograd.grad(p.log_prob(0.3), given)
    assert torch.isfinite(gradient)


@pytest.mark.parametrize("value", [0, 1, 0.3, True, torch.tensor(1), torch.tensor(0.3, dtype=torch.float64)])
@pytest.mark.parametrize("method", ["log_prob", "cdf", "icdf"])
def test_values_may_be_numbers_or_of_another_dtype(method: str, value: Any) -> None:
    p = ContinuousBernoulli(torch.tensor([0.2, 0.9]))
    got = getattr(p, method)(value)
    torch.testing.assert_close(got.float(), getattr(p, method)(torch.tensor(float(value))))
    assert got.dtype == (value.dtype if isinstance(value, Tensor) and value.is_floating_point() else torch.float32)


@pytest.mark.parametrize("eta", [-50.0, -1.0, 0.0, 1e-3, 3.0, 1e4])
def test_cdf_outside_the_support(eta: float) -> None:
    values = torch.tensor([-math.inf, -0.5, 1.5, math.inf])
    cdf = ContinuousBernoulli(logits=eta, validate_args=False).cdf(values)
    assert cdf.tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="within the support"):  # as torch does
        ContinuousBernoulli(logits=eta).cdf(values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_the_rounded_exact_value(dtype: torch.dtype) -> None:
    eta, x = torch.tensor([-30.0, -1e-3, 0.0, 2.0, 40.0], dtype=dtype), torch.tensor(0.25, dtype=dtype)
    half, full = ContinuousBernoulli(logits=eta), ContinuousBernoulli(logits=eta.float())
    for name in ("mean", "variance", "probs", "logits"):
        assert torch.equal(getattr(half, name), getattr(full, name).to(dtype)), name
    assert torch.equal(half.entropy(), full.entropy().to(dtype))
    for name in ("log_prob", "cdf", "icdf"):
        assert torch.equal(getattr(half, name)(x), getattr(full, name)(x.float()).to(dtype)), name
    sample = half.rsample((1000,))
    assert (sample.dtype, half.expand((2, 5)).mean.dtype) == (dtype, dtype)
    assert kl_divergence(half, half.expand((5,))).dtype == dtype
    half.log_prob(sample)


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        (ContinuousBernoulli(0.5), "ContinuousBernoulli(logits: 0)"),
        (
            ContinuousBernoulli(torch.rand(2, 3), limit=9.21),
            "ContinuousBernoulli(logits: torch.Size([2, 3]), limit: 9.21)",
        ),
        (ContinuousBernoulli(logits=torch.zeros(1, device="meta")), "ContinuousBernoulli(logits: torch.Size([1]))"),
    ],
)
def test_repr(p: ContinuousBernoulli, shown: str) -> None:
    assert repr(p) == shown


@pytest.mark.parametrize("shape", [(2,), (4, 3, 2), (5, 2, 3)])
@pytest.mark.parametrize("method", ["log_prob", "cdf", "icdf"])
@pytest.mark.parametrize("validate_args", [True, False])
def test_values_of_a_wrong_shape(shape: tuple[int, ...], method: str, validate_args: bool) -> None:
    p = ContinuousBernoulli(torch.full((4, 3), 0.3), validate_args=validate_args)
    assert getattr(p, method)(torch.full((4, 1, 1), 0.3)).shape == (4, 4, 3)
    with pytest.raises(ValueError, match=r"shape \(.*does not broadcast to the batch shape \(4, 3\)"):
        getattr(p, method)(torch.full(shape, 0.3))


def test_a_subclass_expands() -> None:
    class Mine(ContinuousBernoulli):
        pass

    p = Mine(torch.tensor([0.3, 0.4])).expand([3, 2])
    assert (type(p), p.batch_shape, p.param_shape) == (Mine, (3, 2), (3, 2))


def divergence(p: Distribution, q: Distribution, low: float, high: float) -> float:
    """The KL divergence of a p on [low, high], by the midpoint rule."""
    places = torch.arange(200_000, dtype=torch.float64)
    x = low + (high - low) * (places + 0.5) / len(places)
    log_p, log_q = p.log_prob(x), q.log_prob(x)
    return (high - low) * (log_p.exp() * (log_p - log_q)).mean().item()


def exact(logits: float) -> ContinuousBernoulli:
    return ContinuousBernoulli(logits=torch.tensor(logits, dtype=torch.float64))


def double(*values: float) -> list[Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in values]


FINITE: list[tuple[Distribution, Distribution]] = [
    *((exact(a), exact(b)) for a in (-20.0, 0.0, 1e-3, 15.0) for b in (-9.0, 0.0, 30.0)),
    *((exact(a), Exponential(*double(1.7))) for a in (-9.0, 0.0, 12.0)),
    *((exact(a), Normal(*double(0.3, 0.8))) for a in (-9.0, 0.0, 12.0)),
    *((exact(a), Uniform(*double(*ends), validate_args=False)) for a in (-9.0, 0.0) for ends in ((0, 1), (-1, 2.5))),
    *((Beta(*double(2.0, 3.5)), exact(b)) for b in (-9.0, 0.0, 30.0)),
    *(
        (Uniform(*double(*ends), validate_args=False), exact(b))
        for ends in ((0, 1), (0.25, 0.5))
        for b in (-9.0, 0.0, 12.0)
    ),
]


@pytest.mark.parametrize(("p", "q"), FINITE, ids=lambda pair: str(pair)[:40])
def test_kl_divergence(p: Distribution, q: Distribution) -> None:
    expected = divergence(p, q, *((p.low.item(), p.high.item()) if isinstance(p, Uniform) else (0, 1)))
    assert kl_divergence(p, q).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("a", [-1e4, -30.0, 0.0, 1e-3, 30.0, 1e4])
@pytest.mark.parametrize("b", [-1e4, 0.0, 2.0, 1e4])
def test_kl_divergence_with_itself_is_exact_in_float32(a: float, b: float) -> None:
    with mpmath.workdps(60):
        mean, normalizer = reference(0, a)["mean"], -reference(0, a)["log_prob"]
        expected = (mpmath.mpf(a) - b) * mean - normalizer - reference(0, b)["log_prob"]
    p, q = (ContinuousBernoulli(logits=torch.tensor(eta)) for eta in (a, b))
    assert kl_divergence(p, q).item() == pytest.approx(float(expected), rel=1e-5, abs=1e-5)


UNIT = ContinuousBernoulli(torch.tensor([0.2, 0.5]))
WIDE = [Exponential(1.0), Gamma(1.0, 2.0), Gumbel(-1.0, 2.0), Laplace(-1.0, 2.0), Normal(-1.0, 2.0), Pareto(2.0, 1.0)]


@pytest.mark.parametrize(
    ("p", "q"),
    [
        *((p, UNIT) for p in (*WIDE, Uniform(-0.5, 1.0), Uniform(0.0, 1.5))),
        *((UNIT, q) for q in (Pareto(0.1, 2.0), Uniform(0.25, 1.0), Uniform(0.0, 0.75), Uniform(0.25, 0.75))),
    ],
    ids=str,
)
def test_kl_divergence_is_infinite_where_q_has_no_density(p: Distribution, q: Distribution) -> None:
    assert kl_divergence(p, q).tolist() == [math.inf, math.inf]


def test_kl_divergence_of_images() -> None:
    p, q = (Independent(ContinuousBernoulli(torch.rand(2, 1, 4, 4)), 3) for _ in range(2))
    assert kl_divergence(p, q).shape == (2,)
    assert (kl_divergence(p, q) > 0).all()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"logits": torch.tensor([1, 2])}, TypeError, "floating-point dtype, got torch.int64"),
        ({"logits": torch.zeros(2, dtype=torch.complex64)}, TypeError, "floating-point dtype"),
        ({"probs": "0.3"}, ValueError, "must all be instances of Number"),
        ({"logits": torch.tensor(math.nan)}, ValueError, "logits must be numbers, got NaN"),
        ({"probs": torch.tensor([1.1, 0.2])}, ValueError, r"probs must lie in \[0, 1\], got .* 0.2 to 1.1.*logits="),
        ({"probs": torch.tensor([math.nan])}, ValueError, r"probs must lie in \[0, 1\]"),
        ({"probs": -0.5}, ValueError, r"probs must lie in \[0, 1\]"),
        ({"logits": torch.zeros(2), "limit": -1}, ValueError, "limit must be positive"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ContinuousBernoulli(**arguments)


@pytest.mark.parametrize("value", [1.5, -0.1, math.nan, torch.tensor([0.5, 2.0])])
def test_values_outside_the_support(value: Any) -> None:
    with pytest.raises(ValueError, match=r"Expected value argument .* to be within the support \[0, 1\]"):
        ContinuousBernoulli(torch.tensor([0.3, 0.4])).log_prob(value)
