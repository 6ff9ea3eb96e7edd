r"""The log-normaliser A(eta) of the continuous Bernoulli's density and its derivatives, as autograd functions.

    A(eta) = log((exp(eta) - 1) / eta),    A'(eta) = mean,    A''(eta) = variance

With eta's sign folded into x and a series near 0, every quantity is exact to the last few float32 digits at every eta.
All functions take float32 or float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# B_2k / (2k)! for k = 1, 2, ...: the Taylor coefficients of A'(eta) - 1/2 in odd powers of eta (B: Bernoulli numbers).
_SERIES = (
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
)
# Near 0 the closed forms cancel. dtype: (|eta| up to which the series is used, number of its terms that matter there)
_NEAR_ZERO = {torch.float32: (0.25, 2), torch.float64: (0.5, 7)}
_LOG2_E = 1 / math.log(2)


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Horner's rule, constant term first; at least two terms."""
    value = torch.add(torch.tensor(coefficients[-2], dtype=torch.float64), x, alpha=coefficients[-1])
    for coefficient in reversed(coefficients[:-2]):
        value.mul_(x).add_(coefficient)
    return value


def _series(a: Tensor, terms: int) -> tuple[Tensor, Tensor]:
    """A(-a) and A'(-a) - 1/2 for small a."""
    square = a * a
    derivative = [-coefficient for coefficient in _SERIES[:terms]]
    integral = [-coefficient / (2 * k) for k, coefficient in enumerate(derivative, start=1)]
    return (
        _polynomial(square, integral).mul_(a).sub_(0.5).mul_(a),
        _polynomial(square, derivative).mul_(a),
    )


def _series_at_radius(dtype: torch.dtype) -> tuple[float, float]:
    """`_series` where the closed forms take over, rounded as they are."""
    radius, terms = _NEAR_ZERO[dtype]
    normalizer, mean = _series(torch.full((), radius, dtype=dtype), terms)
    return normalizer.item(), mean.item()


_AT_RADIUS = {dtype: _series_at_radius(dtype) for dtype in _NEAR_ZERO}


def _reflected_log_normalizer_and_mean(a: Tensor) -> tuple[Tensor, Tensor]:
    """A(-a) = log((1 - exp(-a)) / a) and A'(-a) = 1 / a - 1 / (exp(a) - 1) for a >= 0, from one exponential.

    With r the radius, closed(max(a, r)) + series(min(a, r)) - series(r) is the one or the other of them. On a CPU this
    takes a fraction of the time of ``torch.where``, which costs as much as five exponentials.
    """
    radius, terms = _NEAR_ZERO[a.dtype]
    far = a.clamp_min(radius)
    inverse = far.reciprocal()
    u = far.mul_(-_LOG2_E).exp2_()  # exp(-a); on a CPU exp2 takes a fifth of exp's time
    rest = 1 - u
    mean = u.div_(rest).neg_().add_(inverse)
    log_normalizer = inverse.mul_(rest).log_()
    series = _series(a.clamp_max(radius), terms)
    for closed, near, at_radius in zip((log_normalizer, mean), series, _AT_RADIUS[a.dtype], strict=True):
        closed.add_(near.sub_(at_radius))
    return log_normalizer, mean


def _reflected_variance(a: Tensor) -> Tensor:
    """A''(-a) = 1 / a^2 - exp(-a) / (1 - exp(-a))^2 for a >= 0."""
    radius, _ = _NEAR_ZERO[a.dtype]
    coefficients = [(2 * k - 1) * c for k, c in enumerate(_SERIES, start=1)]
    far = a.clamp_min(radius)  # where the series is used the closed form must not spoil the gradient
    u = torch.exp(-far)
    return torch.where(a < radius, _polynomial(a * a, coefficients), far**-2 - u / (1 - u) ** 2)


# Reflected to -|eta|, nothing cancels and nothing overflows. With s = sign(eta) and h = (s + 1) / 2,
#   mean(eta) = h - s * mean(-|eta|)    and    log p(x) = (x - h) * eta - A(-|eta|),
# where h and x - h are exact.


class _Mean(torch.autograd.Function):
    """A'(eta), whose derivative is the variance."""

    generate_vmap_rule = True

    @staticmethod
    def forward(eta: Tensor) -> Tensor:
        sign = eta.sign()
        _, mean = _reflected_log_normalizer_and_mean(eta.abs())
        return (sign + 1).mul_(0.5).addcmul_(sign, mean, value=-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (eta,) = ctx.saved_tensors
        return grad * _reflected_variance(eta.abs())


class _LogProb(torch.autograd.Function):
    """x * eta - A(eta) with eta clamped to [-limit, limit].

    Inside the limit the gradient is the exact x - mean(eta). Outside, the exact gradient of a clamp is 0 and a
    saturated logit would never come back, while a straight-through x - mean(limit) pushes it further out. There the
    gradient is x - 1 for positive and x for negative logits: that of the Bernoulli, saturated, which always leads back.

    The forward pass computes the gradient too, with the one exponential that both need; it is the second output.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, eta: Tensor, limit: float) -> tuple[Tensor, Tensor]:
        log_normalizer, mean = _reflected_log_normalizer_and_mean(eta.abs())
        if math.isfinite(limit):  # both decrease, so that a bound on them is one on |eta|
            log_normalizer.clamp_min_(math.log(-math.expm1(-limit) / limit))
            torch.threshold_(mean, 1 / limit - 1 / math.expm1(limit), 0.0)
        sign = eta.sign()
        offset = torch.add(x, sign + 1, alpha=-0.5)  # x - h
        gradient = torch.addcmul(offset, sign, mean)
        return offset.mul_(eta.clamp(-limit, limit)).sub_(log_normalizer), gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: tuple[Tensor, Tensor]) -> None:
        x, eta, ctx.limit = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(x, eta, output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, eta, gradient = ctx.saved_tensors
        grad_x = grad_eta = None
        if ctx.needs_input_grad[0]:
            grad_x = grad * eta.clamp(-ctx.limit, ctx.limit)
        if ctx.needs_input_grad[1]:
            grad_eta = grad * _LogProbGradient.apply(x, eta, gradient, ctx.limit)
        return grad_x, grad_eta, None


class _LogProbGradient(torch.autograd.Function):
    """x - mean(eta), known already, so that log_prob can be differentiated twice."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, eta: Tensor, gradient: Tensor, limit: float) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, float], output: Tensor) -> None:
        _, eta, _, ctx.limit = inputs
        ctx.save_for_backward(eta)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (eta,) = ctx.saved_tensors
        a = eta.abs()
        return grad, -grad * _reflected_variance(a) * (a <= ctx.limit), None, None


def log_density(x: Tensor, eta: Tensor, limit: float = math.inf) -> Tensor:
    """x * eta - A(eta) in nats, for x and eta of one shape, with eta clamped to [-limit, limit].

    Outside the limit the gradient leads back inside: it is the saturated Bernoulli's.
    """
    return _LogProb.apply(x, eta, limit)[0]


def mean(eta: Tensor) -> Tensor:
    """A'(eta)."""
    return _Mean.apply(eta)


def variance(eta: Tensor) -> Tensor:
    """A''(eta)."""
    return _reflected_variance(eta.abs())
